"""Divisions into train, validation and test, and duplicates between them."""

from __future__ import annotations

import time

import numpy as np
import pytest

from mmstudio.errors import TrainingError
from mmstudio.progress import finish
from mmstudio.training import leaks, splits
from mmstudio.training.splits import TEST, TRAIN, VALIDATION

SEEDS = range(4)
SHARES = (0.8, 0.1, 0.1)


def counts(division: splits.Division) -> list[int]:
    return np.bincount(division.parts, minlength=3).tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_random_division_has_exact_shares_and_repeats_itself(seed: int) -> None:
    found = splits.random(1000, SHARES, seed)
    assert counts(found) == [800, 100, 100]
    assert found.parts.dtype == np.int8
    assert np.array_equal(found.parts, splits.random(1000, (80, 10, 10), seed).parts)
    assert not np.array_equal(found.parts, splits.random(1000, SHARES, seed + 1).parts)
    assert found.note == ""
    assert sorted(np.concatenate([found.rows(part) for part in range(3)]).tolist()) == list(range(1000))


def test_the_shuffle_is_the_same_on_every_computer_and_favours_no_place() -> None:
    assert splits.shuffled(12, 7).tolist() == [7, 10, 1, 3, 2, 6, 4, 11, 0, 8, 5, 9]
    places = np.mean([splits.shuffled(40, seed) for seed in range(2000)], axis=0)
    assert np.abs(places - 19.5).max() < 1.2  # 4.6 standard errors
    assert sorted(splits.shuffled(5000, 2**40).tolist()) == list(range(5000))


@pytest.mark.parametrize(("n", "shares", "wanted"), [
    (2, SHARES, [1, 1, 0]), (3, SHARES, [1, 1, 1]), (7, SHARES, [5, 1, 1]), (10, (1, 0, 0), [10, 0, 0]),
    (2, (0.1, 0.45, 0.45), [1, 1, 0]), (3, (0.01, 0.5, 0.49), [1, 1, 1]), (5, (0.5, 0, 0.5), [3, 0, 2]),
    (100, (0.29, 0.7, 0.01), [29, 70, 1]), (9, (1, 1, 1), [3, 3, 3]),
])
def test_every_wanted_part_gets_an_example_as_far_as_they_go(n: int, shares: splits.Shares, wanted: list[int]) -> None:
    assert counts(splits.random(n, shares)) == wanted
    assert splits.sizes(n, np.array(shares, float)).sum() == n


@pytest.mark.parametrize("seed", SEEDS)
def test_a_stratified_division_has_the_shares_in_every_class(seed: int) -> None:
    labels = np.random.default_rng(seed).choice(6, 2000, p=[0.5, 0.2, 0.15, 0.1, 0.045, 0.005])
    found = splits.stratified(labels, SHARES, seed)
    assert np.abs(np.array(counts(found)) - [1600, 200, 200]).max() <= 4
    for label in range(6):
        own = np.bincount(found.parts[labels == label], minlength=3)
        assert np.abs(own - own.sum() * np.array(SHARES)).max() <= 1.5
        assert own[TRAIN] >= 1
    assert np.array_equal(found.parts, splits.stratified(labels.tolist(), SHARES, seed).parts)


def test_many_small_classes_do_not_starve_a_part() -> None:
    found = splits.stratified([f"class {i // 4}" for i in range(400)], SHARES)
    assert counts(found) == [300, 50, 50]


def test_each_class_is_in_train_even_where_train_is_small() -> None:
    labels = np.repeat(np.arange(20), [1] * 10 + [2] * 5 + [30] * 5)
    found = splits.stratified(labels, (0.1, 0.45, 0.45))
    assert set(labels[found.rows(TRAIN)]) == set(range(20))


def test_classes_of_one_example_leave_nothing_for_the_other_parts_and_the_note_says_so() -> None:
    found = splits.stratified(["a", "b", "c"], SHARES)
    assert counts(found) == [3, 0, 0]
    assert found.note == "No example is left for validation. No example is left for test."
    assert counts(splits.stratified(["a"] * 4, SHARES)) == [2, 1, 1]
    assert counts(splits.stratified([None, float("nan"), "", "a", "a"], SHARES)) == [3, 1, 1]  # missing is one class


@pytest.mark.parametrize("seed", SEEDS)
def test_a_division_by_several_labels_has_the_shares_of_each(seed: int) -> None:
    truth = np.random.default_rng(seed).random((1500, 8)) < [0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.02, 0.003]
    found = splits.stratified_labels(truth, SHARES, seed)
    assert np.abs(np.array(counts(found)) - [1200, 150, 150]).max() <= 15
    for label in range(8):
        own = np.bincount(found.parts[truth[:, label]], minlength=3)
        assert np.abs(own / own.sum() - SHARES).max() < max(0.02, 1.5 / own.sum())
    plain = splits.random(1500, SHARES, seed).parts
    gap = [np.abs((truth[parts == TEST].mean(axis=0) - truth.mean(axis=0)) / truth.mean(axis=0)).mean()
           for parts in (found.parts, plain)]
    assert gap[0] < 0.5 * gap[1]


