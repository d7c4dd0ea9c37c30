"""Early fusion without learning: what a sample is in each modality, side by side as one long vector, then PCA."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmstudio.explore.sample_fusion import Parts

Floats = NDArray[np.float32]
OF_EACH, OF_ALL = 128, 64
"""Principal components of each modality before it is weighed, and of all of them side by side."""


class SideBySide:
    """Each modality less its mean, shortened to its own ``OF_EACH`` principal components; what a sample lacks says
    nothing. That is reckoned once; any weights then only turn what is left.
    """

    def __init__(self, parts: Parts) -> None:
        blocks = []
        for at, here in enumerate(parts.present):
            own = parts.vectors[here, at]
            own -= own.mean(axis=0)
            block = np.zeros((len(parts), min(OF_EACH, *own.shape)), np.float32)
            block[here] = own @ _strongest(own.T @ own, block.shape[1])
            blocks.append(block)
        self._rows = np.concatenate(blocks, axis=1)
        self._products = self._rows.T @ self._rows
        self._widths = [block.shape[1] for block in blocks]
        self._newest: tuple[list[float], Floats] | None = None

    def vectors(self, weights: Floats, dim: int = OF_ALL) -> Floats:
        """``(n, dim)`` unit vectors by ``weights (m,)``, which are the modalities' shares in every inner product: with
        all components the cosine of two samples is the weighted sum of their modalities' inner products, divided by
        both lengths.
        """
        newest, told = self._newest, [*weights.tolist(), dim]
        if newest is not None and newest[0] == told:
            return newest[1]
        scale = np.repeat(np.sqrt(np.maximum(weights, 0)), self._widths).astype(np.float32)
        out = self._rows @ (scale[:, None] * _strongest(self._products * scale * scale[:, None], dim))
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), np.float32(1e-12))
        self._newest = told, out
        return out


def _strongest(products: Floats, number: int) -> Floats:
    """``(d, number)`` the leading eigenvectors of a symmetric matrix, at most all ``d``."""
    from scipy.linalg import eigh

    d = len(products)
    found: Floats = eigh(products, subset_by_index=(max(0, d - number), d - 1))[1]
    return found
