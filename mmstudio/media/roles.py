"""What each column of a table is for: guessed from its name, its kind and its first cells, for a person to change."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from mmstudio.errors import MediaError
from mmstudio.media.blobs import Blob, kind_of, named_kind
from mmstudio.media.cells import CATEGORY_CHARACTERS, Cells, Column, ColumnKind, Table, file_of
from mmstudio.media.sniff import Kind, sniff

Role = Literal["image", "audio", "text", "label", "split", "column", "ignore"]
ROLES: tuple[Role, ...] = get_args(Role)
MEDIA_ROLES: tuple[Role, ...] = ("image", "audio", "text")
By = Literal["value", "path", "bytes"]


@dataclass(frozen=True)
class Mapping:
    """What a column becomes. ``by`` tells where its media are: in files that the cells name, in bytes in the cells, or
    for texts in the cells themselves. A film has the role "image". ``kind`` is what a free column holds: "text",
    "number", "category" or "date".
    """

    role: Role
    by: By = "value"
    kind: ColumnKind = "text"


IGNORED = Mapping("ignore")
_TEXTS = frozenset({
    "alt", "alt_text", "answer", "beschreibung", "caption", "captions", "comment", "content", "description",
    "lyrics", "prompt", "question", "review", "sentence", "sentences", "summary", "text", "texts", "title",
    "titel", "transcript", "transcription", "txt", "utterance",
})
_LABELS = frozenset({
    "category", "class", "class_label", "class_name", "cls", "coarse_label", "emotion", "fine_label", "genre",
    "kategorie", "klasse", "label", "labels", "species", "target",
})
_SPLITS = frozenset({"split", "splits", "subset", "fold", "partition"})
_FOLDERS = frozenset({"folder"})
_LOOKED_AT = 20
_SNIFFED = 3
_ROLE_OF: dict[Kind, Role] = {Kind.IMAGE: "image", Kind.VIDEO: "image", Kind.AUDIO: "audio", Kind.TEXT: "text"}


def guess_roles(table: Table, preview: Sequence[Cells]) -> dict[str, Mapping]:
    """A mapping for every column. One column at most is the label and one the split; the rest stay free columns. Names
    of media files that are not there count only where there is no other picture or sound.
    """
    cells = {column.name: [row.get(column.name) for row in preview[:_LOOKED_AT]] for column in table.columns}
    roles = {column.name: _guess(column, cells[column.name], table.folder) for column in table.columns}
    if not any(mapping.role in ("image", "audio") for mapping in roles.values()):
        roles |= {name: promised for name in roles if (promised := _promise(list(_singles(cells[name])), table.folder))}
    ranks = {column.name: _label_rank(column, cells[column.name]) for column in table.columns
             if roles[column.name].role == "column"}
    best = min(ranks.values(), default=_NO_LABEL)
    if best < _NO_LABEL:
        name = next(name for name, rank in ranks.items() if rank == best)
        roles[name] = Mapping("label", kind="category")
    for name in [name for name, mapping in roles.items() if mapping.role == "split"][1:]:
        roles[name] = Mapping("column", kind="category")
    return roles


def in_role(guess: Mapping, role: Role, cells: Iterable[object]) -> Mapping:
    """The mapping of a column that a person gives another role; where its media lie follows from its first cells."""
    if role == guess.role:
        return guess
    by: By = "bytes" if any(isinstance(cell, Blob) for cell in _singles(list(cells))) else (
        "path" if role in ("image", "audio") else "value")
    return replace(guess, role=role, by=by)


def _guess(column: Column, cells: Sequence[object], folder: Path | None) -> Mapping:
    found = [cell for cell in _singles(cells) if cell is not None and cell != ""]
    texts = [cell for cell in found if isinstance(cell, str)]
    blobs = [cell for cell in found if isinstance(cell, Blob)]
    if blobs or column.kind in ("image", "audio", "bytes"):
        return _bytes_role(column, blobs) if blobs or not texts else _path_role(texts, folder) or IGNORED
    if not found:
        return IGNORED
    if texts and (by_path := _path_role(texts, folder)):
        return by_path
    name = plain_name(column.name)
    if name in _SPLITS:
        return Mapping("split", kind="category")
    if len(texts) * 2 > len(found) and name not in _LABELS and not all(map(_is_address, texts)) and (
            name in _TEXTS or (column.kind == "text" and _is_prose(texts))):
        return Mapping("text")
    if column.kind == "list" and not texts:
        return IGNORED
    kind = column.kind if column.kind in ("number", "category", "date") else "text"
    return Mapping("column", kind=kind)


def _singles(cells: Sequence[object]) -> Iterator[object]:
    """The cells, and of lists what is in them."""
    for cell in cells:
        yield from cell[:_LOOKED_AT] if isinstance(cell, list) else (cell,)


def plain_name(name: str) -> str:
    """The last part of a dotted name, small, with underscores."""
    return name.rpartition(".")[2].strip().lower().replace(" ", "_").replace("-", "_")


def _bytes_role(column: Column, blobs: Sequence[Blob]) -> Mapping:
    kinds = [kind for kind in map(kind_of, blobs[:_SNIFFED]) if kind]
    if kinds:
        return Mapping(_ROLE_OF[kinds[0]], "bytes")
    return Mapping(column.kind, "bytes") if column.kind in ("image", "audio") else IGNORED


def _path_role(texts: Sequence[str], folder: Path | None) -> Mapping | None:
    """The role of a column whose cells, half of them or more, name files of a known kind."""
    files = [file for text in texts if folder and (file := file_of(folder, text))]
    if not files or len(files) * 2 < len(texts):
        return None
    kinds = list(itertools.islice(_kinds(files), _SNIFFED))
    return Mapping(_ROLE_OF[kinds[0]], "path") if kinds else None


def _promise(cells: Sequence[object], folder: Path | None) -> Mapping | None:
    """The role of a column whose cells all end as media files of one kind do."""
    texts = [cell for cell in cells if isinstance(cell, str) and cell]
    promised = {None if _is_address(text) or " " in text[-6:] else named_kind(text) for text in texts}
    kind = promised.pop() if len(promised) == 1 else None
    return None if kind in (None, Kind.TEXT) else Mapping(_ROLE_OF[kind], "path" if folder else "bytes")


def _kinds(files: Sequence[Path]) -> Iterator[Kind]:
    for file in files:
        try:
            yield sniff(file)
        except MediaError:
            continue


def _is_address(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def _is_prose(texts: Sequence[str]) -> bool:
    """Three words on average, or as many letters where words are not separated."""
    words = sum(len(text.split()) + sum(c > "\u2e7f" for c in text) / 2 for text in texts)
    return words >= 3 * len(texts)


_NO_LABEL = 9


def _label_rank(column: Column, cells: Sequence[object]) -> int:
    """How likely a free column is the label: 0 most, ``_NO_LABEL`` not at all."""
    found = [cell for cell in _singles(cells) if cell is not None and cell != ""]
    words = len({str(cell) for cell in found})
    short = all(isinstance(cell, (str, int)) and len(str(cell)) <= CATEGORY_CHARACTERS for cell in found)
    if column.class_names:
        return 0
    if not found or not short:
        return _NO_LABEL
    if plain_name(column.name) in _LABELS:
        return 1
    if words >= 2 and plain_name(column.name) in _FOLDERS:
        return 2
    return 3 if column.kind == "category" and words >= 2 and isinstance(found[0], str) else _NO_LABEL
