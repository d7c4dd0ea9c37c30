"""Which files of a folder are meant: their kinds, their names, and whether those in its subfolders are."""

from __future__ import annotations

import fnmatch
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def reaches(self, path: Path, named: Container[Path]) -> bool:
        """Whether the file lies where files are meant: it was named itself, or the folder that it lies in, or that
        one lies above it and subfolders are meant.
        """
        return self.subfolders or path in named or path.parent in named

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

    def told(self) -> dict[str, Any]:
        """In values that JSON can hold."""
        return {"kinds": sorted(kind.value for kind in self.kinds), "pattern": self.pattern,
                "subfolders": self.subfolders}

    @classmethod
    def of(cls, told: dict[str, Any]) -> Choice:
        """What was ``told``; a kind that is not known any more is left out."""
        known = {kind.value: kind for kind in Kind}
        return cls(frozenset(known[name] for name in told.get("kinds", ()) if name in known),
                   str(told.get("pattern", "")), bool(told.get("subfolders", True)))


EVERYTHING = Choice()
