"""Metrics against scikit-learn and scipy, or worked out by hand."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from mmstudio.training import calibration, compared, metrics, other_metrics

SEEDS = range(5)


def case(seed: int, n: int = 120, classes: int = 4, steps: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that are right more often than not; ``steps`` rounds them so that ties occur."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    if steps:
        logits = np.round(logits * steps) / steps
    return labels, calibration.softmax(logits)


@pytest.mark.parametrize("seed", SEEDS)
def test_hard_scores_are_those_of_scikit_learn(seed: int) -> None:
    labels, shares = case(seed)
    told = shares.argmax(axis=1)
    table = metrics.confusion(labels, shares)
    assert np.array_equal(table, sk.confusion_matrix(labels, told))
    assert metrics.accuracy(labels, shares) == pytest.approx(sk.accuracy_score(labels, told))
    assert metrics.balanced_accuracy(table) == pytest.approx(sk.balanced_accuracy_score(labels, told))
    each = metrics.per_class(table)
    for found, wanted in zip((each.precision, each.recall, each.f1, each.support),
                             sk.precision_recall_fscore_support(labels, told), strict=True):
        assert np.allclose(found, wanted)
    for average, mine in (("macro", metrics.macro(table)), ("micro", metrics.micro(table))):
        wanted = sk.precision_recall_fscore_support(labels, told, average=average)[:3]
        assert np.allclose((mine.precision, mine.recall, mine.f1), wanted)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_class_that_never_occurs_or_is_never_told_is_nan_of_its_own_and_fair_in_the_macro_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, told = rng.choice([0, 1, 2], 60), rng.choice([1, 2, 3], 60)
    table = metrics.confusion(labels, np.eye(5)[told])
    each = metrics.per_class(table)
    assert np.isnan(each.precision[[0, 4]]).all()
    assert np.isnan(each.recall[[3, 4]]).all()
    assert list(np.isnan(each.f1)) == [False, False, False, False, True]
    wanted = sk.precision_recall_fscore_support(labels, told, average="macro", zero_division=0)[:3]
    mine = metrics.macro(table)
    assert np.allclose((mine.precision, mine.recall, mine.f1), wanted)
    assert metrics.balanced_accuracy(table) == pytest.approx(each.recall[:3].mean())


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("seed", SEEDS)
def test_curves_and_their_areas_are_those_of_scikit_learn_also_with_ties(seed: int, steps: int) -> None:
    labels, shares = case(seed, classes=2, steps=steps)
    curve = metrics.roc(labels == 1, shares[:, 1])
    false_rate, true_rate, thresholds = sk.roc_curve(labels, shares[:, 1], drop_intermediate=False)
    assert np.allclose(curve.false_rate, false_rate)
    assert np.allclose(curve.true_rate, true_rate)
    assert np.array_equal(curve.thresholds, thresholds)
    assert metrics.roc_auc(labels, shares) == pytest.approx(sk.roc_auc_score(labels, shares[:, 1]))
    found = metrics.precision_recall(labels == 1, shares[:, 1])
    precision, recall, thresholds = sk.precision_recall_curve(labels, shares[:, 1])
    assert np.allclose(found.precision, precision[-2::-1])
    assert np.allclose(found.recall, recall[-2::-1])
    assert np.array_equal(found.thresholds, thresholds[::-1])
    assert metrics.average_precision(labels, shares) == pytest.approx(
        sk.average_precision_score(labels, shares[:, 1]))


@pytest.mark.parametrize("seed", SEEDS)
def test_areas_of_several_classes_are_means_of_one_against_the_rest(seed: int) -> None:
    labels, shares = case(seed, steps=3)
    assert metrics.roc_auc(labels, shares) == pytest.approx(sk.roc_auc_score(labels, shares, multi_class="ovr"))
    assert metrics.average_precision(labels, shares) == pytest.approx(
        sk.average_precision_score(np.eye(4)[labels], shares))
    kept = labels != 2  # a class that never occurs is left out
    others = [sk.roc_auc_score(labels[kept] == c, shares[kept, c]) for c in (0, 1, 3)]
    assert metrics.roc_auc(labels[kept], shares[kept]) == pytest.approx(np.mean(others))


@pytest.mark.parametrize("seed", SEEDS)
def test_losses_and_top_k_are_those_of_scikit_learn(seed: int) -> None:
    labels, shares = case(seed)
    assert metrics.log_loss(labels, shares) == pytest.approx(sk.log_loss(labels, shares))
    assert metrics.brier(labels, shares) == pytest.approx(((shares - np.eye(4)[labels]) ** 2).sum(axis=1).mean())
    for k in (1, 2, 3):
        assert metrics.top_k_accuracy(labels, shares, k) == pytest.approx(sk.top_k_accuracy_score(labels, shares, k=k))
    assert metrics.top_k_accuracy(labels, shares, 9) == 1
    two, binary = case(seed, classes=2)
    assert metrics.brier(two, binary) == pytest.approx(2 * sk.brier_score_loss(two, binary[:, 1]))


def test_equal_probabilities_tell_the_lowest_class_and_give_an_area_of_one_half() -> None:
    labels, flat = np.array([0, 1, 2, 2]), np.full((4, 3), 1 / 3)
    assert metrics.accuracy(labels, flat) == metrics.top_k_accuracy(labels, flat, 1) == 0.25
    assert metrics.top_k_accuracy(labels, flat, 2) == 0.5
    assert metrics.roc_auc(labels, flat) == pytest.approx(0.5)
    assert metrics.average_precision(labels, flat) == pytest.approx(1 / 3)


def test_one_example_has_scores_and_no_area() -> None:
    one = metrics.summary(np.array([1]), np.array([[0.2, 0.8]]))
    assert one["accuracy"] == one["macro F1"] == one["average precision"] == 1
    assert one["log loss"] == pytest.approx(-math.log(0.8))
    assert math.isnan(one["ROC AUC"])
    none = metrics.precision_recall(np.zeros(3, bool), np.arange(3.0))
    assert math.isnan(none.average)
    assert np.isnan(none.recall).all()


def test_a_probability_of_zero_for_the_truth_is_a_large_and_finite_loss() -> None:
    assert metrics.log_loss(np.array([0]), np.array([[0.0, 1.0]])) == pytest.approx(-math.log(metrics.SMALLEST))


@pytest.mark.parametrize(("labels", "shares", "why"), [
    (np.zeros(0, int), np.zeros((0, 3)), "nothing"),
    (np.zeros(2, int), np.full((3, 2), 0.5), "fit"),
    (np.array([0, 2]), np.full((2, 2), 0.5), "0 to 1"),
    (np.array([0, -1]), np.full((2, 2), 0.5), "0 to 1"),
    (np.array([0.0, 1.0]), np.full((2, 2), 0.5), "integers"),
    (np.array([0, 1]), np.array([[0.5, 0.5], [np.nan, 0.5]]), "1 rows are not numbers"),
])
def test_what_cannot_be_measured_is_an_error(labels: np.ndarray, shares: np.ndarray, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        metrics.summary(labels, shares)


def test_scores_that_are_no_probabilities_have_no_loss() -> None:
    with pytest.raises(ValueError, match="sum to 1"):
        metrics.log_loss(np.array([0, 1]), np.array([[3.0, 1.0], [0.0, 2.0]]))
    with pytest.raises(ValueError, match="not numbers"):
        metrics.roc(np.array([True, False]), np.array([0.1, np.nan]))


def test_reliability_is_worked_out_by_hand() -> None:
    shares = np.array([[0.95, 0.05], [0.85, 0.15], [0.8, 0.2], [0.35, 0.65]])
    found = calibration.reliability(np.array([0, 0, 1, 0]), shares, bins=5)
    assert list(found.count) == [0, 0, 0, 2, 2]  # 0.8 is its bin's upper edge
    assert np.allclose(found.confidence[3:], [0.725, 0.9])
    assert np.allclose(found.accuracy[3:], [0, 1])
    assert np.isnan(found.confidence[:3]).all()
    assert found.error == pytest.approx((2 * 0.725 + 2 * 0.1) / 4)


@pytest.mark.parametrize("true_temperature", [0.4, 1.0, 3.0])
def test_temperature_scaling_finds_the_factor_that_spoilt_calibrated_logits(true_temperature: float) -> None:
    rng = np.random.default_rng(1)
    honest = 2 * rng.normal(size=(8000, 5))
    labels = (honest + rng.gumbel(size=honest.shape)).argmax(axis=1)  # drawn from softmax(honest)
    spoilt = honest * true_temperature
    found = calibration.fit_temperature(labels, spoilt)
    assert found == pytest.approx(true_temperature, rel=0.06)
    mended = calibration.softmax(spoilt, found)
    assert calibration.calibration_error(labels, mended) < 0.02
    if true_temperature != 1:
        assert calibration.calibration_error(labels, calibration.softmax(spoilt)) > 0.08
    for other in (0.97 * found, 1.03 * found):
        assert metrics.log_loss(labels, mended) <= metrics.log_loss(labels, calibration.softmax(spoilt, other))


def test_temperature_stays_in_bounds_where_there_is_no_best_one() -> None:
    labels = np.array([0, 1, 0])
    sure = np.eye(2)[labels] * 1e4
    assert calibration.fit_temperature(labels, sure) == calibration.COLDEST
    assert calibration.fit_temperature(1 - labels, sure) == calibration.HOTTEST
    assert calibration.fit_temperature(labels, np.full((3, 2), 7.0)) == 1
    assert np.allclose(calibration.softmax(np.array([[1e5, 0.0]])), [[1, 0]])
    with pytest.raises(ValueError, match="not numbers"):
        calibration.fit_temperature(labels, np.full((3, 2), np.inf))


def labelled(seed: int, n: int = 150, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.random((n, classes)) < [0.5, 0.3, 0.1, 0.2]
    return truth, np.clip(np.round(0.25 + 0.3 * truth + 0.2 * rng.normal(size=truth.shape), 2), 0, 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_multi_label_scores_are_those_of_scikit_learn(seed: int) -> None:
    truth, shares = labelled(seed)
    found, told = other_metrics.multi_label(truth, shares, 0.4), shares >= 0.4
    assert found.micro_f1 == pytest.approx(sk.f1_score(truth, told, average="micro"))
    assert found.macro_f1 == pytest.approx(sk.f1_score(truth, told, average="macro"))
    assert found.mean_average_precision == pytest.approx(sk.average_precision_score(truth, shares))
    assert found.subset_accuracy == pytest.approx(sk.accuracy_score(truth, told))
    assert found.hamming == pytest.approx(sk.hamming_loss(truth, told))
    assert np.allclose(found.precision, sk.precision_score(truth, told, average=None))
    assert np.allclose(found.recall, sk.recall_score(truth, told, average=None))


@pytest.mark.parametrize("seed", SEEDS)
def test_each_class_gets_the_threshold_of_its_highest_f1(seed: int) -> None:
    truth, shares = labelled(seed)
    thresholds = other_metrics.fit_thresholds(truth, shares)
    best = [max(sk.f1_score(truth[:, c], shares[:, c] >= t) for t in np.unique(shares[:, c])) for c in range(4)]
    assert np.allclose(other_metrics.multi_label(truth, shares, thresholds).f1, best)


def test_labels_that_never_occur_are_nan_and_get_the_usual_threshold() -> None:
    truth, shares = np.array([[True, False], [False, False]]), np.array([[0.3, 0.2], [0.1, 0.2]])
    assert np.allclose(other_metrics.fit_thresholds(truth, shares), [0.2, 0.5])  # half way
    found = other_metrics.multi_label(truth, shares, [0.25, 0.5])
    assert math.isnan(found.f1[1])
    assert found.macro_f1 == found.micro_f1 == found.mean_average_precision == found.subset_accuracy == 1
    nothing = other_metrics.multi_label(np.zeros((2, 2), bool), shares)
    assert math.isnan(nothing.micro_f1)
    assert nothing.subset_accuracy == 1
    for broken in (np.zeros((0, 2)), np.full((2, 2), np.nan), np.zeros(2)):
        with pytest.raises(ValueError):
            other_metrics.multi_label(np.zeros((len(broken), 2), bool), broken)


@pytest.mark.parametrize("seed", SEEDS)
def test_regression_scores_are_those_of_scikit_learn_and_scipy_also_with_ties(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = np.round(rng.normal(size=80), 1)
    told = np.round(truth + rng.normal(size=80), 1)
    found = other_metrics.regression(truth, told)
    assert found.mae == pytest.approx(sk.mean_absolute_error(truth, told))
    assert found.rmse == pytest.approx(sk.root_mean_squared_error(truth, told))
    assert found.r2 == pytest.approx(sk.r2_score(truth, told))
    assert found.pearson == pytest.approx(stats.pearsonr(truth, told)[0])
    assert found.spearman == pytest.approx(stats.spearmanr(truth, told)[0])
    assert np.allclose(other_metrics.ranks(truth), stats.rankdata(truth))


def test_regression_of_one_amount_or_of_huge_ones_warns_of_nothing() -> None:
    one = other_metrics.regression(np.array([2.0]), np.array([3.0]))
    assert (one.mae, one.rmse) == (1, 1)
    assert math.isnan(one.r2)
    flat = other_metrics.regression(np.array([1.0, 2, 3]), np.full(3, 0.1))
    assert math.isnan(flat.pearson)
    assert math.isnan(flat.spearman)
    assert flat.r2 < 0
    huge = other_metrics.regression(np.array([1e200, -1e200, 3e200]), np.array([1e200, 0, 3e200]))
    assert huge.rmse == pytest.approx(1e200 / 3**0.5)
    for truth, told in ((np.zeros(0), np.zeros(0)), (np.zeros(2), np.array([0, np.nan])), (np.zeros(2), np.zeros(3))):
        with pytest.raises(ValueError):
            other_metrics.regression(truth, told)


@pytest.mark.parametrize("seed", SEEDS)
def test_retrieval_ranks_partners_among_all(seed: int) -> None:
    similarity = np.random.default_rng(seed).normal(size=(40, 40)) + 2 * np.eye(40)
    rank = np.array([1 + (row > row[i]).sum() for i, row in enumerate(similarity)])
    found = other_metrics.retrieval(similarity, ks=(1, 5, 99))
    assert found.recall == {k: pytest.approx((rank <= k).mean()) for k in (1, 5, 99)}
    assert found.mrr == pytest.approx((1 / rank).mean())
    assert found.median_rank == np.median(rank)


def test_retrieval_of_one_similarity_is_chance() -> None:
    found = other_metrics.retrieval(np.ones((20, 20), np.float32))
    assert found.recall == pytest.approx(found.chance_recall)
    assert found.mrr == pytest.approx(found.chance_mrr)
    assert found.median_rank == found.chance_median_rank == 10.5
    assert found.chance_recall == {1: 0.05, 5: 0.25, 10: 0.5}
    for broken in (np.zeros((0, 0)), np.zeros((2, 3)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError):
            other_metrics.retrieval(broken)


def test_retrieval_by_chance_is_what_random_matrices_give_on_average() -> None:
    rng = np.random.default_rng(3)
    found = [other_metrics.retrieval(rng.random((12, 12)), ks=(3,)) for _ in range(300)]
    assert np.mean([one.recall[3] for one in found]) == pytest.approx(found[0].chance_recall[3], abs=0.02)
    assert np.mean([one.mrr for one in found]) == pytest.approx(found[0].chance_mrr, abs=0.02)


def test_bootstrap_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = {"mean": 0, "rows": 0, "table": 0}
    for seed in range(120):
        right = rng.random(150) < 0.7
        table = np.array([[right.sum(), (~right).sum()], [0, 0]])
        for name, found in (
            ("mean", compared.bootstrap_mean(right, 400, seed=seed)),
            ("rows", compared.bootstrap(150, lambda rows, r=right: r[rows].mean(), 200, seed=seed)),
            ("table", compared.bootstrap_table(table, lambda t: t[0, 0] / t.sum(), 200, seed=seed)),
        ):
            assert found.value == pytest.approx(right.mean())
            covered[name] += found.low <= 0.7 <= found.high
    assert all(0.88 <= count / 120 <= 0.99 for count in covered.values()), covered


def test_the_three_bootstraps_agree_and_repeat_themselves() -> None:
    labels, shares = case(4, n=400)
    right = shares.argmax(axis=1) == labels
    table = metrics.confusion(labels, shares)
    by_rows = compared.bootstrap(400, lambda rows: right[rows].mean(), seed=5)
    for other in (compared.bootstrap_mean(right), compared.bootstrap_mean(np.where(right, 1.0, 1e-9)),
                  compared.bootstrap_table(table, lambda t: np.trace(t) / t.sum())):
        assert (other.low, other.high) == pytest.approx((by_rows.low, by_rows.high), abs=0.012)
    assert by_rows == compared.bootstrap(400, lambda rows: right[rows].mean(), seed=5)
    f1 = compared.bootstrap_table(table, lambda t: metrics.macro(t).f1)
    assert f1.low < f1.value == metrics.macro(table).f1 < f1.high


def test_a_thousand_resamples_of_ten_thousand_rows_take_less_than_two_seconds() -> None:
    values = np.random.default_rng(0).random(10_000)
    began = time.perf_counter()
    slow = compared.bootstrap(10_000, lambda rows: values[rows].mean())
    middle = time.perf_counter()
    fast = compared.bootstrap_mean(values)
    assert middle - began < 2
    assert time.perf_counter() - middle < 2
    assert fast.low == pytest.approx(slow.low, abs=2e-3)


def test_bootstraps_of_nothing_are_errors_and_of_what_is_undefined_nan() -> None:
    for broken in (np.zeros(0), np.array([1.0, np.nan])):
        with pytest.raises(ValueError):
            compared.bootstrap_mean(broken)
    with pytest.raises(ValueError):
        compared.bootstrap_table(np.zeros((2, 2), int), metrics.balanced_accuracy)
    assert math.isnan(compared.bootstrap(3, lambda rows: float("nan"), 10).low)
    assert compared.bootstrap_mean(np.ones(1)) == compared.Interval(1.0, 1.0, 1.0)


@pytest.mark.parametrize(("a", "b"), [(0, 0), (1, 0), (3, 9), (12, 12), (5, 20), (30, 30), (10, 40), (200, 160)])
def test_mcnemar_is_the_binomial_for_few_pairs_and_chi_squared_for_many(a: int, b: int) -> None:
    first = np.array([True] * a + [False] * b + [True] * 7)
    second = np.array([False] * a + [True] * b + [True] * 7)
    found = compared.mcnemar(first, second)
    assert (found.only_first, found.only_second, found.exact) == (a, b, a + b < 25)
    if found.exact:
        wanted = stats.binomtest(a, a + b).pvalue if a + b else 1.0
    else:
        wanted = stats.chi2.sf(max(abs(a - b) - 1, 0) ** 2 / (a + b), 1)
    assert found.p == pytest.approx(wanted)
    with pytest.raises(ValueError):
        compared.mcnemar(first, second[1:])


def planted(seed: int, margin: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """True and given labels, the rows whose label is wrong (8 %), and probabilities of a model."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, 1000)
    shares = calibration.softmax(rng.normal(size=(1000, 4)) + margin * np.eye(4)[true])
    wrong = np.sort(rng.choice(1000, 80, replace=False))
    given = true.copy()
    given[wrong] = (true[wrong] + 1) % 4  # 0 is called 1, 1 is called 2, …
    return true, given, wrong, shares


