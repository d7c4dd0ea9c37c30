"""Labels without training: which class name each item is nearest to (Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import StudioError
from mmstudio.explore.similarity import score_matrix

Floats = NDArray[np.float32]
TEMPERATURE = 0.05
_TEMPERATURES = np.geomspace(0.005, 1, 60)


def prompts(names: Sequence[str], template: str) -> list[str]:
    """A sentence for each class: the ``template`` with the name in the place of {}. Raises StudioError where there are
    not two different names, or the template has no {}.
    """
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise StudioError("There must be at least two classes, and no class twice.", hint="Put one name on each line.")
    if "{}" not in template:
        raise StudioError("The sentence has no place for the class.", hint="Write {} where the name belongs.")
    return [template.replace("{}", name) for name in names]


def probabilities(vectors: Floats, classes: Floats, temperature: float = TEMPERATURE) -> NDArray[np.float64]:
    """``(n, classes)`` softmax of the cosines of ``vectors (n, dim)`` with ``classes (classes, dim)``, divided by the
    ``temperature``: the lower, the surer; it changes no order.
    """
    logits = score_matrix(vectors, classes).astype(np.float64) / temperature
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return found / found.sum(axis=1, keepdims=True)


def fitted_temperature(vectors: Floats, classes: Floats, labels: NDArray[np.int64]) -> float:
    """The temperature at which ``labels (n,)`` are the most probable (temperature scaling: Guo et al. 2017), of 60
    between 0.005 and 1.
    """
    rows = np.arange(len(labels))
    losses = [-np.log(np.maximum(probabilities(vectors, classes, float(t))[rows, labels], 1e-300)).mean()
              for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])
