"""Cut and damaged tables and archives: each gives rows, failures that a person understands, or one plain sentence."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zipfile

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from mmstudio.errors import MediaError
from mmstudio.media.tables import RowFailure, guess_roles, open_table, rows_as_samples

pytestmark = pytest.mark.timeout(30)
CAPTIONS = [f"A boat number {n}, grün" for n in range(8)]


def data(picture):
    photos = pa.array([{"bytes": picture, "path": "x.png"}] * 8, pa.struct([("bytes", pa.binary()),
                                                                           ("path", pa.string())]))
    return pa.table({"image": photos, "caption": CAPTIONS, "n": range(8), "list": [[1, 2]] * 8})


def as_parquet(picture):
    out = io.BytesIO()
    parquet.write_table(data(picture), out, row_group_size=3)
    return out.getvalue()


def as_arrow(picture, new=pa.ipc.new_stream):
    out = io.BytesIO()
    with new(out, data(picture).schema) as writer:
        writer.write_table(data(picture), max_chunksize=3)
    return out.getvalue()


def as_xlsx(_, method=zipfile.ZIP_DEFLATED):
    book, plain, out = openpyxl.Workbook(), io.BytesIO(), io.BytesIO()
    for n, caption in enumerate(CAPTIONS):
        book.active.append([caption, n, n / 3])
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(out, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return out.getvalue()


def as_zip(picture):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for n, caption in enumerate(CAPTIONS):
            archive.writestr(f"{n % 2}/{n}.png", picture)
            archive.writestr(f"{n % 2}/{n}.json", json.dumps({"caption": caption}))
    return out.getvalue()


def as_tar(picture):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for n, caption in enumerate(CAPTIONS):
            for ending, content in (("png", picture), ("txt", caption.encode()), ("json", b'{"a": {"b": 1}}')):
                member = tarfile.TarInfo(f"{n}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


CSV = "name,caption,n\n" + "".join(f'x,"{caption}",{n}\n' for n, caption in enumerate(CAPTIONS))
TABLES = {
    "a.parquet": as_parquet, "a.arrow": as_arrow, "file.arrow": lambda p: as_arrow(p, pa.ipc.new_file),
    "a.xlsx": as_xlsx, "stored.xlsx": lambda p: as_xlsx(p, zipfile.ZIP_STORED), "a.zip": as_zip, "a.tar": as_tar,
    "a.tgz": lambda p: gzip.compress(as_tar(p)), "a.csv": lambda _: CSV.encode(),
    "wide.csv": lambda _: CSV.encode("utf-16"),
    "a.jsonl": lambda _: "".join(json.dumps({"caption": c, "in": {"n": 1}}) + "\n" for c in CAPTIONS).encode(),
}


@pytest.fixture(params=TABLES)
def whole(request, make):
    return request.param, TABLES[request.param](make.bytes_of("plain.png"))


@pytest.fixture
def settle(tmp_path, limits, plain_words):
    """``settle(name, bytes)`` gives how many rows became samples and how many failed; None for one sentence."""

    def go(name, raw):
        path = tmp_path / name
        path.write_bytes(raw)
        try:
            opened = open_table(path, limits)
            found = list(rows_as_samples(opened, guess_roles(opened, opened.preview()), limits, tmp_path / "into"))
        except MediaError as error:
            plain_words(error.what)
            if not error.path:
                pytest.fail("the error names no file")
            return None
        failures = [one for one in found if isinstance(one, RowFailure)]
        for failure in failures:
            plain_words(failure.reason)
        return len(found) - len(failures), len(failures)

    return go


def test_a_whole_table_gives_all_its_rows(whole, settle):
    assert settle(*whole) == (7 if whole[0].endswith("xlsx") else 8, 0)


def test_a_table_cut_anywhere_gives_rows_or_a_reason(whole, settle):
    name, raw = whole
    for tenth in range(10):
        settle(name, raw[: len(raw) * tenth // 10 + 1])


def test_a_table_with_damaged_bytes_gives_rows_or_a_reason(whole, settle):
    name, raw = whole
    chance = random.Random(name)
    for count in (1, 1, 2, 3, 5, 10, 30, 100):
        damaged = bytearray(raw)
        for _ in range(count):
            damaged[chance.randrange(len(raw))] = chance.randrange(256)
        settle(name, damaged)
