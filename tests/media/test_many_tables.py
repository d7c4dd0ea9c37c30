"""Shards and files of one schema are one table; folders tell what tables they hold."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmstudio.errors import UnreadableMedia
from mmstudio.media import Kind, Limits
from mmstudio.media.cells import Row, RowFailure
from mmstudio.media.choice import Choice
from mmstudio.media.many_tables import by_schema, of_media, open_tables, sorted_out, tables_below
from mmstudio.media.roles import guess_roles, in_role
from mmstudio.media.samples import RowSample, rows_as_samples
from mmstudio.media.tables import open_table


@pytest.fixture
def shards(tmp_path: Path) -> list[Path]:
    """Three Parquet files of four captions each."""
    (tmp_path / "set").mkdir()
    files = [tmp_path / f"set/train-{n:05}-of-00003.parquet" for n in range(3)]
    for n, file in enumerate(files):
        pq.write_table(pa.table({"caption": [f"a picture of thing {4 * n + row}" for row in range(4)],
                                 "score": [float(4 * n + row) for row in range(4)]}), file)
    return files


def _tar(path: Path, rows: range, picture: bytes) -> Path:
    with tarfile.open(path, "w") as tar:
        for row in rows:
            for ending, content in (("png", picture + bytes([row])), ("txt", f"words {row}".encode())):
                member = tarfile.TarInfo(f"{row:04}.{ending}")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return path


def test_shards_are_one_table_whose_rows_follow_each_other(shards: list[Path], limits: Limits) -> None:
    table = open_tables(shards, limits)
    assert (table.count, len(table.parts)) == (12, 3)
    assert [column.name for column in table.columns] == ["caption", "score"]
    assert [row.values["score"] for row in table.rows() if isinstance(row, Row)] == [float(n) for n in range(12)]
    assert [row.values["score"] for row in table.rows(6) if isinstance(row, Row)] == [float(n) for n in range(6, 12)]


def test_shards_of_tar_are_one_table_and_a_start_in_them_is_found(
    make_picture: Callable[..., Path], tmp_path: Path, limits: Limits,
) -> None:
    picture = make_picture("x.png").read_bytes()
    files = [_tar(tmp_path / f"{n}.tar", range(3 * n, 3 * n + 3), picture) for n in range(2)]
    assert by_schema(files, limits) == [files]
    table = open_tables(files, limits)
    assert [row.values["txt"] for row in table.rows(2) if isinstance(row, Row)] == [f"words {n}" for n in range(2, 6)]


def test_a_shard_that_breaks_off_costs_its_own_rows_only(shards: list[Path], limits: Limits) -> None:
    tables = open_tables(shards, limits)
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[: len(whole) // 2])
    rows = list(tables.rows())
    assert [row.values["score"] for row in rows if isinstance(row, Row)] == [0.0, 1.0, 2.0, 3.0, 8.0, 9.0, 10.0, 11.0]
    assert sum(isinstance(row, RowFailure) for row in rows) == 1


def test_files_of_other_columns_and_other_endings_and_broken_ones_stay_apart(
    shards: list[Path], tmp_path: Path, limits: Limits,
) -> None:
    other, csv, broken = (tmp_path / "set" / name for name in ("other.parquet", "same.csv", "broken.parquet"))
    pq.write_table(pa.table({"question": ["who"], "answer": ["me"]}), other)
    csv.write_text("caption,score\na dog on the grass,1\n")
    broken.write_bytes(b"PAR1 nothing")
    assert by_schema([*shards, other, csv, broken], limits) == [shards, [other], [csv], [broken]]
    with pytest.raises(UnreadableMedia):
        open_tables([broken], limits)


def test_what_a_person_named_is_sorted_into_tables_folders_and_the_rest(shards: list[Path], tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    found = sorted_out([shards[0], tmp_path / "set", picture])
    assert (found.tables, found.plain, found.folders) == (
        [shards[0]], [tmp_path / "set", picture], [tmp_path / "set"])
    (tmp_path / "set/.hidden.csv").write_text("a,b\n1,2\n")
    (tmp_path / "set/deep").mkdir()
    (tmp_path / "set/deep/T.CSV").write_text("a,b\n1,2\n")
    assert tables_below([tmp_path / "set"]) == [tmp_path / "set/deep/T.CSV", *shards]
    assert tables_below([tmp_path / "set"], named=shards[:2]) == [tmp_path / "set/deep/T.CSV", shards[2]]


def test_tables_behind_links_are_listed_once_and_a_loop_ends(shards: list[Path], tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "set"
    elsewhere.mkdir()
    (elsewhere / "linked.csv").write_text("caption\na dog\n")
    (folder / "a link").symlink_to(elsewhere)
    (folder / "another link").symlink_to(elsewhere)
    (folder / "loop").symlink_to(folder)
    (folder / "the same.csv").symlink_to(elsewhere / "linked.csv")
    (folder / "dangling.csv").symlink_to(tmp_path / "nothing.csv")
    assert tables_below([folder]) == [folder / "a link/linked.csv", *shards]
    assert tables_below([folder, elsewhere, folder]) == [elsewhere / "linked.csv", *shards]


def test_tables_of_a_folder_follow_the_choice_of_its_files(shards: list[Path], tmp_path: Path) -> None:
    (tmp_path / "set/deep").mkdir()
    (tmp_path / "set/deep/t.csv").write_text("a,b\n1,2\n")
    assert tables_below([tmp_path / "set"], Choice(subfolders=False)) == shards
    assert tables_below([tmp_path / "set"], Choice(pattern="*.CSV")) == [tmp_path / "set/deep/t.csv"]
    assert tables_below([tmp_path / "set"], Choice(frozenset({Kind.IMAGE}))) == []


def test_tables_of_numbers_alone_are_none_of_media(shards: list[Path], tmp_path: Path, limits: Limits) -> None:
    (tmp_path / "n.csv").write_text("epoch,loss\n1,0.5\n2,0.4\n")
    assert of_media(shards, limits)
    assert not of_media([tmp_path / "n.csv"], limits)


def test_media_are_found_in_a_folder_that_was_chosen(
    make_picture: Callable[..., Path], tmp_path: Path, limits: Limits,
) -> None:
    make_picture("elsewhere/red.png")
    (tmp_path / "tables").mkdir()
    files = [tmp_path / f"tables/{n}.csv" for n in range(2)]
    for file in files:
        file.write_text("image,score\nred.png,1\ngone.png,2\n")
    table = open_tables(files, limits).beside(tmp_path / "elsewhere")
    roles = guess_roles(table, table.preview())
    assert (roles["image"].role, roles["image"].by) == ("image", "path")
    for part in table.parts:
        first, second = rows_as_samples(part, roles, limits, tmp_path / "media")
        assert isinstance(first, RowSample)
        assert first.media[0].path == tmp_path / "elsewhere/red.png"
        assert isinstance(second, RowFailure)


def test_each_entry_of_a_list_and_each_column_of_labels_is_a_label(tmp_path: Path, limits: Limits) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text('{"text": "a dog in the wet grass", "labels": ["dog", "wet", "dog", ""], "mood": "calm"}\n'
                    '{"text": "a cat on the warm roof", "labels": [], "mood": null}\n')
    table = open_table(file, limits)
    rows = table.preview()
    roles = guess_roles(table, rows)
    assert roles["labels"].role == "label"
    roles["mood"] = in_role(roles["mood"], "label", [row.get("mood") for row in rows])
    first, second = rows_as_samples(table, roles, limits, tmp_path / "media")
    assert isinstance(first, RowSample)
    assert isinstance(second, RowSample)
    assert (first.labels, second.labels) == (("dog", "wet", "calm"), ())


def test_a_sheet_can_be_chosen(tmp_path: Path, limits: Limits) -> None:
    book = openpyxl.Workbook()
    book.active.append(["a"])
    book.active.append([1])
    book.create_sheet("Second").append(["b"])
    book["Second"].append([2])
    book.create_sheet("Empty")
    book.save(tmp_path / "x.xlsx")
    table = open_table(tmp_path / "x.xlsx", limits)
    assert (table.sheet, table.sheets) == ("Sheet", ("Sheet", "Second", "Empty"))
    assert open_table(tmp_path / "x.xlsx", limits, "Second").preview() == [{"b": 2}]
    with pytest.raises(UnreadableMedia, match="no sheet “Third”"):
        open_table(tmp_path / "x.xlsx", limits, "Third")
    with pytest.raises(UnreadableMedia, match="holds no cells"):
        open_table(tmp_path / "x.xlsx", limits, "Empty")
