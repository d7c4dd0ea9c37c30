"""Examples of a run by the items that they are made of."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QRect
from PySide6.QtGui import QPainter

from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.library import Item

MOST_ITEMS = 4
"""Of one sample that are drawn."""
GAP = 4


def ids_of(session: Session, key: int) -> tuple[int, ...]:
    """The items of an example: of a sample (negated) all of its own, as far as they are in the project."""
    sample = session.samples.get(-key)
    return tuple(i for i in (sample.item_ids if sample else (key,)) if i in session.items)


def select_examples(session: Session, keys: Iterable[int]) -> None:
    """Select all items of these examples."""
    session.select([i for key in keys for i in ids_of(session, key)])


def draw_example(painter: QPainter, box: QRect, items: list[Item], previews: Previews) -> None:
    """One item as large as the box, two beside each other, more in two lines."""
    some = items[:MOST_ITEMS]
    columns, rows = (1, 1) if len(some) < 2 else (2, 1) if len(some) == 2 else (2, 2)
    width, height = (box.width() - GAP * (columns - 1)) // columns, (box.height() - GAP * (rows - 1)) // rows
    for place, item in enumerate(some):
        row, column = divmod(place, columns)
        draw_item(painter, QRect(box.left() + column * (width + GAP), box.top() + row * (height + GAP), width, height),
                  item, previews.get(item))
