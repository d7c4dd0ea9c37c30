"""Numbers and dates that are written as text in a table's cells."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime

from mmstudio.media.cells import ColumnKind, column_kind

_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d{0,17}|(?:0|[1-9]\d*)?\.\d+|(?:0|[1-9]\d*)\.)(?:[eE][+-]?\d{1,3})?")
_COMMA_NUMBER = re.compile(r"[+-]?(?:0|[1-9]\d*),\d+")
_ISO = re.compile(r"\d{4}([-/])\d\d\1\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?: (\d\d):(\d\d)(?::(\d\d))?)?")
_MISSING = frozenset({"na", "n/a", "nan", "null", "none", "-", "#n/a"})
_LONGEST = 40


def number_of(text: str, comma: bool = False) -> int | float | None:
    """The number that a text is, None where it is none. ``007`` and digits by the dozen are names, not numbers.

    ``comma`` also takes ``1,5``: for tables whose cells are not separated by commas.
    """
    if len(text) > _LONGEST:
        return None
    text = text.strip()
    if _NUMBER.fullmatch(text):
        whole = text.lstrip("+-").isdigit()
        return int(text) if whole else float(text)
    if comma and _COMMA_NUMBER.fullmatch(text):
        return float(text.replace(",", "."))
    return None


def date_of(text: str) -> date | None:
    """The day, or the day and time, that a text is: ``2024-05-31``, ``2024/05/31 12:30``, ISO 8601, ``31.5.2024``.

    ``05/06/2024`` is none, because nobody can tell which is the month.
    """
    if len(text) > _LONGEST:
        return None
    text = text.strip()
    try:
        if _ISO.fullmatch(text):
            plain = text.replace("/", "-")
            return date.fromisoformat(plain) if len(plain) == 10 else datetime.fromisoformat(plain)
        if found := _DOTTED.fullmatch(text):
            day, month, year, hour, minute, second = (int(part) if part else 0 for part in found.groups())
            return datetime(year, month, day, hour, minute, second) if found[4] else date(year, month, day)
    except ValueError:
        pass
    return None


def written_kind(cells: Iterable[object], numbers: bool = False, comma: bool = False) -> ColumnKind:
    """``column_kind``, where all texts of a column may be written dates, and ``numbers`` too."""
    found = [cell for cell in cells if cell is not None and cell != ""]
    texts = [cell for cell in found if isinstance(cell, str) and cell.lower() not in _MISSING]
    if texts and all(isinstance(cell, str) for cell in found):
        if numbers and all(number_of(text, comma) is not None for text in texts):
            return "number"
        if all(date_of(text) for text in texts):
            return "date"
    return column_kind(found)


def typed(cell: object, kind: ColumnKind, comma: bool = False) -> object:
    """A text of a number or date column as such; what is not one stays, and "NA" and the like become None."""
    if not isinstance(cell, str) or kind not in ("number", "date"):
        return cell
    if cell.lower() in _MISSING:
        return None
    made = number_of(cell, comma) if kind == "number" else date_of(cell)
    return cell if made is None else made
