"""A space's features as they are kept with the project, with the items on which each of them fires.

One file for each space, ``features-<digest of the space>.safetensors`` (https://github.com/huggingface/safetensors),
with the autoencoder, the codes of all items, and what is said of them as metadata.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths
from mmstudio.errors import ProjectError
from mmstudio.explain.sparse_features import Autoencoder, Floats, Learned, blocks

FORMAT = "mmstudio features 1"
TOP = 12
Ids = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Features:
    """What was learned, the items ``ids (n,)`` whose codes it has, and a name for each feature, "" for one that is dead
    or has none.
    """

    learned: Learned
    ids: Ids
    names: tuple[str, ...] = ()

    def over(self, ids: Ids, vectors: Floats, groups: NDArray[np.str_]) -> Features:
        """The same features with the codes of these items: those that are known, and of new ones made now."""
        order = np.argsort(self.ids)
        rows = order[np.searchsorted(self.ids, ids, sorter=order).clip(max=len(order) - 1)]
        new = np.flatnonzero(self.ids[rows] != ids)
        which, strength = self.learned.which[rows], self.learned.strength[rows]
        for block in blocks(len(new)):
            some = new[block]
            which[some], strength[some] = self.learned.autoencoder.codes(vectors[some], groups[some])
        return replace(self, ids=ids, learned=replace(self.learned, which=which, strength=strength))


class Firings:
    """The items on which each feature fires. ``counts (features,)`` tells on how many, ``total`` how many items there
    are, and ``top`` for each feature the ids of up to ``TOP`` items on which it fires most.
    """

    def __init__(self, features: Features) -> None:
        which, strength = features.learned.which.ravel(), features.learned.strength.ravel()
        fires, count = np.flatnonzero(strength > 0), len(features.learned.autoencoder.encoder)
        short = which[fires].astype(np.min_scalar_type(count))  # numbers of two bytes are sorted ten times as fast
        order = fires[np.argsort(short, kind="stable")]
        self.total = len(features.ids)
        self.counts = np.bincount(which[order], minlength=count)
        self._ends = np.cumsum(self.counts)
        self._ids, self._strength = features.ids[order // features.learned.which.shape[1]], strength[order]
        self.top = [self._top(at) for at in range(count)]

    def of(self, feature: int) -> tuple[Ids, Floats]:
        """The items on which it fires and how strongly, strongest first."""
        ids, strength = self._part(feature)
        order = np.argsort(-strength, kind="stable")
        return ids[order], strength[order]

    def _top(self, feature: int) -> Ids:
        ids, strength = self._part(feature)
        some = np.argpartition(-strength, TOP)[:TOP] if len(ids) > TOP else np.arange(len(ids))
        return ids[some[np.argsort(-strength[some], kind="stable")]]

    def _part(self, feature: int) -> tuple[Ids, Floats]:
        end = int(self._ends[feature])
        part = slice(end - int(self.counts[feature]), end)
        return self._ids[part], self._strength[part]


def keep(folder: Path, digest: str, features: Features) -> None:
    """Write a space's features into the project's folder, in the place of those before. Raises ProjectError."""
    from safetensors.numpy import save

    learned, model = features.learned, features.learned.autoencoder
    few = len(model.encoder) <= np.iinfo(np.uint16).max
    tensors = {"encoder": model.encoder, "decoder": model.decoder, "bias": model.bias, "means": model.means,
               "ids": features.ids, "which": learned.which.astype(np.uint16 if few else np.int32),
               "strength": learned.strength.astype(np.float16)}
    about = {"groups": model.groups, "scale": model.scale, "k": model.k, "explained": learned.explained,
             "dead": learned.dead, "names": features.names}
    file = _file(folder, digest)
    try:
        paths.write_atomically(file, save({name: np.ascontiguousarray(rows) for name, rows in tensors.items()},
                                          {"format": FORMAT, "space": digest, "about": json.dumps(about)}))
    except OSError as error:
        raise ProjectError(f"The features could not be kept ({error.strerror}).", path=file,
                           hint="Free some space, then find them again.") from error


def read(folder: Path, digest: str, dim: int) -> Features | None:
    """The features that are kept of a space of ``dim`` dimensions, if there are any.

    Raises ProjectError where the file cannot be read; one that is damaged or of something else is set aside first.
    """
    file = _file(folder, digest)
    if not file.exists():
        return None
    try:
        return _read(file, digest, dim)
    except OSError as error:
        raise ProjectError(f"The features of this project could not be read ({error.strerror}).", path=file,
                           hint="May the file be read?") from error
    except Exception as error:  # safetensors raises types of its own for damaged files
        aside = file.with_suffix(f".damaged-{time.time_ns():x}")
        file.replace(aside)
        raise ProjectError(f"The kept features are damaged or of something else; they were set aside as {aside.name}.",
                           path=file, hint="Find them again.") from error


def _read(file: Path, digest: str, dim: int) -> Features:
    from safetensors import safe_open

    with safe_open(file, "np") as opened:
        told = opened.metadata() or {}
        if told.get("format") != FORMAT or told.get("space") != digest:
            raise ValueError("another format or space")
        rows = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no dict
    about = json.loads(told["about"])
    model = Autoencoder(rows["encoder"], rows["decoder"], rows["bias"], rows["means"], tuple(about["groups"]),
                        float(about["scale"]), int(about["k"]))
    learned = Learned(model, rows["which"].astype(np.int32), rows["strength"].astype(np.float32),
                      float(about["explained"]), float(about["dead"]))
    features = Features(learned, rows["ids"], tuple(map(str, about["names"])))
    _check(features, dim)
    return features


def _check(features: Features, dim: int) -> None:
    """Raise ValueError where the parts do not belong together."""
    learned, model = features.learned, features.learned.autoencoder
    count, codes = len(features.names), (len(features.ids), model.k)
    shapes: list[tuple[NDArray[Any], tuple[int, ...]]] = [
        (model.encoder, (count, dim)), (model.decoder, (count, dim)), (model.bias, (dim,)),
        (model.means, (len(model.groups), dim)), (learned.which, codes), (learned.strength, codes),
        (features.ids, codes[:1])]
    if any(rows.shape != shape or not np.isfinite(rows).all() for rows, shape in shapes) or not model.scale > 0:
        raise ValueError("parts of other shapes")
    if learned.which.size and not 0 <= learned.which.min() <= learned.which.max() < count:
        raise ValueError("codes of no features")


def _file(folder: Path, digest: str) -> Path:
    return folder / f"features-{digest}.safetensors"
