"""Samples go to where what their fusion finds nearest lies."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.explore import sample_places
from mmstudio.explore.projection import placed_among
from mmstudio.explore.sample_fusion import Fuser, Parts, product_of_experts
from mmstudio.explore.sample_places import BesideOthers, Items, OfExperts, drawn_of, few_weighings, placed
from mmstudio.explore.side_by_side import SideBySide
from mmstudio.progress import finish

RNG = np.random.default_rng(1)
N = 50
KINDS = np.tile(["audio", "image", "text"], N)
VECTORS = RNG.normal(size=(3 * N, 16)) + 0.5
VECTORS = (VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)).astype(np.float32)
ON_MAP = RNG.normal(size=(3 * N, 2)).astype(np.float32)
WHOLE = np.arange(3 * N).reshape(-1, 3).tolist()
SOME = [[row for row in sample if (row + at) % 5] for at, sample in enumerate(WHOLE)]
"""Many lack a modality."""
ALL = np.arange(N)
WEIGHTS = np.repeat([[1.0], [0.3], [1.6]], N, axis=1).astype(np.float32)
MIXED = np.where(RNG.random((3, N)) < 0.5, WEIGHTS, RNG.random((3, N))).astype(np.float32)


def _parts(samples: list[list[int]]) -> tuple[Parts, np.ndarray]:
    places = Parts.of(ON_MAP, KINDS, samples).vectors.transpose(1, 0, 2)
    return Parts.of(VECTORS, KINDS, samples), places


def _around_mean(parts: Parts, m: int) -> np.ndarray:
    here = parts.present[m]
    return np.where(here[:, None], parts.vectors[:, m] - parts.vectors[here, m].mean(axis=0), 0)


def _by_hand(scores: np.ndarray, parts: Parts, places: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """One sample's place from its ``scores (n,)`` with all samples, -inf for itself."""
    near = np.argsort(-scores)[:8]
    counted = np.exp((scores[near] - scores[near].max()) / 0.05)
    anchors = [sum(weights[m] * parts.present[m, row] * places[m, row] for m in range(3))
               / sum(weights[m] * parts.present[m, row] for m in range(3)) for row in near]
    return counted @ np.array(anchors) / counted.sum()


@pytest.mark.parametrize("samples", [WHOLE, SOME], ids=["whole", "lacking"])
def test_side_by_side_they_go_to_the_nearest_by_the_weighted_sum_of_cosines(samples: list[list[int]]) -> None:
    parts, places = _parts(samples)
    counted = parts.counted(MIXED, ALL)
    found = finish(placed(BesideOthers(parts, places, SideBySide(parts)), ALL, few_weighings(counted)))
    around = [_around_mean(parts, m) for m in range(3)]
    for row in range(N):
        lengths = np.sqrt(sum(counted[m, row] * (around[m] ** 2).sum(axis=1) for m in range(3)))
        scores = sum(counted[m, row] * around[m] @ around[m][row] for m in range(3))
        scores = scores / np.maximum(lengths * lengths[row], 1e-12)
        scores[row] = -np.inf
        assert np.allclose(found[row], _by_hand(scores, parts, places, counted[:, row]), atol=2e-3)


@pytest.mark.parametrize("samples", [WHOLE, SOME], ids=["whole", "lacking"])
def test_by_experts_they_go_to_the_greatest_product_of_softmaxes(samples: list[list[int]]) -> None:
    parts, places = _parts(samples)
    counted = parts.counted(MIXED, ALL)
    found = finish(placed(OfExperts(parts, places), ALL, counted))
    for row in range(N):
        known = parts.present & parts.present[:, row][:, None]
        scores = np.where(known, np.einsum("md,nmd->mn", parts.vectors[row], parts.vectors), np.nan)
        scores[:, row] = np.nan
        logs = product_of_experts(scores, counted[:, row]).astype(float)
        logs[row] = -np.inf
        assert np.allclose(found[row], _by_hand(0.05 * logs, parts, places, counted[:, row]), atol=2e-3)


@pytest.mark.parametrize("how", ["mean", "geodesic"])
def test_with_a_fused_vector_they_go_to_the_nearest_items_that_are_on_the_map(how: str) -> None:
    parts, there = Parts.of(VECTORS, KINDS, SOME), np.arange(3 * N) % 7 != 0
    kin = Items(parts, SOME, how, VECTORS, ON_MAP, there)  # type: ignore[arg-type]
    found = finish(placed(kin, ALL, parts.counted(MIXED, ALL)))
    fuser = Fuser(parts)
    want = placed_among(fuser.vectors(fuser.coefficients(MIXED, how)), VECTORS[there], ON_MAP[there])  # type: ignore[arg-type]
    assert np.allclose(found, want, atol=1e-3)