def test_examples_without_any_label_are_divided_too() -> None:
    assert counts(splits.stratified_labels(np.zeros((100, 3), bool), SHARES)) == [80, 10, 10]
    with pytest.raises(TrainingError, match="one row"):
        splits.stratified_labels(np.zeros(4, bool))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_group_lies_in_two_parts(seed: int) -> None:
    groups = np.random.default_rng(seed).zipf(1.7, 600) % 80
    found = splits.grouped(groups, SHARES, seed)
    assert all(len(set(found.parts[groups == group])) == 1 for group in np.unique(groups))
    largest = np.bincount(groups).max()
    assert np.abs(np.array(counts(found)) - [480, 60, 60]).max() <= max(largest - 480, 6)
    assert np.array_equal(found.parts, splits.grouped([f"g{g}" for g in groups], SHARES, seed).parts)


def test_few_groups_fill_train_first_and_the_note_names_the_empty_part() -> None:
    assert counts(splits.grouped(["a", "a", "b", "c"], SHARES)) == [2, 1, 1]
    two = splits.grouped(["a"] * 3 + ["b"], SHARES)
    assert counts(two) == [3, 1, 0]
    assert two.note == "No example is left for test."
    with pytest.raises(TrainingError, match="one group"):
        splits.grouped(["a"] * 5)


def test_examples_without_a_group_stand_alone() -> None:
    found = splits.grouped([None, "", float("nan"), "  ", None, None, None, None, None, None], SHARES)
    assert counts(found) == [8, 1, 1]


def test_the_oldest_are_train_and_the_newest_test() -> None:
    times = np.random.default_rng(0).permutation(100) * 1.5
    found = splits.by_time(times, SHARES)
    assert counts(found) == [80, 10, 10]
    assert times[found.parts == TRAIN].max() < times[found.parts == VALIDATION].min()
    assert times[found.parts == VALIDATION].max() < times[found.parts == TEST].min()
    days = np.datetime64("2024-01-01") + np.arange(10)[::-1]
    assert splits.by_time(days, SHARES).parts.tolist() == [TEST, VALIDATION] + [TRAIN] * 8


def test_missing_and_equal_times_are_told() -> None:
    found = splits.by_time(np.array([3, np.nan, 1, 2, 2, 2]), (1, 1, 1))
    assert found.parts.tolist() == [2, 0, 0, 0, 1, 1]
    assert found.note == "1 example is without a time in train. Examples of one time lie in two parts."
    with_nothing = np.array(["2024", "NaT", "2025"], "datetime64[D]")
    assert splits.by_time(with_nothing, (1, 1, 0)).parts.tolist() == [0, 0, 1]
    with pytest.raises(TrainingError, match="no times"):
        splits.by_time(np.array(["a", "b"]))


def test_a_columns_words_name_the_parts() -> None:
    words = ["train", "Val", " valid ", "VALIDATION", "dev", "test", "Testing", "training"]
    found = splits.by_words(words)
    assert found.parts.tolist() == [0, 1, 1, 1, 1, 2, 2, 0]
    assert found.note == ""


def test_other_words_or_none_go_to_train_and_are_told() -> None:
    found = splits.by_words(["train", None, "foo", "test", float("nan"), 7, "foo", "bar", "baz"])
    assert found.parts.tolist() == [0, 0, 0, 2, 0, 0, 0, 0, 0]
    assert found.note == ("7 examples are named nothing, “foo”, “7” … and in train. "
                          "No example is left for validation.")
    with pytest.raises(TrainingError, match="train"):
        splits.by_words(["test", "val"])


@pytest.mark.parametrize("divide", [
    lambda: splits.random(1), lambda: splits.random(0), lambda: splits.stratified([]), lambda: splits.grouped([]),
    lambda: splits.by_time(np.zeros(1)), lambda: splits.by_words(["train"]),
])
def test_fewer_than_two_examples_are_an_error(divide: object) -> None:
    with pytest.raises(TrainingError, match="Fewer than 2"):
        divide()  # type: ignore[operator]


@pytest.mark.parametrize("shares", [(0, 0.5, 0.5), (1, -0.1, 0.1), (1, float("nan"), 0), (0.5, 0.5)])
def test_shares_that_leave_nothing_to_learn_from_are_an_error(shares: splits.Shares) -> None:
    with pytest.raises(TrainingError, match="shares"):
        splits.random(10, shares)


