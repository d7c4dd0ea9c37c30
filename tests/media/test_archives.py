"""Archives become samples: WebDataset shards, zips of media with and without a table; hostile ones harm nothing."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import stat
import struct
import tarfile
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from mmstudio.errors import MediaTooLarge, UnreadableMedia, UnsupportedMedia
from mmstudio.media import shards, unfold
from mmstudio.media.blobs import Blob
from mmstudio.media.tables import Mapping, RowFailure, RowSample, guess_roles, open_table, rows_as_samples

pytestmark = pytest.mark.timeout(30)
HOSTILE = ["../../evil.png", "/etc/evil.png", "..\\..\\evil.png", "C:\\Windows\\evil.png", "a/../../evil.png",
           "~/evil.png", "new\nline.png", "x" * 200 + ".png"]


@pytest.fixture
def run(tmp_path, limits):
    """``run(path)`` gives the table, the samples with guessed roles, and the failures."""

    def go(path):
        opened = open_table(path, limits)
        roles = guess_roles(opened, opened.preview())
        found = list(rows_as_samples(opened, roles, limits, tmp_path / "into"))
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        return (opened, [s for s in found if isinstance(s, RowSample)], [f for f in found if isinstance(f, RowFailure)])

    return go


@pytest.fixture
def unharmed(tmp_path):
    """After the test there is nothing new in the folder but what was unpacked under a name made of its content."""
    yield
    for path in (tmp_path / "into").rglob("*"):
        if path.is_file():
            assert len(path.stem) == 40
            assert path.parent.name == path.stem[:2]
    assert {path.name for path in tmp_path.iterdir()} <= {"into", "a.zip", "a.tar"}
    assert not list(tmp_path.parent.rglob("evil*"))


def zipped(path: Path, files: dict[str, bytes | str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, files: list[tuple[str | tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as archive:
        for name, content in files:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def shard(make):
    """Files of a WebDataset shard of ``count`` samples."""

    def files(count):
        found = []
        for n in range(count):
            found += [(f"{n:06d}.png", make.saved(make.scene(32 + n, 24), "PNG")),
                      (f"{n:06d}.txt", f"A boat number {n}\n".encode()), (f"{n:06d}.cls", str(n % 2).encode()),
                      (f"{n:06d}.json", json.dumps({"width": 32 + n, "by": {"name": "Ann"}}).encode())]
        return found

    return files


# Tar


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_of_one_name_in_a_shard_are_a_sample(form, shard, tmp_path, run):
    opened, good, bad = run(tarred(tmp_path / "a.tar", shard(5), form))
    assert {c.name: c.kind for c in opened.columns} == {
        "key": "text", "png": "image", "txt": "text", "cls": "number", "json.width": "number",
        "json.by.name": "category"}
    assert not bad
    assert [sample.labels for sample in good] == [("0",), ("1",), ("0",), ("1",), ("0",)]
    picture, text = good[3].media
    assert (picture.modality, picture.path.suffix, text.text) == ("image", ".png", "A boat number 3")
    assert good[3].values == {"key": "000003", "json.width": 35, "json.by.name": "Ann"}
    assert [row.number for row in opened.rows(3)] == [4, 5]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_shards_are_read_too(pack, shard, tmp_path, run):
    whole = tarred(tmp_path / "a.tar", shard(3))
    packed = tmp_path / "a.tgz"
    packed.write_bytes(pack(whole.read_bytes()))
    assert run(packed)[1:] == (_at(run(whole)[1], packed), [])


def _at(samples, path):
    """The samples as if their texts had come from ``path``."""
    return [replace(s, media=tuple(replace(m, path=path) if m.modality == "text" else m for m in s.media))
            for s in samples]


def test_the_column_is_what_follows_the_first_dot_and_folders_are_kept(make, tmp_path, run):
    raw = make.bytes_of("plain.png")
    opened, good, _ = run(tarred(tmp_path / "a.tar", [
        ("train/x.v1/1.left.png", raw), ("train/x.v1/1.right.PNG", raw), ("train/x.v1/1.txt", b"two views of it"),
        ("./.hidden.png", raw), ("__MACOSX/1.png", raw), ("test/x.v1/1.left.png", raw)]))
    assert [c.name for c in opened.columns] == ["key", "split", "folder", "left.png", "right.png", "txt"]
    assert [len(sample.media) for sample in good] == [3, 1]
    assert [sample.split for sample in good] == ["train", "test"]


def test_sounds_and_films_in_a_shard_are_media(make, tmp_path, run):
    files = [(f"{n}.{kind.partition('.')[2]}", make.bytes_of(kind)) for n in range(2)
             for kind in ("tone.wav", "tone.flac", "tone.mp3", "talk.mp4")]
    _, good, bad = run(tarred(tmp_path / "a.tar", files))
    assert not bad
    assert [entry.modality for entry in good[1].media] == ["audio", "audio", "audio", "video"]


@pytest.mark.parametrize("cut", ["data", "header", "members", "end"])
def test_a_truncated_shard_keeps_what_came_before_and_says_so_once(cut, shard, tmp_path, run, plain_words):
    path = tarred(tmp_path / "a.tar", shard(6))
    with tarfile.open(path) as archive:
        fifth = archive.getmember("000004.png")
    place = {"data": fifth.offset_data + 20, "header": fifth.offset + 100, "members": fifth.offset,
             "end": path.stat().st_size - 10_240 + 0}[cut]
    raw = path.read_bytes()
    if cut == "end":
        place = len(raw.rstrip(b"\0")) // 512 * 512 + 512
    path.write_bytes(raw[:place])
    opened, good, bad = run(path)
    assert len(good) == (6 if cut == "end" else 4)
    assert len(bad) == 1
    assert bad[0].number == len(good) + 1
    plain_words(bad[0].reason)
    assert opened.columns


def test_a_truncated_compressed_shard_keeps_what_came_before(shard, tmp_path, run, plain_words):
    raw = gzip.compress(tarred(tmp_path / "a.tar", shard(40)).read_bytes())
    (tmp_path / "a.tar").write_bytes(raw[: len(raw) // 2])
    _, good, bad = run(tmp_path / "a.tar")
    assert 5 < len(good) < 35
    assert len(bad) == 1
    plain_words(bad[0].reason)


def test_a_broken_header_in_the_middle_is_told(shard, tmp_path, run, plain_words):
    path = tarred(tmp_path / "a.tar", shard(4))
    with tarfile.open(path) as archive:
        third = archive.getmember("000002.png").offset
    raw = bytearray(path.read_bytes())
    raw[third + 148: third + 156] = b"notasum\0"
    path.write_bytes(raw)
    _, good, bad = run(path)
    assert (len(good), len(bad)) == (2, 1)
    assert "middle" in bad[0].reason
    plain_words(bad[0].reason)


def test_links_and_devices_in_a_shard_are_left_out_and_told(make, shard, tmp_path, run, unharmed, plain_words):
    evil = []
    for kind, name in ((tarfile.SYMTYPE, "a.png"), (tarfile.LNKTYPE, "b.png"), (tarfile.CHRTYPE, "c.png"),
                       (tarfile.FIFOTYPE, "d.png")):
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc/passwd"
        evil.append((member, b""))
    _, good, bad = run(tarred(tmp_path / "a.tar", evil + shard(2)))
    assert (len(good), len(bad)) == (2, 4)
    for failure, word in zip(bad, ("link", "link", "device", "device"), strict=True):
        assert word in failure.reason
        plain_words(failure.reason)


def test_hostile_names_in_a_shard_never_become_paths(make, tmp_path, run, unharmed):
    _, good, bad = run(tarred(tmp_path / "a.tar", [(name, make.bytes_of("plain.png")) for name in HOSTILE]))
    assert not bad
    assert len({sample.media[0].path for sample in good}) == 1


def test_json_and_texts_that_are_broken_cost_their_row(make, tmp_path, run, plain_words):
    raw = make.bytes_of("plain.png")
    _, good, bad = run(tarred(tmp_path / "a.tar", [
        ("1.png", raw), ("1.json", b"{"), ("2.png", raw), ("2.json", b'{"a": 1}'), ("3.png", b"\0\1\2"),
        ("4.png", raw), ("4.json", b"[" * 100_000)]))
    assert [sample.number for sample in good] == [2]
    assert [failure.number for failure in bad] == [1, 3, 4]
    for failure in bad:
        plain_words(failure.reason)


def test_a_shard_streams_in_bounded_memory(tmp_path, limits):
    path = tarred(tmp_path / "a.tar", [(f"{n}.bin.png", bytes([n]) * 1_000_000) for n in range(60)])
    with pytest.raises(UnsupportedMedia, match="no media"):
        open_table(path, limits)
    tracemalloc.start()
    try:
        heads = [row["bin.png"].head(1)[0] for row in shards._read(path, limits, 0)]
        assert heads == list(range(60))
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def test_tars_of_other_things_are_no_tables(tmp_path, limits):
    with pytest.raises(UnsupportedMedia, match="no media"):
        open_table(tarred(tmp_path / "a.tar", [("a.o", b"\0\1\2" * 50), ("b.o", b"\3\4\0" * 50)]), limits)
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"hello " * 200))
    with pytest.raises(UnsupportedMedia):
        open_table(tmp_path / "b.gz", limits)


def test_a_compressed_shard_that_unfolds_without_measure_is_stopped(
    monkeypatch, shard, tmp_path, limits, plain_words,
):
    monkeypatch.setattr(unfold, "RATIO_FROM_BYTES", 10_000_000)
    whole = tarred(tmp_path / "a.tar", [*shard(2), ("zz.bin", bytes(15_000_000))])
    packed = tmp_path / "b.tgz"
    with bz2.open(packed, "wb") as out:
        out.write(whole.read_bytes())
    opened = open_table(packed, limits)
    found = list(opened.rows())
    assert "unfolds" in found[-1].reason
    assert len(found) >= 2
    plain_words(found[-1].reason)


# Zip


def test_each_media_file_of_a_zip_is_a_sample_with_what_stands_beside_it(make, tmp_path, run):
    raw = make.bytes_of("plain.png")
    opened, good, bad = run(zipped(tmp_path / "a.zip", {
        "set/cat/1.png": raw, "set/cat/1.txt": "A cat on a mat", "set/cat/2.jpg": make.bytes_of("photo.jpg"),
        "set/dog/3.png": raw, "set/dog/3.json": '{"caption": "A dog", "tags": ["big", "wet"], "age": 7}',
        "set/dog/.DS_Store": b"\0\1", "__MACOSX/set/dog/3.png": b"\0", "set/dog/5.wav": make.bytes_of("tone.wav")}))
    assert not bad
    assert opened.count == 4
    assert [sample.labels for sample in good] == [("cat",), ("cat",), ("dog",), ("dog",)]
    assert [[entry.modality for entry in sample.media] for sample in good] == [
        ["image", "text"], ["image"], ["image", "text"], ["audio"]]
    assert good[0].media[1].text == "A cat on a mat"
    assert good[2].values == {"name": "3.png", "tags": "big, wet", "age": 7}
    assert [row.number for row in opened.rows(3)] == [4]


def test_the_splits_of_a_zip_are_told_from_its_folders(make, tmp_path, run):
    files = {f"{split}/{kind}/{n}.png": make.bytes_of("plain.png")
             for split in ("train", "test") for kind in ("cat", "dog") for n in range(2)}
    _, good, _ = run(zipped(tmp_path / "a.zip", files))
    assert {(sample.split, *sample.labels) for sample in good} == {
        ("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")}


@pytest.mark.parametrize(("name", "content"), [
    ("data/metadata.csv", "file_name,text,size\nimages/1.png,A boat,5\n./images/2.jpg,A sea,6\ngone.png,None,7\n"),
    ("data/metadata.jsonl", '{"file_name": "images/1.png", "text": "A boat", "size": 5}\n'
                            '{"file_name": "data/images/2.jpg", "text": "A sea", "size": 6}\n'
                            '{"file_name": "gone.png", "text": "None", "size": 7}\n')])
def test_a_table_in_a_zip_tells_the_samples(name, content, make, tmp_path, run, plain_words):
    opened, good, bad = run(zipped(tmp_path / "a.zip", {
        "data/images/1.png": make.bytes_of("plain.png"), "data/images/2.jpg": make.bytes_of("photo.jpg"),
        "data/images/other.png": make.bytes_of("plain.png"), name: content}))
    assert {c.name: c.kind for c in opened.columns} == {"file_name": "image", "text": "text", "size": "number"}
    assert guess_roles(opened, opened.preview())["file_name"] == Mapping("image", "bytes")
    assert [(sample.media[0].path.suffix, sample.media[1].text, sample.values) for sample in good] == [
        (".png", "A boat", {"size": 5}), (".jpg", "A sea", {"size": 6})]
    (failure,) = bad
    assert "gone.png" in failure.reason
    plain_words(failure.reason)


def test_a_table_in_a_zip_never_names_files_of_the_computer(make, tmp_path, run, unharmed):
    outside = make.file(tmp_path.parent, "plain.png")
    try:
        _, good, bad = run(zipped(tmp_path / "a.zip", {
            "1.png": make.bytes_of("photo.jpg"), "metadata.csv": f"file,caption\n1.png,a boat\n{outside},a sea\n"
                                                                 "../../../../etc/passwd,a sea\n/etc/passwd,x\n"}))
    finally:
        outside.unlink()
    assert (len(good), len(bad)) == (1, 3)


def test_a_table_that_names_no_file_of_the_zip_is_left_aside(make, tmp_path, run):
    opened, good, _ = run(zipped(tmp_path / "a.zip", {
        "1.png": make.bytes_of("plain.png"), "classes.csv": "id,name\n1,cat\n2,dog\n"}))
    assert len(good) == 1
    assert "tables" in opened.note


def test_the_table_that_is_named_metadata_goes_first(make, tmp_path, run):
    opened, good, _ = run(zipped(tmp_path / "a.zip", {
        "1.png": make.bytes_of("plain.png"), "a.csv": "f,caption\n1.png,wrong\n", "x/y.csv": "\n",
        "metadata.csv": "f,caption\n1.png,right\n"}))
    assert good[0].media[1].text == "right"
    assert "metadata.csv" in opened.note


def test_a_zip_with_only_a_table_is_that_table(tmp_path, run):
    _, good, _ = run(zipped(tmp_path / "a.zip", {"a.csv": "caption,n\nA boat on the sea,1\nA dog in the sun,2\n"}))
    assert [sample.media[0].text for sample in good] == ["A boat on the sea", "A dog in the sun"]


def test_hostile_names_in_a_zip_never_become_paths(make, tmp_path, run, unharmed):
    _, good, bad = run(zipped(tmp_path / "a.zip", {name: make.bytes_of("plain.png") for name in HOSTILE}))
    assert not bad
    assert len({sample.media[0].path for sample in good}) == 1


def test_a_zip_of_a_thousand_equal_pictures_writes_one(make, tmp_path, run):
    run(zipped(tmp_path / "a.zip", {f"{n}.png": make.bytes_of("plain.png") for n in range(50)}))
    assert sum(path.is_file() for path in (tmp_path / "into").rglob("*")) == 1


def _locked(path: Path, name: str) -> None:
    """Set the bit of an entry that says that it is encrypted (APPNOTE 4.4.4), in both of its headers."""
    raw = bytearray(path.read_bytes())
    for mark, flags, names in ((b"PK\3\4", 6, 30), (b"PK\1\2", 8, 46)):
        place = raw.find(mark)
        while place >= 0:
            if raw[place + names:].startswith(name.encode()):
                raw[place + flags] |= 1
            place = raw.find(mark, place + 4)
    path.write_bytes(raw)


def test_a_locked_entry_fails_and_the_rest_goes_on(make, tmp_path, run, plain_words):
    path = zipped(tmp_path / "a.zip", {"1.png": make.bytes_of("plain.png"), "2.png": make.bytes_of("plain.png")})
    _locked(path, "1.png")
    _, good, bad = run(path)
    assert (len(good), len(bad)) == (1, 1)
    assert "password" in bad[0].reason
    plain_words(bad[0].reason)


def test_broken_links_and_unknown_entries_fail_and_the_rest_goes_on(make, tmp_path, run, plain_words, unharmed):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("1.png", make.bytes_of("plain.png"))
        archive.writestr("2.png", b"\0\1\2\3" * 30)
        link = zipfile.ZipInfo("3.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("4.png", make.bytes_of("photo.jpg"))
        archive.writestr("empty.png", b"")
    raw = bytearray(path.read_bytes())
    place = raw.find(make.bytes_of("photo.jpg"))
    raw[place + 40] ^= 0xFF
    path.write_bytes(raw)
    _, good, bad = run(path)
    assert [sample.number for sample in good] == [1]
    assert [failure.number for failure in bad] == [2, 3, 4, 5]
    assert "link" in bad[1].reason
    assert "broken" in bad[2].reason
    for failure in bad:
        plain_words(failure.reason)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_zip_is_told(share, make, tmp_path, limits, plain_words):
    path = zipped(tmp_path / "a.zip", {f"{n}.png": make.bytes_of("plain.png") for n in range(5)})
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(UnreadableMedia, match="cut short") as caught:
        open_table(path, limits)
    plain_words(caught.value.what)
    assert caught.value.path == str(path)


def test_zips_of_other_things_are_no_tables(tmp_path, limits):
    for files in ({"a.o": b"\0\1\2" * 50}, {"word/document.xml": "<w/>", "[Content_Types].xml": "<t/>"}):
        with pytest.raises(UnsupportedMedia, match="no media"):
            open_table(zipped(tmp_path / "a.zip", files), limits)
    with pytest.raises(UnreadableMedia, match="empty"):
        open_table(zipped(tmp_path / "a.zip", {}), limits)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_zip_bomb_is_stopped_while_it_unfolds(monkeypatch, method, make, tmp_path, run, plain_words):
    monkeypatch.setattr(unfold, "RATIO_FROM_BYTES", 10_000_000)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method, compresslevel=9) as archive:
        archive.writestr("1.png", make.bytes_of("plain.png"))
        with archive.open("2.png", "w") as entry:
            entry.write(make.bytes_of("plain.png"))
            for _ in range(15):
                entry.write(bytes(1_000_000))
        archive.writestr("3.png", make.bytes_of("photo.jpg"))
    _, good, bad = run(path)
    assert [sample.number for sample in good][:1] == [1]
    assert "unfolds" in bad[0].reason
    plain_words(bad[0].reason)
    assert sum(file.stat().st_size for file in (tmp_path / "into").rglob("*") if file.is_file()) < 1_000_000


def test_a_header_that_lies_about_the_size_does_not_help_a_bomb(make, tmp_path, run):
    """The size in the directory is set to a few bytes; nothing above it may come out."""
    path = zipped(tmp_path / "a.zip", {"1.png": make.bytes_of("plain.png") + bytes(5_000_000)})
    raw = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        struct.pack_into("<I", raw, raw.find(mark) + place, 300)
    path.write_bytes(raw)
    with pytest.raises(UnsupportedMedia):
        run(path)


def test_an_entry_over_the_limit_is_refused_while_it_is_read(monkeypatch, make, tmp_path, limits):
    monkeypatch.setattr(unfold, "MAX_ENTRY_BYTES", 1_000)
    path = zipped(tmp_path / "a.zip", {"1.png": make.bytes_of("plain.png"), "2.wav": make.bytes_of("tone.wav")})
    opened = open_table(path, limits)
    rows = opened.rows()
    next(rows)
    sound = next(rows).values["file"]
    with pytest.raises(MediaTooLarge):
        sound.read(10**9)
    rows.close()


def test_a_blob_of_an_archive_that_is_closed_says_so(make, tmp_path, limits, plain_words):
    for path in (zipped(tmp_path / "a.zip", {"1.png": make.bytes_of("plain.png")}),
                 tarred(tmp_path / "a.tar", [("1.png", make.bytes_of("plain.png"))])):
        (row,) = open_table(path, limits).rows()
        blob = next(cell for cell in row.values.values() if isinstance(cell, Blob))
        with pytest.raises(UnreadableMedia) as caught:
            blob.read(10**6)
        plain_words(caught.value.what)
