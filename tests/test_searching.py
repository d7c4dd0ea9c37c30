"""What a question finds: per modality, against chance, exactly or by the index, in scopes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mmstudio import searching
from mmstudio.library import SpaceKey, VectorView
from mmstudio.progress import finish
from mmstudio.searching import Question, find, index_wanted, known_index, make_index, search

DIM = 96


def _unit(rng: np.random.Generator, *shape: int) -> np.ndarray:
    rows = rng.normal(size=shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _view(vectors: np.ndarray, modalities: np.ndarray) -> VectorView:
    ids = np.arange(len(vectors)) * 3 + 7
    return VectorView(SpaceKey("made", "", "", DIM), ids, vectors, modalities,
                      {int(key): row for row, key in enumerate(ids)})


@pytest.fixture
def view() -> VectorView:
    """Pictures whose scores lie high for every question, and sounds whose lie low: a modality gap."""
    rng = np.random.default_rng(0)
    modalities = np.repeat(["image", "audio"], 400)
    gap = np.where(modalities == "image", 1.0, -1.0)[:, None] * np.eye(1, DIM, dtype=np.float32)
    vectors = _unit(rng, 800, DIM) + gap.astype(np.float32)
    return _view(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), modalities)


def _asked(view: VectorView, planted: int = 0) -> np.ndarray:
    query = _unit(np.random.default_rng(1), DIM) + np.eye(1, DIM, dtype=np.float32)[0]
    query /= np.linalg.norm(query)
    view.vectors[400 : 400 + planted] += 0.9 * query
    view.vectors[400 : 400 + planted] /= np.linalg.norm(view.vectors[400 : 400 + planted], axis=1, keepdims=True)
    return query


def test_planted_sounds_are_matches_and_come_before_pictures_that_only_score_higher(view: VectorView) -> None:
    found = find(view, Question(_asked(view, planted=5)))
    planted = {int(key) for key in view.ids[400:405]}
    assert found.close["audio"] == 5
    assert found.close["image"] == 0
    assert {hit.item_id for hit in found.ranked()[:5]} == planted
    assert max(hit.score for hit in found.hits["image"]) > max(hit.score for hit in found.hits["audio"])
    assert not found.nothing_is_close
    assert found.recall is None


def test_where_nothing_matches_nothing_is_close(view: VectorView) -> None:
    assert find(view, Question(_asked(view))).nothing_is_close


def test_a_scope_narrows_what_is_found_and_not_what_chance_is(view: VectorView) -> None:
    query = _asked(view, planted=5)
    within = view.ids[395:410]
    found = find(view, Question(query, within=within))
    assert {hit.item_id for hits in found.hits.values() for hit in hits} == set(within.tolist())
    assert found.close["audio"] == 5
    assert found.searched == 15
    assert list(find(view, Question(query, modalities=("audio",))).hits) == ["audio"]


def test_the_items_of_the_question_are_left_out(view: VectorView) -> None:
    own = tuple(view.ids[[0, 5]].tolist())
    found = find(view, Question(view.vectors[0], without=own, k=400))
    assert len(found.hits["image"]) == 398
    assert not set(own) & {hit.item_id for hit in found.hits["image"]}


def test_an_empty_project_finds_nothing() -> None:
    found = find(_view(np.zeros((0, DIM), np.float32), np.zeros(0, "<U5")), Question(np.ones(DIM, np.float32)))
    assert found.ranked() == []
    assert not found.nothing_is_close


def test_many_vectors_are_searched_by_an_index_that_the_project_keeps_and_knows_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    monkeypatch.setattr(searching, "EXACT_BELOW", 5000)
    rng = np.random.default_rng(0)
    falling = (np.arange(1, DIM + 1) ** -0.9).astype(np.float32)
    centres = rng.normal(size=(40, DIM)).astype(np.float32) * falling
    vectors = centres[rng.integers(0, 40, 24_000)] + 0.3 * rng.normal(size=(24_000, DIM)).astype(np.float32) * falling
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = _view(vectors, np.full(24_000, "image"))
    early = _view(vectors[:22_000], np.full(22_000, "image"))
    assert index_wanted(early, None)
    assert known_index(tmp_path, early) is None
    index = finish(make_index(tmp_path, early))
    known = known_index(tmp_path, whole)  # of items that were there; those that came later are looked at one by one
    assert known is not None
    assert not index_wanted(whole, known)
    question = Question(vectors[23_000], k=10)
    quick, exact = find(whole, question, known), find(whole, Question(vectors[23_000], k=10, exact=True), known)
    assert quick.recall == index.groups["image"].recall
    assert exact.recall is None
    want = [hit.item_id for hit in search(whole, vectors[23_000], 10)["image"]]
    assert [hit.item_id for hit in exact.hits["image"]] == want
    assert want[0] == whole.ids[23_000]
    assert len(set(want) & {hit.item_id for hit in quick.hits["image"]}) >= 9
    other = VectorView(whole.key, whole.ids[::-1].copy(), vectors[::-1], whole.modalities, {})
    assert known_index(tmp_path, other) is None
    few = find(whole, Question(vectors[0], within=whole.ids[:100]), known)
    assert few.recall is None
