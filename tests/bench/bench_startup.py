"""Window painted and starter ready, in seconds from process start, warm disk. Bars: 1.0 s, and 1.5 s later.

Beside them ``import torch`` in a bare process, taken in turn: most of the second figure is that.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

RUNS = 5


def main() -> None:
    painted, ready, torch_alone = [], [], []
    for number in range(RUNS + 1):
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                [sys.executable, "-m", "mmstudio"], capture_output=True, text=True, timeout=120,
                env={**os.environ, "MMSTUDIO_HOME": home, "MMSTUDIO_TIMINGS": "1"})
        found = dict(re.findall(r"(painted|ready) ([\d.]+)", done.stdout))
        if "torch=True" in done.stdout.splitlines()[0]:
            raise SystemExit("torch was imported before the window was painted")
        if number:  # the first run warms the disk
            painted.append(float(found["painted"]))
            ready.append(float(found["ready"]))
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", "import torch"], check=True)
            torch_alone.append(time.perf_counter() - began)
    later = [after - before for before, after in zip(painted, ready, strict=True)]
    for name, values in (("window painted", painted), ("starter ready", ready), ("between the two", later),
                         ("a bare import of torch", torch_alone)):
        print(f"{name}: median {statistics.median(values):.2f} s, worst {max(values):.2f} s of {RUNS} runs")


if __name__ == "__main__":
    main()
