"""The search index against looking at every vector."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmstudio.explore.index import Index, build, fingerprint, opened
from mmstudio.explore.similarity import nearest, scores
from mmstudio.progress import finish

DIM, COUNT = 64, 40_000
RNG = np.random.default_rng(0)


def _made(count: int) -> np.ndarray:
    """Clusters whose spectrum falls, as that of embeddings does."""
    falling = (np.arange(1, DIM + 1) ** -0.8).astype(np.float32)
    centres = np.random.default_rng(1).normal(size=(60, DIM)).astype(np.float32) * falling
    rows = centres[RNG.integers(0, 60, count)] + 0.35 * RNG.normal(size=(count, DIM)).astype(np.float32) * falling
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    return _made(COUNT)


@pytest.fixture(scope="module")
def groups() -> np.ndarray:
    return np.where(np.arange(COUNT) % 5 == 0, "text", "image")


@pytest.fixture(scope="module")
def index(table: np.ndarray, groups: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Index:
    return finish(build(table, groups, tmp_path_factory.mktemp("index"), "here"))


@pytest.mark.parametrize("group", ["image", "text"])
def test_exact_answers_are_exactly_those_of_looking_at_every_vector(
    table: np.ndarray, groups: np.ndarray, index: Index, group: str,
) -> None:
    rows, queries = np.flatnonzero(groups == group), _made(20)
    truth = queries.astype(np.float64) @ table[rows].T.astype(np.float64)
    for query, near in zip(3 * queries, truth, strict=True):
        got = index.top(table, query, 100, group, exact=True)
        assert np.allclose([hit.score for hit in got], np.sort(near)[: -101 : -1], atol=1e-6)
        surely = set(rows[near > np.sort(near)[-100] + 1e-6].tolist())
        assert surely <= {hit.index for hit in got}


def test_an_approximate_answer_has_about_the_recall_that_the_index_tells(
    table: np.ndarray, groups: np.ndarray, index: Index,
) -> None:
    told = index.groups["image"]
    assert told.shortlist > 0
    assert told.probes < told.cells
    rows, queries, shares = np.flatnonzero(groups == "image"), _made(100), []
    for query, near in zip(queries, queries @ table[rows].T, strict=True):
        want = set(rows[np.argsort(-near)[:10]].tolist())
        shares.append(len(want & {hit.index for hit in index.top(table, query, 10, "image")}) / 10)
    assert np.mean(shares) >= 0.99
    assert abs(np.mean(shares) - told.recall) < 0.015


def test_both_ways_stay_within(table: np.ndarray, groups: np.ndarray, index: Index) -> None:
    within = RNG.random(COUNT) < 0.1
    query = _made(1)[0]
    for exact in (True, False):
        hits = index.top(table, query, 10, "image", within, exact)
        assert [hit.index for hit in hits] == [h.index for h in nearest(scores(table, query), 10,
                                                                         within & (groups == "image"))]
    assert index.top(table, query, 10, "audio") == []


def test_an_index_is_opened_again_and_a_damaged_one_is_none(
    table: np.ndarray, index: Index, tmp_path: Path,
) -> None:
    made = finish(build(table[:500], np.full(500, "text"), tmp_path, "there"))
    assert made.groups["text"].shortlist == 0  # so few are read whole
    again = opened(tmp_path)
    assert again is not None
    assert again.fingerprint == "there"
    query = _made(1)[0]
    assert again.top(table, query, 5, "text") == made.top(table, query, 5, "text")
    (tmp_path / "vectors.f16").write_bytes(b"\0" * 10)
    assert opened(tmp_path) is None
    assert opened(tmp_path / "nowhere") is None


def test_an_index_that_is_in_use_answers_on_while_another_takes_its_place(table: np.ndarray, tmp_path: Path) -> None:
    groups, query = np.full(5000, "text"), _made(1)[0]
    old = finish(build(table[:5000], groups, tmp_path, "old"))
    before = old.top(table, query, 10, "text", exact=True)
    finish(build(table[5000:5100], groups[:100], tmp_path, "new"))
    assert old.top(table, query, 10, "text", exact=True) == before
    again = opened(tmp_path)
    assert again is not None
    assert (again.fingerprint, again.count) == ("new", 100)


def test_work_that_is_closed_leaves_no_index(table: np.ndarray, groups: np.ndarray, tmp_path: Path) -> None:
    work = build(table, groups, tmp_path, "here")
    for _ in range(6):
        next(work)
    work.close()
    assert opened(tmp_path) is None


def test_a_fingerprint_knows_items_order_and_space() -> None:
    ids = np.arange(10)
    assert fingerprint("a", ids) == fingerprint("a", ids.copy())
    assert len({fingerprint("a", ids), fingerprint("b", ids), fingerprint("a", ids[::-1])}) == 3
