"""Samples as rows and links: what looking at each of them finds, without an object for each item."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mmstudio.desktop.sample_rows import drawn, links_of, rows_of
from mmstudio.library import Item, Sample, SpaceKey, VectorView
from mmstudio.library.item import item_rows
from mmstudio.library.items import Items

KINDS = ("image", "audio", "text")


@pytest.fixture
def items() -> Items:
    made = [Item(i, Path(f"/{i}"), "", KINDS[i % 3], f"{i:040x}", "") for i in range(1, 41)]  # type: ignore[arg-type]
    return Items(item_rows(made))


@pytest.fixture
def samples() -> list[Sample]:
    """Of two, three and four items, some of one modality, some of items that are gone."""
    rng = np.random.default_rng(0)
    return [Sample(100 + n, "", tuple(rng.choice(np.arange(1, 46), 2 + n % 3, replace=False).tolist()))
            for n in range(30)]


def test_links_join_items_of_two_modalities_that_are_there(items: Items, samples: list[Sample]) -> None:
    want = [(a, b) for sample in samples for a, b in combinations(sample.item_ids, 2)
            if a in items and b in items and items[a].modality != items[b].modality]
    assert links_of(items, samples).tolist() == [list(pair) for pair in want]
    assert links_of(items, []).shape == (0, 2)


def test_rows_are_those_with_a_vector_and_some_are_always_the_same_ones(samples: list[Sample]) -> None:
    ids = np.arange(2, 42, 2)
    view = VectorView(SpaceKey("made", "1", "1", 2), ids, np.zeros((20, 2), np.float32), np.full(20, "text"),
                      {int(key): row for row, key in enumerate(ids)})
    rows = rows_of(view, samples)
    assert all(len(own) > 1 for own in rows)
    assert [[int(ids[row]) for row in own] for own in rows] == [
        own for sample in samples if len(own := [i for i in sample.item_ids if i in view.rows]) > 1]
    assert drawn(rows, 100) is rows
    some = drawn(rows, 5)
    assert len(some) == 5
    assert some == drawn(rows, 5)
    assert all(own in rows for own in some)
