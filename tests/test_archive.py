"""Packed projects: the same bytes come out, nothing hostile gets in, and half a project never appears."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mmstudio.archive import MARKER, ArchiveError, copying, pack, unpack
from mmstudio.progress import finish

Build = Callable[[zipfile.ZipFile], None]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder like a project's: a database's tables, texts, media, an empty folder, locks and temporary files."""
    folder, noise = tmp_path / "My project 😀", random.Random(3)
    for name, content in {
        "items.sqlite": b"SQLite" * 5000, "items.sqlite-wal": noise.randbytes(5000), "items.sqlite-shm": b"shared",
        "db/items.lance/data/0011.lance": noise.randbytes(3 << 20), "db/items.lance/_transactions/0-a0.txn": b"",
        "db/items.lance/_versions/184.manifest": b"data" * 9, "media/Bäume №1.jpg": noise.randbytes(2000),
        "runs/run #1/metrics.jsonl": b'{"loss": 1.0}\n' * 1000, "notes~.txt": b"kept", ".hidden": b"kept",
        "project.lock": b"1", "db/write.LOCK.lock": b"", ".settings.json.k3_x9ab2": b"half", "big.tmp": b"half",
        ".0123456789ab.part": b"half", MARKER: b"of an older unpacking",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "runs" / "empty").mkdir()
    return folder


LEFT_OUT = {"items.sqlite-shm", "project.lock", "db/write.LOCK.lock", ".settings.json.k3_x9ab2", "big.tmp",
            ".0123456789ab.part", MARKER}


def _content(folder: Path) -> dict[str, bytes | None]:
    """Every file's bytes and every folder, None."""
    return {path.relative_to(folder).as_posix(): None if path.is_dir() else path.read_bytes()
            for path in folder.rglob("*")}


def _archive(file: Path, build: Build, marker: str | None = '{"format": 1}') -> Path:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if marker is not None:
            archive.writestr(MARKER, marker)
        build(archive)
    return file


def _refused(archive: Path, told: str) -> None:
    """Unpacking is refused for this reason and leaves nothing beside the archive."""
    before = sorted(os.listdir(archive.parent))
    with pytest.raises(ArchiveError, match=told):
        finish(unpack(archive, archive.parent / "into"))
    assert sorted(os.listdir(archive.parent)) == before


# ---- there and back -------------------------------------------------------------------------------------------------

def test_a_project_comes_out_as_the_same_bytes(project, tmp_path):
    packed = finish(pack(project, tmp_path / "p.mmproject"))
    into = finish(unpack(packed, tmp_path / "again"))
    assert (packed, into) == (tmp_path / "p.mmproject", tmp_path / "again")
    expected = {name: content for name, content in _content(project).items() if name not in LEFT_OUT}
    assert _content(into) == expected
    assert expected["notes~.txt"] == expected[".hidden"] == b"kept"
    assert expected["runs/empty"] is None


def test_packing_what_was_unpacked_gives_the_same_project_again(project, tmp_path):
    finish(unpack(finish(pack(project, tmp_path / "1.mmproject")), tmp_path / "a"))
    finish(unpack(finish(pack(tmp_path / "a", tmp_path / "2.mmproject")), tmp_path / "b"))
    assert _content(tmp_path / "a") == _content(tmp_path / "b")


def test_any_zip_program_reads_it_and_finds_the_marker_first(project, tmp_path):
    with zipfile.ZipFile(finish(pack(project, tmp_path / "p.mmproject"))) as archive:
        assert archive.testzip() is None
        assert json.loads(archive.read(archive.infolist()[0])) == {"format": 1}
        assert archive.namelist()[0] == MARKER
        kinds = {info.filename: info.compress_type for info in archive.infolist()}
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    assert kinds["media/Bäume №1.jpg"] == kinds["db/items.lance/data/0011.lance"] == stored
    assert kinds["db/items.lance/_versions/184.manifest"] == stored
    assert kinds["items.sqlite"] == kinds["runs/run #1/metrics.jsonl"] == deflated


