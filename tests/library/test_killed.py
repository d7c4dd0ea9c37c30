"""Killed at any moment of adding, tagging, grouping, encoding or compacting, a project loses nothing that was told."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmstudio.errors import ProjectError
from mmstudio.library import ProjectFolder, SpaceKey, Store, VectorCache

KILLS, RUNS = 52, 4
KEY = SpaceKey("space", "revision", "preprocessing", 8)

CHILD = """
import random, sys
from pathlib import Path
import lancedb
import numpy as np
from mmstudio.library import ProjectFolder, SpaceKey, Store, VectorCache, kept
from mmstudio.media import Description
kept.COMPACT_AFTER = 15
folder, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
held, store = ProjectFolder(folder), Store(folder)
cache, key = VectorCache(folder), SpaceKey("space", "revision", "preprocessing", 8)
def told(*what): print(*what, flush=True)
def pick(count): return rng.sample(list(store.known), min(count, len(store.known)))
start = 1 + max((int(item.content_hash, 16) // 3 for item in store.known.values()), default=0)
told("ready", start)
for step in range(start, start + 10_000):
    deed = rng.choice(["add"] * 5 + ["tag"] * 2 + ["group"] + ["put"] * 3 + ["remove"] + ["compact", "mirror"])
    if deed == "add":  # a video: its sample and its items are there together, or none of them
        found = [Description(Path(f"/v{step}.mp4"), "image", f"{3 * step + k:040x}", f"part {k}", preview=b"jpeg")
                 for k in range(3)]
        added = store.add_grouped(found + found[:1], [], [(f"v{step}.mp4", [0, 1, 2])])
        told("add", step, *(item.id for item in added.items))
    elif deed == "tag":
        ids = pick(5)
        store.tag(ids, f"t{step}")
        told("tag", step, *ids)
    elif deed == "group" and len(store.known) > 3:
        ids = sorted(pick(2))
        store.group(f"g{step}", ids)
        told("group", step, *ids)
    elif deed == "put":
        ids = pick(20)
        cache.put(key, ((store.known[i].content_hash, np.full(8, i, np.float32)) for i in ids))
        told("put", step, *ids)
    elif deed == "remove" and len(store.known) > 30:
        ids = pick(1)
        told("removing", step, *ids)
        store.remove(ids)
    elif deed == "compact":
        store.compact()
        cache.compact()
    elif deed == "mirror":
        store._item_table.mirror()
"""


class _Truth:
    """What the children said."""

    def __init__(self) -> None:
        self.added: dict[int, int] = {}
        self.removed: set[int] = set()
        self.tags: dict[str, list[int]] = {}
        self.groups: dict[str, list[int]] = {}
        self.vectors: dict[int, int] = {}
        self.used: set[int] = set()

    def hear(self, line: str) -> None:
        deed, step, *ids = line.split()
        numbers = [int(i) for i in ids]
        match deed:
            case "add":
                assert self.used.isdisjoint(numbers), "an id was used again"
                self.used.update(numbers)
                assert len(numbers) == 3
                self.added.update((i, 3 * int(step) + k) for k, i in enumerate(numbers))
            case "removing":
                self.removed.update(numbers)
            case "tag":
                self.tags[f"t{step}"] = numbers
            case "group":
                self.groups[f"g{step}"] = numbers
            case "put":
                self.vectors.update((i, self.added.get(i, -1)) for i in numbers)

    def check(self, folder: Path) -> None:
        held = ProjectFolder(folder)
        store, cache = Store(folder), VectorCache(folder)
        try:
            items = store.items()
            told = {i: f"{number:040x}" for i, number in self.added.items() if i not in self.removed}
            assert told.items() <= {i: item.content_hash for i, item in zip(items, items.values(), strict=True)}.items()
            contents = [item.content_hash for item in items.values()]
            assert len(set(contents)) == len(contents)
            assert all(store.preview(content) for content in random.sample(contents, min(5, len(contents))))
            _check_whole_videos(contents, self.removed | (self.added.keys() - set(items)), self.added)
            self._check_rest(store, cache)
        finally:
            cache.close()
            store.close()
            held.close()
        self.used.update(items)
        self.removed |= self.added.keys() - set(items)
        self.added.update((i, int(item.content_hash, 16)) for i, item in zip(items, items.values(), strict=True))

    def _check_rest(self, store: Store, cache: VectorCache) -> None:
        items = store.known
        for tag, ids in self.tags.items():
            assert all(tag in items[i].tags for i in ids if i in items)
        samples = {sample.name: set(sample.item_ids) for sample in store.samples()}
        assert all(len(members) > 1 and members <= set(items) for members in samples.values())
        for name, ids in self.groups.items():
            assert all(i in items for i in ids) <= (samples.get(name) == set(ids))
        by_video: dict[str, set[int]] = {}
        for item in items.values():
            by_video.setdefault(item.path.name, set()).add(item.id)
        assert all(samples.get(name) == ids for name, ids in by_video.items() if len(ids) > 1)
        found = cache.get(KEY, [f"{number:040x}" for number in self.vectors.values() if number >= 0])
        for i, number in self.vectors.items():
            assert number < 0 or np.array_equal(found[f"{number:040x}"], np.full(8, i, np.float32))


def _check_whole_videos(contents: list[str], removed: set[int], added: dict[int, int]) -> None:
    """Three items of each video, but for those that were taken out."""
    gone = {added[i] for i in removed if i in added}
    there = {int(content, 16) for content in contents}
    for video in {number // 3 for number in there}:
        assert {3 * video + k for k in range(3)} <= there | gone


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    assert child.stdout
    for line in child.stdout:
        if line.endswith("\n"):
            yield line


def _killed_again_and_again(folder: Path, seed: int, kills: int) -> Any:
    rng, truth = random.Random(seed), _Truth()
    for number in range(kills):
        with subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(rng.randrange(10**9))],
                              stdout=subprocess.PIPE, text=True) as child:
            lines = _lines(child)
            assert next(lines).startswith("ready"), number
            timer = threading.Timer(rng.uniform(0, 0.4) if number % 4 else rng.uniform(0.4, 1.2), os.kill,
                                    (child.pid, signal.SIGKILL))
            timer.start()
            for line in lines:
                truth.hear(line)
            timer.join()
        assert child.returncode == -signal.SIGKILL
        truth.check(folder)
    return truth


def test_killed_at_fifty_random_moments_every_committed_change_is_there_and_no_half_one(tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(_killed_again_and_again, tmp_path / str(run), 100 + run, KILLS // RUNS)
                for run in range(RUNS)]
        truths = [job.result() for job in jobs]
    assert sum(len(truth.added) for truth in truths) > 100
    assert any(truth.vectors for truth in truths)


FULL = """
import sys
from pathlib import Path
import numpy as np
from mmstudio.errors import ProjectError
from mmstudio.library import ProjectFolder, SpaceKey, Store, VectorCache
from mmstudio.media import Description
folder = Path(sys.argv[1]) / "p"
key = SpaceKey("space", "revision", "preprocessing", 512)
held, store, cache = ProjectFolder(folder), Store(folder), VectorCache(folder)
def some(n): return [Description(Path(f"/{n}.{k}"), "text", f"{100 * n + k:040x}", text="word " * 200,
                                 preview=b"p" * 200) for k in range(20)]
added, vectors, refused = 0, 0, 0
for n in range(10_000):
    try:
        items = store.add(some(n))
        added += len(items)
        cache.put(key, ((item.content_hash, np.full(512, n, np.float32)) for item in items))
        vectors += len(items)
        store.tag([items[0].id], "first")
    except ProjectError as error:
        assert "space" in error.hint, error
        refused += 1
        if refused == 5:
            break
assert len(store.items()) == added, (len(store.items()), added)
(Path(sys.argv[1]) / "ballast").unlink()
more = store.add(some(20_000))
cache.put(key, ((item.content_hash, np.full(512, 7, np.float32)) for item in more))
store.tag([item.id for item in more], "late")
store.close(), cache.close(), held.close()
held, store, cache = ProjectFolder(folder), Store(folder), VectorCache(folder)
assert len(store.items()) == added + 20
assert all("late" in store.items()[item.id].tags for item in more)
assert len(cache.known(key)) >= vectors + 20
print("added", added, "refused", refused)
"""


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_stops_with_a_word_loses_nothing_and_goes_on_once_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        (disk / "ballast").write_bytes(b"\0" * 6_000_000)
        done = subprocess.run([sys.executable, "-c", FULL, str(disk)], capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert "refused 5" in done.stdout
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_folder_that_may_not_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ProjectError, match="cannot be opened"):
        ProjectFolder(tmp_path / "file" / "p")
