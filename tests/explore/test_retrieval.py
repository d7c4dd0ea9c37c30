"""The retrieval report against the metrics of the training room, by hand, and by drawing."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.explore.retrieval import Direction, report
from mmstudio.progress import finish
from mmstudio.training.other_metrics import retrieval

RNG = np.random.default_rng(0)


def _unit(*shape: int) -> np.ndarray:
    rows = RNG.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _report(vectors: np.ndarray, modalities: np.ndarray, samples: list[list[int]]) -> dict[tuple[str, str], Direction]:
    return {(d.asked_with, d.found): d for d in finish(report(vectors, modalities, samples))}


def test_pairs_are_scored_as_the_training_room_scores_them_in_all_six_directions() -> None:
    n = 60
    shared = _unit(n, 8)
    vectors = np.concatenate([shared + 0.5 * _unit(n, 8) for _ in range(3)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    modalities = np.repeat(["image", "text", "audio"], n)
    found = _report(vectors, modalities, [[i, n + i, 2 * n + i] for i in range(n)])
    assert len(found) == 6
    for (asked, wanted), direction in found.items():
        want = retrieval(vectors[modalities == asked] @ vectors[modalities == wanted].T)
        assert {k: e.value for k, e in direction.recall.items()} == pytest.approx(want.recall)
        assert direction.mrr.value == pytest.approx(want.mrr)
        assert direction.median_rank.value == want.median_rank
        assert {k: e.chance for k, e in direction.recall.items()} == pytest.approx(want.chance_recall)
        assert direction.mrr.chance == pytest.approx(want.chance_mrr)
        assert abs(direction.median_rank.chance - want.chance_median_rank) <= 0.5
        assert direction.mrr.low < direction.mrr.value < direction.mrr.high


def test_of_several_partners_the_best_counts_and_chance_knows_how_many_there_are() -> None:
    vectors = np.eye(6, dtype=np.float32)
    vectors[0] = [0, 0.1, 0.9, 0.5, 0.2, 0]  # a text; its pictures are rows 1 and 3, best is row 2
    modalities = np.array(["text", *["image"] * 5])
    found = _report(vectors, modalities, [[0, 1, 3]])[("text", "image")]
    assert (found.questions, found.candidates) == (1, 5)
    assert found.median_rank.value == 2
    assert found.recall[1].value == 0
    assert found.recall[5].value == 1
    # The best of 2 among 5: P(rank 1) = 2/5, 2: 3/10, 3: 2/10, 4: 1/10.
    assert found.recall[1].chance == pytest.approx(0.4)
    assert found.mrr.chance == pytest.approx(0.4 + 0.3 / 2 + 0.2 / 3 + 0.1 / 4)
    assert found.median_rank.chance == 2


def test_equal_scores_share_the_middle_place() -> None:
    vectors = np.ones((5, 2), np.float32)
    found = _report(vectors, np.array(["text", *["image"] * 4]), [[0, 1]])[("text", "image")]
    assert found.median_rank.value == 2.5


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    held = 0
    for _ in range(40):
        vectors = _unit(80, 16)  # nothing belongs together: recall@1 of 40 candidates is 1/40
        found = _report(vectors, np.repeat(["image", "text"], 40), [[i, 40 + i] for i in range(40)])
        estimate = found[("image", "text")].mrr
        held += estimate.low <= estimate.chance <= estimate.high
    assert held >= 32


def test_modalities_without_partners_are_left_out() -> None:
    assert _report(_unit(4, 3), np.array(["image", "image", "text", "audio"]), [[0, 1]]) == {}