def test_files_beyond_the_old_limits_of_zip_come_back(project, tmp_path, monkeypatch):
    """The limit of 2 GiB is lowered instead of writing so much."""
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", 1000)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
        packed = finish(pack(project, tmp_path / "p.mmproject"))
    assert b"PK\x06\x06" in packed.read_bytes()
    finish(unpack(packed, tmp_path / "again"))
    assert _content(tmp_path / "again").keys() == _content(project).keys() - LEFT_OUT


def test_progress_ends_at_its_total_and_counts_mebibytes(project, tmp_path):
    for work in (pack(project, tmp_path / "p.mmproject"), unpack(tmp_path / "p.mmproject", tmp_path / "again")):
        steps = list(work)
        assert (steps[-1].done, steps[-1].total) == (3, 3)
        assert [step.done for step in steps] == sorted(step.done for step in steps)


@pytest.mark.skipif(os.name != "posix", reason="symbolic links and pipes")
def test_links_are_followed_loops_and_pipes_are_not(project, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "far.txt").write_bytes(b"far away")
    (project / "linked").symlink_to(tmp_path / "elsewhere")
    (project / "loop").symlink_to(project)
    os.mkfifo(project / "pipe")
    into = finish(unpack(finish(pack(project, tmp_path / "p.mmproject")), tmp_path / "again"))
    assert (into / "linked" / "far.txt").read_bytes() == b"far away"
    assert not (into / "linked").is_symlink()
    assert not (into / "loop").exists()
    assert not (into / "pipe").exists()


# ---- a project that changes meanwhile -------------------------------------------------------------------------------

def _to_the_middle(work) -> None:
    """Past the listing, and before the last files are read."""
    next(work)
    next(work)


