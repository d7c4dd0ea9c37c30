"""Window painted and starter ready, in seconds from process start, warm disk. Bars: 1.0 s, and 5 s later."""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile

RUNS = 5


def main() -> None:
    painted, ready = [], []
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
    for name, values in (("window painted", painted), ("starter ready", ready)):
        print(f"{name}: median {statistics.median(values):.2f} s, worst {max(values):.2f} s of {RUNS} runs")


if __name__ == "__main__":
    main()
