"""Dates that a person wrote, as a computer reckons with them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

_WRITTEN = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?(?:Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)


def moment(text: str) -> float | None:
    """Seconds since 1970 of a date in ISO 8601's extended form (2024-05-01), with a time (2024-05-01T14:30:00+02:00) or
    without, which is midnight. Without a zone it is local time, as the filter bar's dates are. Else None.
    """
    if not _WRITTEN.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):  # no such day, or one that the platform's calendar does not have
        return None


def moments(texts: Sequence[str]) -> NDArray[np.float64] | None:
    """The same of all ``(n,)``, or None where one is no date. Each different text is read once."""
    known: dict[str, float] = {}
    for text in texts:
        if text not in known:
            found = moment(text)
            if found is None:
                return None
            known[text] = found
    return np.array([known[text] for text in texts])
