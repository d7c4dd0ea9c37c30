"""Items that the model in use cannot read, brought into its space from another model's over texts that both have read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import SpaceMismatch
from mmstudio.explore.bridge import Bridge, bridge
from mmstudio.library import SpaceKey, VectorView

MOST, MOST_TEXTS = 20_000, 4_000
"""Items of a space that is bridged, for their vectors are held in memory once more; and texts it is made from."""


@dataclass(frozen=True, eq=False)
class Bridged:
    """``ids (m,)`` and ``modalities (m,)`` of what came from the space ``source`` into ``target``, with its ``vectors
    (m, dim)`` there, by the ``best`` of the bridges that were ``tried`` with so many ``texts``.
    """

    source: SpaceKey
    target: SpaceKey
    texts: int
    tried: tuple[Bridge, ...]
    ids: NDArray[np.int64]
    modalities: NDArray[np.str_]
    vectors: NDArray[np.float32]

    @property
    def best(self) -> Bridge:
        """The one that holds best on texts it was not made from."""
        return max(self.tried, key=lambda one: one.cosine)


def bridged(view: VectorView, other: VectorView) -> Bridged:
    """Bring what only ``other`` has into the space of ``view``. Raises SpaceMismatch for fewer than ten common texts,
    and for more than ``MOST`` items.
    """
    if max(len(view), len(other)) > MOST:
        raise SpaceMismatch(f"A bridge is for up to {MOST:,} items.", hint="Make a smaller project of a selection.")
    texts = np.intersect1d(view.ids[view.modalities == "text"], other.ids[other.modalities == "text"])
    texts = np.sort(np.random.default_rng(0).permutation(texts)[:MOST_TEXTS])
    there, here = ([one.rows[identity] for identity in texts.tolist()] for one in (other, view))
    tried = (bridge(other.vectors[there], view.vectors[here], "procrustes"),
             bridge(other.vectors[there], view.vectors[here], "ridge"))
    only = np.flatnonzero(~np.isin(other.ids, view.ids))
    found = Bridged(other.key, view.key, len(texts), tried, other.ids[only], other.modalities[only],
                    np.zeros((0, view.key.dim), np.float32))
    return Bridged(found.source, found.target, found.texts, tried, found.ids, found.modalities,
                   found.best.over(other.vectors[only]))


def extended(view: VectorView, found: Bridged, items: NDArray[np.int64]) -> VectorView:
    """The view with those bridged items behind its own that are still among the ids ``items`` and have no vector of the
    model's. Where the project has grown too large since, the view as it is.
    """
    if found.target != view.key or len(view) > MOST:
        return view
    keep = np.isin(found.ids, items) & ~np.isin(found.ids, view.ids)
    ids = found.ids[keep]
    rows = view.rows | dict(zip(ids.tolist(), range(len(view), len(view) + len(ids)), strict=True))
    return VectorView(view.key, np.concatenate([view.ids, ids]), np.concatenate([view.vectors, found.vectors[keep]]),
                      np.concatenate([view.modalities, found.modalities[keep]]), rows)
