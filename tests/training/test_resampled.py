"""Scores of weighted examples are those of scikit-learn, and their intervals those of resampling one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from mmstudio.training import compared, resampled

RNG = np.random.default_rng(0)
N, CLASSES = 300, 4
GIVEN = RNG.integers(0, CLASSES, N)
SHARES = np.round(RNG.dirichlet(np.ones(CLASSES), N) + 0.4 * np.eye(CLASSES)[GIVEN], 1)
"""With many equal scores."""
SAID = SHARES.argmax(1)
DRAWN = np.stack([np.bincount(RNG.integers(0, N, N), minlength=N) for _ in range(3)]).astype(float)


def test_averages_over_classes_are_those_of_scikit_learn() -> None:
    found = resampled.of_classes(GIVEN, SAID, CLASSES)(DRAWN)
    for place, weights in enumerate(DRAWN):
        assert found["balanced accuracy"][place] == pytest.approx(
            sk.balanced_accuracy_score(GIVEN, SAID, sample_weight=weights))
        for average in ("macro", "micro"):
            wanted = sk.precision_recall_fscore_support(GIVEN, SAID, average=average, sample_weight=weights)[:3]
            for name, value in zip(("precision", "recall", "F1"), wanted, strict=True):
                assert found[f"{average} {name}"][place] == pytest.approx(value), (average, name)


def test_averages_over_several_labels_are_those_of_scikit_learn() -> None:
    given, said = RNG.random((2, N, 5)) < 0.3
    said[:, 4] = False  # never told
    found = resampled.of_labels(given, said)(DRAWN)
    for place, weights in enumerate(DRAWN):
        for average in ("macro", "micro"):
            wanted = sk.precision_recall_fscore_support(given, said, average=average, sample_weight=weights,
                                                        zero_division=0)[:3]
            for name, value in zip(("precision", "recall", "F1"), wanted, strict=True):
                assert found[f"{average} {name}"][place] == pytest.approx(value), (average, name)


def test_areas_with_equal_scores_are_those_of_scikit_learn() -> None:
    positive = GIVEN[:, None] == np.arange(CLASSES)
    score = resampled.of_ranks(positive, SHARES)
    assert score is not None
    found = score(DRAWN)
    for place, weights in enumerate(DRAWN):
        for name, of in (("ROC AUC", sk.roc_auc_score), ("average precision", sk.average_precision_score)):
            wanted = np.mean([of(positive[:, c], SHARES[:, c], sample_weight=weights) for c in range(CLASSES)])
            assert found[name][place] == pytest.approx(wanted), name
    nobody = resampled.of_ranks(np.zeros((N, 1), bool), SHARES[:, :1])
    assert nobody is not None
    assert all(np.isnan(value).all() for value in nobody(DRAWN).values())
    assert resampled.of_ranks(np.zeros((resampled.MOST_RANKED, 2), bool), np.zeros((resampled.MOST_RANKED, 2))) is None


def test_errors_of_amounts_are_those_of_scikit_learn_far_from_zero_too() -> None:
    given = 1e6 + RNG.normal(0, 2, N)
    said = given + RNG.normal(0, 1, N)
    found = resampled.of_amounts(given, said)(DRAWN)
    for place, weights in enumerate(DRAWN):
        assert found["MAE"][place] == pytest.approx(sk.mean_absolute_error(given, said, sample_weight=weights))
        assert found["RMSE"][place] == pytest.approx(sk.root_mean_squared_error(given, said, sample_weight=weights))
        assert found["R²"][place] == pytest.approx(sk.r2_score(given, said, sample_weight=weights), rel=1e-6)
    assert np.isnan(resampled.of_amounts(np.ones(N), said)(DRAWN)["R²"]).all()


def test_intervals_agree_with_resampling_one_by_one() -> None:
    found = resampled.resampled(N, resampled.of_classes(GIVEN, SAID, CLASSES))["macro F1"]
    slow = compared.bootstrap(N, lambda rows: sk.f1_score(GIVEN[rows], SAID[rows], average="macro"), 300, seed=3)
    assert found.value == pytest.approx(slow.value)
    assert [found.low, found.high] == pytest.approx([slow.low, slow.high], abs=0.015)
    assert found == resampled.resampled(N, resampled.of_classes(GIVEN, SAID, CLASSES))["macro F1"]
    with pytest.raises(ValueError, match="needs an example"):
        resampled.resampled(0, resampled.of_mean("none", np.zeros(0)))


@pytest.mark.parametrize("task", ["multi-label", "captioning"])
def test_other_tasks_score_as_they_are_measured(task: str) -> None:
    outputs = RNG.normal(0, 1, (N, 2)).astype(np.float32)
    targets = RNG.random((N, 2)) < 0.4
    found = {name: value[0] for name, value in resampled.of_task(
        task, outputs, targets)(np.ones((1, N))).items()}  # type: ignore[arg-type]
    if task == "captioning":
        assert found["perplexity"] == pytest.approx(np.exp(outputs[:, 0].mean(dtype=float)))
        assert found["word accuracy"] == pytest.approx(outputs[:, 1].mean(dtype=float))
    else:
        assert found["micro F1"] == pytest.approx(sk.f1_score(targets, outputs >= 0, average="micro"))
        assert found["loss"] == pytest.approx(np.mean([sk.log_loss(
            targets[:, c], 1 / (1 + np.exp(-outputs[:, c].astype(float)))) for c in range(2)]))
