"""Clusters and their names on made examples whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from mmstudio.explore import clustering
from mmstudio.explore.clustering import by_size, hdbscan, k_means
from mmstudio.explore.naming import distinctive_terms, nearest_words
from mmstudio.progress import finish

RNG = np.random.default_rng(0)
SIZES = (30, 120, 60)
TRUTH = np.repeat([0, 1, 2], SIZES)
ROWS = (np.array([[0, 0], [4, 0], [0, 4]])[TRUTH] + RNG.normal(0, 0.2, (210, 2))).astype(np.float32)


def test_both_ways_find_the_groups_largest_first_and_hdbscan_leaves_strays_out() -> None:
    strays = np.array([[20, 20], [-20, 15]], np.float32)
    found = finish(hdbscan(np.concatenate([ROWS, strays]), 10))
    assert found[-2:].tolist() == [-1, -1]
    assert adjusted_rand_score(TRUTH, found[:-2]) > 0.95
    assert np.bincount(found[found >= 0]).tolist() == sorted(np.bincount(found[found >= 0]), reverse=True)
    found = finish(k_means(ROWS, 3))
    assert adjusted_rand_score(TRUTH, found) == 1
    assert np.bincount(found).tolist() == [120, 60, 30]


def test_of_very_many_rows_a_sample_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "MOST_HDBSCAN", 100)
    monkeypatch.setattr(clustering, "MOST_KMEANS", 100)
    assert adjusted_rand_score(TRUTH, finish(hdbscan(ROWS, 15))) > 0.9
    assert adjusted_rand_score(TRUTH, finish(k_means(ROWS, 3))) > 0.95


def test_few_rows_are_no_cluster_and_more_means_than_rows_are_not_asked_for() -> None:
    assert finish(hdbscan(ROWS[:2])).tolist() == [-1, -1]
    assert sorted(finish(k_means(ROWS[:2], 5)).tolist()) == [0, 1]
    assert by_size(np.array([5, 5, -1, 2])).tolist() == [0, 0, -1, 1]


def test_distinctive_terms_weigh_by_the_formula() -> None:
    texts = ["the dog barks", "the dog runs", "the cat sleeps", "a stray thought"]
    labels = np.array([0, 0, 1, -1])
    found = distinctive_terms(texts, labels, 2)
    assert found[0][0] == "dog"
    assert "the" not in found[1]
    per_cluster = 9 / 2
    weights = {"the": 2 * np.log1p(per_cluster / 3), "dog": 2 * np.log1p(per_cluster / 2)}
    assert weights["dog"] > weights["the"]
    common = distinctive_terms(["with ant", "with bee", "with cow", "with dog", "eel"], np.arange(5))
    assert common == {0: ["ant"], 1: ["bee"], 2: ["cow"], 3: ["dog"], 4: ["eel"]}
    assert distinctive_terms([], np.zeros(0, np.int64)) == {}


def test_a_cluster_is_named_by_the_word_its_centre_points_to_though_a_gap_lies_between() -> None:
    words, gap = np.eye(5, 8, dtype=np.float32), 9 * np.eye(8, dtype=np.float32)[7]
    vectors = np.repeat(words[[1, 3]], 20, axis=0) + RNG.normal(0, 0.1, (40, 8)).astype(np.float32) + gap
    found = nearest_words(vectors, np.repeat([0, 1], 20), ["ant", "bee", "cow", "dog", "eel"], words, 1)
    assert found == {0: ["bee"], 1: ["dog"]}
