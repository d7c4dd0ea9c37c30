"""Who has a project open, and projects of older and newer studios."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from mmstudio.errors import ProjectError
from mmstudio.library import ProjectFolder, SpaceKey, Store, VectorCache, migration
from mmstudio.media import Description
from mmstudio.project import Project

KEY = SpaceKey("space", "revision", "preprocessing", 4)
VECTORS = np.arange(12, dtype=np.float32).reshape(3, 4)

HOLD = """
import sys
from contextlib import closing
from pathlib import Path
from mmstudio.library import ProjectFolder, Store
from mmstudio.media import Description
folder = Path(sys.argv[1])
held = ProjectFolder(folder)
store = Store(folder)
for number, line in enumerate(sys.stdin):
    store.add([Description(Path(f"/{number}"), "text", f"h{number}", text="word")])
    print("added", flush=True)
store.close()
held.close()
"""


def test_a_project_is_open_in_one_studio_at_a_time_and_others_may_read(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:
        assert holder.stdin
        assert holder.stdout
        for count in (1, 2):
            holder.stdin.write("go\n")
            holder.stdin.flush()
            assert holder.stdout.readline() == "added\n"
            with pytest.raises(ProjectError, match=rf"open in another studio \(process {holder.pid} on .+, since "):
                Project.open(tmp_path)
            files = sorted(tmp_path.rglob("*"))
            reader = Project.open(tmp_path, read_only=True)
            assert len(reader.items()) == count
            with pytest.raises(ProjectError, match="reading only"):
                reader.tag(list(reader.items()), "mine")
            reader.close()
            assert sorted(tmp_path.rglob("*")) == files
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    taken_over = Project.open(tmp_path)
    assert len(taken_over.items()) == 2
    taken_over.close()


def test_one_process_cannot_open_a_project_twice_either(tmp_path: Path) -> None:
    first = Project.open(tmp_path / "p")
    with pytest.raises(ProjectError, match=f"“p” is open in another studio .process {os.getpid()} "):
        Project.open(tmp_path / "p")
    first.close()
    Project.open(tmp_path / "p").close()


def test_a_project_that_does_not_open_is_not_held(tmp_path: Path) -> None:
    (tmp_path / "items.sqlite").write_bytes(b"not a database at all" * 100)
    for _ in range(2):
        with pytest.raises(ProjectError, match="cannot be opened"):
            Project.open(tmp_path)
    assert (tmp_path / "items.sqlite").read_bytes() == b"not a database at all" * 100


def test_a_project_of_a_newer_studio_is_refused(tmp_path: Path) -> None:
    Project.open(tmp_path).close()
    (tmp_path / "project.json").write_text(json.dumps({"format": 3, "next_id": 1}))
    for read_only in (False, True):
        with pytest.raises(ProjectError, match="newer studio"):
            Project.open(tmp_path, read_only=read_only)
    (tmp_path / "project.json").write_text("{")
    with pytest.raises(ProjectError, match="cannot be opened"):
        Project.open(tmp_path)


def _format_1(folder: Path) -> None:
    """What the first studio wrote."""
    folder.mkdir()
    items = sqlite3.connect(folder / "items.sqlite")
    items.executescript("""
        PRAGMA journal_mode=WAL; PRAGMA user_version=1;
        CREATE TABLE items(id INTEGER PRIMARY KEY AUTOINCREMENT, path BLOB, part TEXT, modality TEXT,
                           content_hash TEXT UNIQUE, text TEXT, facts TEXT, added REAL);
        CREATE TABLE previews(content_hash TEXT PRIMARY KEY, preview BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE tags(item_id INTEGER, tag TEXT, PRIMARY KEY(item_id, tag)) WITHOUT ROWID;
        CREATE TABLE samples(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT, weights TEXT);
        CREATE TABLE sample_items(sample_id INTEGER, item_id INTEGER, PRIMARY KEY(sample_id, item_id)) WITHOUT ROWID;
        CREATE TABLE failures(path BLOB, reason TEXT, at REAL);
        INSERT INTO items VALUES(2, CAST('/a.png' AS BLOB), '', 'image', 'h0', '', '{"width": 5, "height": 6}', 10.5),
                                (3, x'2fff2e776176', '', 'audio', 'h1', '', '{"duration_s": 1.5}', 11),
                                (7, CAST('/t.txt' AS BLOB), 'line 1', 'text', 'h2', 'words', '{}', 12);
        DELETE FROM items WHERE id=7;
        INSERT INTO items VALUES(8, CAST('/t.txt' AS BLOB), 'line 1', 'text', 'h2', 'words', '{}', 12);
        UPDATE sqlite_sequence SET seq=40 WHERE name='items';
        INSERT INTO previews VALUES('h0', x'0102');
        INSERT INTO tags VALUES(3, 'loud'), (3, 'animal');
        INSERT INTO samples VALUES(4, 'both', '{"audio": 0.5}');
        INSERT INTO sample_items VALUES(4, 2), (4, 3);
        INSERT INTO failures VALUES(CAST('/bad' AS BLOB), 'broken', 1);""")
    items.commit()
    items.close()
    vectors = sqlite3.connect(folder / "vectors.sqlite")
    vectors.executescript("""
        PRAGMA user_version=1;
        CREATE TABLE spaces(id INTEGER PRIMARY KEY, space TEXT, revision TEXT, preprocessing TEXT, dim INTEGER);
        CREATE TABLE vectors(content_hash TEXT, space_id INTEGER, vector BLOB, PRIMARY KEY(content_hash, space_id));
        INSERT INTO spaces VALUES(1, 'space', 'revision', 'preprocessing', 4);""")
    vectors.executemany("INSERT INTO vectors VALUES(?, 1, ?)",
                        [(f"h{i}", vector.tobytes()) for i, vector in enumerate(VECTORS)])
    vectors.commit()
    vectors.close()


def _check_migrated(folder: Path) -> None:
    store, cache = Store(folder), VectorCache(folder)
    items = store.items()
    assert list(items) == [2, 3, 8]
    assert items[2].facts == {"width": 5, "height": 6}
    assert os.fsencode(items[3].path) == b"/\xff.wav"
    assert (items[3].tags, items[3].added) == (("animal", "loud"), 11.0)
    assert (items[8].text, items[8].part) == ("words", "line 1")
    assert [(s.id, s.name, s.item_ids, s.weights) for s in store.samples()] == [(4, "both", (2, 3), {"audio": 0.5})]
    assert store.failures() == [(Path("/bad"), "broken")]
    assert store.preview("h0") == b"\x01\x02"
    found = cache.get(KEY, ["h0", "h1", "h2"])
    assert np.array_equal(np.stack([found[f"h{i}"] for i in range(3)]), VECTORS)
    assert store.add([Description(Path("/new"), "text", "new", text="new")])[0].id == 41
    store.close()
    cache.close()


def test_a_project_of_the_first_format_is_brought_up_to_date_and_kept_as_it_was(tmp_path: Path) -> None:
    _format_1(tmp_path / "p")
    before = (tmp_path / "p" / "vectors.sqlite").read_bytes()
    with pytest.raises(ProjectError, match="older studio"):
        ProjectFolder(tmp_path / "p", read_only=True)
    held = ProjectFolder(tmp_path / "p")
    assert "brought up to date" in held.note
    _check_migrated(tmp_path / "p")
    held.close()
    assert (tmp_path / "p" / "backup-format-1" / "vectors.sqlite").read_bytes() == before
    with closing(sqlite3.connect(tmp_path / "p" / "backup-format-1" / "items.sqlite")) as old:
        assert old.execute("SELECT count(*) FROM items").fetchone() == (3,)
    assert not (tmp_path / "p" / "items.sqlite").exists()
    again = ProjectFolder(tmp_path / "p")
    assert again.note == ""
    again.close()


@pytest.mark.parametrize("step", ["_move_items", "_move_vectors", "sync_folder", "reserve", "clear_up"])
def test_a_migration_that_is_cut_off_starts_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    from mmstudio.library import folder as opening

    class Cut(BaseException):
        pass

    def cut(*_: object) -> None:
        raise Cut

    _format_1(tmp_path / "p")
    with monkeypatch.context() as patched:
        for module in (opening, migration):
            if hasattr(module, step):
                patched.setattr(module, step, cut)
        with pytest.raises(Cut):
            ProjectFolder(tmp_path / "p")
    assert (tmp_path / "p" / "items.sqlite").exists()
    held = ProjectFolder(tmp_path / "p")
    _check_migrated(tmp_path / "p")
    held.close()
    assert not (tmp_path / "p" / "items.sqlite").exists()
    assert not (tmp_path / "p" / ".migrating").exists()


def test_damaged_vectors_of_the_first_format_are_left_behind(tmp_path: Path) -> None:
    _format_1(tmp_path / "p")
    (tmp_path / "p" / "vectors.sqlite").write_bytes(b"this is no database" * 200)
    held, store = ProjectFolder(tmp_path / "p"), Store(tmp_path / "p")
    assert len(store.items()) == 3
    store.close()
    held.close()
