"""From the map's own coordinates to pixels and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass
class Transform:
    """``centre`` (map units) lies in the middle of the widget; ``scale`` is pixels per unit."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 100.0

    def to_pixels(self, places: Floats, width: int, height: int) -> Floats:
        """``(n, 2)`` pixels of ``(n, 2)`` places; the map's y goes up."""
        out = np.empty_like(places)
        out[:, 0] = (places[:, 0] - self.x) * self.scale + width / 2
        out[:, 1] = (self.y - places[:, 1]) * self.scale + height / 2
        return out

    def to_place(self, px: float, py: float, width: int, height: int) -> tuple[float, float]:
        return (px - width / 2) / self.scale + self.x, self.y - (py - height / 2) / self.scale

    def zoom_at(self, px: float, py: float, factor: float, width: int, height: int) -> None:
        """Zoom so that what is under the pointer stays there."""
        before = self.to_place(px, py, width, height)
        self.scale = float(np.clip(self.scale * factor, 1e-3, 1e7))
        after = self.to_place(px, py, width, height)
        self.x += before[0] - after[0]
        self.y += before[1] - after[1]

    def fit(self, places: Floats, width: int, height: int) -> None:
        """Show all but stray points, with a margin."""
        if not len(places) or width < 2 or height < 2:
            return
        low, high = (np.percentile(places, [0.2, 99.8], axis=0) if len(places) > 50
                     else (places.min(axis=0), places.max(axis=0)))
        self.x, self.y = (float(v) for v in (low + high) / 2)
        span = np.maximum(high - low, 1e-6)
        self.scale = float(min(0.86 * width / span[0], 0.86 * height / span[1], 1e4))


def inside_polygon(points: Floats, polygon: NDArray[np.floating]) -> NDArray[np.bool_]:
    """``(n,)`` which ``(n, 2)`` points lie inside a closed polygon ``(m, 2)``, by the even-odd rule."""
    x, y = points[:, 0], points[:, 1]
    inside = np.zeros(len(points), bool)
    previous = polygon[-1]
    for corner in polygon:
        crosses = (corner[1] > y) != (previous[1] > y)
        rise = previous[1] - corner[1]
        at = corner[0] + (y - corner[1]) / (rise if rise else 1e-12) * (previous[0] - corner[0])
        inside ^= crosses & (x < at)
        previous = corner
    return inside
