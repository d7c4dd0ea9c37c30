"""A million items: how soon they are there, what they take, how fast they are filtered; and how fast files are added.

    python tests/bench/bench_library.py [--items 1000000] [--files 100000] [--folder WHERE]

Bars: open within 2 s and 1.5 GB, tag + full text within 100 ms, adding at 0.8 x the rate of hashing and decoding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mmstudio.library import ProjectFolder, SpaceKey, VectorCache
from mmstudio.library.folder import reserve
from mmstudio.library.item import FACTS, item_schema
from mmstudio.library.kept import KeptTable
from mmstudio.library.kept_vectors import KeptVectors
from mmstudio.media import Limits, describe
from mmstudio.progress import finish
from mmstudio.project import Project

KEY, BLOCK = SpaceKey("bench", "1", "1", 512), 50_000
WORDS = ("red", "dog", "river", "evening", "glass", "tower", "quiet", "market", "winter", "engine", "paper", "violin")


def make(folder: Path, count: int) -> None:
    """A project of ``count`` items with 512-d vectors, closed."""
    import pyarrow as pa

    rng = np.random.default_rng(0)
    held = ProjectFolder(folder)
    table = KeptTable(folder, "items", item_schema)
    vectors = KeptVectors(folder, f"vectors-{KEY.digest}", KEY.dim, {})
    for start in range(0, count, BLOCK):
        ids = range(start + 1, min(start + BLOCK, count) + 1)
        words = np.array(WORDS)[rng.integers(0, len(WORDS), (len(ids), 8))]
        columns = {
            "id": list(ids), "path": [f"/media/folder {i // 1000}/file {i}.png".encode() for i in ids],
            "part": [""] * len(ids), "modality": [("image", "audio", "text")[i % 3] for i in ids],
            "content_hash": [hashlib.blake2b(b"%d" % i, digest_size=20).hexdigest() for i in ids],
            "text": [" ".join(line) if i % 3 == 2 else "" for i, line in zip(ids, words, strict=True)],
            **{name: [float(i % 4000) for i in ids] for name in FACTS}, "facts": [""] * len(ids),
            "tags": [[f"tag {i % 40}"] if i % 2 else [] for i in ids],
            "added": [1.7e9 + i for i in ids], "columns": [""] * len(ids)}
        table.add(pa.table(columns, schema=item_schema()))
        found = rng.normal(size=(len(ids), KEY.dim)).astype(np.float32)
        vectors.add(columns["content_hash"], found)
    table.close()
    vectors.close()
    reserve(folder, count + 1)
    held.close()


def opened(folder: Path) -> dict[str, float]:
    """In a process of its own: seconds to items, milliseconds of queries, megabytes."""
    from mmstudio.library.query import parse
    from mmstudio.library.query_match import matches

    def memory() -> float:
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1e3

    told = {"RSS before, MB": memory()}
    start = time.perf_counter()
    project = Project.open(folder)
    items = project.items()
    told["open, s"] = time.perf_counter() - start
    told["items"] = len(items)
    told["RSS open, MB"] = memory()
    columns = items.columns()
    told["made ready for filters, ms"] = 1e3 * _seconds(columns.prepare)
    told["first query, ms"] = 1e3 * _seconds(lambda: matches(parse('tag:"tag 7" "violin"'), columns))
    told["query, ms"] = 1e3 * min(_seconds(lambda: matches(parse('tag:"tag 7" "violin"'), columns)) for _ in range(5))
    told["word alone, ms"] = 1e3 * min(_seconds(lambda: matches(parse("violin"), columns)) for _ in range(3))
    told["RSS after queries, MB"] = memory()
    start = time.perf_counter()
    project.tag([5], "new")
    told["tag one, ms"] = 1e3 * (time.perf_counter() - start)
    again = project.items()
    told["query after a change, ms"] = 1e3 * _seconds(
        lambda: matches(parse('tag:"tag 7" "violin"'), again.columns()))
    start = time.perf_counter()
    cache = VectorCache(folder, read_only=True)
    rows = cache.rows(KEY, again.keys_of(again.ids()))
    told["vectors mapped, s"] = time.perf_counter() - start
    assert np.all(rows >= 0)
    told["RSS with vectors, MB"] = memory()
    told["peak RSS, MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    start = time.perf_counter()
    project.close()
    told["close after a change, s"] = time.perf_counter() - start
    return told


def _seconds(act: object) -> float:
    start = time.perf_counter()
    act()  # type: ignore[operator]
    return time.perf_counter() - start


def adding(folder: Path, count: int) -> dict[str, float]:
    """Small pictures and short texts added, against the same hashed and decoded in a plain parallel loop: files a
    second.
    """
    media = folder / "media"
    media.mkdir()
    rng = np.random.default_rng(1)
    for number in range(count):
        if number % 4 == 3:
            words = " ".join(np.array(WORDS)[rng.integers(0, len(WORDS), 6)])
            (media / f"{number}.txt").write_text(f"{number} {words}")
        else:
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(media / f"{number}.png")
    import lancedb  # noqa: F401 - as the window has it before the first file is dropped

    files, limits = sorted(media.iterdir()), Limits()
    with ThreadPoolExecutor(max(2, min(8, os.cpu_count() or 2))) as pool:
        for _ in pool.map(lambda file: describe(file, limits), files[:500]):
            pass
        plain = _seconds(lambda: list(pool.map(lambda file: describe(file, limits), files)))
        project = Project.open(folder / "added")
        ours = _seconds(lambda: finish(project.add([media], pool)))
        assert len(project.items()) == count
        project.close()
    return {"plain, files/s": count / plain, "added, files/s": count / ours, "ratio (0.8)": plain / ours}


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--items", type=int, default=1_000_000)
    asked.add_argument("--files", type=int, default=100_000)
    asked.add_argument("--folder", type=Path, help="where to put 5 GB for a while")
    asked.add_argument("--opened", type=Path, help=argparse.SUPPRESS)
    told = asked.parse_args()
    if told.opened:
        print(json.dumps(opened(told.opened)))
        return
    folder = Path(tempfile.mkdtemp(dir=told.folder))
    try:
        found = adding(folder, told.files) if told.files else {}
        if told.items:
            start = time.perf_counter()
            make(folder / "million", told.items)
            found["making, s"] = time.perf_counter() - start
            done = subprocess.run([sys.executable, __file__, "--opened", str(folder / "million")], check=True,
                                  stdout=subprocess.PIPE, text=True)
            found |= json.loads(done.stdout)
        for name, value in found.items():
            print(f"{name:28} {value:12,.2f}")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