@pytest.mark.parametrize("seed", SEEDS)
def test_confident_learning_finds_planted_label_errors(seed: int) -> None:
    """A model that is right in 99 %: at least 97 % of what is told was planted, over 70 % of the planted are told."""
    true, given, wrong, shares = planted(seed, 4)
    found = compared.label_errors(given, shares)
    hits = np.isin(found.rows, wrong)
    assert hits.mean() >= 0.97
    assert np.isin(wrong, found.rows).mean() > 0.7
    assert (found.suggested == true[found.rows])[hits].mean() >= 0.97
    assert np.all(np.diff(found.margin) >= 0)
    assert found.joint.sum() == pytest.approx(1)
    assert np.allclose(found.joint.sum(axis=1), np.bincount(given, minlength=4) / 1000)
    wanted = np.bincount(given * 4 + true, minlength=16).reshape(4, 4) / 1000
    assert np.abs(found.joint - wanted).max() < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_with_a_weak_model_the_surest_label_errors_are_still_planted_ones(seed: int) -> None:
    """A model that is right in 80 %: at least 85 % of the first 40, and half of the planted are told in all."""
    _, given, wrong, shares = planted(seed, 2)
    found = compared.label_errors(given, shares)
    assert np.isin(found.rows[:40], wrong).mean() >= 0.85
    assert np.isin(wrong, found.rows).mean() >= 0.5


