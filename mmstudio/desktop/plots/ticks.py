"""Round numbers along an axis."""

from __future__ import annotations

import math

_GREATEST = 300.0
"""Powers of ten beyond which no number is told."""


def ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """Round numbers from ``low`` to ``high``, at most about ``most``, each with its text."""
    rough = (high - low) / max(1, most)
    if not (math.isfinite(rough) and rough > 0):
        return []
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough * 0.999)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(number * step, _number(number * step, places)) for number in range(first, min(last, first + 50) + 1)]


def _number(value: float, places: int) -> str:
    return f"{value:,.{places}f}" if places <= 4 and abs(value) < 1e6 else f"{value:.3g}"


def log_ticks(low: float, high: float, most: int) -> list[tuple[float, str]]:
    """As ``ticks`` where ``low`` and ``high`` are powers of ten: decades, or round numbers inside one."""
    low, high = max(low, -_GREATEST), min(high, _GREATEST)
    if high <= low:
        return []
    if high - low < 1:
        return [tick for tick in ticks(10**low, 10**high, most) if tick[0] > 0]
    first, last = math.ceil(low), math.floor(high)
    stride = max(1, -(-(last - first + 1) // most))
    parts = (1, 2, 5) if (last - first + 1) * 3 <= most else (1,)
    decades = range(first - 1, last + 1, stride) if stride == 1 else range(first, last + 1, stride)
    values = [part * 10.0**decade for decade in decades for part in parts]
    return [(value, f"{value:g}") for value in values if low <= math.log10(value) <= high]
