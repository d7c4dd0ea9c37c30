"""What clusters are about: terms that set their texts apart, and words that lie near them in a joint space."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
COMMON_FROM, COMMON = 4, 0.2
"""Of at least so many clusters, a term that is in more than this share of them sets none apart."""
_WORD = re.compile(r"[^\W\d_][\w'’-]+")


def distinctive_terms(texts: Sequence[str], labels: Labels, most: int = 3) -> dict[int, list[str]]:
    """The ``most`` terms of each cluster's texts with the highest class-based TF-IDF (Grootendorst 2022): how often a
    term is in the cluster, times log(1 + words per cluster / how often it is anywhere). ``labels (n,)``, -1 for none.
    """
    from scipy.sparse import csr_matrix

    words, vocabulary = list[tuple[int, int]](), dict[str, int]()
    for text, label in zip(texts, labels.tolist(), strict=True):
        if label >= 0:
            words += [(label, vocabulary.setdefault(word, len(vocabulary))) for word in _WORD.findall(text.lower())]
    if not words:
        return {}
    own, term = np.array(words).T
    counts = csr_matrix((np.ones(len(words)), (own, term)), (int(own.max()) + 1, len(vocabulary)))
    per_cluster = len(words) / len(np.unique(own))
    weight = counts.multiply(np.log1p(per_cluster / np.asarray(counts.sum(axis=0)).ravel())).tocsr()
    if len(np.unique(own)) >= COMMON_FROM:
        in_clusters = np.asarray((counts > 0).sum(axis=0)).ravel()
        weight = weight.multiply(in_clusters <= max(1, COMMON * len(np.unique(own)))).tocsr()
        weight.eliminate_zeros()
    names, out = list(vocabulary), {}
    for label in np.unique(own).tolist():
        row = weight[label]
        best = row.indices[np.lexsort((row.indices, -row.data))[:most]]
        out[label] = [names[at] for at in best.tolist()]
    return out


def nearest_words(vectors: Floats, labels: Labels, words: Sequence[str], word_vectors: Floats, most: int = 3,
                  ) -> dict[int, list[str]]:
    """The ``most`` of ``words`` whose ``word_vectors (m, dim)`` lie nearest to the centre of each cluster of ``vectors
    (n, dim)``. What all clusters and what all words have in common is taken away first, for it names nothing and holds
    the gap between modalities.
    """
    present = np.unique(labels[labels >= 0])
    if not len(present) or not len(words):
        return {}
    centres = np.stack([vectors[labels == label].mean(axis=0) for label in present])
    if len(centres) > 1:
        centres = centres - centres.mean(axis=0)
    own = word_vectors - word_vectors.mean(axis=0)
    own = own / np.maximum(np.linalg.norm(own, axis=1, keepdims=True), 1e-12)
    near = centres @ own.T
    return {int(label): [words[at] for at in np.argsort(-row, kind="stable")[:most]]
            for label, row in zip(present, near, strict=True)}
