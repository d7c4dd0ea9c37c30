"""Archives that would unfold into more than a computer holds: read with a measure, whatever their headers say."""

from __future__ import annotations

import io
import lzma
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from mmstudio.errors import MediaTooLarge, UnreadableMedia

MAX_ENTRY_BYTES = 2_000_000_000
MAX_RATIO = 1_000
RATIO_FROM_BYTES = 100_000_000
"""Up to this size an entry or archive may unfold as much as it likes."""
READ_ERRORS = (
    OSError, EOFError, RuntimeError, ValueError, NotImplementedError, MemoryError, zlib.error, lzma.LZMAError,
    zipfile.BadZipFile, tarfile.TarError,
)
"""What the standard library raises at a broken archive."""


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass
class Tally:
    """How many bytes came out of ``packed`` bytes. Raises MediaTooLarge above the ratio."""

    name: str
    packed: int
    unpacked: int = 0

    def add(self, count: int) -> None:
        self.reach(self.unpacked + count)

    def reach(self, unpacked: int) -> None:
        self.unpacked = max(self.unpacked, unpacked)
        if self.unpacked > RATIO_FROM_BYTES and self.unpacked > MAX_RATIO * self.packed:
            raise MediaTooLarge(f"“{self.name}” unfolds to over {MAX_RATIO:,} times its size, as no media does.")


class Measured(io.RawIOBase):
    """An entry of an archive that counts what comes out of it, on its own tally and the archive's.

    Raises MediaTooLarge over a limit and UnreadableMedia where the archive is broken.
    """

    def __init__(self, source: Readable, entry: Tally, archive: Tally) -> None:
        super().__init__()
        self._source, self._entry, self._archive = source, entry, archive

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            piece = self._source.read(len(buffer))
        except READ_ERRORS as error:
            raise UnreadableMedia(f"“{self._entry.name}” in the archive is broken or cut short.") from error
        if self._entry.unpacked + len(piece) > MAX_ENTRY_BYTES:
            raise MediaTooLarge(f"“{self._entry.name}” has more than {MAX_ENTRY_BYTES / 1e9:g} GB.")
        self._entry.add(len(piece))
        self._archive.add(len(piece))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


def measured(source: Readable, name: str, packed: int, archive: Tally) -> BinaryIO:
    """``source`` as a file that is read with a measure; ``packed`` is its size in the archive."""
    return io.BufferedReader(Measured(source, Tally(name, packed), archive), 1 << 16)
