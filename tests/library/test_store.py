"""The items on disk: what was committed is there, as it was."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from mmstudio.library import Item, SpaceKey, Store, VectorCache, VectorTable
from mmstudio.library.item import item_rows
from mmstudio.media import Description

KEY = SpaceKey("space", "revision", "preprocessing", 4)


def describe(number: int, name: str | bytes = "", **facts: float) -> Description:
    path = Path(os.fsdecode(name)) if name else Path(f"/folder/{number}.png")
    return Description(path, "image", f"hash{number}", facts=facts or {"width": 3}, preview=b"jpeg" * 10)


def test_items_come_back_as_they_were(tmp_path: Path) -> None:
    names = ["a b.png", "ümlaut.png", "new\nline.png", b"bad-\xff-utf8.png"]
    store = Store(tmp_path)
    facts = {"width": 3, "height": 4, "duration_s": 2.0, "seconds": 0.5, "rate_hz": 8000, "bit_depth": 24}
    added = store.add([describe(i, name, **facts) for i, name in enumerate(names)], ["holiday"])
    store.close()
    again = Store(tmp_path)
    assert list(again.items().values()) == added
    assert all(type(item.facts["width"]) is int for item in again.items().values())
    assert [os.fsencode(i.path) for i in again.items().values()] == [os.fsencode(n) for n in names]
    assert again.items()[added[0].id].tags == ("holiday",)
    assert added[0].added > 0
    assert again.preview("hash0") == b"jpeg" * 10
    assert again.preview("unknown") == b""
    again.close()


def test_a_project_may_lie_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "My ü project #1 100%25? 'x'"
    store = Store(folder)
    added = store.add([describe(1)])
    store.tag([added[0].id], "it's")
    store.close()
    again = Store(folder)
    assert again.items()[added[0].id].tags == ("it's",)
    assert again.preview("hash1")
    again.close()


def test_the_same_content_is_added_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert len(store.add([describe(1), describe(2), describe(2)])) == 2
    assert [i.content_hash for i in store.add([describe(2), describe(3)])] == ["hash3"]
    store.close()


def test_texts_with_lone_surrogates_are_kept_readable(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([Description(Path("/t.txt"), "text", "h", text="bad \ud800 text")])
    store.close()
    again = Store(tmp_path)
    assert [item.text for item in again.items().values()] == ["bad ? text"]
    again.close()


def test_removing_items_dissolves_samples_that_are_left_with_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    a, b, c = store.add([describe(i) for i in range(3)])
    pair, triple = store.group("pair", [a.id, b.id]), store.group("triple", [a.id, b.id, c.id])
    store.set_weights(triple.id, {"image": 0.5})
    store.remove([a.id])
    for now in (store, Store(tmp_path, read_only=True)):
        assert pair.id not in [s.id for s in now.samples()]
        assert now.samples()[0].item_ids == (b.id, c.id)
        assert now.samples()[0].weights == {"image": 0.5}
    store.close()


def test_tags_and_free_columns_are_kept_and_taken_back(tmp_path: Path) -> None:
    store = Store(tmp_path)
    a, b = store.add([describe(i) for i in range(2)], ["all"])
    store.tag([a.id, b.id], "pet")
    store.untag([b.id], "all")
    store.set_column([a.id, b.id], "price", 2.5)
    store.set_column([a.id], "seen in", "Köln")
    store.set_column([b.id], "price", None)
    before = list(store.items().values())
    store.close()
    again = Store(tmp_path)
    assert list(again.items().values()) == before
    assert again.items()[a.id].tags == ("all", "pet")
    assert again.items()[b.id].tags == ("pet",)
    assert again.items()[a.id].columns == {"price": 2.5, "seen in": "Köln"}
    assert again.items()[b.id].columns == {}
    again.close()


def test_what_was_removed_can_be_put_back_under_its_old_ids_and_ids_are_never_used_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = store.add([describe(i) for i in range(3)], ["kept"])
    pair = store.group("pair", [items[1].id, items[2].id])
    store.remove([items[1].id, items[2].id])
    store.close()
    again = Store(tmp_path)
    [late] = again.add([describe(9)])
    assert late.id > pair.id > items[2].id
    assert again.samples() == []
    for _ in range(2):  # what is back already does not come twice
        again.restore(item_rows(items[1:]), [pair])
    assert [*again.items().values()] == [*items, late]
    again.close()
    last = Store(tmp_path)
    assert last.samples() == [pair]
    assert [*last.items().values()] == [*items, late]
    last.close()


def test_many_scattered_items_are_removed_in_one_commit(tmp_path: Path) -> None:
    store = Store(tmp_path)
    added = store.add([describe(i) for i in range(4000)])
    store.remove([item.id for item in added[::2]])
    store.close()
    again = Store(tmp_path)
    assert [*again.items().values()] == added[1::2]
    again.remove([item.id for item in added])
    assert len(again.items()) == 0
    again.close()
    last = Store(tmp_path)
    assert [*last.items()] == []
    last.close()


def test_a_file_that_was_moved_is_pointed_to_where_it_was_found(tmp_path: Path) -> None:
    store = Store(tmp_path)
    [item] = store.add([describe(1, str(tmp_path / "gone.png"))])
    found = replace(describe(1), path=tmp_path / "new.png")
    assert store.find_again([found, describe(2)]) == {item.id: found}
    store.close()
    again = Store(tmp_path)
    assert again.items()[item.id].path == tmp_path / "new.png"
    again.close()


def test_failures_are_kept_once_for_each_file_with_the_newest_reason(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for reason in ("broken", "empty", "empty"):
        store.note_failure(Path("/a.png"), reason)
    store.note_failure(Path(os.fsdecode(b"/bad-\xff.png")), "gone")
    store.close()
    again = Store(tmp_path)
    assert again.failures() == [(Path("/a.png"), "empty"), (Path(os.fsdecode(b"/bad-\xff.png")), "gone")]
    again.close()


def test_vectors_are_found_by_content_model_and_preprocessing(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    vectors = np.random.default_rng(0).normal(size=(1200, 4)).astype(np.float32)
    cache.put(KEY, ((f"h{i}", v) for i, v in enumerate(vectors)))
    cache.put(KEY, [("h5", vectors[5]), (f"{5:040x}", vectors[6])])
    cache.close()
    for again in (VectorCache(tmp_path), VectorCache(tmp_path, read_only=True)):
        found = again.get(KEY, [*(f"h{i}" for i in range(1300)), f"{5:040x}"])
        assert len(found) == 1201
        assert np.array_equal(found["h77"], vectors[77])
        assert np.array_equal(found[f"{5:040x}"], vectors[6])
        assert f"{5:040x}" in again.known(KEY)
        assert again.get(SpaceKey("space", "other", "preprocessing", 4), ["h1"]) == {}
        assert again.get(SpaceKey("space", "revision", "other", 4), ["h1"]) == {}
        again.close()


def test_vectors_whose_mapped_file_is_out_of_step_are_read_from_their_table(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path)
    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    cache.put(KEY, ((f"h{i}", v) for i, v in enumerate(vectors)))
    cache.close()
    for end in ("json", "f32"):
        file = next((tmp_path / "mirror").glob(f"*.{end}"))
        file.write_bytes(file.read_bytes()[:-7])
        for again in (VectorCache(tmp_path, read_only=True), VectorCache(tmp_path)):
            found = again.get(KEY, [f"h{i}" for i in range(50)])
            assert all(np.array_equal(found[f"h{i}"], vectors[i]) for i in range(50))
            again.close()


def test_a_space_in_half_precision_takes_half_the_room_and_is_read_the_same_from_table_and_file(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(3000, 64)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    key, sizes = SpaceKey("space", "revision", "preprocessing", 64), {}
    for half in (False, True):
        folder = tmp_path / str(half)
        cache = VectorCache(folder, half=half)
        cache.put(key, ((f"h{i}", v) for i, v in enumerate(vectors)))
        cache.close()
        sizes[half] = sum(file.stat().st_size for file in (folder / "tables").rglob("*.lance") if file.is_file())
    assert sizes[True] < 0.65 * sizes[False]
    again = VectorCache(tmp_path / "True", half=False)
    mapped = again.matrix(key).copy()
    assert np.abs(mapped - vectors).max() < 1e-3
    assert np.allclose(np.linalg.norm(mapped, axis=1), 1, atol=1e-6)
    again.put(key, [("new", vectors[0])])
    again.close()
    for file in (tmp_path / "True" / "mirror").glob("*.json"):
        file.unlink()
    for cache in (VectorCache(tmp_path / "True", read_only=True), VectorCache(tmp_path / "True")):
        assert np.array_equal(cache.matrix(key), np.concatenate([mapped, mapped[:1]]))
        cache.close()


def _table(store: Store, cache: VectorCache, items: list[Item]) -> VectorTable:
    ids = np.array([item.id for item in items])
    rows = cache.rows(KEY, store.known.keys_of(ids))
    return VectorTable.of(KEY, ids, store.known.modalities_of(ids), rows, cache)


def test_a_view_of_the_table_stays_as_it_was_while_the_table_grows(tmp_path: Path) -> None:
    store, cache = Store(tmp_path), VectorCache(tmp_path)
    items = store.add([describe(i) for i in range(600)])
    vectors = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    cache.put(KEY, ((item.content_hash, vector) for item, vector in zip(reversed(items), vectors[::-1], strict=True)))
    table = VectorTable(KEY, cache)  # whose rows are not in the order of the cache
    table.append(items[:100], vectors[:100])
    view = table.view()
    table.append(items[100:], vectors[100:])
    assert len(view) == 100
    assert view.vector(items[300].id) is None
    assert np.array_equal(view.vector(items[42].id), vectors[42])
    small = table.without(np.array([items[0].id, items[599].id])).view()
    assert len(small) == 598
    assert small.vector(items[0].id) is None
    assert all(np.array_equal(small.vector(items[i].id), vectors[i]) for i in range(1, 599))
    store.close()
    cache.close()


def test_a_table_over_the_mapped_file_copies_only_what_fills_the_holes_of_removed_items(tmp_path: Path) -> None:
    store, cache = Store(tmp_path), VectorCache(tmp_path)
    items = store.add([describe(i) for i in range(300)])
    vectors = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    cache.put(KEY, ((i.content_hash, v) for i, v in zip(items[:200], vectors, strict=False)))
    table = _table(store, cache, items[:200])
    assert np.shares_memory(table.view().vectors, cache.matrix(KEY))
    cache.put(KEY, [(items[200].content_hash, vectors[200])])
    table.append(items[200:201], vectors[200:201])
    assert np.shares_memory(table.view().vectors, cache.matrix(KEY))
    before, fewer = table.view(), table.without(np.array([items[3].id, items[120].id]))
    first = fewer.view()
    assert isinstance(_origin(first.vectors), np.memmap)  # private pages of the file, no copy of it
    moved = np.flatnonzero(np.any(first.vectors != cache.matrix(KEY)[: len(first)], axis=1))
    assert moved.tolist() == [3, 120]
    fewer.append(items[3:4], vectors[3:4])  # it comes back, as an undo would have it: into the room that is there
    assert _origin(fewer.view().vectors) is _origin(first.vectors)
    cache.put(KEY, ((i.content_hash, v) for i, v in zip(items[250:290], vectors[250:], strict=False)))
    fewer.append(items[250:290], vectors[250:290])
    for view, there in ((table.view(), range(201)), (before, range(201)), (first, {*range(201)} - {3, 120}),
                        (fewer.view(), {*range(201), *range(250, 290)} - {120})):
        assert sorted(view.ids.tolist()) == [items[i].id for i in sorted(there)]
        assert all(np.array_equal(view.vector(items[i].id), vectors[i]) for i in there)
        assert all(np.array_equal(view.vectors[row], vectors[i - items[0].id]) for row, i in enumerate(view.ids))
    assert np.array_equal(cache.matrix(KEY), np.concatenate([vectors[:201], vectors[250:290]]))
    store.close()
    cache.close()


def _origin(array: np.ndarray) -> object:  # type: ignore[type-arg]
    """What the array is a view of."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_a_project_of_which_little_was_removed_lies_over_the_mapped_file_when_it_is_opened_again(
    tmp_path: Path,
) -> None:
    store, cache = Store(tmp_path), VectorCache(tmp_path)
    items = store.add([describe(i) for i in range(100)])
    vectors = np.random.default_rng(0).normal(size=(100, 4)).astype(np.float32)
    cache.put(KEY, ((i.content_hash, v) for i, v in zip(items, vectors, strict=True)))
    rng = np.random.default_rng(1)
    for number, over in ((2, True), (20, True), (97, False), (99, False)):
        left = sorted(rng.permutation(100)[number:].tolist())
        view = _table(store, cache, [items[i] for i in left]).view()
        assert isinstance(_origin(view.vectors), np.memmap) == over
        assert all(np.array_equal(view.vector(items[i].id), vectors[i]) for i in left)
        assert len(view) == len(left)
    store.close()
    cache.close()
