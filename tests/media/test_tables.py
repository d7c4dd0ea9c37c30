"""Tables become samples, whatever wrote them: CSV, JSON lines, Parquet, Arrow, saved data sets, Excel."""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
import random
import struct
import tracemalloc
import zipfile
from decimal import Decimal
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from mmstudio.errors import MediaError, MediaTooLarge, ProjectError, UnreadableMedia, UnsupportedMedia
from mmstudio.media import Limits
from mmstudio.media.blobs import Blob
from mmstudio.media.describe import file_hash
from mmstudio.media.tables import (
    Column,
    Mapping,
    Row,
    RowFailure,
    RowSample,
    guess_roles,
    open_table,
    rows_as_samples,
)

pytestmark = pytest.mark.timeout(30)


@pytest.fixture
def table(tmp_path, limits):
    """``table(name, content)`` writes a file and opens it."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_table(path, limits)

    return write


@pytest.fixture
def samples(tmp_path, limits):
    """``samples(table)`` gives the samples of a table with its guessed roles, and its failures."""

    def run(opened, roles=None):
        roles = roles or guess_roles(opened, opened.preview())
        found = list(rows_as_samples(opened, roles, limits, tmp_path / "into"))
        assert [one.number for one in found] == list(range(1, len(found) + 1))
        return [s for s in found if isinstance(s, RowSample)], [f for f in found if isinstance(f, RowFailure)]

    return run


def kinds(opened):
    return {column.name: column.kind for column in opened.columns}


def cells(opened, start=0):
    return [row.values if isinstance(row, Row) else row.reason for row in opened.rows(start)]


def roles_of(opened):
    return {name: mapping.role for name, mapping in guess_roles(opened, opened.preview()).items()}


# CSV


def test_a_csv_gives_typed_rows_and_columns(table):
    opened = table("a.csv", "name,size,when,kind\nAnn,1,2024-05-31,cat\nBob,2.5,2024-06-01 12:30,dog\n"
                            "Cid,,31.5.2024,cat\nDee,-4e2,2024/01/02,dog\n")
    assert kinds(opened) == {"name": "text", "size": "number", "when": "date", "kind": "category"}
    assert opened.count == 4
    assert cells(opened)[1] == {"name": "Bob", "size": 2.5, "when": datetime.datetime(2024, 6, 1, 12, 30),
                                "kind": "dog"}
    assert cells(opened)[2]["size"] is None
    assert cells(opened)[2]["when"] == datetime.date(2024, 5, 31)
    assert cells(opened, 3) == [{"name": "Dee", "size": -400, "when": datetime.date(2024, 1, 2), "kind": "dog"}]
    assert [row.number for row in opened.rows(3)] == [4]
    assert opened.preview(2) == cells(opened)[:2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt", "a"])
def test_the_delimiter_is_told_from_the_rows(delimiter, name, table):
    lines = ["file,caption,n"] + [f'{n}.x,"A boat, a sea; a | and a\ttab",{n}' for n in range(5)]
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(csv.reader(lines))
    assert cells(table(name, out.getvalue()))[4] == {
        "file": "4.x", "caption": "A boat, a sea; a | and a\ttab", "n": 4}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
def test_german_is_read_in_every_encoding(encoding, table):
    text = "name;stadt;preis\nMüller;Köln;1,5\nWeiß;Zürich;-2,25\n"
    assert cells(table("a.csv", text.encode(encoding))) == [
        {"name": "Müller", "stadt": "Köln", "preis": 1.5}, {"name": "Weiß", "stadt": "Zürich", "preis": -2.25}]


def test_an_umlaut_far_below_the_beginning_still_tells_the_encoding(table):
    text = "a,b\n" + "x,y\n" * 100_000 + "Köln,grüner Frosch\n"
    assert cells(table("a.csv", text.encode("cp1252")), 100_000) == [{"a": "Köln", "b": "grüner Frosch"}]
    assert cells(table("a.csv", text.encode("utf-8")), 100_000) == [{"a": "Köln", "b": "grüner Frosch"}]


@pytest.mark.parametrize(("encoding", "word"), [
    ("shift-jis", "夏の夜は静かです。海の音が聞こえる"), ("cp1251", "Тихий вечер у моря")])
def test_other_writings_are_read_in_old_encodings(encoding, word, table):
    assert cells(table("a.csv", f"a,b\n1,{word}\n2,{word}\n".encode(encoding)))[0]["b"] == word


def test_short_rows_are_padded_and_long_ones_keep_their_cells_as_extra(table):
    opened = table("a.csv", "a,b\n1\n1,2,3,4\n\n1,2\n")
    assert [column.name for column in opened.columns] == ["a", "b", "extra 1", "extra 2"]
    assert cells(opened) == [{"a": 1, "b": None}, {"a": 1, "b": 2, "extra 1": 3, "extra 2": 4}, {"a": 1, "b": 2}]


def test_a_row_that_is_longer_than_all_before_keeps_its_cells_too(table):
    opened = table("a.csv", "a,b\n" + "1,2\n" * 500 + "1,2,3\n")
    assert cells(opened)[-1] == {"a": 1, "b": 2, "extra 1": "3"}


def test_columns_get_names_of_their_own(table):
    opened = table("a.csv", "size,,size, ,size 2,size\n" + "1,2,3,4,5,6\n" * 2)
    assert [column.name for column in opened.columns] == ["size", "column 2", "size 2", "column 4", "size 2 2",
                                                          "size 3"]


def test_a_first_row_of_numbers_or_of_files_is_no_header(make, tmp_path, table):
    assert cells(table("numbers.csv", "1,2\n3,4\n")) == [{"column 1": 1, "column 2": 2}, {"column 1": 3, "column 2": 4}]
    make.file(tmp_path, "plain.png")
    opened = table("files.csv", "plain.png,a cat\nother.png,a dog\n")
    assert opened.count == 2
    assert cells(opened)[0]["column 2"] == "a cat"


def test_names_with_zeros_in_front_stay_names(table):
    opened = table("a.csv", "id,zip,big\n1,00123,123456789012345678901234\n2,04567,5\n3,12345,6\n")
    assert kinds(opened)["id"] == "number"
    assert cells(opened)[0] == {"id": 1, "zip": "00123", "big": "123456789012345678901234"}


def test_missing_words_in_a_column_of_numbers_are_empty(table):
    mixed, numbers = "k,n\na,1\nb,NA\nc,nan\nd,\ne,x1\n", "k,n\na,1\nb,NA\nc,nan\nd,\n"
    assert [row["n"] for row in cells(table("a.csv", mixed))] == ["1", "NA", "nan", None, "x1"]
    assert [row["n"] for row in cells(table("b.csv", numbers))] == [1, None, None, None]


def test_zero_bytes_are_left_out(table):
    assert cells(table("a.csv", b"a,b\nx\0y,2\nz,3\n" * 1)) == [{"a": "xy", "b": 2}, {"a": "z", "b": 3}]


def test_a_line_that_tells_the_delimiter_is_not_a_row(table):
    assert cells(table("a.csv", "sep=;\na;b\n1;2\n")) == [{"a": 1, "b": 2}]


@pytest.mark.parametrize("content", ["", "\n\n\n", "   \n"])
def test_an_empty_csv_is_told(content, table, plain_words):
    with pytest.raises(UnreadableMedia) as caught:
        table("a.csv", content)
    plain_words(caught.value.what)
    assert caught.value.path.endswith("a.csv")


def test_a_header_alone_is_a_table_without_rows(table):
    opened = table("a.csv", "a,b\n")
    assert (opened.count, cells(opened), [c.name for c in opened.columns]) == (0, [], ["a", "b"])


def test_a_quote_that_is_never_closed_costs_what_follows_and_says_so(table, plain_words):
    opened = table("a.csv", 'a,b\n1,2\n3,"four\n5,6\n7,8\n')
    found = cells(opened)
    assert found[0] == {"a": 1, "b": 2}
    assert len(found) == 2
    assert "line 3" in found[1]
    plain_words(found[1])


def test_a_cell_over_the_limit_costs_its_row_and_the_rest_goes_on(table, plain_words):
    opened = table("a.csv", f"a,b\n1,2\n3,{'x' * 200_000}\n5,6\n")
    found = cells(opened)
    assert (found[0], found[2]) == ({"a": 1, "b": 2}, {"a": 5, "b": 6})
    assert "line 3" in found[1]
    plain_words(found[1])


def test_a_line_that_would_not_fit_into_memory_ends_the_table_with_a_reason(tmp_path, plain_words):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n" + "1,2\n" * 300 + "x" * 3_000_000)
    *good, last = open_table(path, Limits(max_text_megabytes=2)).rows()
    assert len(good) == 300
    assert isinstance(last, RowFailure)
    assert last.number == 301
    assert "2 MB" in last.reason
    plain_words(last.reason)


def test_a_thousand_columns_are_read(table):
    names = [f"c{n}" for n in range(1_000)]
    opened = table("a.csv", ";".join(names) + "\n" + "\n".join(";".join(map(str, range(1_000))) for _ in range(5)))
    assert [column.name for column in opened.columns] == names
    assert cells(opened)[4]["c999"] == 999


def test_too_many_columns_are_refused(table):
    with pytest.raises(UnreadableMedia, match="20,000 columns"):
        table("a.csv", ",".join("x" * 20_000))


def test_a_hundred_thousand_rows_stream_in_bounded_memory(table):
    content = "n,caption,kind\n" + "".join(f"{n},A red boat number {n} on a blue sea,{n % 5}\n" for n in range(100_000))
    opened = table("a.csv", content)
    del content
    tracemalloc.start()
    try:
        assert sum(row.values["n"] for row in opened.rows()) == 4_999_950_000
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


def test_prose_and_pictures_are_no_tables(make, tmp_path, table, limits):
    with pytest.raises(UnsupportedMedia, match="no table"):
        table("a.txt", "Dear Ann, hello.\nWe saw boats, birds and more.\n")
    for kind in ("plain.png", "tone.wav", "talk.mp4"):
        with pytest.raises(UnsupportedMedia):
            open_table(make.file(tmp_path, kind), limits)
    with pytest.raises(UnsupportedMedia, match="folder"):
        open_table(tmp_path, limits)
    with pytest.raises(UnreadableMedia, match="not there"):
        open_table(tmp_path / "nothing.csv", limits)


# JSON lines


def test_json_lines_give_dotted_columns_and_keep_lists(table):
    opened = table("a.jsonl", '{"a": {"b": 1, "c": {"d": "x"}}, "when": "2024-05-31", "tags": ["u", "v"]}\n'
                              '{"a": {"b": 2.5}, "late": true, "when": "2024-06-01"}\n')
    assert kinds(opened) == {"a.b": "number", "a.c.d": "text", "when": "date", "tags": "list", "late": "category"}
    assert cells(opened) == [
        {"a.b": 1, "a.c.d": "x", "when": datetime.date(2024, 5, 31), "tags": ["u", "v"]},
        {"a.b": 2.5, "late": True, "when": datetime.date(2024, 6, 1)}]


def test_broken_lines_cost_only_themselves(table, plain_words):
    opened = table("a.jsonl", '{"a": 1}\n{"a": \n\n[1, 2]\n"x"\n{"a": 2}\n' + '{"a":' * 5_000 + "\n" + '{"a": 3}')
    found = cells(opened)
    assert [row for row in found if isinstance(row, dict)] == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert [reason.split()[1] for reason in found if isinstance(reason, str)] == ["2", "4", "5", "7"]
    for reason in found:
        if isinstance(reason, str):
            plain_words(reason)
    assert [row.number for row in opened.rows(4)] == [5, 6, 7]


def test_json_lines_are_told_without_their_name_and_csv_is_not_mistaken(table):
    assert cells(table("a.txt", '{"a": 1}\n{"a": 2}\n')) == [{"a": 1}, {"a": 2}]
    assert cells(table("b.csv", 'a,b\n"{""x"": 1}",2\n')) == [{"a": '{"x": 1}', "b": 2}]


# Parquet


PHOTOS = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def test_parquet_types_become_plain_values(tmp_path, limits):
    when = datetime.datetime(2024, 5, 31, 12, 30, 0, 5)
    data = pa.table({
        "text": ["a", None], "n": pa.array([1, None], pa.int8()), "x": [0.5, math.nan], "yes": [True, None],
        "price": [Decimal("1.50"), None], "day": [when.date(), None], "time": [when.time(), None],
        "ns": pa.array([when, None], pa.timestamp("ns")), "utc": pa.array([when, None], pa.timestamp("us", "UTC")),
        "odd": pa.array([1, 7], pa.timestamp("ns")), "far": pa.array([2**62, 1], pa.timestamp("us")),
        "long": pa.array([datetime.timedelta(hours=2), None]), "list": [["u"], None], "kind": pa.array(
            ["cat", "dog"]).dictionary_encode(), "in": [{"a": 1, "b": {"c": "x"}}, None], "raw": [b"\x01", None]})
    parquet.write_table(data, tmp_path / "a.parquet")
    opened = open_table(tmp_path / "a.parquet", limits)
    assert kinds(opened) == {
        "text": "text", "n": "number", "x": "number", "yes": "category", "price": "number", "day": "date",
        "time": "text", "ns": "date", "utc": "date", "odd": "date", "far": "date", "long": "number", "list": "list",
        "kind": "text", "in.a": "number", "in.b.c": "text", "raw": "bytes"}
    first, second = cells(opened)
    assert isinstance(first.pop("far"), str)
    assert first.pop("raw").read(9) == b"\x01"
    assert first.pop("odd").year == 1970
    assert first == {
        "text": "a", "n": 1, "x": 0.5, "yes": True, "price": 1.5, "day": when.date(), "time": "12:30:00.000005",
        "ns": when, "utc": when.replace(tzinfo=first["utc"].tzinfo), "long": 7200.0, "list": ["u"], "kind": "cat",
        "in.a": 1, "in.b.c": "x"}
    assert {name for name, cell in second.items() if cell is not None} == {"odd", "far", "kind"}
    assert opened.count == 2


def test_parquet_goes_row_group_by_row_group(tmp_path, limits):
    parquet.write_table(pa.table({"n": range(2_500)}), tmp_path / "a.parquet", row_group_size=700)
    opened = open_table(tmp_path / "a.parquet", limits)
    assert opened.count == 2_500
    for start in (0, 1, 699, 700, 701, 1_400, 2_499, 2_500):
        assert [(row.number, row.values["n"]) for row in opened.rows(start)] == [
            (n + 1, n) for n in range(start, 2_500)]


def test_pictures_in_parquet_stream_in_bounded_memory(tmp_path, limits):
    photos = [{"bytes": bytes([n]) + random.Random(n).randbytes(500_000), "path": f"{n}.jpg"} for n in range(160)]
    parquet.write_table(pa.table({"image": pa.array(photos, PHOTOS)}), tmp_path / "a.parquet", write_batch_size=4)
    del photos
    opened = open_table(tmp_path / "a.parquet", limits)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        for number, row in enumerate(opened.rows()):
            assert row.values["image"].head(1)[0] == number
            assert pa.total_allocated_bytes() - before < 45_000_000
        assert tracemalloc.get_traced_memory()[1] < 45_000_000
    finally:
        tracemalloc.stop()


def test_two_columns_of_the_same_name_are_told_apart(tmp_path, limits):
    parquet.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "a.parquet")
    assert cells(open_table(tmp_path / "a.parquet", limits)) == [{"a": 1, "a 2": 2}]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95, 0.999])
def test_a_truncated_parquet_is_told(share, tmp_path, limits, plain_words):
    parquet.write_table(pa.table({"n": range(1_000), "t": ["boat"] * 1_000}), tmp_path / "a.parquet")
    raw = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(raw[: int(len(raw) * share)])
    with pytest.raises(UnreadableMedia, match="broken or cut short") as caught:
        open_table(tmp_path / "a.parquet", limits)
    plain_words(caught.value.what)


def test_a_parquet_that_is_broken_inside_keeps_the_rows_before(tmp_path, limits, plain_words):
    words = [f"{n} {n * 7919 % 1000003}" for n in range(60_000)]
    parquet.write_table(pa.table({"t": words}), tmp_path / "a.parquet", row_group_size=20_000, use_dictionary=False)
    raw = bytearray((tmp_path / "a.parquet").read_bytes())
    raw[len(raw) * 9 // 20: len(raw) * 10 // 20] = b"\xff" * (len(raw) * 10 // 20 - len(raw) * 9 // 20)
    (tmp_path / "a.parquet").write_bytes(raw)
    *good, last = open_table(tmp_path / "a.parquet", limits).rows()
    assert len(good) >= 20_000
    assert good[19_999].values["t"] == words[19_999]
    plain_words(last.reason)


# Saved data sets


FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"},
            "caption": {"dtype": "string", "_type": "Value"}}


def save_to_disk(folder: Path, shards: list[pa.Table], features: dict[str, object], split: str = "train") -> None:
    """The layout that ``datasets.Dataset.save_to_disk`` writes."""
    folder.mkdir(parents=True)
    names = [f"data-{n:05d}-of-{len(shards):05d}.arrow" for n in range(len(shards))]
    for name, shard in zip(names, shards, strict=True):
        shard = shard.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, shard.schema) as writer:
            writer.write_table(shard, max_chunksize=2)
    (folder / "state.json").write_text(json.dumps({
        "_data_files": [{"filename": name} for name in names], "_fingerprint": "0123456789abcdef",
        "_format_columns": None, "_format_kwargs": {}, "_format_type": None, "_output_all_columns": False,
        "_split": split}, indent=2))
    (folder / "dataset_info.json").write_text(json.dumps(
        {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}, indent=2))


@pytest.fixture
def photos(make):
    """``photos(first, last)`` gives the rows of a data set of photos."""

    def rows(first, last):
        pictures = [make.saved(make.scene(32 + n, 24), "PNG") for n in range(first, last)]
        return pa.table({
            "image": pa.array([{"bytes": raw, "path": f"{n}.png"} for n, raw in enumerate(pictures, first)], PHOTOS),
            "label": pa.array([n % 2 if n else -1 for n in range(first, last)], pa.int64()),
            "caption": [f"A small boat number {n}" for n in range(first, last)]})

    return rows


def test_a_saved_data_set_becomes_samples_with_class_names(photos, tmp_path, limits, samples):
    save_to_disk(tmp_path / "set", [photos(0, 3), photos(3, 5)], FEATURES)
    opened = open_table(tmp_path / "set", limits)
    assert opened.count == 5
    assert opened.columns == (Column("image", "image"), Column("label", "category", ("cat", "dog")),
                              Column("caption", "text"))
    assert guess_roles(opened, opened.preview()) == {
        "image": Mapping("image", "bytes"), "label": Mapping("label", kind="category"), "caption": Mapping("text")}
    good, bad = samples(opened)
    assert not bad
    assert [sample.labels for sample in good] == [(), ("dog",), ("cat",), ("dog",), ("cat",)]
    picture, text = good[4].media
    assert (picture.modality, picture.column, picture.path.suffix) == ("image", "image", ".png")
    assert (text.modality, text.text) == ("text", "A small boat number 4")
    assert [row.number for row in opened.rows(4)] == [5]


def test_all_splits_of_a_saved_dict_are_one_table_with_the_split_as_a_column(photos, tmp_path, limits, samples):
    for split, (first, last) in {"train": (0, 3), "test": (3, 4)}.items():
        save_to_disk(tmp_path / "set" / split, [photos(first, last)], FEATURES, split)
    (tmp_path / "set/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    opened = open_table(tmp_path / "set", limits)
    assert opened.columns[-1] == Column("split", "category")
    good, bad = samples(opened)
    assert not bad
    assert [sample.split for sample in good] == ["train", "train", "train", "test"]


def test_a_missing_shard_costs_its_rows_and_the_rest_goes_on(photos, tmp_path, limits, samples, plain_words):
    save_to_disk(tmp_path / "set", [photos(0, 3), photos(3, 5), photos(5, 6)], FEATURES)
    (tmp_path / "set/data-00001-of-00003.arrow").unlink()
    opened = open_table(tmp_path / "set", limits)
    assert opened.count is None
    good, bad = samples(opened)
    assert [sample.number for sample in good] == [1, 2, 3, 5]
    assert [failure.number for failure in bad] == [4]
    assert "data-00001-of-00003.arrow" in bad[0].reason
    plain_words(bad[0].reason)
    assert [row.number for row in opened.rows(4)] == [5]


def test_a_shard_that_is_cut_short_keeps_its_first_rows(photos, tmp_path, limits, samples):
    save_to_disk(tmp_path / "set", [photos(0, 6), photos(6, 8)], FEATURES)
    shard = tmp_path / "set/data-00000-of-00002.arrow"
    shard.write_bytes(shard.read_bytes()[:-60])
    good, bad = samples(open_table(tmp_path / "set", limits))
    assert [sample.number for sample in good] == [1, 2, 3, 4, 6, 7]
    assert [failure.number for failure in bad] == [5]


def test_a_data_set_without_its_parts_is_told(photos, tmp_path, limits, plain_words):
    save_to_disk(tmp_path / "set", [photos(0, 1)], FEATURES)
    for break_it, wanted in (
        (lambda folder: (folder / "data-00000-of-00001.arrow").unlink(), "data-00000"),
        (lambda folder: (folder / "state.json").write_text("{"), "state.json"),
        (lambda folder: (folder / "state.json").write_text('{"_data_files": 5}'), "state.json"),
        (lambda folder: (folder / "state.json").unlink(), "no state.json"),
    ):
        break_it(tmp_path / "set")
        with pytest.raises(UnreadableMedia, match=wanted) as caught:
            open_table(tmp_path / "set", limits)
        plain_words(caught.value.what)


def test_shards_outside_of_the_folder_are_never_read(photos, tmp_path, limits):
    save_to_disk(tmp_path / "other", [photos(0, 1)], FEATURES)
    save_to_disk(tmp_path / "set", [photos(0, 1)], FEATURES)
    (tmp_path / "set/state.json").write_text(json.dumps(
        {"_data_files": [{"filename": "../other/data-00000-of-00001.arrow"}]}))
    (tmp_path / "set/data-00000-of-00001.arrow").unlink()
    with pytest.raises(UnreadableMedia, match="not there"):
        open_table(tmp_path / "set", limits)


def test_a_lone_arrow_file_and_stream_are_read_with_their_own_features(photos, tmp_path, limits):
    save_to_disk(tmp_path / "set", [photos(0, 3)], FEATURES)
    stream = tmp_path / "set/data-00000-of-00001.arrow"
    with pa.ipc.open_stream(stream.read_bytes()) as reader:
        data = reader.read_all()
    with pa.OSFile(str(tmp_path / "file.arrow"), "wb") as sink, pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data)
    for path in (stream, tmp_path / "file.arrow"):
        opened = open_table(path, limits)
        assert opened.count == 3
        assert [row["label"] for row in cells(opened)] == [None, "dog", "cat"]


def test_an_arrow_stream_with_a_lying_offset_is_refused_and_not_followed(tmp_path, limits, plain_words):
    batch = pa.record_batch({"t": ["boat", "sea"]})
    out = io.BytesIO()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    offsets = struct.pack("<3i", 0, 4, 7)
    assert out.getvalue().count(offsets) == 1
    (tmp_path / "a.arrow").write_bytes(out.getvalue().replace(offsets, struct.pack("<3i", 0, 4, 2**28)))
    with pytest.raises(UnreadableMedia) as caught:
        open_table(tmp_path / "a.arrow", limits)
    plain_words(caught.value.what)


# Excel


@pytest.fixture
def workbook(tmp_path, limits):
    """``workbook(rows)`` writes the rows as a workbook and opens it."""

    def write(rows, change=lambda book: None):
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        change(book)
        book.save(tmp_path / "a.xlsx")
        return open_table(tmp_path / "a.xlsx", limits)

    return write


def test_excel_cells_keep_their_types(workbook):
    opened = workbook([
        ["name", "when", None, "n", "yes", None, "n"],
        ["Ann", datetime.date(2024, 5, 31), "x", 1, True, None, 0.5],
        [],
        ["Bob", datetime.datetime(2024, 5, 31, 12, 30), "y", 2**40, False, None, datetime.timedelta(hours=30)]])
    assert kinds(opened) == {"name": "text", "when": "date", "column 3": "text", "n": "number", "yes": "category",
                             "n 2": "number"}
    assert cells(opened) == [
        {"name": "Ann", "when": datetime.date(2024, 5, 31), "column 3": "x", "n": 1, "yes": True, "n 2": 0.5},
        {"name": "Bob", "when": datetime.datetime(2024, 5, 31, 12, 30), "column 3": "y", "n": 2**40, "yes": False,
         "n 2": 108_000}]
    assert opened.count == 2
    assert [row.number for row in opened.rows(1)] == [2]


def changed_workbook(tmp_path, change):
    """A small workbook, its sheet's XML changed."""
    book = openpyxl.Workbook()
    for n in range(3):
        book.active.append([n, n, "x"])
    book.save(tmp_path / "plain.xlsx")
    with zipfile.ZipFile(tmp_path / "plain.xlsx") as old, zipfile.ZipFile(tmp_path / "a.xlsx", "w") as new:
        for name in old.namelist():
            raw = old.read(name).decode()
            new.writestr(name, change(raw) if name.endswith("sheet1.xml") else raw)
    return tmp_path / "a.xlsx"


