"""What stands beside a file: its caption in a text or JSON file of the same name, its class in its folder's name."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path

from mmstudio.errors import MediaError
from mmstudio.media.cells import Cells, flat, storable
from mmstudio.media.scan import printable
from mmstudio.media.sniff import looks_like_text, read_head, regular_size
from mmstudio.media.text import decode

SIDECAR_SUFFIXES = (".txt", ".caption", ".json")
"""The later one counts where two say the same."""
SIDECAR_BYTES = 1_000_000
SPLIT_FOLDERS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"})
_NAMES = {"caption": "text", "text": "text", "label": "label", "tags": "tags"}


def caption_of(path: Path) -> Cells | None:
    """What ``x.txt`` and ``x.json`` say of ``x.jpg``: ``text`` and ``label`` (str), ``tags`` (list of str), and every
    other single value under its own, dotted name, ``boxes`` as JSON. None without a sidecar of at most 1 MB that can
    be read.
    """
    found: Cells = {}
    for suffix in SIDECAR_SUFFIXES:
        beside = path.with_suffix(suffix)
        if beside == path:
            continue
        try:
            if regular_size(beside) <= SIDECAR_BYTES:
                found |= caption_in(read_head(beside, SIDECAR_BYTES), suffix)
        except MediaError:
            continue
    return found or None


def siblings(paths: Collection[Path]) -> list[Path]:
    """The files of the same names with other endings that lie beside these, sorted."""
    stems: dict[Path, set[str]] = {}
    for path in paths:
        stems.setdefault(path.parent, set()).add(path.stem)
    found: list[Path] = []
    for folder, names in stems.items():
        with suppress(OSError):
            found += (folder / name for name in os.listdir(folder) if os.path.splitext(name)[0] in names)
    return sorted(set(found) - set(paths))


def caption_in(content: bytes, suffix: str) -> Cells:
    """What the content of a sidecar with that suffix says, nothing where it is too long or cannot be read."""
    if len(content) > SIDECAR_BYTES:
        return {}
    if suffix != ".json":
        text = storable(decode(content)).strip() if looks_like_text(content) else ""
        return {"text": text} if text else {}
    try:
        described = json.loads(decode(content))
    except (ValueError, RecursionError):
        return {}
    return _named(flat(described)) if isinstance(described, dict) else {}


def _named(described: Cells) -> Cells:
    """The values by what they mean. Where both a caption and a text are told, the caption is the text."""
    made: Cells = {}
    for given, value in described.items():
        name = _NAMES.get(given.lower(), given)
        if name == "text" and "text" in made and given.lower() != "caption":
            name = given if given != "text" else "text 2"
        if name == "tags":
            words = value if isinstance(value, list) else str(value or "").split(",")
            made[name] = [storable(word).strip() for word in words if isinstance(word, str) and word.strip()]
        elif isinstance(value, str):
            made[name] = storable(value)
        elif isinstance(value, (int, float)):
            made[name] = str(value) if name in ("text", "label") else value
        elif isinstance(value, list) and name.lower() == "boxes":
            made[name] = json.dumps(value, ensure_ascii=False)
        elif isinstance(value, list) and name == "text":
            made[name] = storable("\n".join(line for line in value if isinstance(line, str)))
    return made


def folders_say(folders: tuple[str, ...]) -> Cells:
    """What the folders of a file in an archive tell: the ``split`` where the first is named so, and the ``folder``."""
    made: Cells = {}
    if folders and folders[0].lower() in SPLIT_FOLDERS:
        made["split"], folders = printable(folders[0]), folders[1:]
    return made | {"folder": printable("/".join(folders))} if folders else made


def folder_labels(files: Sequence[Path], root: Path) -> dict[Path, Cells]:
    """What folders say of each file where they are classes: the ``label`` where all files lie at
    ``root/<class>/<file>``, in two folders or more, and the ``split`` too where all lie at
    ``root/<split>/<class>/<file>`` and the first are named like splits (train, test ...). Otherwise nothing.
    """
    told: dict[Path, Cells] = {}
    depths = set()
    for file in files:
        try:
            folders = file.relative_to(root).parts[:-1]
        except ValueError:
            return {}
        depths.add(len(folders))
        if len(depths) > 1 or len(folders) not in (1, 2):
            return {}
        told[file] = dict(zip(("label", "split"), map(printable, reversed(folders)), strict=False))
    labels, splits = ({str(cells[name]) for cells in told.values() if name in cells} for name in ("label", "split"))
    if len(labels) < 2 or all(map(_is_split, labels)) or not all(map(_is_split, splits)):
        return {}
    return told


def _is_split(name: str) -> bool:
    return name.lower() in SPLIT_FOLDERS