def unit(seed: int, n: int, dim: int = 24) -> np.ndarray:
    made = np.random.default_rng(seed).normal(size=(n, dim)).astype(np.float32)
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("block", [7, 64, 2048])
@pytest.mark.parametrize("seed", SEEDS)
def test_leaks_are_exactly_the_near_pairs_across_parts(seed: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "BLOCK", block)
    rng = np.random.default_rng(seed)
    vectors = unit(seed, 150)
    copies = rng.choice(150, (40, 2), replace=True)
    vectors[copies[:, 0]] = vectors[copies[:, 1]] + 0.01 * unit(seed + 9, 40)
    vectors[3] = 0
    hashes = [None if i % 5 == 0 else f"h{rng.integers(60)}" for i in range(150)]
    parts = splits.random(150, (2, 1, 1), seed).parts
    found = finish(leaks.find(parts, vectors, hashes))
    unit_rows = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    wanted = {(i, j) for i in range(150) for j in range(i + 1, 150) if parts[i] != parts[j]
              and (unit_rows[i] @ unit_rows[j] >= leaks.NEAR or (hashes[i] and hashes[i] == hashes[j]))}
    assert {(int(i), int(j)) for i, j in found.pairs} == wanted
    assert found.count == len(found.pairs) == len(wanted) > 0
    assert np.allclose(found.cosine, [unit_rows[i] @ unit_rows[j] for i, j in found.pairs], atol=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_moving_leaking_groups_to_train_leaves_no_leak_and_touches_nothing_else(seed: int) -> None:
    vectors = unit(seed, 300)
    for start in range(0, 60, 3):  # the ends of each three are near only through the middle
        step = 0.18 * unit(seed + 50 + start, 1)[0]
        vectors[start:start + 3] = vectors[start] + np.outer([-1, 0, 1], step)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    parts = splits.random(300, (1, 1, 1), seed).parts
    found = finish(leaks.find(parts, vectors))
    mended = leaks.moved_to_train(parts, found, np.arange(len(parts)))
    assert found.count > 0
    assert finish(leaks.find(mended, vectors)).count == 0
    assert mended.dtype == np.int8
    changed = np.flatnonzero(mended != parts)
    assert set(mended[changed]) == {TRAIN}
    assert changed.max() < 60
    # A group in one part stays where it is, also outside train.
    for start in range(0, 60, 3):
        same = len(set(parts[start:start + 3])) == 1
        assert np.array_equal(mended[start:start + 3], parts[start:start + 3] if same else [TRAIN] * 3)


def test_hashes_alone_find_equal_contents() -> None:
    parts = np.array([0, 1, 2, 2, 0], np.int8)
    found = finish(leaks.find(parts, hashes=["a", "b", "a", "b", ""]))
    assert found.pairs.tolist() == [[0, 2], [1, 3]]
    assert np.isnan(found.cosine).all()
    assert found.group.tolist() == [0, 1, 0, 1, -1]
    assert leaks.moved_to_train(parts, found, np.arange(len(parts))).tolist() == [0, 0, 0, 0, 0]


def test_more_pairs_than_are_shown_are_counted_and_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "MOST", 50)
    monkeypatch.setattr(leaks, "BLOCK", 16)
    parts = np.arange(90).astype(np.int8) % 3
    found = finish(leaks.find(parts, np.tile(unit(0, 1), (90, 1))))
    assert (len(found.pairs), found.count) == (50, 3 * 30 * 30)
    assert not leaks.moved_to_train(parts, found, np.arange(len(parts))).any()


def test_nothing_to_compare_has_no_leak_and_broken_vectors_are_an_error() -> None:
    parts = np.zeros(3, np.int8)
    for found in (finish(leaks.find(parts)), finish(leaks.find(parts[:0], np.zeros((0, 4), np.float32), [])),
                  finish(leaks.find(np.arange(3, dtype=np.int8), np.zeros((3, 4), np.float32), ["", None, ""]))):
        assert found.count == len(found.pairs) == 0
        assert (found.group == -1).all()
    with pytest.raises(TrainingError, match="not numbers"):
        finish(leaks.find(parts, np.full((3, 2), np.nan, np.float32)))
    with pytest.raises(TrainingError, match="needs a part"):
        finish(leaks.find(parts, unit(0, 4)))


def test_looking_for_duplicates_tells_progress_and_is_quick() -> None:
    vectors, parts = unit(0, 5000, 384), splits.random(5000).parts
    began = time.perf_counter()
    steps = list(leaks.find(parts, vectors))
    assert time.perf_counter() - began < 2  # 20,000 take 16 times as long
    assert steps[-1].done == steps[-1].total == 5000
    assert len(steps) == 3