def test_confident_learning_is_worked_out_by_hand() -> None:
    shares = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.3, 0.7]])
    found = compared.label_errors(np.array([0, 0, 0, 1, 1]), shares)
    # Thresholds 0.6 and 0.8: rows 0 and 1 count as 0, rows 2 and 3 as 1, row 4 as neither.
    assert list(found.rows) == [2]
    assert list(found.suggested) == [1]
    assert np.allclose(found.margin, [-0.6])
    assert np.allclose(found.joint, [[0.4, 0.2], [0, 0.4]])


def test_confident_learning_copes_with_one_class_missing_classes_and_flat_probabilities() -> None:
    one = compared.label_errors(np.zeros(3, int), np.ones((3, 1)))
    assert not len(one.rows)
    missing = compared.label_errors(np.array([0, 0, 1]), np.array([[0.1, 0.1, 0.8], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]]))
    assert 2 not in missing.suggested
    assert missing.joint[2].sum() == 0
    flat = compared.label_errors(np.array([0, 1, 1]), np.full((3, 2), 0.5))
    assert not len(flat.rows)
    assert np.allclose(flat.joint, [[1 / 3, 0], [0, 2 / 3]])
    with pytest.raises(ValueError):
        compared.label_errors(np.zeros(0, int), np.zeros((0, 2)))