def test_a_formula_counts_as_its_last_result(tmp_path, limits):
    path = changed_workbook(tmp_path, lambda xml: xml.replace(
        '<c r="B3" t="n"><v>2</v></c>', '<c r="B3"><f>A3*21</f><v>42</v></c>'))
    assert cells(open_table(path, limits))[-1] == {"0": 2, "0 2": 42, "x": "x"}


def test_the_first_visible_sheet_with_cells_is_read_and_the_others_are_named(workbook):
    def change(book):
        book.active.sheet_state = "hidden"
        book.create_sheet("Empty")
        book.create_sheet("Mine").append(["a"])
        book["Mine"].append([5])

    opened = workbook([["hidden"], [1]], change)
    assert cells(opened) == [{"a": 5}]
    assert "Mine" in opened.note


def test_an_empty_workbook_is_told(workbook, plain_words):
    with pytest.raises(UnreadableMedia, match="no cells") as caught:
        workbook([])
    plain_words(caught.value.what)


@pytest.mark.parametrize("reference", ["XFD1048576", "A4294967295", "A99999999999999999999", "ZZZZZZZZZZ5", "A0"])
def test_a_workbook_that_would_not_fit_into_memory_is_refused(reference, tmp_path, limits, plain_words):
    """A lone far cell makes calamine end the whole program."""
    path = changed_workbook(tmp_path, lambda xml: xml.replace('r="A3"', f'r="{reference}"'))
    with pytest.raises((UnreadableMedia, MediaTooLarge)) as caught:
        open_table(path, limits)
    plain_words(caught.value.what)
    assert caught.value.path == str(path)


