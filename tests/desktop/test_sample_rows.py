"""Samples as rows and links: what looking at each of them finds, without an object for each item."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from mmstudio.desktop.sample_rows import SampleRows, links_of
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
    ids = np.random.default_rng(1).permutation(np.arange(2, 42, 2))
    view = VectorView(SpaceKey("made", "1", "1", 2), ids, np.zeros((20, 2), np.float32), np.full(20, "text"),
                      {int(key): row for row, key in enumerate(ids)})
    rows = SampleRows.of(view, samples)
    lists = rows.lists()
    assert [[int(ids[row]) for row in own] for own in lists] == [
        own for sample in samples if len(own := [i for i in sample.item_ids if i in view.rows]) > 1]
    assert len(rows) == len(lists) > 5
    assert rows.drawn(100) is rows
    some = rows.drawn(5).lists()
    assert len(some) == 5
    assert some == rows.drawn(5).lists()
    assert all(own in lists for own in some)


def test_without_samples_or_vectors_there_are_no_rows(samples: list[Sample]) -> None:
    none = VectorView(SpaceKey("made", "1", "1", 2), np.zeros(0, np.int64), np.zeros((0, 2), np.float32),
                      np.zeros(0, "<U5"), {})
    assert SampleRows.of(none, samples).lists() == []
    assert len(SampleRows.of(none, [])) == 0
