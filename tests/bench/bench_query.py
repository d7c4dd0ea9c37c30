"""Filter queries and completions over 1,000,000 rows. Bars: 100 ms for a query, 30 ms for a completion.

Columns as a library may hold them: texts of some 60 characters, one in ten of them not ASCII, file names, 500 tags, a
few categories, numbers with gaps, dates. "First" is the first call for a column, which counts its values; then the
median of five. Tags and categories are dictionary-encoded, or plain strings with the argument ``plain``.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from mmstudio.library.query import parse
from mmstudio.library.query_match import Kind, complete, matches

ROWS = 1_000_000
QUERIES = [
    'tag:dog "full text"', 'tag:common "full text"', '"full text"', "ÜBER", "zzz", "tag:dog", "tag:tag1*", "-tag:dog",
    "modality:image", "width>=640", "duration<5s has:caption", "added:week", "name:1234", "has:text",
    "width>1990 full text -tag:blurry", "(full OR text) modality:image,audio", "cat OR dog OR added:today",
    'type:photo tag:dog score>0.3 duration<5s has:caption added:month "full text" -tag:common (cat OR dog) width>=640',
]
WORDS = ["dog", "cat", "Beach", "sunny", "a", "the", "of", "street", "photo", "running", "blue", "quick", "tree",
         "mountain", "night", "full", "text", "people", "walking", "Über"]
COMPLETIONS = ["ta", "tag:", "tag:ta", "modality:", "label:c", "has:", "added:"]


class Table:
    """Columns of this benchmark's making."""

    def __init__(self, encode: bool) -> None:
        rng = np.random.default_rng(0)
        words = np.array(WORDS)
        texts = [" ".join(row) for row in words[(rng.random((ROWS, 10)) ** 1.2 * 20).astype(int)]]
        counts = rng.integers(0, 5, ROWS)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        tags = np.array(["common", *(f"tag{i}" for i in range(500)), "dog", "blurry"])
        tagged = _strings(tags[np.where(rng.random(offsets[-1]) < 0.3, 0, rng.integers(0, 503, offsets[-1]))], encode)
        labels = np.array(["cat", "cat food", "car", "dog", "tree", "a longer label"])
        self._kinds: dict[str, Kind] = {
            "name": "text", "text": "text", "modality": "category", "label": "category", "tag": "tags",
            "score": "number", "width": "number", "duration": "number", "added": "date", "caption": "flag"}
        self._columns = {
            "name": pa.array([f"IMG_{number:07}.jpg" for number in range(ROWS)]), "text": pa.array(texts),
            "modality": _strings(np.array(["image", "audio", "text"])[rng.integers(0, 3, ROWS)], encode),
            "label": _strings(labels[rng.integers(0, 6, ROWS)], encode),
            "tag": pa.ListArray.from_arrays(pa.array(offsets), tagged),
            "score": pa.array(rng.random(ROWS, np.float32)), "width": pa.array(rng.integers(1, 2000, ROWS)),
            "duration": pa.array(rng.random(ROWS) * 100, mask=rng.random(ROWS) < 0.5),
            "added": pa.array(time.time() - rng.random(ROWS) * 3e7), "caption": pa.array(rng.random(ROWS) < 0.3)}

    def __len__(self) -> int:
        return ROWS

    def names(self) -> Mapping[str, Kind]:
        return self._kinds

    def column(self, name: str) -> Any:
        return self._columns[name]

    def searched(self) -> list[Any]:
        return [self._columns["text"], self._columns["name"]]

    def renew(self) -> None:
        """New array objects, of which nothing is known yet."""
        self._columns = {name: column.slice(0) for name, column in self._columns.items()}


def _strings(values: np.ndarray, encode: bool) -> Any:  # type: ignore[type-arg]
    return pa.array(values).dictionary_encode() if encode else pa.array(values)


def _measure(title: str, table: Table, call: Callable[[], int], bar_ms: float) -> None:
    table.renew()
    times = []
    for _ in range(6):
        started = time.perf_counter()
        found = call()
        times.append((time.perf_counter() - started) * 1000)
    usual = statistics.median(times[1:])
    print(f"{usual:7.1f} ms, {usual / bar_ms:4.2f} of the bar; first {times[0]:6.1f} ms; {found:9,} found: {title}")


def main() -> None:
    table = Table(encode="plain" not in sys.argv[1:])
    for text in QUERIES:
        _measure(text, table, lambda text=text: int(matches(parse(text), table).sum()), 100)
    for text in COMPLETIONS:
        _measure(f"completing {text}", table, lambda text=text: len(complete(text, len(text), table)), 30)


if __name__ == "__main__":
    main()
