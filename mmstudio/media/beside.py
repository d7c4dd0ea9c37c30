"""What the files of one adding say of each other: captions beside their media, folders that are classes."""

from __future__ import annotations

import math
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from mmstudio.errors import MediaError
from mmstudio.media.cells import Cells
from mmstudio.media.choice import EVERYTHING, Choice
from mmstudio.media.describe import Described, Description, describe, text_hash
from mmstudio.media.limits import Limits
from mmstudio.media.sidecars import SIDECAR_SUFFIXES, caption_of, folder_labels
from mmstudio.media.sniff import Kind, sniff
from mmstudio.media.text import split

MOST_COLUMNS = 64
CAPTION = "caption"
"""The part of a media file that its caption is."""
_STANDING_BESIDE = frozenset({".md", ".txt", ".csv", ".tsv", ".json", ".jsonl", ".html", ".pdf", ".yaml", ".yml"})
"""A folder of classes may hold files of these about them."""


@dataclass(frozen=True)
class Beside:
    """``stems`` are the files, by their name without its end, beside which a sidecar stands; ``labels`` what folders
    say of a file: ``label`` and ``split``.
    """

    stems: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    labels: Mapping[Path, Cells] = field(default_factory=dict)

    @classmethod
    def of(cls, files: Sequence[Path], named: Iterable[Path], captions: bool = True, labels: bool = True) -> Beside:
        """For all files of an adding, of which the person named some, or the folders that hold them."""
        named = [Path(os.path.abspath(path)) for path in named]
        inside: dict[Path, list[Path]] = {folder: [] for folder in named if folder.is_dir()}
        for file in files if labels and inside else ():
            folder = next((parent for parent in file.parents if parent in inside), None)
            if folder and not (file.parent == folder and file.suffix.lower() in _STANDING_BESIDE):
                inside[folder].append(file)
        told: dict[Path, Cells] = {}
        for folder, some in inside.items():
            told |= folder_labels(some, folder)
        return cls(_stems(files, set(named)) if captions else {}, told)

    def is_sidecar(self, path: Path) -> bool:
        """Whether the file is a caption of another one of this adding."""
        return path.suffix in SIDECAR_SUFFIXES and any(
            other != path and _is_media(other) for other in self.stems.get(_stem(path), ()))

    def told(self, path: Path) -> Cells:
        """What a sidecar and the folders say of the file; the sidecar knows better."""
        caption = caption_of(path) if _stem(path) in self.stems else None
        return {**self.labels.get(path, {}), **(caption or {})}


def described(path: Path, limits: Limits, known: Container[str], beside: Beside,
              choice: Choice = EVERYTHING) -> Described:
    """A file's items with what stands beside it: tags, columns, and its caption as a text. A sidecar has no items of
    its own, and none has a file of a kind that was not chosen. Raises MediaError like ``describe``.
    """
    if beside.is_sidecar(path) or not choice.of_kind(path):
        return Described([])
    found = describe(path, limits, known)
    told = beside.told(path)
    if not told:
        return found
    is_media = any(item.modality != "text" for item in found.items)
    text = str(told.pop("text", "") or "") if is_media else ""
    tags = _tags(told.pop("label", None), told.pop("tags", None))
    columns = dict(islice(((name, kept) for name, value in told.items()
                           if name.strip() and name != "text" and (kept := _kept(value)) is not None), MOST_COLUMNS))
    items = [replace(item, tags=tags, columns=columns) for item in found.items]
    passages = list(split(text, limits.passage_characters))
    items += [Description(path, "text", text_hash(passage), f"{CAPTION} {i}" if len(passages) > 1 else CAPTION, passage,
                          tags=tags, columns=columns) for i, passage in enumerate(passages, 1)]
    return Described(items, found.note)


def _kept(value: object) -> str | float | None:
    """A cell as a column keeps it: no number that is none, and none too large to be one."""
    if isinstance(value, str):
        return value
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _tags(label: object, tags: object) -> tuple[str, ...]:
    told = [label, *(tags if isinstance(tags, list) else ())]
    return tuple(dict.fromkeys(tag.strip() for tag in told if isinstance(tag, str) and tag.strip()))


def _stem(path: Path) -> str:
    return os.path.splitext(path)[0]


def _stems(files: Sequence[Path], named: set[Path]) -> dict[str, tuple[Path, ...]]:
    """Files by stem where a sidecar is among them; beside what was named outright, the disk is asked."""
    asked = {_stem(path) for path in named if path.name and any(
        os.path.exists(path.with_suffix(s)) for s in SIDECAR_SUFFIXES)}
    wanted = asked | {_stem(file) for file in files if file.suffix in SIDECAR_SUFFIXES}
    found: dict[str, list[Path]] = {}
    for file in files:
        if (stem := _stem(file)) in wanted:
            found.setdefault(stem, []).append(file)
    return {stem: tuple(paths) for stem, paths in found.items() if len(paths) > 1 or stem in asked}


def _is_media(path: Path) -> bool:
    try:
        return sniff(path) in (Kind.IMAGE, Kind.AUDIO, Kind.VIDEO)
    except MediaError:
        return False
