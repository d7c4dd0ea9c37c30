"""All that the page about the gap between modalities tells, reckoned beside the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mmstudio.desktop.sample_rows import SampleRows
from mmstudio.explore.gap import Between, Closing, Modal, between, closing, joint_recall, modal
from mmstudio.progress import Progress, Work

MOST_RECALLED = 300
"""Samples whose items are looked for among all items."""
AT_ONCE = 60_000_000
"""Cosines of a sample with all items that are kept at a time, or a few: of a million items a sample's take 12 MB."""
FEWEST_AT_ONCE = 8


@dataclass(frozen=True)
class Gap:
    """All that is measured; recall and ``joint`` are of ``recalled`` of the ``samples``."""

    modal: list[Modal]
    between: list[Between]
    closing: list[Closing]
    joint: tuple[float, float]
    recalled: int
    samples: int


def measured(vectors: NDArray[np.floating], modalities: NDArray[np.str_], known: SampleRows) -> Work[Gap]:
    """Of ``vectors (n, dim)`` of ``modalities (n,)``. Recall looks at all items for each question, so of very many
    samples it is that of some.
    """
    some = known.drawn(MOST_RECALLED).lists()
    yield Progress(0, len(some), "looking at each modality")
    modals = modal(vectors, modalities)
    yield Progress(0, len(some), "looking between modalities")
    pairs = between(vectors, modalities, known.lists())
    size = max(FEWEST_AT_ONCE, AT_ONCE // max(1, len(vectors)))
    closings, joints, questions = list[Closing](), list[tuple[float, float]](), list[int]()
    for start in range(0, max(1, len(some)), size):
        yield Progress(start, len(some), "looking for what belongs together")
        part = some[start : start + size]
        closings += closing(vectors, modalities, part)
        joints.append(joint_recall(vectors, modalities, part))
        questions.append(_questions(modalities, part))
    return Gap(modals, pairs, _together(closings), _mean(joints, questions), len(some), len(known))


def _questions(modalities: NDArray[np.str_], samples: list[list[int]]) -> int:
    """Items with a partner of another modality."""
    return len({row for rows in samples for row in rows if len(set(modalities[rows].tolist())) > 1})


def _together(closings: list[Closing]) -> list[Closing]:
    """What was found of some samples after others, each way once."""
    out = []
    for one, other in dict.fromkeys((part.one, part.other) for part in closings):
        parts = [part for part in closings if (part.one, part.other) == (one, other)]
        pairs = [part.pairs for part in parts]
        before, after = _mean([(part.before, part.after) for part in parts], pairs)
        out.append(Closing(one, other, sum(pairs), before, after))
    return out


def _mean(shares: Sequence[tuple[float, float]], numbers: Sequence[int]) -> tuple[float, float]:
    """Of shares of so many questions each; NaN without any."""
    if not sum(numbers):
        return float("nan"), float("nan")
    before, after = np.average(np.nan_to_num(np.array(shares)), axis=0, weights=numbers).tolist()
    return before, after
