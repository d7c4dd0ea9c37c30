"""Boxes that a person knows of, and whether a map points into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmstudio.encoders.base import Positions
from mmstudio.errors import StudioError
from mmstudio.explain.boxes import Box, asked_for, boxes_of, listed, pointing, read
from mmstudio.explain.maps import RelevanceMap
from mmstudio.library import Item

EXTENTS = np.array([[0, 0, 0.5, 0.5], [0.5, 0, 1, 0.5], [0, 0.5, 0.5, 1], [0.5, 0.5, 1, 1], [np.nan] * 4], np.float32)


def strongest(place: int) -> RelevanceMap:
    """Of the quarters of a picture, and of what is no place."""
    weights = np.zeros(5, np.float32)
    weights[[place, 4]] = 1, 9
    return RelevanceMap(weights, Positions("patch", EXTENTS), "", "")


def item(boxes: str | float, **facts: float) -> Item:
    return Item(1, Path("a.png"), "", "image", "1", "", facts or {"width": 200, "height": 100}, (), columns={
        "Boxes": boxes, "other": "x"})


@pytest.mark.parametrize("text", [
    '[[20, 10, 120, 60, "a dog"], [0, 0, 10, 10]]',
    '[{"bbox": [20, 10, 100, 50], "category": "a dog"}, {"bbox": [0, 0, 10, 10], "category": 3}]'])
def test_boxes_are_read_from_corners_or_as_coco_has_them(text: str) -> None:
    boxes = boxes_of(item(text))
    assert [box.label for box in boxes] == ["a dog", ""]
    assert boxes[0].edges == pytest.approx((0.1, 0.1, 0.6, 0.6))
    assert boxes[1].edges == pytest.approx((0, 0, 0.05, 0.1))


def test_a_single_box_and_typed_ones_are_boxes_too() -> None:
    assert read("[0, 0, 100, 50]", 200, 100) == (Box((0, 0, 0.5, 0.5)),)
    assert listed(["0,0,100,50", "0,0,100,50,a dog, asleep"], 200, 100) == (
        Box((0, 0, 0.5, 0.5)), Box((0, 0, 0.5, 0.5), "a dog, asleep"))


@pytest.mark.parametrize("text", ["x", "{}", "3", "[[1, 2, 3]]", "[[5, 5, 1, 9]]", '[{"bbox": [1, 2]}]', "[null]",
                                  "[[0, 0, NaN, 1]]", '["abcd"]', "[" * 5000])
def test_what_is_no_list_of_boxes_is_an_error(text: str) -> None:
    with pytest.raises(StudioError, match="no boxes"):
        boxes_of(item(text))
    with pytest.raises(StudioError, match="no boxes"):
        listed(["1,2,x,4"], 10, 10)


def test_an_item_without_boxes_or_size_has_none() -> None:
    assert boxes_of(item("")) == ()
    assert boxes_of(item("[[0, 0, 1, 1]]", seconds=1)) == ()
    assert read("[]", 10, 10) == ()


def test_the_query_names_the_boxes_that_count() -> None:
    dog, cat, bare = Box((0, 0, 1, 1), "Hot dog"), Box((0, 0, 1, 1), "cat"), Box((0, 0, 1, 1))
    assert asked_for([dog, cat, bare], "two hot-dogs, a hot dog!") == (dog,)
    assert asked_for([dog, cat, bare], "a concatenation") == (dog, cat, bare)
    assert asked_for([dog, cat], "") == (dog, cat)


def test_a_map_points_where_its_most_relevant_place_is() -> None:
    left, low = Box((0, 0, 0.5, 1), "left"), Box((0, 0.5, 1, 1), "low")
    found = pointing(strongest(2), [left, low])
    assert found is not None
    assert found.inside is left
    assert found.chance == pytest.approx(0.75, abs=0.01)
    assert found.text.format(*found.values) == "The most relevant place lies in “left”; one at random would with 75 %."
    missed = pointing(strongest(1), [left, low], "what is low?")
    assert missed is not None
    assert not missed.hit
    assert missed.text.format(*missed.values) == (
        "The most relevant place lies outside “low”; one at random would lie in it with 50 %.")
    bare = pointing(strongest(0), [Box((0, 0, 1, 0.5))])
    assert bare is not None
    assert bare.text.format(*bare.values) == "The most relevant place lies in the box; one at random would with 50 %."


def test_without_boxes_or_places_there_is_no_game() -> None:
    assert pointing(strongest(0), []) is None
    seconds = RelevanceMap(np.ones(1, np.float32), Positions("time", np.array([[0, 1]], np.float32)), "", "")
    assert pointing(seconds, [Box((0, 0, 1, 1))]) is None


def test_a_number_beyond_all_pixels_is_no_box() -> None:
    with pytest.raises(StudioError, match="no boxes"):
        read(f"[[0, 0, {'9' * 400}, 5]]", 10, 10)
