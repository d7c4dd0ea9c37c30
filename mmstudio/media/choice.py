"""Which files of a folder are meant: their kinds, their names, and whether those in its subfolders are."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass
from pathlib import Path

from mmstudio.errors import MediaError
from mmstudio.media.sniff import Kind, sniff


@dataclass(frozen=True)
class Choice:
    """``kinds`` are those that are meant, all where there are none; ``pattern`` is one of names like ``*.jpg``, whose
    big and small letters count alike, "" for any (https://docs.python.org/3/library/fnmatch.html).
    """

    kinds: frozenset[Kind] = frozenset()
    pattern: str = ""
    subfolders: bool = True

    def matches(self, path: Path) -> bool:
        """Whether the file has a name that is meant."""
        return not self.pattern or fnmatch.fnmatchcase(path.name.casefold(), self.pattern.casefold())

    def of_kind(self, path: Path) -> bool:
        """Whether the file is of a kind that is meant, told from its first bytes; where kinds are chosen, what is of no
        known kind is not.
        """
        if not self.kinds:
            return True
        try:
            return sniff(path) in self.kinds
        except MediaError:
            return False


EVERYTHING = Choice()
