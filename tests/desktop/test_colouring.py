"""What the map's points are coloured by: categories by frequency, numbers and dates on a scale that says its ends."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from mmstudio.desktop.plots.colouring import (
    MOST_CATEGORIES,
    STEPS,
    Colouring,
    by_cluster,
    by_column,
    by_date,
    by_number,
    by_score,
)
from mmstudio.desktop.theme import THEME
from mmstudio.library import Item
from mmstudio.library.item import item_rows
from mmstudio.library.items import Items

KEYS = np.array([1, 2, 3, 4, 5, -9])


def _items(**columns: list[object]) -> Items:
    """Five pictures; what is said of them by name."""
    made = [Item(id=i + 1, path=Path(f"/{i}.png"), part="", modality="image", content_hash=f"{i:040x}", text="",
                 **{name: values[i] for name, values in columns.items()}) for i in range(5)]  # type: ignore[arg-type]
    return Items(item_rows(made))


def _named(found: Colouring) -> list[str]:
    return [found.names[code] for code in found.codes]


def test_the_first_tag_of_each_item_is_its_category_and_samples_have_none() -> None:
    items = _items(tags=[("dog", "old"), ("cat",), (), ("dog",), ("old", "dog")])
    assert _named(by_column(items, "tag", "Tag", KEYS)) == ["dog", "cat", "none", "dog", "old", "none"]


def test_keys_may_come_in_any_order() -> None:
    items = _items(tags=[("a",), ("b",), ("c",), ("d",), ("e",)])
    assert _named(by_column(items, "tag", "Tag", np.array([5, -1, 2, 77, 1]))) == ["e", "none", "b", "none", "a"]


def test_rare_categories_share_a_colour() -> None:
    number = MOST_CATEGORIES + 3
    made = [Item(id=i + 1, path=Path(f"/{i}.png"), part="", modality="image", content_hash=f"{i:040x}", text="",
                 tags=(f"t{min(i // 2, number - 1)}",)) for i in range(2 * number + 5)]
    found = by_column(Items(item_rows(made)), "tag", "Tag", np.arange(1, len(made) + 1))
    assert found.names[0] == f"t{number - 1}"
    assert len(found.names) == MOST_CATEGORIES + 2
    assert _named(found).count("others") == 2 * 3
    assert len(found.palette()) == len(found.names)
    assert len({colour.rgb() for colour in found.palette()}) == len(found.names)


def test_a_column_of_numbers_is_a_scale_and_missing_ones_are_grey() -> None:
    found = by_column(_items(columns=[{"size": 1.0}, {"size": 3.0}, {}, {"size": 5.0}, {"size": 2.0}]), "size", "size",
                      KEYS)
    assert found.codes[[2, 5]].tolist() == [STEPS, STEPS]
    assert found.codes[0] == 0
    assert found.codes[3] == STEPS - 1
    assert found.codes[0] < found.codes[4] < found.codes[1] < found.codes[3]


def test_a_scale_is_even_and_says_where_strays_lie_beyond_it() -> None:
    values = np.append(np.linspace(0, 100, 1001), [1e6, -1e6])
    found = by_number(values, "size (px)")
    assert found.scale is not None
    assert found.scale.title == "size (px)"
    low, high = np.percentile(values, [1, 99])
    assert found.scale.low == f"≤ {low:.4g}"
    assert found.scale.high == f"≥ {high:.4g}"
    inside = (values > low) & (values < high)
    assert np.array_equal(found.codes[inside], np.floor((values[inside] - low) / (high - low) * STEPS))
    assert found.codes[-2:].tolist() == [STEPS - 1, 0]


def test_equal_infinite_or_no_numbers_do_no_harm() -> None:
    assert by_number(np.full(4, 7.0), "x").codes.tolist() == [0] * 4
    assert by_number(np.full(4, np.nan), "x").codes.tolist() == [STEPS] * 4
    assert by_number(np.array([1.0, 2.0, np.inf, -np.inf]), "x").codes.tolist() == [0, STEPS - 1, STEPS - 1, 0]


def test_dates_are_seconds_and_read_as_the_local_calendar() -> None:
    seconds = np.array([datetime(2024, 1, 5).timestamp(), datetime(2025, 3, 1, 12).timestamp(), np.nan, 1e300])
    found = by_date(seconds, "Time added")
    assert found.scale is not None
    assert found.scale.low == "≤ 2024-01-09"  # a hundredth of the way
    assert found.scale.high.startswith("≥ 2025-02")
    assert found.codes.tolist() == [0, STEPS - 1, STEPS, STEPS]
    close = by_date(np.array([0.0, 3600.0]) + datetime(2024, 1, 5, 10).timestamp(), "Time added")
    assert close.scale is not None
    assert close.scale.low.startswith("≤ 2024-01-05 10:00")


def test_the_time_added_and_other_columns_can_colour() -> None:
    items = _items(added=[1.7e9 + day * 86_400 for day in range(5)], facts=[{"width": w} for w in (10, 20, 30, 40, 50)])
    assert np.diff(by_column(items, "added", "Time added", KEYS[:5]).codes).min() > 0
    assert np.diff(by_column(items, "width", "Width (pixels)", KEYS[:5]).codes).min() > 0
    assert _named(by_column(items, "modality", "Modality", KEYS))[-2:] == ["image", "none"]


def test_clusters_go_by_key_not_by_row() -> None:
    found = by_cluster(np.array([3, 1, 2, -4]), np.array([1, 2, 3]), np.array([0, -1, 1]))
    assert _named(found) == ["Cluster 2", "Cluster 1", "none", "none"]
    assert _named(by_cluster(np.array([1, 2]), np.array([1, 2]), None)) == ["none", "none"]


def test_the_score_is_the_cosine_with_the_question() -> None:
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    query = vectors[3] * 2
    found = by_score(np.arange(1, 6), vectors, query, "cosine", "Cosine", KEYS)
    cosines = vectors @ query / np.linalg.norm(vectors, axis=1) / np.linalg.norm(query)
    assert np.array_equal(np.argsort(found.codes[:5], kind="stable")[-1], cosines.argmax())
    assert found.codes[5] == STEPS
    assert found.codes[3] == STEPS - 1


@pytest.mark.parametrize("wish", ["dark", "light"])
def test_a_scale_grows_evenly_lighter_and_shows_on_the_theme(wish: str) -> None:
    THEME.apply(wish)
    shades = by_number(np.arange(5.0), "x").palette()[:STEPS]
    lightness = np.array([0.2126 * c.redF() ** 2.2 + 0.7152 * c.greenF() ** 2.2 + 0.0722 * c.blueF() ** 2.2
                          for c in shades])
    assert np.diff(lightness).min() > -0.002
    if wish == "dark":
        assert lightness.min() > 0.04
    else:
        assert lightness.max() < 0.6
