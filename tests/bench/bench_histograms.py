"""Histograms of 1,000,000 items, with a filter that half pass and half of them selected. Bar: 50 ms for a column, warm.

Columns as in ``bench_query.py``. "First" is the first count of a column, which finds the bar of every row; then the
median of five, in which another filter and another selection are counted. The marks of who passes and who is selected
are made once for all histograms that are shown; the worst pause is how long they keep another thread from running.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
from bench_query import ROWS, Table

from mmstudio.library.histogram import drawable, histogram, mask_of


def _measure(title: str, call: Callable[[], object], bar_ms: float = 50) -> None:
    times = []
    for _ in range(6):
        started = time.perf_counter()
        call()
        times.append((time.perf_counter() - started) * 1000)
    usual = statistics.median(times[1:])
    print(f"{usual:7.1f} ms, {usual / bar_ms:4.2f} of the bar; first {times[0]:6.1f} ms: {title}")


def _worst_pause(call: Callable[[], object]) -> float:
    """Milliseconds that this thread, as the window's, waits at most while another one works."""
    working = threading.Thread(target=call)
    last, worst = time.perf_counter(), 0.0
    working.start()
    while working.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        last, worst = now, max(worst, now - last)
    return worst * 1000


def main() -> None:
    sys.setswitchinterval(0.001)  # as the studio has it
    table, rng = Table(encode="plain" not in sys.argv[1:]), np.random.default_rng(0)
    table.renew()
    ids = np.arange(1, ROWS + 1)
    passing, selection = ids[rng.random(ROWS) < 0.5], ids[rng.random(ROWS) < 0.5]
    marks = mask_of(ids, passing), mask_of(ids, selection)
    for name in drawable(table.names()):
        _measure(name, lambda name=name: histogram(table, name, *marks))  # type: ignore[misc]
    _measure("score, log scale", lambda: histogram(table, "score", *marks, log=True))
    _measure("who passes", lambda: mask_of(ids, passing))
    print(f"{_worst_pause(lambda: mask_of(ids, passing)):7.1f} ms worst pause of the window meanwhile")


if __name__ == "__main__":
    main()