def test_a_workbook_with_entities_is_refused(tmp_path, limits):
    bomb = '<!DOCTYPE x [<!ENTITY a "boat"><!ENTITY b "&a;&a;&a;&a;">]>'
    with pytest.raises(UnreadableMedia, match="entities"):
        open_table(changed_workbook(tmp_path, lambda xml: bomb + xml), limits)


def test_a_far_cell_without_a_value_is_no_matter(tmp_path, limits):
    path = changed_workbook(tmp_path, lambda xml: xml.replace(
        "</sheetData>", '<row r="1048576"><c r="XFD1048576" s="0"/></row></sheetData>'))
    assert open_table(path, limits).count == 2


def test_broken_workbooks_and_old_ones_are_told(workbook, tmp_path, limits, plain_words):
    workbook([["a", "b"], [1, 2]])
    raw = (tmp_path / "a.xlsx").read_bytes()
    for content in (raw[: len(raw) // 2], raw[:3_000] + b"\xff" * 200 + raw[3_200:],
                    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)):
        (tmp_path / "a.xlsx").write_bytes(content)
        with pytest.raises(MediaError) as caught:
            open_table(tmp_path / "a.xlsx", limits)
        plain_words(caught.value.what)


# Roles and samples


def test_roles_are_guessed_from_names_files_and_words(make, tmp_path, table):
    (tmp_path / "media").mkdir()
    for n in range(6):
        make.file(tmp_path / "media", "plain.png", f"{n}.png")
        make.file(tmp_path / "media", "tone.wav", f"{n}.wav")
    opened = table("a.csv", "photo,sound,caption,notes,species,camera,subset,year,url,taken\n" + "".join(
        f"media/{n}.png,media/{n}.wav,Boat {n},we saw a boat {n} there,gull{n % 2},Leica{n % 2},train,{2000 + n},"
        f"https://x.org/{n}.png,2024-05-0{n + 1}\n" for n in range(6)))
    assert guess_roles(opened, opened.preview()) == {
        "photo": Mapping("image", "path"), "sound": Mapping("audio", "path"), "caption": Mapping("text"),
        "notes": Mapping("text"), "species": Mapping("label", kind="category"),
        "camera": Mapping("column", kind="category"), "subset": Mapping("split", kind="category"),
        "year": Mapping("column", kind="number"), "url": Mapping("column"), "taken": Mapping("column", kind="date")}


