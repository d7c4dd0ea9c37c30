"""A project that is killed, or whose disk is full, while it adds and encodes: all that was told is there when it is
opened again, and going on does nothing twice.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from mmstudio import adding
from mmstudio.encoders import Encoder
from mmstudio.errors import ProjectError
from mmstudio.library import Fresh
from mmstudio.progress import Work, finish
from mmstudio.project import Project

TEXTS, PICTURES = 260, 40
TOTAL = TEXTS + PICTURES
KILLED_ADDING, KILLED_ENCODING = 4, 2

CHILD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import lancedb
from mmstudio import adding
from mmstudio.project import Project
adding.COMMIT_ITEMS = 16
folder, media, encodes = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "encode"
def tell(work, what):
    for step in work:
        if step.fresh is not None:
            print(what, *(item.id for item in step.fresh.items), flush=True)
project = Project.open(folder)
with ThreadPoolExecutor(2) as pool:
    if encodes:
        from mmstudio.encoders import load_encoder
        encoder = load_encoder("starter", "cpu")
        print("ready", flush=True)
        tell(project.encode(encoder, pool, batch=4), "encoded")
    else:
        print("ready", flush=True)
        tell(project.add([media], pool), "added")
print("done", flush=True)
"""


@pytest.fixture
def media(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    for number in range(TEXTS):
        (folder / f"{number}.txt").write_text(f"text number {number} about a thing")
    for number in range(PICTURES):
        Image.new("RGB", (32, 32), (6 * number, 90, 255 - 6 * number)).save(folder / f"p{number}.png")
    return folder


def _killed(folder: Path, media: Path, phase: str, number: int, delay: float) -> set[int]:
    """What a child said it had done until it was killed: so many seconds after it had begun or, every other one, after
    it had told the first.
    """
    told: set[int] = set()
    with subprocess.Popen([sys.executable, "-c", CHILD, str(folder), str(media), phase], stdout=subprocess.PIPE,
                          text=True) as child:
        assert child.stdout
        assert child.stdout.readline() == "ready\n"
        timer = threading.Timer(delay, os.kill, (child.pid, signal.SIGKILL))
        if number % 2 == 0:
            timer.start()
        for line in child.stdout:
            if line.endswith("\n"):
                told |= {int(word) for word in line.split()[1:]}
            if told and timer.ident is None:
                timer.start()
        timer.cancel()
    return told


def _encoded(project: Project) -> set[int]:
    return {int(i) for key in project.spaces() for i in project.space(key).ids}


def _adding_killed(folder: Path, media: Path, pool: ThreadPoolExecutor) -> None:
    rng, told = random.Random(4), set[int]()
    for number in range(KILLED_ADDING):
        told |= _killed(folder, media, "add", number, rng.uniform(0, 0.2))
        project = Project.open(folder, create=False)
        items = project.items()
        assert told <= set(items)
        assert len({item.content_hash for item in items.values()}) == len(items)
        project.close()
    project = Project.open(folder)
    before = set(project.items())
    assert told
    report = finish(project.add([media], pool))
    assert (len(report.added), report.known) == (TOTAL - len(before), len(before))
    assert report.failures == ()
    assert len(project.items()) == TOTAL
    project.close()


def _encoding_killed(folder: Path, media: Path, pool: ThreadPoolExecutor, encoder: Encoder) -> None:
    rng, told = random.Random(5), set[int]()
    project = Project.open(folder)
    finish(project.add([media], pool))
    project.close()
    for number in range(KILLED_ENCODING):
        told |= _killed(folder, media, "encode", number, rng.uniform(0, 0.6))
        project = Project.open(folder, create=False)
        assert len(project.items()) == TOTAL
        assert told <= _encoded(project)
        project.close()
    project = Project.open(folder)
    before = _encoded(project)
    assert told
    report = finish(project.encode(encoder, pool))
    assert (report.encoded, report.cached) == (TOTAL - len(before), len(before))
    assert _encoded(project) == set(project.items())
    project.close()


def test_killed_while_it_adds_and_encodes_it_opens_with_all_that_was_told_and_goes_on(
    tmp_path: Path, media: Path, starter: Encoder, pool: ThreadPoolExecutor,
) -> None:
    with ThreadPoolExecutor(2) as both:
        jobs = [both.submit(_adding_killed, tmp_path / "adding", media, pool),
                both.submit(_encoding_killed, tmp_path / "encoding", media, pool, starter)]
        for job in jobs:
            job.result()


# ---- a full disk ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)],
                                           capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def _fill(disk: Path, left: int) -> None:
    """Leave so many bytes free."""
    (disk / "ballast").write_bytes(b"\0" * (shutil.disk_usage(disk).free - left))


def _until_full(work: Work[object]) -> set[int]:
    """What was told until the disk was full."""
    told, hint = set[int](), ""
    try:
        for step in work:
            if isinstance(step.fresh, Fresh):
                told |= {item.id for item in step.fresh.items}
    except ProjectError as error:
        hint = error.hint
    assert "space" in hint
    return told


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no small file system here")
def test_a_full_disk_pauses_adding_and_encoding_and_each_goes_on_once_there_is_room(
    small_disk: Path, media: Path, starter: Encoder, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adding, "COMMIT_ITEMS", 8)
    folder = small_disk / "p"
    project = Project.open(folder)
    _fill(small_disk, 500_000)
    told = _until_full(project.add([media], pool))
    assert 0 < len(told) < TOTAL
    assert told == set(project.items())
    (small_disk / "ballast").unlink()
    report = finish(project.add([media], pool))
    assert (len(report.added), report.known) == (TOTAL - len(told), len(told))
    _fill(small_disk, 400_000)
    told = _until_full(project.encode(starter, pool, batch=4))
    assert 0 < len(told) < TOTAL
    (small_disk / "ballast").unlink()
    project.close()
    project = Project.open(folder)
    assert len(project.items()) == TOTAL
    before = _encoded(project)
    assert told <= before
    assert finish(project.encode(starter, pool)).encoded == TOTAL - len(before)
    assert _encoded(project) == set(project.items())
    project.close()