def test_some_of_them_go_where_they_go_among_all_and_one_alone_stays_with_its_items() -> None:
    parts, places = _parts(WHOLE)
    kin, few = OfExperts(parts, places), np.array([7, 3, 41])
    assert np.allclose(finish(placed(kin, few, MIXED[:, few])), finish(placed(kin, ALL, MIXED))[few], atol=1e-5)
    alone, own = _parts(WHOLE[:1])
    want = np.average(ON_MAP[:3], axis=0, weights=MIXED[:, 0])
    for kin in (OfExperts(alone, own), BesideOthers(alone, own, SideBySide(alone))):
        assert np.allclose(finish(placed(kin, np.array([0]), MIXED[:, :1])), want, atol=1e-5)


def test_where_all_weights_are_nothing_all_that_is_there_counts_the_same() -> None:
    parts = Parts.of(VECTORS, KINDS, [[0, 1], [3, 4, 5]])
    assert parts.counted(np.zeros((3, 2), np.float32), np.arange(2)).tolist() == [[1, 1], [1, 1], [0, 1]]
    only_what_is_lacking = np.array([[0], [0], [2]], np.float32)
    assert parts.counted(only_what_is_lacking, np.array([0])).tolist() == [[1], [1], [0]]


def test_of_too_many_pairs_some_are_drawn_and_every_sample_sees_its_own_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_places, "MOST_PAIRS", 1000)
    monkeypatch.setattr(sample_places, "DRAWN", 20)
    assert [drawn_of(3 * N, N), drawn_of(3 * N, 6), drawn_of(20, 10**9)] == [20, 0, 0]
    parts = Parts.of(VECTORS, KINDS, WHOLE)
    alone = np.repeat([[0.0], [1.0], [0.0]], N, axis=1).astype(np.float32)
    kin = Items(parts, WHOLE, "mean", VECTORS, ON_MAP, np.ones(3 * N, bool))
    places = finish(placed(kin, ALL, alone))
    near = np.linalg.norm(places - ON_MAP[1::3], axis=1)
    assert np.median(near) < 0.1  # its own picture is the nearest by far
    _, own = _parts(WHOLE)
    drawn = np.sort(np.random.default_rng(0).choice(N, 20, replace=False))
    found = finish(placed(OfExperts(parts, own), ALL, alone))
    scores = VECTORS[1::3] @ VECTORS[1::3].T
    for row in range(N):
        these = np.full(N, -np.inf)
        these[drawn] = scores[row, drawn]
        these[row] = -np.inf
        assert np.allclose(found[row], _by_hand(these, parts, own, alone[:, row]), atol=1e-3)


def test_it_tells_how_far_it_is_and_can_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_places, "_AT_ONCE", 16 * N)
    parts, places = _parts(WHOLE)
    work = placed(OfExperts(parts, places), ALL, WEIGHTS)
    assert [(step.done, step.total) for step in work] == [(16, N), (32, N), (48, N)]
    work = placed(OfExperts(parts, places), ALL, WEIGHTS)
    next(work)
    work.close()
    assert not list(work)


def test_many_weighings_become_few() -> None:
    weights = RNG.random((3, 2000)).astype(np.float32)
    few = few_weighings(weights)
    assert np.abs(few - weights / weights.sum(axis=0)).max() < 0.0501
    assert len(np.unique(few, axis=1).T) <= sample_places.MOST_WEIGHINGS
    assert np.allclose(few_weighings(weights[:, :50]), weights[:, :50] / weights[:, :50].sum(axis=0), atol=1e-4)


def test_while_a_slider_moves_each_fusion_shares_as_it_fuses() -> None:
    parts, places = _parts(SOME)
    fuser = Fuser(parts)
    weights = [0.5, 1.0, 0.2]
    here = parts.present * np.array(weights)[:, None]
    assert np.allclose(fuser.shares(weights, "experts"), here / here.sum(axis=0), atol=1e-6)
    told = here * np.array([(_around_mean(parts, m) ** 2).sum(axis=1) for m in range(3)])
    found = fuser.shares(weights, "concatenated")
    assert np.allclose(found / found.sum(axis=0), told / told.sum(axis=0), atol=1e-4)
    mean = fuser.shares(weights, "mean").copy()
    assert np.allclose(mean, fuser.coefficients(weights), atol=1e-6)
    for how in ("mean", "geodesic", "concatenated", "experts"):
        alone = fuser.between(places, fuser.shares([0, 1, 0], how))
        has = parts.present[1]
        assert np.allclose(alone[has], places[1, has], atol=1e-5)
