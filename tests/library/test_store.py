"""The project on disk: what was committed is there, whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from mmstudio.errors import ProjectError
from mmstudio.library import SpaceKey, Store, VectorCache, VectorTable
from mmstudio.media import Description

KEY = SpaceKey("space", "revision", "preprocessing", 4)


def _description(number: int, name: str | bytes = "") -> Description:
    path = Path(os.fsdecode(name)) if name else Path(f"/folder/{number}.png")
    return Description(path, "image", f"hash{number}", facts={"width": 3.0}, preview=b"jpeg" * 10)


def test_items_come_back_as_they_were(tmp_path: Path) -> None:
    names = ["a b.png", "ümlaut.png", "new\nline.png", b"bad-\xff-utf8.png"]
    store = Store(tmp_path)
    added = store.add([_description(i, name) for i, name in enumerate(names)], ["holiday"])
    store.close()
    again = Store(tmp_path)
    assert again.items() == added
    assert [os.fsencode(i.path) for i in again.items()] == [os.fsencode(n) for n in names]
    assert again.items()[0].tags == ("holiday",)
    assert again.preview("hash0") == b"jpeg" * 10
    assert again.preview("unknown") == b""
    again.close()


def test_the_same_content_is_added_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert len(store.add([_description(1), _description(2)])) == 2
    assert [i.content_hash for i in store.add([_description(2), _description(3)])] == ["hash3"]
    store.close()


def test_texts_with_lone_surrogates_are_kept_readable(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([Description(Path("/t.txt"), "text", "h", text="bad \ud800 text")])
    assert store.items()[0].text == "bad ? text"
    store.close()


def test_removing_items_dissolves_samples_that_are_left_with_one(tmp_path: Path) -> None:
    store = Store(tmp_path)
    a, b, c = store.add([_description(i) for i in range(3)])
    pair, triple = store.group("pair", [a.id, b.id]), store.group("triple", [a.id, b.id, c.id])
    store.set_weights(triple.id, {"image": 0.5})
    store.remove([a.id])
    assert pair.id not in [s.id for s in store.samples()]
    assert store.samples()[0].item_ids == (b.id, c.id)
    assert store.samples()[0].weights == {"image": 0.5}
    store.close()


def test_a_project_of_a_newer_studio_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).close()
    connection = sqlite3.connect(tmp_path / "items.sqlite")
    connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(ProjectError, match="newer studio"):
        Store(tmp_path)


def test_a_file_that_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "items.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ProjectError, match="cannot be opened"):
        Store(tmp_path)


def test_a_full_disk_is_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add([_description(1)])
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count={pages + 2}")
    with pytest.raises(ProjectError, match="could not be written"):
        store.add([Description(Path(f"/{i}"), "image", f"x{i}", preview=b"p" * 4000) for i in range(50)])
    store._connection.execute("PRAGMA max_page_count=100000")
    assert [i.content_hash for i in store.items()] == ["hash1"]
    assert len(store.add([_description(2)])) == 1
    store.close()


def test_vectors_are_found_by_content_model_and_preprocessing(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "v.sqlite")
    vectors = np.random.default_rng(0).normal(size=(1200, 4)).astype(np.float32)
    cache.put(KEY, ((f"h{i}", v) for i, v in enumerate(vectors)))
    found = cache.get(KEY, [f"h{i}" for i in range(1300)])
    assert len(found) == 1200
    assert np.array_equal(found["h77"], vectors[77])
    assert cache.get(SpaceKey("space", "other", "preprocessing", 4), ["h1"]) == {}
    assert cache.get(SpaceKey("space", "revision", "other", 4), ["h1"]) == {}
    cache.close()


def test_a_view_of_the_table_stays_as_it_was_while_the_table_grows(tmp_path: Path) -> None:
    store = Store(tmp_path)
    items = store.add([_description(i) for i in range(600)])
    store.close()
    table = VectorTable(KEY)
    vectors = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    table.append(items[:100], vectors[:100])
    view = table.view()
    table.append(items[100:], vectors[100:])
    assert len(view) == 100
    assert view.vector(items[300].id) is None
    assert np.array_equal(view.vector(items[42].id), vectors[42])
    small = table.without({items[0].id, items[599].id}).view()
    assert len(small) == 598
    assert small.vector(items[0].id) is None
    assert np.array_equal(small.vector(items[300].id), vectors[300])


def _add_until_killed(folder: str, told: multiprocessing.connection.Connection) -> None:
    store = Store(Path(folder))
    start = max((i.id for i in store.items()), default=0)
    for number in range(start, start + 10_000):
        store.add([_description(10 * number + k) for k in range(3)])
        told.send(number)


def test_killed_at_any_moment_the_project_opens_with_every_committed_item_and_no_half_one(tmp_path: Path) -> None:
    context, rng = multiprocessing.get_context("spawn"), random.Random(5)
    for _ in range(5):
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_add_until_killed, args=(str(tmp_path), theirs))
        child.start()
        last = ours.recv()
        for _ in range(rng.randrange(60)):
            last = ours.recv()
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join()
        theirs.close()
        while ours.poll():
            try:
                last = ours.recv()
            except EOFError:
                break
        store = Store(tmp_path)
        hashes = {i.content_hash for i in store.items()}
        assert {f"hash{10 * last + k}" for k in range(3)} <= hashes
        assert len(hashes) % 3 == 0
        assert all(store.preview(h) for h in list(hashes)[:5])
        store.close()
