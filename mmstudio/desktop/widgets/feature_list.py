"""Features as a list: the name of each, on how many items it fires, and the items on which it does most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QAbstractListModel, QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QAbstractItemView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from mmstudio.desktop.item_view import ItemView
from mmstudio.desktop.paint import draw_item
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import count, plain_tip, tr
from mmstudio.desktop.theme import THEME, colours

FACE, GAP, EDGE, LINE = 44, 4, 8, 20
ROW_ROLE = int(Qt.ItemDataRole.UserRole)
Index = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()


@dataclass(frozen=True)
class Row:
    """A feature by its number and name: the ``items`` on which it fires, the ``share`` of all that they are, and the
    ids of the ``strongest``.
    """

    number: int
    name: str
    items: int
    share: float
    strongest: tuple[int, ...]

    @property
    def told(self) -> str:
        """“31 · 4.1 %”"""
        return f"{count(self.items)} · {self.percent}"

    @property
    def percent(self) -> str:
        """“4.1 %”"""
        return f"{100 * self.share:.{1 if self.share < 0.1 else 0}f} %"


class Rows(QAbstractListModel):
    """The rows whose names hold what is looked for."""

    def __init__(self) -> None:
        super().__init__()
        self._all: Sequence[Row] = ()
        self._sought = ""
        self.shown: list[Row] = []

    def show_rows(self, rows: Sequence[Row]) -> None:
        self._all = rows
        self.seek(self._sought)

    def seek(self, words: str) -> None:
        """Show those whose name holds all of these words."""
        self._sought = words
        wanted = words.lower().split()
        self.beginResetModel()
        self.shown = [row for row in self._all if all(word in row.name.lower() for word in wanted)]
        self.endResetModel()

    def row_of(self, number: int) -> int:
        """Where a feature is shown, -1 where it is not."""
        return next((at for at, row in enumerate(self.shown) if row.number == number), -1)

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self.shown)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row = self.shown[index.row()]
        if role == ROW_ROLE:
            return row
        if role == Qt.ItemDataRole.ToolTipRole:
            fires = tr("fires on {} items, {} of all").format(count(row.items), row.percent)
            return plain_tip(f"{row.name}\n{fires}")
        return f"{row.name} · {row.told}" if role in (Qt.ItemDataRole.DisplayRole,
                                                      Qt.ItemDataRole.AccessibleTextRole) else None


class _Delegate(QStyledItemDelegate):
    """Name and number in a line, faces below."""

    def __init__(self, session: Session, previews: Previews, parent: QWidget) -> None:
        super().__init__(parent)
        self._session, self._previews = session, previews

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        row: Row = index.data(ROW_ROLE)
        box: QRect = option.rect  # type: ignore[attr-defined]
        state, c = option.state, colours()  # type: ignore[attr-defined]
        selected = bool(state & QStyle.StateFlag.State_Selected)
        if selected or state & QStyle.StateFlag.State_MouseOver:
            painter.fillRect(box, QColor(c.accent if selected else c.line))
        inner = box.adjusted(EDGE, EDGE // 2, -EDGE, -EDGE // 2)
        line = QRect(inner.left(), inner.top(), inner.width(), LINE)
        metrics, upright = painter.fontMetrics(), int(Qt.AlignmentFlag.AlignVCenter)
        painter.setPen(QColor(c.accent_text if selected else c.faint))
        painter.drawText(line, upright | int(Qt.AlignmentFlag.AlignRight), row.told)
        painter.setPen(QColor(c.accent_text if selected else c.text))
        room = line.width() - metrics.horizontalAdvance(row.told) - 12
        name = metrics.elidedText(row.name.replace("\n", " "), Qt.TextElideMode.ElideRight, room)
        painter.drawText(line, upright, name)
        left = inner.left()
        for item in filter(None, map(self._session.items.get, row.strongest)):
            if left + FACE > inner.right():
                break
            draw_item(painter, QRect(left, line.bottom() + 3, FACE, FACE), item, self._previews.get(item))
            left += FACE + GAP


class FeatureList(ItemView):
    """The rows, one under the other; one can be chosen."""

    def __init__(self, session: Session, previews: Previews) -> None:
        super().__init__()
        self.rows = Rows()
        self.setModel(self.rows)
        self.setItemDelegate(_Delegate(session, previews, self))
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName(tr("Features"))
        self.set_cells(QSize(320, LINE + FACE + EDGE + 6), wraps=False)
        redraw = self.viewport().update
        previews.arrived.connect(lambda _: redraw())
        THEME.changed.connect(redraw)

    def mark(self, number: int | None) -> None:
        """Show a feature as chosen, and bring it into view, without telling that it was."""
        at = -1 if number is None else self.rows.row_of(number)
        if at >= 0:
            self.selectionModel().blockSignals(True)
            self.setCurrentIndex(self.rows.index(at))
            self.selectionModel().blockSignals(False)
            self.scrollTo(self.rows.index(at))
        self.viewport().update()
