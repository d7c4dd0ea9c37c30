"""Items in memory behave as a dictionary would, and answer for all of them at once."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmstudio.library import Item, Items, KnownContents
from mmstudio.library import splice as splicing
from mmstudio.library.item import item_rows
from mmstudio.library.query import parse
from mmstudio.library.query_match import matches
from mmstudio.library.vector_keys import KeyIndex, content_keys


def _item(number: int, **changes: object) -> Item:
    modality = ("image", "audio", "text")[number % 3]
    made = Item(number, Path(f"/media/file {number}.png"), "", modality, f"{number:040x}",  # type: ignore[arg-type]
                f"a text {number}" if modality == "text" else "", {"width": number}, ("even",) * (number % 2 == 0),
                {}, float(number))
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("most_pieces", [1500, 0])
def test_items_are_what_a_dictionary_would_be_whatever_is_done_to_them(
    most_pieces: int, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(splicing, "_MOST_PIECES", most_pieces)
    rng = random.Random(3)
    plain = {number: _item(number) for number in range(1, 60)}
    items = Items(item_rows(plain.values()))
    for step in range(400):
        number, deed = rng.randrange(1, 90), rng.randrange(5)
        if deed < 2:
            new = _item(number, tags=(f"t{step}",), columns={"price": step} if step % 2 else {})
            plain[number] = new
            items.update([(number, new)])
        elif deed == 2:
            assert items.pop(number, None) == plain.pop(number, None)
        elif deed == 3 and step % 3 == 0:
            copied = items.copy()
            items.fold()
            assert copied == items
        assert items.get(number) == plain.get(number)
        assert (number in items) is (number in plain)
        if step % 7 == 0:
            assert len(items) == len(plain)
            assert [*items.values()] == [plain[i] for i in sorted(plain)] == [items[i] for i in items]
            assert items.counts() == Counter(item.modality for item in plain.values())
            assert all(items.by_hash(f"{i:040x}") == (i if i in plain else None) for i in range(1, 90))
            ids = items.ids()
            assert items.modalities_of(ids).tolist() == [plain[int(i)].modality for i in ids]
            assert [key.tobytes().hex() for key in items.keys_of(ids)] == [plain[int(i)].content_hash for i in ids]
            columns = items.columns()
            wanted = [item.tags == () and item.modality == "text" for item in (plain[i] for i in sorted(plain))]
            assert matches(parse("type:text -has:tag"), columns).tolist() == wanted
            if any(item.columns for item in plain.values()):
                priced = [item.columns.get("price", 0) > 100 for item in (plain[i] for i in sorted(plain))]
                assert matches(parse("price>100"), columns).tolist() == priced


def test_copies_do_not_see_each_others_changes() -> None:
    items = Items(item_rows([_item(1), _item(2)]))
    other = items.copy()
    other.update([(3, _item(3)), (1, _item(1, text="new"))])
    other.pop(2)
    assert [*items] == [1, 2]
    assert items[1].text == ""
    assert [*other] == [1, 3]
    assert other == {1: _item(1, text="new"), 3: _item(3)}
    assert Items() == {}
    with pytest.raises(KeyError):
        other[2]


def test_every_field_can_be_asked_for() -> None:
    rows = [
        Item(1, Path("/m/Ärger.png"), "", "image", "a", "", {"width": 640, "height": 480}, ("pet",),
             {"price": 2.5, "colour": "red", "width": 7}, 100.0),
        Item(2, Path(os.fsdecode(b"/m/bad-\xff.wav")), "", "audio", "b", "", {"duration_s": 2.5, "rate_hz": 8000}, (),
             {"colour": "blue", "note": "x" * 60}, 200.0),
        Item(3, Path("/m/t.txt"), "line 1", "text", "c", "a dog barks", {}, ("pet", "loud"), {}, 300.0),
    ]
    columns = Items(item_rows(rows)).columns(in_samples=[1, 3], captioned=[1], selected=[2])
    asked = {"type:image": [1], "name:ärger": [1], "name:dog": [3], "path:/m/": [1, 2, 3], "tag:pet": [1, 3],
             "width>600": [1], "duration<3s": [2], "rate=8000": [2], "dog": [3], "wav": [2], "text:dog": [3],
             "has:sample": [1, 3], "has:caption": [1], "price>2": [1], "colour:blue": [2], "xxxx": [2],
             "width_column=7": [1], "added>1970-01-01": [], "red": [1], "characters=11": [3],
             "is:selected": [2], "has:characters": [3]}
    for query, ids in asked.items():
        assert (np.flatnonzero(matches(parse(query), columns)) + 1).tolist() == ids, query
    assert columns.names()["colour"] == "category"
    assert columns.names()["note"] == "text"


def test_columns_stay_the_same_arrays_while_their_values_stay_the_same() -> None:
    items = Items(item_rows([_item(number) for number in range(50)]))
    first = items.columns()
    words, texts, tags = first.searched()[0], first.column("text"), first.column("tag")
    assert items.columns().searched()[0] is words
    items.update([(7, replace(items[7], tags=("new",)))])
    second = items.columns()
    assert second.searched()[0] is words
    assert second.column("text") is texts
    assert second.column("tag") is not tags
    assert np.flatnonzero(matches(parse("tag:new"), second)).tolist() == [7]


def test_known_contents_grow_with_the_items() -> None:
    items = Items(item_rows([_item(1)]))
    known = KnownContents(items)
    assert f"{1:040x}" in known
    assert f"{2:040x}" not in known
    items.update([(2, _item(2))])
    assert f"{2:040x}" in known


def test_contents_are_found_by_their_whole_key_also_where_the_beginnings_are_equal() -> None:
    contents = [f"{'0' * 16}{number:024x}" for number in range(9)] + ["any text", "AB" * 20, "ab" * 20, " " * 40]
    keys = content_keys(contents)
    assert len({key.tobytes() for key in keys}) == len(contents)
    index = KeyIndex(keys[:7])
    index.add(keys[7:])
    assert index.rows(keys).tolist() == list(range(len(contents)))
    assert index.rows(content_keys([f"{1:040x}", "other"])).tolist() == [1, -1]