def test_a_few_words_that_come_again_are_the_label_where_no_name_says_so(table):
    rows = (f"a boat on sea {n},{'cat' if n % 2 else 'dog'}\n" for n in range(8))
    opened = table("a.csv", "caption,thing\n" + "".join(rows))
    assert roles_of(opened) == {"caption": "text", "thing": "label"}


def test_a_film_has_the_role_of_a_picture_and_its_sample_says_video(make, tmp_path, table, samples):
    make.file(tmp_path, "talk.mp4")
    opened = table("a.csv", "clip,caption\ntalk.mp4,a talk in a room\n")
    assert roles_of(opened) == {"clip": "image", "caption": "text"}
    (sample,), _ = samples(opened)
    assert [entry.modality for entry in sample.media] == ["video", "text"]


def test_a_csv_with_its_pictures_becomes_samples(make, tmp_path, table, samples, limits):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "lists").mkdir()
    picture = make.file(tmp_path / "pictures", "plain.png", "schöner ort.png")
    sound = make.file(tmp_path, "tone.wav")
    opened = table("lists/a.csv", "image,sound,caption,label,split,size,when\n"
                                  f"../pictures/schöner ort.png,{sound},A boat,sea,train,5,2024-05-31\n"
                                  "..\\pictures\\schöner ort.png,,,sea,test,,\n")
    good, bad = samples(opened)
    assert not bad
    first, second = good
    assert [(entry.modality, entry.column, entry.text) for entry in first.media] == [
        ("image", "image", ""), ("audio", "sound", ""), ("text", "caption", "A boat")]
    assert first.media[0].path.samefile(picture)
    assert (first.labels, first.split) == (("sea",), "train")
    assert first.values == {"size": 5, "when": datetime.date(2024, 5, 31)}
    assert (len(second.media), second.values) == (1, {})
    assert not (tmp_path / "into").exists()


