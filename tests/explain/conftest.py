"""What tests of explanations share: the sample scenes with the boxes of what is on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from mmstudio import paths
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Vectors, encode
from mmstudio.media import Limits, MediaRef, load

Scene = tuple[Any, list[tuple[str, list[float]]]]


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """Pictures, each with its concepts and their boxes in 0..1."""
    folder = paths.resources() / "samples"
    listed = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["items"]
    out: list[Scene] = []
    for item in (item for item in listed if item.get("boxes")):
        picture: Any = load(MediaRef(folder / item["path"], "image"), Limits())
        sides = picture.size * 2
        out.append((picture, [(one["concept"], [edge / side for edge, side in zip(one["box"], sides, strict=True)])
                              for one in item["boxes"]]))
    return out


@pytest.fixture(scope="session")
def words(starter: Encoder) -> Callable[[str], Vectors]:
    """The starter's vector of a text."""
    return lambda text: encode(starter, [text], "text")[0]
