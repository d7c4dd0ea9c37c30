"""Media from outside a project's folder that were packed with it: where each lies now, told by a JSON file within."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

FILE = "taken-along.json"


def written(places: Mapping[Path, str]) -> bytes:
    """The file's bytes; ``places`` are names within the folder by where each lay before."""
    return json.dumps({str(before): name for before, name in places.items()}).encode()


def read(folder: Path) -> dict[Path, Path]:
    """Where each lies now, by where it lay before. What leads out of the folder or is not there is passed over."""
    try:
        told = dict(json.loads((folder / FILE).read_bytes()))
        inside, found = folder.resolve(), {Path(before): folder.absolute() / str(name) for before, name in told.items()}
        return {before: now for before, now in found.items()
                if now.resolve().is_relative_to(inside) and now.is_file()}
    except (OSError, ValueError, TypeError):
        return {}


def forget(folder: Path) -> None:
    """The items are told. Raises OSError."""
    (folder / FILE).unlink(missing_ok=True)