def test_what_is_added_while_packing_stays_out_and_a_growing_log_ends_where_it_ended(project, tmp_path):
    log = project / "runs" / "run #1" / "metrics.jsonl"
    before = log.read_bytes()
    work = pack(project, tmp_path / "p.mmproject")
    _to_the_middle(work)
    (project / "zzz.txt").write_bytes(b"new")
    with open(log, "ab") as file:
        file.write(b'{"loss": 0.5}\n')
    into = finish(unpack(finish(work), tmp_path / "again"))
    assert not (into / "zzz.txt").exists()
    assert (into / "runs" / "run #1" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("change", [
    lambda file: file.write_bytes(b"other"), lambda file: file.write_bytes(file.read_bytes() + b"more"), Path.unlink,
    lambda file: os.utime(file, (1e9, 1e9)),
])
def test_a_file_that_changes_while_packing_is_an_error_that_says_so(change, project, tmp_path):
    work = pack(project, tmp_path / "p.mmproject")
    _to_the_middle(work)
    change(project / "notes~.txt")
    with pytest.raises(ArchiveError, match=r"“notes~\.txt” (changed while|could not be read)"):
        finish(work)
    assert sorted(os.listdir(tmp_path)) == [project.name]


def test_every_version_that_is_packed_has_its_data(project, tmp_path, monkeypatch):
    """A commit in the middle of the listing writes data, then the version that points to it."""
    table, listdir, seen = project / "db" / "items.lance", os.listdir, []

    def commit(folder):
        found = sorted(listdir(folder))
        seen.append(os.path.basename(folder))
        if seen.count("data") == 1 and seen[-1] == "data":
            (table / "data" / "0022.lance").write_bytes(b"new data")
            (table / "_versions" / "183.manifest").write_bytes(b"points to 0022")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(os, "listdir", commit)
        next(work := pack(project, tmp_path / "p.mmproject"))
        next(work)
    packed = finish(work)
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
    assert seen.index("data") < seen.index("_versions")
    assert "db/items.lance/_versions/183.manifest" not in names or "db/items.lance/data/0022.lance" in names
    assert "db/items.lance/_versions/184.manifest" in names


# ---- what cannot be packed ------------------------------------------------------------------------------------------

def test_what_cannot_be_packed_is_refused_in_a_sentence(project, tmp_path):
    def refused(folder: Path, target: Path, told: str) -> None:
        with pytest.raises(ArchiveError, match=told):
            finish(pack(folder, target))

    refused(tmp_path / "nothing", tmp_path / "p.mmproject", "no project in")
    refused(project, project / "runs" / "p.mmproject", "into its own folder")
    refused(project, tmp_path / "nowhere" / "p.mmproject", "no folder")
    refused(project, tmp_path, "is a folder")
    assert os.listdir(tmp_path) == [project.name]


@pytest.mark.skipif(sys.platform != "linux", reason="file systems elsewhere refuse these names themselves")
@pytest.mark.parametrize("name", ["a:b", "back\\slash", "con", "dot.", b"bad-\xff", "Items.SQLITE"])
def test_a_name_that_another_system_could_not_hold_is_refused_before_anything_is_written(name, project, tmp_path):
    (project / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"not every system takes|there twice"):
        finish(pack(project, tmp_path / "p.mmproject"))
    assert os.listdir(tmp_path) == [project.name]


# ---- whole or not at all --------------------------------------------------------------------------------------------

def test_closing_at_any_step_leaves_what_was_there(project, tmp_path):
    packed = tmp_path / "p.mmproject"
    works = ((lambda: pack(project, packed), packed), (lambda: unpack(packed, tmp_path / "again"), None))
    for work_of, result in works:
        before, steps = sorted(os.listdir(tmp_path)), len(list(work_of()))
        shutil.rmtree(tmp_path / "again", ignore_errors=True)
        for step in range(1, steps + 1):
            if result is not None:
                result.write_bytes(b"older")
            work = work_of()
            for _ in range(step):
                next(work)
            work.close()
            assert sorted(os.listdir(tmp_path)) == sorted({*before, *([result.name] if result else [])})
            assert result is None or result.read_bytes() == b"older"
        assert steps > 3
        finish(work_of())


@pytest.mark.skipif(sys.platform != "linux", reason="limits of a process")
def test_a_disk_that_takes_no_more_is_a_clear_error_and_leaves_nothing(project, tmp_path):
    """Really refused by the system: no file of this process may grow beyond 100,000 bytes."""
    packed = finish(pack(project, tmp_path / "p.mmproject"))
    script = f"""
import os, resource
from pathlib import Path
from mmstudio.archive import copying, ArchiveError, pack, unpack
from mmstudio.progress import finish
folder = Path({str(tmp_path)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
for work in (pack(folder / {project.name!r}, folder / "q.mmproject"), unpack(folder / "p.mmproject", folder / "into")):
    try:
        finish(work)
        print("went through")
    except ArchiveError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["The file would grow larger than this disk allows."] * 2, done.stderr
    assert done.stderr == ""
    assert sorted(os.listdir(tmp_path)) == sorted([project.name, packed.name])


def test_a_folder_that_holds_something_is_refused_and_an_empty_one_is_taken(project, tmp_path):
    packed, into = finish(pack(project, tmp_path / "p.mmproject")), tmp_path / "into"
    into.mkdir()
    (into / "precious").touch()
    with pytest.raises(ArchiveError, match="not empty"):
        finish(unpack(packed, into))
    with pytest.raises(ArchiveError, match="is a file"):
        finish(unpack(packed, packed))
    assert os.listdir(into) == ["precious"]
    (into / "precious").unlink()
    assert (finish(unpack(packed, into)) / "items.sqlite").is_file()


# ---- archives that are none, or mean harm ---------------------------------------------------------------------------

def test_what_is_no_archive_is_told_apart(tmp_path):
    (tmp_path / "text").write_text("hello " * 100)
    (tmp_path / "empty").touch()
    _refused(tmp_path / "text", "no packed project")
    _refused(tmp_path / "empty", "no packed project")
    _refused(tmp_path / "nothing", "There is no file")
    _refused(tmp_path, "There is no file")
    zipfile.ZipFile(tmp_path / "bare.zip", "w").close()
    _refused(tmp_path / "bare.zip", "but no packed project")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_the_marker_has_to_come_first_and_be_of_a_known_format(tmp_path):
    def file(archive: zipfile.ZipFile) -> None:
        archive.writestr("a.txt", "a")

    def late(archive: zipfile.ZipFile) -> None:
        file(archive)
        archive.writestr(MARKER, '{"format": 1}')

    _refused(_archive(tmp_path / "p", file, None), "but no packed project")
    _refused(_archive(tmp_path / "p", late, None), "but no packed project")
    _refused(_archive(tmp_path / "p", late), "there twice")
    _refused(_archive(tmp_path / "p", file, '{"format": 2}'), "newer studio")
    for marker in ('{"format": 0}', "{}", "[]", "no JSON", "", '{"format": "1"}', " " * 5000, "[" * 4000, "\xff"):
        _refused(_archive(tmp_path / "p", file, marker), "damaged")


def test_an_archive_cut_short_anywhere_is_refused(project, tmp_path):
    whole = finish(pack(project, tmp_path / "p.mmproject")).read_bytes()
    for end in [1, 30, 100, len(whole) // 2, *range(len(whole) - 40, len(whole), 7)]:
        (tmp_path / "p.mmproject").write_bytes(whole[:end])
        _refused(tmp_path / "p.mmproject", "no packed project")


def test_a_changed_byte_never_goes_unnoticed_as_content(project, tmp_path):
    """Wherever a byte is flipped, either the archive is refused or the same bytes come out."""
    for name in ("db", "media"):
        shutil.rmtree(project / name)
    packed, noise = finish(pack(project, tmp_path / "p.mmproject")), random.Random(7)
    whole, expected = packed.read_bytes(), sorted(
        content for name, content in _content(project).items() if name not in LEFT_OUT and content is not None)
    refused = 0
    for _ in range(150):
        place = noise.randrange(len(whole))
        packed.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << noise.randrange(8))]) + whole[place + 1 :])
        try:
            into = finish(unpack(packed, tmp_path / "into"))
        except ArchiveError:
            refused += 1
            assert sorted(os.listdir(tmp_path)) == sorted([project.name, packed.name])
        else:
            assert sorted(content for content in _content(into).values() if content is not None) == expected
            shutil.rmtree(into)
    assert refused > 100


@pytest.mark.parametrize("name", [
    "/etc/passwd", "../out.txt", "a/../../out.txt", "a//b", "./a", "C:/out.txt", "C:out.txt", "..\\out.txt", "a\\b",
    "\\\\server\\share", "a/b:stream", "a/con", "NUL.txt", "a./b", "a /b", "x\x01y", "a" * 300, "", "/", "aux /b",
    "~/../a",
])
def test_a_name_that_leads_out_or_that_no_system_should_hold_is_refused(name, tmp_path):
    def build(archive: zipfile.ZipFile) -> None:
        archive.writestr("fine.txt", "fine")
        info = zipfile.ZipInfo("x")
        info.filename = name
        archive.writestr(info, "out")

    (tmp_path / "folder").mkdir()
    _refused(_archive(tmp_path / "folder" / "p", build), "The project holds")
    assert os.listdir(tmp_path) == ["folder"]


def test_a_name_with_a_nul_is_refused_although_zipfile_cuts_it_there(tmp_path):
    archive = _archive(tmp_path / "p", lambda archive: archive.writestr("fine.txt@out", "out"))
    archive.write_bytes(archive.read_bytes().replace(b"fine.txt@out", b"fine.txt\0out"))
    _refused(archive, "The project holds|damaged")


@pytest.mark.parametrize("names", [
    ("a", "a"), ("a", "A"), ("é", "e\u0301"), ("a", "a/b"), ("a/b", "a"), ("A/b", "a"), ("a/", "a/"), ("a/", "a"),
])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_that_some_system_takes_for_one_are_refused(names, tmp_path):
    def build(archive: zipfile.ZipFile) -> None:
        for name in names:
            archive.writestr(name, "" if name.endswith("/") else "content")

    _refused(_archive(tmp_path / "p", build), "there twice|a file and a folder at once")


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_devices_are_refused(mode, tmp_path):
    def build(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("link")
        info.external_attr = (mode | 0o777) << 16
        archive.writestr(info, "/etc")

    _refused(_archive(tmp_path / "p", build), "a link or a device")


@pytest.mark.parametrize("coding", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_codings_that_no_packed_project_uses_are_refused(coding, tmp_path):
    _refused(_archive(tmp_path / "p", lambda a: a.writestr("a", b"x" * 999, compress_type=coding)), "coded in a way")


def test_encrypted_entries_are_refused(tmp_path):
    raw = bytearray(_archive(tmp_path / "p", lambda archive: archive.writestr("a", "secret")).read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    raw[central + 8] |= 1
    (tmp_path / "p").write_bytes(raw)
    _refused(tmp_path / "p", "coded in a way")


def _claiming(file: Path, size: int) -> Path:
    """An archive whose last entry claims another size than it has."""
    raw = bytearray(_archive(file, lambda archive: archive.writestr("a.bin", b"x" * 5000)).read_bytes())
    central = raw.rindex(b"PK\x01\x02")
    raw[central + 24 : central + 28] = size.to_bytes(4, "little")
    file.write_bytes(raw)
    return file


@pytest.mark.parametrize("size", [0, 4999, 5001, 1_000_000])
def test_a_size_that_is_a_lie_is_found_out_while_reading(size, tmp_path):
    _refused(_claiming(tmp_path / "p", size), "damaged")


def test_an_archive_that_would_fill_the_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    _refused(_claiming(tmp_path / "p", 0xFFFF_FFF0), "far more than a project of its size")
    honest = _archive(tmp_path / "q", lambda archive: archive.writestr("a.bin", b"x" * 5000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 6, 4999))
    _refused(honest, "needs 0.0 GB, and 0.0 GB are free")


def test_many_names_for_the_same_bytes_are_refused(tmp_path):
    """Overlapping entries, as in https://www.bamsoftware.com/hacks/zipbomb/"""
    def build(archive: zipfile.ZipFile) -> None:
        for number in range(20):
            archive.writestr(f"{number:02}.bin", b"\0" * 100_000)

    raw = _archive(tmp_path / "p", build).read_bytes()
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        first = archive.infolist()[1].header_offset
    changed, place = bytearray(raw), raw.index(b"PK\x01\x02")
    while (place := raw.find(b"PK\x01\x02", place + 1)) > 0:
        changed[place + 42 : place + 46] = first.to_bytes(4, "little")
    (tmp_path / "p").write_bytes(changed)
    _refused(tmp_path / "p", "damaged")


def test_what_is_edited_while_a_project_is_copied_is_in_the_copy_too(tmp_path):
    folder = tmp_path / "project"
    for name, text in (("a/early.txt", "before"), ("b/gone.txt", "x"), ("z/late.txt", "y" * 3_000_000)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    work = copying.copy(folder, tmp_path / "copy")
    while "late" not in next(work).text:
        pass
    (folder / "a/early.txt").write_text("edited since")
    (folder / "b/gone.txt").unlink()
    (folder / "b/new.txt").write_text("new")
    (folder / "z/late.txt").write_text("shorter")
    assert finish(work) == tmp_path / "copy"
    files = {path.relative_to(tmp_path / "copy").as_posix(): path.read_text()
             for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert files == {"a/early.txt": "edited since", "b/new.txt": "new", "z/late.txt": "shorter"}


def test_a_project_that_never_rests_is_not_copied_and_nothing_is_left(tmp_path):
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "one.txt").write_text("0")

    def never_resting():
        for number, _ in enumerate(copying.copy(folder, tmp_path / "copy")):
            (folder / "one.txt").write_text("1" * (number + 2))

    with pytest.raises(ArchiveError, match="again and again"):
        never_resting()
    assert not (tmp_path / "copy").exists()
