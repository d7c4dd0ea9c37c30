"""The formats a selection can be exported to, and the one way to do it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mmstudio.exports.by_tag import write_media
from mmstudio.exports.hf_dataset import write_dataset
from mmstudio.exports.projector import write_projector
from mmstudio.exports.rows import Exported, Outcome, Selection
from mmstudio.exports.tables import write_csv, write_jsonl, write_npz, write_parquet
from mmstudio.exports.target import ExportError, checked, swapped
from mmstudio.library import Item
from mmstudio.media import Limits
from mmstudio.media.scan import printable
from mmstudio.progress import Progress, Work

FOLDER = "folder"


@dataclass(frozen=True)
class Kind:
    """One format: its id, its title, the ending of its file or ``FOLDER``, and what it holds in one sentence."""

    id: str
    title: str
    suffix: str
    holds: str
    write: Callable[[Selection, Path], Work[int]] = field(repr=False)

    @property
    def is_folder(self) -> bool:
        return self.suffix == FOLDER


KINDS: dict[str, Kind] = {kind.id: kind for kind in (
    Kind("parquet", "Parquet table", ".parquet",
         "One row per item with text, tags, facts, columns, place and vector, for pandas, Polars and DuckDB.",
         write_parquet),
    Kind("csv", "CSV table", ".csv",
         "One row per item for a spreadsheet, without the vectors; texts that look like formulas begin with '.",
         write_csv),
    Kind("jsonl", "JSON lines", ".jsonl",
         "One JSON object per item and line, with its vector as a list of numbers.", write_jsonl),
    Kind("npz", "NumPy arrays", ".npz",
         "Arrays of ids, paths, texts, tags, vectors and places for numpy.load, nothing pickled.", write_npz),
    Kind("datasets", "Hugging Face dataset", FOLDER,
         "A folder for datasets.load_from_disk, with the pictures and sounds themselves in it.", write_dataset),
    Kind("projector", "Embedding Projector", FOLDER,
         "A folder for TensorBoard's Embedding Projector: vectors, names and thumbnails.", write_projector),
    Kind("media", "Media by tag", FOLDER,
         "Copies of the pictures, sounds and texts, in one folder for each tag.", write_media),
)}


def kind_of(target: Path) -> Kind:
    """The kind that the target's ending names; raises ExportError where it names none."""
    found = next((kind for kind in KINDS.values() if kind.suffix == target.suffix.lower()), None)
    if found is None:
        endings = ", ".join(kind.suffix for kind in KINDS.values() if not kind.is_folder)
        raise ExportError(f"“{printable(target.name)}” does not say which format it is.", path=target,
                          hint=f"Name a format, or let it end in one of {endings}.")
    return found


def export(
    rows: Iterable[Exported], target: Path, kind: Kind | None, space: str, preview: Callable[[Item], bytes],
    limits: Limits | None = None,
) -> Work[Outcome]:
    """Write a selection as ``kind``, or as what the target's ending says where ``kind`` is None.

    ``space`` names the space of the vectors, all of one length; ``preview`` gives a picture's JPEG or nothing. A file
    is replaced, a folder has to be new or empty. Everything is written beside the target and takes its place at the
    end: closing the work, and any error, leaves the target as it was. Raises ExportError.
    """
    kind = kind or kind_of(target)
    selection = Selection.of(rows, space, preview, limits or Limits())
    target = checked(target, ExportError, folder=kind.is_folder)
    yield Progress(0, len(selection.rows))
    with swapped(target, ExportError, folder=kind.is_folder) as beside:
        count = yield from kind.write(selection, beside)
    return Outcome(target, count, tuple(selection.problems))