def test_rows_without_their_file_fail_and_the_rest_goes_on(make, tmp_path, table, samples, plain_words):
    make.file(tmp_path, "plain.png")
    (tmp_path / "broken.bin").write_bytes(bytes(range(256)) * 3)
    opened = table("a.csv", "image,n\nplain.png,1\ngone.png,2\n,3\nbroken.bin,4\n.,5\n/dev/zero,6\n//host/x.png,7\n"
                            "plain.png,8\n")
    good, bad = samples(opened, {"image": Mapping("image", "path"), "n": Mapping("column", kind="number")})
    assert [sample.values["n"] for sample in good] == [1, 8]
    assert [failure.number for failure in bad] == [2, 3, 4, 5, 6, 7]
    assert "gone.png" in bad[0].reason
    for failure in bad:
        plain_words(failure.reason)


def test_a_column_that_promises_pictures_is_one_even_where_all_are_missing(table, samples):
    opened = table("a.csv", "file,n\na.jpg,1\nb.jpg,2\n")
    assert roles_of(opened)["file"] == "image"
    good, bad = samples(opened)
    assert (len(good), len(bad)) == (0, 2)


def test_bytes_are_stored_once_by_their_content_with_the_right_ending(make, tmp_path, limits, samples):
    kinds = ["photo.jpg", "plain.png", "moving.gif", "moving.webp", "packed.tiff", "phone.heic", "web.avif", "old.bmp",
             "tone.wav", "tone.flac", "tone.ogg", "tone.mp3", "tone.m4a", "tone.aac", "talk.mp4", "talk.webm"]
    rows = [make.bytes_of(kind) for kind in kinds] + [make.bytes_of("photo.jpg")]
    parquet.write_table(pa.table({"media": rows}), tmp_path / "a.parquet")
    opened = open_table(tmp_path / "a.parquet", limits)
    assert kinds_of_first(opened) == "image"
    good, bad = samples(opened)
    assert not bad
    into = tmp_path / "into"
    for sample, kind in zip(good, kinds, strict=False):
        (entry,) = sample.media
        assert entry.path.read_bytes() == make.bytes_of(kind)
        assert entry.path.suffix == {".tiff": ".tif"}.get(Path(kind).suffix, Path(kind).suffix)
        digest = file_hash(entry.path)
        assert entry.path.relative_to(into).as_posix() == f"{digest[:2]}/{digest}{entry.path.suffix}"
    assert good[-1].media == good[0].media
    assert sum(path.is_file() for path in into.rglob("*")) == len(kinds)
    before = good[0].media[0].path.stat().st_mtime_ns
    assert samples(opened)[0] == good
    assert good[0].media[0].path.stat().st_mtime_ns == before


