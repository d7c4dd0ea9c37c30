"""The map of a project in one model's space, kept beside its vectors so that it opens again as it was.

A ``.npz`` for each space: what ``Layout`` holds, and the arrangement as JSON. A map that cannot be kept or read is made
anew from the vectors, so nothing is lost with it.
"""

from __future__ import annotations

import io
import json
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.desktop.arranging import Arrangement, Layout
from mmstudio.explore.projection import Wish
from mmstudio.library import SpaceKey
from mmstudio.media import MODALITIES

FOLDER = "maps"
_TORN = (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, zipfile.BadZipFile)
_OF_ARRANGEMENT = ("target_ids", "target", "axes")


def save(folder: Path, space: SpaceKey, layout: Layout) -> None:
    """Keep a final layout in the project's ``folder``, in place of the one before."""
    arrangement = layout.arrangement or Arrangement()
    told = {"kind": layout.kind, "closes_gap": arrangement.closes_gap, "strength": arrangement.strength,
            "titles": arrangement.titles, "wish": asdict(arrangement.wish) if arrangement.wish else None}
    arrays: dict[str, NDArray[Any]] = {
        "keys": layout.keys, "places": layout.places, "told": np.array(json.dumps(told)),
        "modalities": np.searchsorted(_NAMES, layout.modalities).astype(np.uint8)}
    for owner, names in ((layout, ("clusters", "solid")), (arrangement, _OF_ARRANGEMENT)):
        arrays |= {name: value for name in names if (value := getattr(owner, name)) is not None}
    out = io.BytesIO()
    np.savez(out, **arrays)  # type: ignore[arg-type]
    with suppress(OSError):  # a full disk: it is made again
        paths.write_atomically(_file(folder, space), out.getvalue())


def there(folder: Path, space: SpaceKey) -> bool:
    """Whether a map is kept for this space."""
    return _file(folder, space).is_file()


def load(folder: Path, space: SpaceKey) -> Layout | None:
    """The layout that was kept, or None."""
    try:
        with open(_file(folder, space), "rb") as opened, np.load(opened, allow_pickle=False) as found:
            arrays = {name: found[name] for name in found.files}
        told = json.loads(str(arrays["told"]))
        wish = Wish(**told["wish"]) if told["wish"] else None
        arrangement = Arrangement(wish, bool(told["closes_gap"]), strength=float(told["strength"]),
                                  titles=tuple(told["titles"]), **{name: arrays.get(name) for name in _OF_ARRANGEMENT})
        layout = Layout(arrays["keys"], _NAMES[arrays["modalities"]], arrays["places"], str(told["kind"]),
                        clusters=arrays.get("clusters"), solid=arrays.get("solid"), arrangement=arrangement)
    except _TORN:
        return None
    return layout if _is_whole(layout, space) else None


def _is_whole(layout: Layout, space: SpaceKey) -> bool:
    n, axes = len(layout.keys), layout.arrangement.axes if layout.arrangement else None
    return (layout.keys.dtype == np.int64 and layout.keys.shape == layout.modalities.shape == (n,)
            and layout.places.shape == (n, 2) and bool(np.isfinite(layout.places).all())
            and (layout.clusters is None or layout.clusters.shape == (n,))
            and (layout.solid is None or layout.solid.shape == (n, 3))
            and (axes is None or axes.shape == (2, space.dim)))


_NAMES = np.array(sorted(MODALITIES))


def _file(folder: Path, space: SpaceKey) -> Path:
    return folder / FOLDER / f"{space.digest}.npz"
