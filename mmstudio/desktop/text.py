"""Words and numbers as a person reads them."""

from __future__ import annotations

import html
import math

from PySide6.QtCore import QCoreApplication


def tr(text: str) -> str:
    """The text in the person's language."""
    return QCoreApplication.translate("mmstudio", text)


def count(number: int) -> str:
    """1,234"""
    return f"{number:,}"


def duration(seconds: float) -> str:
    """“8 s”, “2 min 5 s”, “1 h 3 min”."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(seconds: float) -> str:
    """“0:03.4”"""
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def megabytes(size: float) -> str:
    """“412 MB” or “2.1 GB”."""
    return f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"


def plain_tip(text: str) -> str:
    """A tool tip that shows a text of files as it is, line by line, whatever marks are in it."""
    return f"<qt>{'<br>'.join(map(html.escape, text.splitlines()))}</qt>"


MODALITY_NAMES = {"image": "Pictures", "audio": "Sounds", "text": "Texts", "sample": "Samples"}


COLUMN_TITLES = {"modality": "Modality", "tag": "Tags", "added": "Time added", "width": "Width (pixels)",
                 "height": "Height (pixels)", "rate": "Rate (Hz)", "duration": "Duration (s)",
                 "seconds": "Begins at (s)", "characters": "Length (characters)", "score": "Search score"}
"""What the filter's own columns are called."""


def modality_name(modality: str) -> str:
    """The plural name of a modality."""
    return tr(MODALITY_NAMES[modality])


def column_value(text: str) -> str | float | None:
    """What was typed, as a number where it is one; None where it is nothing."""
    text = text.strip()
    try:
        number = float(text)
        return number if math.isfinite(number) else text
    except ValueError:
        return text or None
