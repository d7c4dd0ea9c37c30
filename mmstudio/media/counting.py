"""How many files of a folder a choice takes, counted without reading more of them than their first bytes."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from mmstudio.errors import MediaError
from mmstudio.media.beside import Beside
from mmstudio.media.choice import Choice
from mmstudio.media.many_tables import tables_among
from mmstudio.media.scan import scan
from mmstudio.media.sniff import Kind, sniff
from mmstudio.progress import Progress, Work

_FOUND_AT_ONCE, _READ_AT_ONCE = 500, 50


@dataclass
class Count:
    """Files by kind, those that are captions of others, tables, and files that are of no kind or cannot be read."""

    kinds: Counter[Kind] = field(default_factory=Counter)
    captions: int = 0
    tables: int = 0
    others: int = 0


def counting(folder: Path, choice: Choice, captions: bool = True) -> Work[Count]:
    """Count what adding this folder would read; each step tells the ``Count`` so far in ``fresh``. With ``captions``, a
    text beside a picture of the same name is its caption.
    """
    from mmstudio.media.tables import TABLE_SUFFIXES  # here, for the window paints before it is loaded

    top, files, tables, count = Path(os.path.abspath(folder)), list[Path](), list[Path](), Count()
    for found in scan([top]):
        if found.error or not choice.reaches(found.path, {top}):
            continue
        if found.path.suffix.lower() in TABLE_SUFFIXES:
            tables.append(found.path)
        else:
            files.append(found.path)
        if (len(files) + len(tables)) % _FOUND_AT_ONCE == 0:
            yield Progress(0, 0, f"{len(files) + len(tables):,} files found")
    count.tables = len(tables_among(tables, {top}, choice))
    beside = Beside.of(files, [top], captions=captions, labels=False)
    for done, path in enumerate(files, 1):
        if beside.is_sidecar(path):
            count.captions += 1
        elif choice.matches(path):
            _note(path, choice, count)
        if done % _READ_AT_ONCE == 0:
            yield Progress(done, len(files), "", count)
    return count


def _note(path: Path, choice: Choice, count: Count) -> None:
    try:
        kind = sniff(path)
    except MediaError:
        count.others += not choice.kinds
        return
    if not choice.kinds or kind in choice.kinds:
        count.kinds[kind] += 1
