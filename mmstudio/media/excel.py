"""Excel workbooks (Office Open XML, ECMA-376): a visible sheet that holds cells, read by calamine.

calamine lays a sheet out as a full rectangle and ends the whole program when that does not fit into memory. So every
part of the workbook is read once before by an XML parser that keeps nothing, and a workbook with a sheet of too wide
a span, with entities, or that unfolds without measure, is refused.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import zipfile
from collections.abc import Generator, Iterator
from datetime import time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from xml.parsers import expat

from mmstudio.errors import MediaError, MediaTooLarge, UnreadableMedia
from mmstudio.media.cells import Column, Reading, Table, unique_names
from mmstudio.media.sniff import regular_size
from mmstudio.media.unfold import READ_ERRORS, Tally, measured
from mmstudio.media.written import typed, written_kind

if TYPE_CHECKING:
    from python_calamine import CalamineWorkbook

MAX_CELLS = 25_000_000
"""The rectangle that a sheet may span: a million rows of 20 columns and more."""
MAX_ROWS, MAX_SHEET_COLUMNS = 1_048_576, 16_384
_KIND_ROWS = 1_000


def open_workbook(path: Path, sheet: str = "") -> Table:
    """A sheet, the first that is seen and not empty where none is named, as a table whose first row with cells is its
    header; rows and columns without cells are left out. Formulas count as their last result. Raises UnreadableMedia and
    MediaTooLarge.
    """
    check_workbook(path)
    sheet, sheets = _chosen(path, sheet)
    others = len(sheets) - 1
    rows = _rows(path, sheet)
    header = next(rows)
    used, first, count = {n for n, cell in enumerate(header) if cell is not None}, [], 0
    for row in rows:
        count += 1
        used.update(n for n, cell in enumerate(row) if cell is not None)
        if count <= _KIND_ROWS:
            first.append(row)
    places = sorted(used)
    names = unique_names(_title(header[n]) for n in places)
    kinds = [written_kind(row[n] for row in first) for n in places]
    columns = [*zip(names, places, kinds, strict=True)]

    def read(start: int) -> Reading:
        for row in itertools.islice(_rows(path, sheet), start + 1, None):
            yield {name: typed(row[n], kind) for name, n, kind in columns}

    note = f"Only the sheet “{sheet}” was read; the workbook has {others} more." if others else ""
    return Table(path.name, path, tuple(map(Column, names, kinds)), count, read, path.parent, note, sheet, sheets)


def _chosen(path: Path, sheet: str) -> tuple[str, tuple[str, ...]]:
    """The visible sheet of that name, or for "" the first with cells; and the names of all that are visible."""
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    with _workbook(path) as book:
        seen = [sheet.name for sheet in book.sheets_metadata
                if sheet.visible == SheetVisibleEnum.Visible and sheet.typ == SheetTypeEnum.WorkSheet]
        if sheet and sheet not in seen:
            raise UnreadableMedia(f"The workbook has no sheet “{sheet}”.", path=path,
                                  hint=f"It has: {', '.join(seen)}.")
        for name in [sheet] if sheet else seen:
            if book.get_sheet_by_name(name).end is not None:
                return name, tuple(seen)
    what = f"sheet “{sheet}”" if sheet else "workbook"
    raise UnreadableMedia(f"The {what} holds no cells.", path=path)


def _rows(path: Path, sheet: str) -> Generator[list[object], None, None]:
    """The rows of a sheet that hold something, all of the same width."""
    with _workbook(path) as book:
        for row in book.get_sheet_by_name(sheet).iter_rows():
            cells = [_cell(cell) for cell in row]
            if any(cell is not None for cell in cells):
                yield cells


@contextlib.contextmanager
def _workbook(path: Path) -> Iterator[CalamineWorkbook]:
    """The workbook, whose errors (and panics, which are no ``Exception``) become UnreadableMedia."""
    import python_calamine

    try:
        with python_calamine.load_workbook(path) as book:
            yield book
    except python_calamine.PasswordError as error:
        raise UnreadableMedia("The workbook is locked by a password.", path=path) from error
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise UnreadableMedia("The workbook is broken.", path=path) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise UnreadableMedia("The workbook is broken.", path=path) from error


def _cell(cell: object) -> object:
    """Whole numbers as int, durations in seconds, times of day as text, nothing as None."""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        return int(cell)
    if isinstance(cell, timedelta):
        return cell.total_seconds()
    if isinstance(cell, time):
        return cell.isoformat()
    return None if cell == "" else cell


def _title(cell: object) -> str:
    return "" if cell is None else str(cell)


def check_workbook(path: Path) -> None:
    """Raises UnreadableMedia or MediaTooLarge for a workbook that calamine should not be given."""
    tally = Tally(path.name, regular_size(path))
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len({entry.filename.lower() for entry in entries}) < len(entries):
                raise UnreadableMedia("The workbook holds two parts of the same name.", path=path)
            for entry in entries:
                with measured(archive.open(entry), entry.filename, entry.compress_size, tally) as part:
                    _check_part(part)
    except MediaError as error:
        error.path = str(path)
        raise
    except (*READ_ERRORS, expat.ExpatError) as error:
        raise UnreadableMedia("The workbook is broken or cut short.", path=path) from error


def _check_part(part: BinaryIO) -> None:
    """Read an XML part to its end. Pictures and other parts that are no XML are left alone."""
    piece = part.read(_CHUNK)
    if piece.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"<":
        return
    span = _Span()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = span.begin
    parser.StartDoctypeDeclHandler = _refuse_entities
    while piece:
        parser.Parse(piece, False)
        piece = part.read(_CHUNK)
    parser.Parse(b"", True)


def _refuse_entities(*_: object) -> None:
    raise UnreadableMedia("The workbook defines XML entities, as no spreadsheet does.")


class _Span:
    """How far the cells of a sheet reach: rows and columns from 1, cells without a value left out."""

    def __init__(self) -> None:
        self.row = self.column = self.rows = self.columns = 0

    def begin(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(" ")[2]
        if local == "row":
            self.row, self.column = _number(attributes.get("r"), self.row + 1), 0
        elif local == "c":
            self._cell(attributes.get("r"))
        elif local in ("v", "is"):
            self.rows, self.columns = max(self.rows, self.row), max(self.columns, self.column)
            if self.rows > MAX_ROWS or self.columns > MAX_SHEET_COLUMNS:
                raise UnreadableMedia("A cell of the workbook lies outside of its sheet.")
            if self.rows * self.columns > MAX_CELLS:
                raise MediaTooLarge(f"A sheet spans {self.rows:,} rows and {self.columns:,} columns.",
                                    hint=f"At most {MAX_CELLS:,} cells are read; save the table as CSV.")

    def _cell(self, reference: str | None) -> None:
        if reference is None:
            self.column += 1
            return
        found = _REFERENCE.fullmatch(reference)
        if not found:
            raise UnreadableMedia("A cell of the workbook lies outside of its sheet.")
        self.column = 0
        for letter in found[1].upper():
            self.column = 26 * self.column + ord(letter) - 64
        self.row = int(found[2])


_REFERENCE = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})")
_CHUNK = 1 << 16


def _number(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    if not re.fullmatch("[1-9][0-9]{0,6}", text):
        raise UnreadableMedia("A row of the workbook lies outside of its sheet.")
    return int(text)