def kinds_of_first(opened):
    return opened.columns[0].kind


def test_a_half_written_file_of_the_same_name_is_written_again(make, tmp_path, limits, samples):
    parquet.write_table(pa.table({"media": [make.bytes_of("plain.png")]}), tmp_path / "a.parquet")
    opened = open_table(tmp_path / "a.parquet", limits)
    path = samples(opened)[0][0].media[0].path
    path.write_bytes(b"")
    samples(opened)
    assert path.read_bytes() == make.bytes_of("plain.png")


def test_bytes_of_no_known_kind_fail_and_leave_nothing_behind(make, tmp_path, limits, samples, plain_words):
    rows = [{"bytes": raw, "path": "../../x.png"} for raw in (make.bytes_of("plain.png"), b"\0\1\2\3" * 20, b"")]
    parquet.write_table(pa.table({"image": pa.array(rows, PHOTOS)}), tmp_path / "a.parquet")
    good, bad = samples(open_table(tmp_path / "a.parquet", limits))
    assert (len(good), len(bad)) == (1, 2)
    for failure in bad:
        plain_words(failure.reason)
    assert [path for path in (tmp_path / "into").rglob("*") if path.is_file()] == [good[0].media[0].path]


def test_a_folder_that_cannot_be_written_ends_the_work(make, tmp_path, limits):
    parquet.write_table(pa.table({"media": [make.bytes_of("plain.png")] * 2}), tmp_path / "a.parquet")
    opened = open_table(tmp_path / "a.parquet", limits)
    (tmp_path / "into").write_text("a file where the folder should be")
    with pytest.raises(ProjectError):
        list(rows_as_samples(opened, {"media": Mapping("image", "bytes")}, limits, tmp_path / "into"))


