"""A model of another space that is there at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Prepared


class Renamed:
    """The starter under another name: another space."""

    def __init__(self, encoder: Encoder, name: str) -> None:
        self._encoder, self.name, self.space, self.batches = encoder, name, name, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def forward(self, batch: Sequence[Prepared]) -> np.ndarray:
        self.batches += 1
        return self._encoder.forward(batch)
