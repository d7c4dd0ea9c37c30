"""Vectors by content and encoder: what was encoded once is never encoded again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import ProjectError
from mmstudio.library.kept_vectors import KeptVectors
from mmstudio.library.vector_keys import content_keys


@dataclass(frozen=True)
class SpaceKey:
    """Vectors compare only where all of these are equal."""

    space: str
    revision: str
    preprocessing: str
    dim: int

    @property
    def digest(self) -> str:
        """A name for files."""
        return hashlib.blake2b(json.dumps(astuple(self)).encode(), digest_size=8).hexdigest()


class VectorCache:
    """A project's vectors keyed by (content hash, space, model revision, preprocessing): a table for each space.

    Vectors can be made again: what cannot be read is set aside, and ``note`` says so. ``half``: a space that is new
    here is kept as float16; whatever is read is float32.
    """

    def __init__(self, folder: Path, read_only: bool = False, half: bool = False) -> None:
        self._folder, self._read_only, self._half = folder, read_only, half
        self._spaces: dict[SpaceKey, KeptVectors] = {}
        self.note = ""

    def put(self, key: SpaceKey, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep ``(content_hash, (dim,) float32)`` pairs in one commit; those that are known stay as they are."""
        pairs = dict(vectors)
        if pairs:
            self._space(key).add(list(pairs), np.stack(list(pairs.values())).astype("<f4", copy=False))

    def get(self, key: SpaceKey, content_hashes: Iterable[str]) -> dict[str, NDArray[np.float32]]:
        """The vectors that are known among ``content_hashes``, as slices of the mapped file."""
        contents = list(content_hashes)
        rows, matrix = self.rows(key, content_keys(contents)), self.matrix(key)
        return {contents[at]: matrix[rows[at]] for at in np.flatnonzero(rows >= 0)}

    def rows(self, key: SpaceKey, keys: NDArray[np.uint8]) -> NDArray[np.intp]:
        """The rows of ``matrix`` that hold the contents of ``keys (m, 20)``, -1 where there is none."""
        return self._space(key).rows(keys)

    def matrix(self, key: SpaceKey) -> NDArray[np.float32]:
        """All vectors of a space, ``(n, dim)`` in the order of adding, mapped from the disk."""
        return self._space(key).matrix

    def own_matrix(self, key: SpaceKey) -> NDArray[np.float32]:
        """The same for the caller alone, who may write into it; only what is written takes memory."""
        return self._space(key).own_matrix()

    def known(self, key: SpaceKey) -> set[str]:
        """All contents that have a vector in this space, by the 40 digits of their hash."""
        return {row.tobytes().hex() for row in self._space(key).contents()}

    def spaces(self) -> list[SpaceKey]:
        """All spaces that have vectors here."""
        found = []
        for file in sorted((self._folder / "mirror").glob("vectors-*.json")):
            with suppress(OSError, ValueError, KeyError, TypeError, ZeroDivisionError):  # made again when it is needed
                told = json.loads(file.read_text(encoding="utf-8"))
                dim = told.get("dim") or file.with_suffix(".f32").stat().st_size // 4 // told["rows"]
                key = SpaceKey(told["space"], told["revision"], told["preprocessing"], dim)
                found += [key] if file.stem == f"vectors-{key.digest}" else []
        return found

    def compact(self) -> None:
        """Make the tables small and quick again; nothing in them changes."""
        for space in self._spaces.values():
            space.compact()

    def close(self) -> None:
        for space in self._spaces.values():
            space.close()

    def _space(self, key: SpaceKey) -> KeptVectors:
        found = self._spaces.get(key)
        if found is None:
            name, about = f"vectors-{key.digest}", {"space": key.space, "revision": key.revision,
                                                    "preprocessing": key.preprocessing}
            try:
                found = KeptVectors(self._folder, name, key.dim, about, self._read_only, self._half)
            except ProjectError as error:
                if self._read_only or isinstance(error.__cause__, OSError):
                    raise
                self._set_aside(name)
                found = KeptVectors(self._folder, name, key.dim, about, self._read_only, self._half)
            self.note = self.note or found.note
            self._spaces[key] = found
        return found

    def _set_aside(self, name: str) -> None:
        """Damaged vectors must not keep a project closed."""
        for file in (self._folder / "mirror").glob(f"{name}*"):
            with suppress(OSError):
                file.unlink()
        table = self._folder / "tables" / f"{name}.lance"
        if table.exists():
            table.rename(table.with_suffix(f".damaged-{time.time_ns():x}"))
        self.note = "The vectors of one model were damaged and are made again."