def test_lists_of_pictures_and_of_captions_give_several_media(make, tmp_path, limits, samples):
    pictures = [make.bytes_of("plain.png"), make.bytes_of("photo.jpg")]
    parquet.write_table(pa.table({"images": [pictures], "captions": [["a boat", "a sea", ""]], "tags": [["u", "v"]],
                                  "vector": [[0.5, 1.5]]}), tmp_path / "a.parquet")
    opened = open_table(tmp_path / "a.parquet", limits)
    assert roles_of(opened) == {"images": "image", "captions": "text", "tags": "column", "vector": "ignore"}
    (sample,), _ = samples(opened)
    assert [(entry.modality, entry.text) for entry in sample.media] == [
        ("image", ""), ("image", ""), ("text", "a boat"), ("text", "a sea")]
    assert sample.values == {"tags": "u, v"}


def test_columns_that_appear_later_are_kept(table, samples):
    lines = [{"caption": f"a red boat {n}"} for n in range(300)]
    lines[250] |= {"late": {"n": 5}, "bad": "\ud800x\0", "list": [{"a": 1}], "nan": math.nan, "none": None}
    good, _ = samples(table("a.jsonl", "\n".join(map(json.dumps, lines))))
    assert good[250].values == {"late.n": 5, "bad": "�x", "list": '[{"a": 1}]'}


def test_texts_in_files_are_read(make, tmp_path, table, samples):
    for n in range(2):
        (tmp_path / f"{n}.txt").write_bytes(f"Höhe {n}".encode("utf-16"))
    opened = table("a.csv", "transcript,n\n0.txt,5\n1.txt,6\n")
    assert guess_roles(opened, opened.preview())["transcript"] == Mapping("text", "path")
    good, _ = samples(opened)
    assert [sample.media[0].text for sample in good] == ["Höhe 0", "Höhe 1"]


def test_a_table_without_media_is_told(table, limits, tmp_path):
    opened = table("a.csv", "a,b\n1,2\n3,4\n")
    with pytest.raises(UnsupportedMedia, match="No column"):
        next(rows_as_samples(opened, guess_roles(opened, opened.preview()), limits, tmp_path))


def test_a_preview_holds_bytes_and_closes_the_file(make, tmp_path, limits):
    parquet.write_table(pa.table({"media": [make.bytes_of("plain.png")] * 30}), tmp_path / "a.parquet")
    preview = open_table(tmp_path / "a.parquet", limits).preview(3)
    assert len(preview) == 3
    assert isinstance(preview[0]["media"], Blob)
    assert preview[0]["media"].read(10**6) == make.bytes_of("plain.png")
