"""What a run learns from: vectors of each modality, targets and parts, as plain arrays in the run's folder."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.errors import TrainingError
from mmstudio.media import MediaRef

TRAIN, VALIDATION, TEST = 0, 1, 2
"""Parts of the examples."""
_ARRAYS = ("keys", "vectors", "present", "targets", "parts")
Readable = tuple[tuple[int, MediaRef], ...]
"""What one example is made of: each medium with the place of its modality."""


@dataclass(frozen=True)
class Examples:
    """``n`` examples of ``m`` modalities in the order of the job's.

    ``keys (n,)`` int64 name an item, or a sample negated; ``vectors (n, m, dim)`` float32, zero where ``present (n,
    m)`` bool is not, and behind the end of those that are narrower (see ``TrainingJob.widths``); ``targets`` are
    ``(n,)`` int64 classes, ``(n, classes)`` float32 of 0 and 1, ``(n,)`` float32 amounts, ``(n, t)`` int64 places in
    ``words`` of a caption (0 behind its end), or ``(n,)`` zeros where nothing is told apart; ``parts (n,)`` int8 as in
    ``splits``. ``note`` says what was left out. Where media are learned from, ``media`` has those of each example;
    ``anchors (classes, dim)`` are the vectors of the classes' names.
    """

    keys: NDArray[np.int64]
    vectors: NDArray[np.float32]
    present: NDArray[np.bool_]
    targets: NDArray[np.generic]
    parts: NDArray[np.int8]
    note: str = field(default="", compare=False)
    words: tuple[str, ...] = ()
    media: tuple[Readable, ...] = field(default=(), repr=False)
    anchors: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, part: int) -> NDArray[np.int64]:
        """``(k,)`` rows of one part, ascending."""
        return np.flatnonzero(self.parts == part)

    def fingerprint(self) -> str:
        """BLAKE2b of all arrays, 40 hexadecimal digits: the same for the same data."""
        made = hashlib.blake2b(digest_size=20)
        for name in _ARRAYS:
            array = np.ascontiguousarray(getattr(self, name))
            made.update(f"{name} {array.dtype.str} {array.shape}".encode())
            made.update(array.data)
        for more in (self.words, [[(m, ref.part, ref.text) for m, ref in media] for media in self.media]):
            if more:
                made.update(repr(more).encode(errors="surrogateescape"))
        return made.hexdigest()

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` file an array, the list of them last. Raises TrainingError."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in _ARRAYS:
                np.save(folder / f"{name}.npy", np.ascontiguousarray(getattr(self, name)), allow_pickle=False)
            if self.anchors is not None:
                np.save(folder / "anchors.npy", self.anchors, allow_pickle=False)
            if self.media:
                paths.write_atomically(folder / "media.json", json.dumps(
                    [[(m, os.fspath(ref.path), ref.modality, ref.part, ref.text) for m, ref in media]
                     for media in self.media]).encode())
            told = {"note": self.note, "fingerprint": self.fingerprint(), "words": self.words}
            paths.write_atomically(folder / "examples.json", json.dumps(told).encode())
        except OSError as error:
            raise TrainingError(f"The examples could not be written ({error.strerror}).", path=folder,
                                hint="Free some space.") from error

    @classmethod
    def load(cls, folder: Path) -> Examples:
        """Map what ``save`` wrote. Raises TrainingError where it is not whole."""
        try:
            told = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS}
            anchors, media = folder / "anchors.npy", folder / "media.json"
            made = cls(**arrays, note=told["note"], words=tuple(told.get("words", ())),
                       anchors=np.load(anchors, allow_pickle=False) if anchors.is_file() else None,
                       media=_media(media) if media.is_file() else ())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"The run's examples cannot be read ({error}).", path=folder) from error
        n, m = made.present.shape if made.present.ndim == 2 else (-1, -1)
        if made.vectors.shape[:2] != (n, m) or any(len(array) != n for array in arrays.values()) or (
                made.media and len(made.media) != n):
            raise TrainingError("The run's examples do not fit together.", path=folder)
        return made


def _media(file: Path) -> tuple[Readable, ...]:
    told = json.loads(file.read_text(encoding="utf-8"))
    return tuple(tuple((m, MediaRef(Path(path), modality, part, text)) for m, path, modality, part, text in one)
                 for one in told)
