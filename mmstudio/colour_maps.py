"""Perceptually uniform colour maps and palettes of distinct colours, under colorcet's names for them."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
from numpy.typing import NDArray

from mmstudio import paths


@cache
def colour_map(name: str) -> NDArray[np.uint8]:
    """``(256, 3)`` uint8 red, green and blue, not to be written to. Raises KeyError for an unknown name."""
    table = np.frombuffer(bytes.fromhex(_maps()[name]), np.uint8)
    return table.reshape(-1, 3)


@cache
def _maps() -> dict[str, str]:
    found: dict[str, str] = json.loads((paths.resources() / "colours/maps.json").read_text(encoding="utf-8"))
    return found
