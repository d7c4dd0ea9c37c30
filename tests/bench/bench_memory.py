"""Peak memory of adding 1,000 and 10,000 pictures, each in a process of its own. Bar: within 300 MB of each other."""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from mmstudio.progress import finish
from mmstudio.project import Project


def _add(folder: str, home: str, answer: multiprocessing.connection.Connection) -> None:
    with ThreadPoolExecutor(2) as pool:
        report = finish(Project.open(Path(home)).add([Path(folder)], pool))
    answer.send((len(report.added), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def _pictures(folder: Path, count: int) -> None:
    """JPEGs of 640 x 480, each different by the comment behind it."""
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)).resize((64, 48))
    picture.resize((640, 480)).save(folder / "one.jpg")
    whole = (folder / "one.jpg").read_bytes()
    (folder / "one.jpg").unlink()
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(whole + number.to_bytes(4, "big"))


def main() -> None:
    context = multiprocessing.get_context("spawn")
    peaks = []
    for count in (1000, 10_000):
        folder, home = Path(tempfile.mkdtemp()), tempfile.mkdtemp()
        _pictures(folder, count)
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_add, args=(str(folder), home, theirs))
        child.start()
        added, peak = ours.recv()
        child.join()
        shutil.rmtree(folder)
        shutil.rmtree(home)
        peaks.append(peak)
        print(f"{added:,} pictures added: peak {peak:,.0f} MB")
    print(f"difference: {peaks[1] - peaks[0]:+,.0f} MB (ratio {peaks[1] / peaks[0]:.2f})")


if __name__ == "__main__":
    main()
