"""The pointing game: how often the most relevant place lies on what a word names, method by method.

``python tests/bench/bench_pointing.py [questions]``. The scenes of the example hold several things, whose boxes are
known; the starter is asked for each of them. The slow methods are asked fewer questions. Printed is the table that the
README shows, with 95 % intervals (Wilson 1927).
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

from mmstudio import paths
from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.explain.boxes import points_at
from mmstudio.explain.methods import METHODS, relevance
from mmstudio.media import Limits, MediaRef, load
from mmstudio.progress import finish

SLOW = 60


def questions() -> list[tuple[Any, str, list[float]]]:
    """A picture, the word, and the box of what it names in 0..1."""
    folder = paths.resources() / "samples"
    listed = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["items"]
    out = []
    for item in (item for item in listed if item.get("boxes")):
        picture: Any = load(MediaRef(folder / item["path"], "image"), Limits())
        sides = picture.size * 2
        out += [(picture, one["concept"], [edge / side for edge, side in zip(one["box"], sides, strict=True)])
                for one in item["boxes"]]
    return out


def interval(hits: int, count: int) -> tuple[float, float]:
    share, z = hits / count, 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return middle - half, middle + half


def main() -> None:
    asked = questions()
    asked = asked[: int(sys.argv[1])] if len(sys.argv) > 1 else asked
    encoder = load_encoder("starter", "cpu")
    targets = dict(zip((words := sorted({word for _, word, _ in asked})), encode(encoder, words, "text"), strict=True))
    chance = sum((box[2] - box[0]) * (box[3] - box[1]) for _, _, box in asked) / len(asked)
    print(f"| method | on the thing | 95 % interval | of | a map takes |\n| --- | --- | --- | --- | --- |\n"
          f"| a place at random | {chance:.2f} | | | |")
    for method in METHODS:
        some = asked if method.quick or len(asked) <= SLOW else asked[:: len(asked) // SLOW][:SLOW]
        started = time.perf_counter()
        hits = sum(points_at(finish(relevance(method.name, encoder, picture, "image", targets[word])), box)
                   for picture, word, box in some)
        each = (time.perf_counter() - started) / len(some)
        low, high = interval(hits, len(some))
        print(f"| {method.title} | {hits / len(some):.2f} | {low:.2f} to {high:.2f} | {len(some)} | "
              f"{1000 * each:,.0f} ms |", flush=True)


if __name__ == "__main__":
    main()
