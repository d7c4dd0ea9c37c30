"""Projections of 50,000 x 512 with the trust of each, beside umap-learn called by hand where it is installed; trust of
every point; and a slider's frame with 100,000 samples.

A frame is what happens between two positions of a slider: the coefficients of all samples' fused vectors, and the
points between their modalities' places. Bar: 16 ms. ``bench_structure.py fusion`` or ``projection`` only one of them.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("MMSTUDIO_HOME", tempfile.mkdtemp())

import numpy as np

from mmstudio.explore.projection import METHODS, Wish, project
from mmstudio.explore.sample_fusion import Fuser, Parts
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


def fusion() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(0.3, 1, (3 * SAMPLES, 64)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    kinds, samples = np.tile(["audio", "image", "text"], SAMPLES), np.arange(3 * SAMPLES).reshape(-1, 3).tolist()
    fuser = Fuser(Parts.of(rows, kinds, samples))
    places, out = rng.normal(size=(3, SAMPLES, 2)).astype(np.float32), np.empty((SAMPLES, 2), np.float32)
    for how in ("mean", "geodesic"):
        times = []
        for turn in range(33):
            started = time.perf_counter()
            fuser.between(places, fuser.coefficients([0.3, turn / 33, 0.6], how), out)  # type: ignore[arg-type]
            times.append((time.perf_counter() - started) * 1000)
        print(f"a slider's frame with {SAMPLES:,} samples of three modalities, {how}: "
              f"median {statistics.median(times[3:]):.1f} ms, worst {max(times[3:]):.1f} ms")


if __name__ == "__main__":
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    if wanted in ("", "fusion"):
        fusion()
    if wanted in ("", "projection"):
        projections(int(sys.argv[2]) if len(sys.argv) > 2 else ROWS)
