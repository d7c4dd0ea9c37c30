"""Contents as twenty bytes each, to look up a million of them at once."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

KEY_BYTES = 20
_HASH = re.compile(r"[0-9a-f]{40}")


def content_keys(contents: Sequence[str]) -> NDArray[np.uint8]:
    """``(m, 20)``: the bytes that a hash's forty digits stand for; any other text is hashed."""
    if contents and all(len(content) == 2 * KEY_BYTES for content in contents):
        joined = "".join(contents)
        try:
            raw = bytes.fromhex(joined)
        except ValueError:
            raw = b""
        if raw.hex() == joined:
            return np.frombuffer(raw, np.uint8).reshape(-1, KEY_BYTES)
    raw = b"".join(bytes.fromhex(c) if _HASH.fullmatch(c) else _hashed(c) for c in contents)
    return np.frombuffer(raw, np.uint8).reshape(-1, KEY_BYTES)


def _hashed(content: str) -> bytes:
    return hashlib.blake2b(b"text:" + content.encode("utf-8", "surrogatepass"), digest_size=KEY_BYTES).digest()


class KeyIndex:
    """Which row holds a key: 16 bytes a row for those at the start, a dict for those added since."""

    def __init__(self, keys: NDArray[np.uint8]) -> None:
        self.keys = keys
        codes = _codes(keys)
        self._order = np.argsort(codes, kind="stable")
        self._codes = codes[self._order]
        same = np.flatnonzero(self._codes[1:] == self._codes[:-1])
        twins = self._order[np.union1d(same, same + 1)] if len(same) else np.zeros(0, np.intp)
        self._added = {keys[row].tobytes(): int(row) for row in twins.tolist()}
        self._count = len(keys)

    def add(self, keys: NDArray[np.uint8]) -> None:
        """Rows that follow those there are."""
        self._added.update((key.tobytes(), self._count + at) for at, key in enumerate(keys))
        self._count += len(keys)

    def rows(self, keys: NDArray[np.uint8]) -> NDArray[np.intp]:
        """``(m,)``: the row of each, -1 where there is none."""
        rows = np.full(len(keys), -1)
        if len(self._codes) and len(keys):
            codes = _codes(keys)
            at = np.minimum(np.searchsorted(self._codes, codes), len(self._codes) - 1)
            likely = np.flatnonzero(self._codes[at] == codes)
            found = self._order[at[likely]]
            equal = np.all(self.keys[found] == keys[likely], axis=1)
            rows[likely[equal]] = found[equal]
        if self._added:
            for place in np.flatnonzero(rows < 0).tolist():
                rows[place] = self._added.get(keys[place].tobytes(), -1)
        return rows


def _codes(keys: NDArray[np.uint8]) -> NDArray[np.uint64]:
    return np.ascontiguousarray(keys[:, :8]).view(np.uint64).reshape(-1)
