"""Previews on disk: bounded, the least recently seen dropped first, begun anew where the file is lost or damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from mmstudio.library import previews as module
from mmstudio.library.previews import Previews
from mmstudio.library.store import Store
from mmstudio.media import Description

BIG = bytes(20_000)


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Previews]:
    """Room for about 40 previews of 20 KB."""
    with closing(Previews(tmp_path, most_bytes=1_000_000)) as made:
        yield made


def test_beyond_the_bound_those_go_that_were_not_looked_at_for_longest(few: Previews, tmp_path: Path) -> None:
    few.put((f"old {i}", BIG) for i in range(20))
    assert few.get("old 3") == BIG
    for start in range(0, 200, 10):
        few.put((f"new {i}", BIG) for i in range(start, start + 10))
        few.get("old 3")
    assert few.get("old 3") == BIG
    assert few.get("new 199") == BIG
    assert few.get("old 2") == few.get("old 4") == few.get("new 0") == b""
    few.close()
    assert (tmp_path / "previews.sqlite").stat().st_size < 1_500_000


def test_looking_writes_nothing_until_many_were_looked_at(
    few: Previews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    few.put((f"{i}", b"x") for i in range(20))
    with closing(sqlite3.connect(tmp_path / "previews.sqlite")) as beside:
        def changes() -> int:
            return int(beside.execute("PRAGMA data_version").fetchone()[0])

        before = changes()
        for i in range(19):
            few.get(str(i))
        assert changes() == before
        monkeypatch.setattr(module, "_NOTED", 20)
        few.get("19")
        assert changes() > before


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "damaged"])
def test_a_file_that_is_lost_or_damaged_while_it_is_open_begins_anew(few: Previews, tmp_path: Path, lost: bool) -> None:
    file = tmp_path / "previews.sqlite"
    few.put((f"{i}", BIG) for i in range(10))
    if lost:
        file.unlink()
    else:
        few._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]
        file.write_bytes(file.read_bytes()[:4096] + b"\xa5" * (file.stat().st_size - 4096))
    assert few.get("3") == b""
    few.put([("3", b"again")])
    assert few.get("3") == b"again"


def test_a_file_of_an_older_studio_keeps_its_previews_and_the_first_go_first(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "previews.sqlite")) as old:
        old.execute("CREATE TABLE previews(content_hash TEXT PRIMARY KEY, preview BLOB NOT NULL)")
        old.executemany("INSERT INTO previews VALUES(?, ?)", [(f"{i}", BIG) for i in range(40)])
        old.commit()
    with closing(Previews(tmp_path, most_bytes=1_000_000)) as previews:
        assert previews.get("0") == previews.get("39") == BIG
        previews.put((f"new {i}", BIG) for i in range(20))
        assert previews.get("1") == b""
        assert previews.get("0") == previews.get("39") == BIG


@pytest.mark.parametrize("is_old", [False, True], ids=["of today", "of an older studio"])
def test_the_file_shrinks_on_the_disk_when_the_bound_was_lowered(tmp_path: Path, is_old: bool) -> None:
    file = tmp_path / "previews.sqlite"
    if is_old:
        with closing(sqlite3.connect(file)) as old:
            old.executescript("PRAGMA journal_mode=WAL; CREATE TABLE previews(content_hash TEXT PRIMARY KEY, "
                              "preview BLOB NOT NULL)")
    with closing(Previews(tmp_path, most_bytes=100_000_000)) as previews:
        previews.put((f"{i}", BIG) for i in range(400))
        assert previews.get("399") == BIG
    assert file.stat().st_size > 8_000_000
    with closing(Previews(tmp_path, most_bytes=1_000_000)) as previews:
        previews.put([("new", BIG)])
        assert previews.get("new") == BIG
        assert file.stat().st_size < 1_300_000
    with closing(Previews(tmp_path, most_bytes=300_000)) as previews:
        assert previews.get("new") == BIG
    assert file.stat().st_size < 600_000  # closing alone does it too
    with closing(sqlite3.connect(file)) as found:
        assert found.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
        assert found.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert 0 < found.execute("SELECT count(*) FROM previews").fetchone()[0] < 15


def test_a_file_at_its_bound_is_not_written_anew_for_every_preview(few: Previews, tmp_path: Path) -> None:
    few.put((f"{i}", BIG) for i in range(60))
    sizes = set()
    for start in range(60, 160, 2):
        few.put((f"{i}", BIG) for i in (start, start + 1))
        sizes.add(few._connection.execute("PRAGMA page_count").fetchone()[0])  # type: ignore[union-attr]
    assert len(sizes) < 15


def test_previews_of_removed_items_go_when_the_project_is_closed(tmp_path: Path) -> None:
    def described(number: int) -> Description:
        return Description(tmp_path / f"{number}.png", "image", f"{number:040x}", preview=b"jpeg")

    with closing(Store(tmp_path)) as store:
        added = store.add([described(number) for number in range(5)])
        store.remove([added[1].id, added[3].id])
        assert store.preview(added[1].content_hash)  # undo brings the item back
    with closing(Store(tmp_path)) as store:
        assert [bool(store.preview(item.content_hash)) for item in added] == [True, False, True, False, True]
