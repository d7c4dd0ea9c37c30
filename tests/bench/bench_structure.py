"""Projections of 50,000 x 512 with the trust of each, beside umap-learn called by hand where it is installed; trust of
every point; a slider's frame with 100,000 samples, and what letting it go takes, by every way of fusing.

A frame is what happens between two positions of a slider: what each modality counts in all samples, and the points
between their modalities' places. Bar: 16 ms. Let go, one sample of many or all of 20,000 look for their neighbours.
``bench_structure.py fusion`` or ``projection`` only one of them.
"""

from __future__ import annotations

import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import get_args

os.environ.setdefault("MMSTUDIO_HOME", tempfile.mkdtemp())

import numpy as np

from mmstudio.explore.projection import METHODS, Wish, project
from mmstudio.explore.sample_fusion import Fuser, Fusion, Parts
from mmstudio.explore.sample_places import BesideOthers, Items, OfExperts, drawn_of, placed
from mmstudio.explore.side_by_side import SideBySide
from mmstudio.explore.trust import trust
from mmstudio.progress import finish

ROWS, DIM, SAMPLES = 50_000, 512, 100_000


def vectors(number: int, seed: int = 0) -> np.ndarray:
    """Unit vectors of 60 groups on a curved surface of 16 dimensions, with noise."""
    rng = np.random.default_rng(seed)
    groups = 1.5 * rng.normal(size=(60, 16))[rng.integers(0, 60, number)] + rng.normal(size=(number, 16))
    rows = np.tanh(groups @ rng.normal(size=(16, DIM)) / 4) + 0.1 * rng.normal(size=(number, DIM))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def told(name: str, make: Callable[[], np.ndarray], rows: np.ndarray) -> None:
    started = time.perf_counter()
    places = make()
    seconds = time.perf_counter() - started
    found = finish(trust(rows, places.astype(np.float32), sample=2000))
    print(f"  {name:<10} {seconds:7.1f} s  trustworthiness {found.trustworthiness.mean():.4f}  "
          f"continuity {found.continuity.mean():.4f}  kept {found.kept.mean():.3f}  stress {found.stress:.3f}",
          flush=True)


def projections(number: int) -> None:
    rows, small = vectors(number), vectors(6500, 1)
    for method in METHODS:
        finish(project(small, Wish(method)))  # what is compiled or loaded first is not counted
    print(f"{number:,} x {DIM}")
    for method in METHODS:
        told(method, lambda method=method: finish(project(rows, Wish(method))), rows)
    try:
        from umap import UMAP
    except ImportError:
        print("  umap-learn is not installed")
        return
    from sklearn.decomposition import PCA

    UMAP(random_state=0).fit(small[:1000])
    told("umap-learn", lambda: UMAP().fit_transform(PCA(100).fit_transform(rows)), rows)
    started = time.perf_counter()
    finish(trust(rows, rows[:, :2].copy()))
    print(f"  trust of every point: {time.perf_counter() - started:.1f} s")


def samples(number: int, dim: int) -> tuple[np.ndarray, Parts, list[list[int]]]:
    """Vectors of items, and samples of three of them each."""
    rows = np.random.default_rng(0).normal(0.3, 1, (3 * number, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    members = np.arange(3 * number).reshape(-1, 3).tolist()
    return rows, Parts.of(rows, np.tile(["audio", "image", "text"], number), members), members


def fusion() -> None:
    rng, fuser = np.random.default_rng(0), Fuser(samples(SAMPLES, 64)[1])
    places, out = rng.normal(size=(3, SAMPLES, 2)).astype(np.float32), np.empty((SAMPLES, 2), np.float32)
    for how in get_args(Fusion):
        times = []
        for turn in range(33):
            started = time.perf_counter()
            fuser.between(places, fuser.shares([0.3, turn / 33, 0.6], how), out)
            times.append((time.perf_counter() - started) * 1000)
        print(f"a slider's frame with {SAMPLES:,} samples of three modalities, {how}: "
              f"median {statistics.median(times[3:]):.1f} ms, worst {max(times[3:]):.1f} ms", flush=True)
    for number, rows in ((SAMPLES, 1), (20_000, 20_000), (SAMPLES, SAMPLES)):
        let_go(number, rows, 512 if number < SAMPLES else 64)


def let_go(number: int, rows: int, dim: int) -> None:
    """How long ``rows`` of so many samples look for where they belong."""
    vectors, parts, members = samples(number, dim)
    lie = np.random.default_rng(1).normal(size=(3 * number, 2)).astype(np.float32)
    own, beside = np.ascontiguousarray(lie.reshape(number, 3, 2).transpose(1, 0, 2)), SideBySide(parts)
    there, weights = np.ones(3 * number, bool), np.repeat(np.float32([[0.3], [1], [0.6]]), rows, axis=1)
    for how, kin in (("mean", Items(parts, members, "mean", vectors, lie, there)),
                     ("geodesic", Items(parts, members, "geodesic", vectors, lie, there)),
                     ("concatenated", BesideOthers(parts, own, beside)), ("experts", OfExperts(parts, own))):
        started = time.perf_counter()
        finish(placed(kin, np.arange(rows), weights))
        seconds, most = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        pairs = f"with {drawn_of(kin.count, rows):,} drawn" if drawn_of(kin.count, rows) else "all pairs"
        print(f"let go, {rows:,} of {number:,} samples x {dim}, {how}, {pairs}: {seconds:.2f} s, "
              f"most memory so far {most:.2f} GB", flush=True)


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    if wanted in ("", "fusion"):
        fusion()
    if wanted in ("", "projection"):
        projections(int(sys.argv[2]) if len(sys.argv) > 2 else ROWS)
