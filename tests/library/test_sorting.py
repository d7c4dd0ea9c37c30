"""Items in the order of a column."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from mmstudio.library import Item, Items
from mmstudio.library.item import item_rows
from mmstudio.library.sorting import in_order, sortable


def _items() -> list[Item]:
    rng = random.Random(5)
    made = []
    for number in range(1, 200):
        columns: dict[str, str | float] = {} if number % 4 == 0 else {
            "price": float(rng.randrange(20)), "who": rng.choice(["Zoë", "anna", "Bob", "änne"]),
            "seen": f"20{rng.randrange(10, 26)}-0{rng.randrange(1, 10)}-11"}
        made.append(Item(number, Path(f"/m/{rng.choice('aBcD')}{number}.png"), "", "image", f"{number:040x}", "",
                         {"width": float(rng.randrange(5))}, (), columns, float(number)))
    return made


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("by", "value"), [
    ("price", lambda item: item.columns.get("price")),
    ("width", lambda item: item.facts["width"]),
    ("name", lambda item: item.path.name.lower()),
    ("who", lambda item: item.columns["who"].lower() if "who" in item.columns else None),
    ("seen", lambda item: item.columns.get("seen")),
    ("added", lambda item: item.added),
])
def test_the_order_is_that_of_the_values_with_those_that_have_none_last_and_equals_as_they_were_added(
    by: str, value: object, descending: bool,
) -> None:
    items = _items()
    passing = np.array([item.id % 3 != 0 for item in items])
    some = [row for row, item in enumerate(items) if passing[row]]
    having = [row for row in some if value(items[row]) is not None]  # type: ignore[operator]
    wanted = sorted(having, key=lambda row: value(items[row]), reverse=False)  # type: ignore[operator]
    if descending:
        wanted = sorted(having, key=lambda row: (value(items[row])), reverse=True)  # type: ignore[operator]
    wanted += [row for row in some if row not in having]
    found = in_order(Items(item_rows(items)).columns(), passing, by, descending)
    assert found.tolist() == wanted


def test_without_a_column_or_one_that_is_gone_the_order_is_that_of_adding() -> None:
    columns = Items(item_rows(_items())).columns()
    everything = np.ones(199, bool)
    assert in_order(columns, everything).tolist() == list(range(199))
    assert in_order(columns, everything, "gone").tolist() == list(range(199))
    assert in_order(columns, everything, "", True).tolist() == list(range(198, -1, -1))
    assert in_order(columns, np.zeros(199, bool), "name").tolist() == []
    assert {"name", "price", "who", "seen", "width", "modality"} <= set(sortable(columns))
    assert "sample" not in set(sortable(columns))
