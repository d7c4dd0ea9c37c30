"""By what the map's points are coloured: categories, or steps of a scale of numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QColor

from mmstudio.colour_maps import colour_map
from mmstudio.desktop.heat import HEAT
from mmstudio.desktop.plots.sprites import SHAPES
from mmstudio.desktop.text import modality_name, tr
from mmstudio.desktop.theme import MODALITY_COLOURS, THEME, category_colours
from mmstudio.explore.similarity import Measure, scores
from mmstudio.library.items import Items

MOST_CATEGORIES = 24
"""The most frequent values that have a colour of their own."""
STEPS = 64
"""Colours of a scale."""
_TAILS = (1, 99)
"""Percentiles that a scale reaches from and to, so that a few strays do not make all others alike."""
_BLOCK = 1 << 15
_DAY_SECONDS = 86_400
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Scale:
    """What a bar of colours says: its title, and the words at its lowest and highest."""

    title: str
    low: str
    high: str


@dataclass(frozen=True)
class Colouring:
    """The ``codes (n,)`` of points: places in ``names``, of which the last ``grey`` stand for no category of their own;
    or, with a scale, steps of it, and ``STEPS`` where there is no number. ``shapes`` where the categories are what the
    points' shapes say, and have the colours that these have everywhere.
    """

    codes: Codes
    names: tuple[str, ...] = ()
    grey: int = 0
    scale: Scale | None = None
    shapes: bool = False

    def palette(self) -> list[QColor]:
        """The theme's colours for the codes."""
        c = THEME.colours
        if self.shapes:
            return [QColor(MODALITY_COLOURS[shape]) for shape in SHAPES]
        if self.scale:
            return [*scale_colours(), QColor(c.dim)]
        greys = [QColor(c.faint), QColor(c.dim)][-self.grey :] if self.grey else []
        return [*category_colours(len(self.names) - self.grey), *greys]


def scale_colours() -> list[QColor]:
    """``STEPS`` colours of heat, whose lightness rises evenly, as far as they show on the theme."""
    first, last = (60, 255) if THEME.colours.dark else (0, 205)
    return [QColor(*rgb) for rgb in colour_map(HEAT)[np.linspace(first, last, STEPS).astype(int)].tolist()]


def by_modality(shapes: Codes) -> Colouring:
    """By what the points' shapes say too."""
    return Colouring(shapes, tuple(modality_name(shape) for shape in SHAPES), shapes=True)


def by_cluster(keys: Codes, clustered: Codes, clusters: NDArray[np.int64] | None) -> Colouring:
    """``clusters (m,)`` of the keys ``clustered (m,)``, -1 for none."""
    found = np.full(len(keys), -1, np.int64)
    at = places_in(keys, clustered)
    if clusters is not None:
        found[at >= 0] = clusters[at[at >= 0]]
    number = int(found.max(initial=-1)) + 1
    names = tuple(tr("Cluster {}").format(i + 1) for i in range(number))
    return Colouring(np.where(found >= 0, found, number), (*names, tr("none")), grey=1)


def by_column(items: Items, name: str, title: str, keys: Codes) -> Colouring:
    """By one of the columns that have a histogram; points that are no items have no value.

    Raises ``KeyError`` for a column that is not there.
    """
    from mmstudio.library.query_match import coded, numbers_of

    columns, at = items.columns(), places_in(keys, items.ids())
    kind, column = columns.names()[name], columns.column(name)
    if kind in ("number", "date"):
        values = np.full(len(keys), np.nan)
        values[at >= 0] = np.asarray(numbers_of(column), np.float64)[at[at >= 0]]
        return by_date(values, title) if kind == "date" else by_number(values, title)
    known = coded(column)
    codes = known.codes
    if known.rows is not None:  # of an item's several tags the first
        codes = np.full(known.size, -1, np.int32)
        codes[known.rows[::-1]] = known.codes[::-1]
    found = np.full(len(keys), -1, np.int64)
    found[at >= 0] = codes[at[at >= 0]]
    return by_value(found, known.values)


def by_value(codes: Codes, values: object) -> Colouring:
    """``codes (n,)`` of Arrow strings, -1 for none: the most frequent have colours, the others one grey together."""
    counts = np.bincount(codes[codes >= 0], minlength=len(values))  # type: ignore[arg-type]
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    shown = order[:MOST_CATEGORIES]
    column = np.full(len(counts) + 1, len(shown), np.int64)  # the last is for -1
    column[shown] = np.arange(len(shown))
    column[-1] += 1
    names = values.take(shown).to_pylist()  # type: ignore[attr-defined]
    return Colouring(column[codes], (*names, tr("others"), tr("none")), grey=2)


def by_number(values: NDArray[np.float64], title: str,
              word: Callable[[float], str] = lambda number: f"{number:,.4g}") -> Colouring:
    """``values (n,)``, NaN for none, on an even scale; a bar that does not reach the outermost says so."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Colouring(np.full(len(values), STEPS), scale=Scale(title, "", tr("no values")))
    least, greatest = float(finite.min()), float(finite.max())
    low, high = (float(end) for end in np.percentile(finite, _TAILS))
    if low == high:
        low, high = least, greatest
    steps = np.nan_to_num((values - low) * (STEPS / max(high - low, 1e-300)), nan=0, posinf=STEPS, neginf=0)
    codes = np.where(np.isnan(values), STEPS, steps.clip(0, STEPS - 1).astype(np.int64))
    return Colouring(codes, scale=Scale(title, ("≤ " if least < low else "") + word(low),
                                        ("≥ " if greatest > high else "") + word(high)))


def by_date(seconds: NDArray[np.float64], title: str) -> Colouring:
    """Seconds since 1970, as dates of the local calendar, or with the time where they lie close together."""
    from mmstudio.library.bins import CALENDAR

    seconds = np.where((seconds >= CALENDAR[0]) & (seconds <= CALENDAR[1]), seconds, np.nan)
    finite = seconds[np.isfinite(seconds)]
    close = len(finite) > 0 and finite.max() - finite.min() < 2 * _DAY_SECONDS
    written = "%Y-%m-%d %H:%M:%S" if close else "%Y-%m-%d"
    return by_number(seconds, title, lambda moment: datetime.fromtimestamp(moment).strftime(written))


def by_score(ids: Codes, vectors: NDArray[np.float32], query: NDArray[np.float32], measure: Measure, title: str,
             keys: Codes) -> Colouring:
    """By how near each point's vector, of the items ``ids (m,)``, is to the question's ``query (dim,)``."""
    near = np.concatenate([np.zeros(0, np.float32), *(
        scores(vectors[start : start + _BLOCK], query, measure) for start in range(0, len(ids), _BLOCK))])
    at = places_in(keys, ids)
    values = np.full(len(keys), np.nan)
    values[at >= 0] = near[at[at >= 0]]
    return by_number(values, title)


def places_in(keys: Codes, ids: Codes) -> NDArray[np.intp]:
    """``(n,)`` where each of the ``keys (n,)`` is among the ``ids (m,)``, -1 where it is not."""
    if np.array_equal(keys[: len(ids)], ids):
        return np.append(np.arange(len(ids)), np.full(len(keys) - len(ids), -1))
    order = np.argsort(ids, kind="stable")
    at = np.searchsorted(ids[order], keys).clip(max=max(0, len(ids) - 1))
    return np.where(ids[order][at] == keys, order[at], -1) if len(ids) else np.full(len(keys), -1)
