"""A table whose newest commit was torn by a power cut opens as of the one before; full disks take nothing away."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mmstudio.errors import ProjectError
from mmstudio.library import Store
from mmstudio.library import kept as keeping
from mmstudio.media import Description


def _some(start: int, count: int = 3) -> list[Description]:
    return [Description(Path(f"/{i}.png"), "image", f"hash{i}", preview=b"p") for i in range(start, start + count)]


def _torn(folder: Path, what: str) -> None:
    table = folder / "tables" / "items.lance"
    manifest = min((table / "_versions").glob("*.manifest"))
    newest = max((table / "data").iterdir(), key=lambda file: file.stat().st_mtime_ns)
    match what:
        case "manifest cut":
            manifest.write_bytes(manifest.read_bytes()[:-30])
        case "manifest empty":
            manifest.write_bytes(b"")
        case "data gone":
            newest.unlink()
        case "data empty":
            newest.write_bytes(b"")


@pytest.mark.parametrize("what", ["manifest cut", "manifest empty", "data gone", "data empty"])
def test_a_commit_that_a_pulled_plug_tore_is_set_aside(tmp_path: Path, what: str) -> None:
    store = Store(tmp_path)
    store.add(_some(0))
    store.close()
    store = Store(tmp_path)
    store.add(_some(10))  # and no closing: the mapped copy is of the commit before
    _torn(tmp_path, what)
    again = Store(tmp_path)
    assert [item.content_hash for item in again.items().values()] == ["hash0", "hash1", "hash2"]
    assert "cut off" in again.note
    again.add(_some(10))
    again.tag(list(again.items()), "all")
    again.close()
    last = Store(tmp_path)
    assert len(last.items()) == 6
    assert all(item.tags == ("all",) for item in last.items().values())
    assert last.note == ""
    last.close()


def test_a_table_that_is_damaged_through_and_through_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(_some(0))
    store.add(_some(10))
    for file in (tmp_path / "tables" / "items.lance" / "data").iterdir():
        file.write_bytes(b"")
    files = sorted(tmp_path.glob("tables/items.lance/_versions/*.manifest"))
    with pytest.raises(ProjectError, match="cannot be opened"):
        Store(tmp_path)
    assert sorted(tmp_path.glob("tables/items.lance/_versions/*.manifest")) == files


def test_a_commit_that_the_disk_does_not_take_never_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.add(_some(0))

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(keeping, "sync", full)
        with pytest.raises(ProjectError, match="No space left"):
            store.add(_some(10))
        with pytest.raises(ProjectError, match="No space left"):
            store.tag(list(store.items()), "all")
    assert len(store.items()) == len(Store(tmp_path, read_only=True).items()) == 3
    store.add(_some(10))
    store.close()
    again = Store(tmp_path)
    assert len(again.items()) == 6
    again.close()


def test_compacting_changes_nothing_but_the_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "COMPACT_AFTER", 20)
    store = Store(tmp_path)
    for number in range(45):
        store.add(_some(10 * number))
        store.tag([next(iter(store.items()))], f"tag {number}")
    before = [*store.items().values()]
    reader = Store(tmp_path, read_only=True)
    assert [*reader.items().values()] == before
    store.close()
    again = Store(tmp_path)
    assert [*again.items().values()] == before
    again.close()


def test_opening_again_needs_no_lancedb(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(_some(0))
    store.note_failure(Path("/x"), "broken")
    store.close()
    code = ("import sys\nfrom pathlib import Path\nfrom mmstudio.library import Store\n"
            f"store = Store(Path({str(tmp_path)!r}))\nassert len(store.items()) == 3\nstore.close()\n"
            "assert 'lancedb' not in sys.modules")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
