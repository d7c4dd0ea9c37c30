"""The gap measured a few samples at a time is the gap measured at once; of very many, recall is that of some."""

from __future__ import annotations

import numpy as np
import pytest

from mmstudio.desktop import measured_gap
from mmstudio.desktop.measured_gap import MOST_RECALLED, Gap, measured
from mmstudio.desktop.sample_rows import SampleRows
from mmstudio.desktop.structure.beside import aside_if_many
from mmstudio.explore.aside import Aside
from mmstudio.explore.gap import closing, joint_recall
from mmstudio.library import Sample, SpaceKey, VectorView
from mmstudio.progress import finish

KINDS = np.array(["image", "audio", "text"])


def _view(count: int) -> VectorView:
    """Three items a sample, near to each other, each modality in a cone of its own."""
    rng = np.random.default_rng(0)
    modalities = KINDS[np.arange(count) % 3]
    vectors = rng.normal(size=(count // 3, 16))[np.arange(count) // 3] + 0.7 * rng.normal(size=(count, 16))
    vectors += 2 * rng.normal(size=(3, 16))[np.arange(count) % 3]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.arange(1, count + 1)
    return VectorView(SpaceKey("made", "1", "1", 16), ids, vectors.astype(np.float32), modalities,
                      {key: key - 1 for key in ids.tolist()})


def _samples(count: int) -> list[Sample]:
    """Of three modalities, of two, and of one."""
    return [Sample(10_000 + n, "", (3 * n + 1, 3 * n + 2, 3 * n + 3)[: 3 - n % 2]) for n in range(count // 3 - 2)] + [
        Sample(20_000, "", (count - 5, count - 2))]


def _measured(view: VectorView, samples: list[Sample]) -> Gap:
    return finish(measured(view.vectors, view.modalities, SampleRows.of(view, samples)))


def test_a_few_samples_at_a_time_are_told_like_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    view, samples = _view(240), _samples(240)
    rows = [[view.rows[i] for i in sample.item_ids] for sample in samples]
    monkeypatch.setattr(measured_gap, "AT_ONCE", 240 * 9)
    found = _measured(view, samples)
    want = {(one.one, one.other): one for one in closing(view.vectors, view.modalities, rows)}
    assert {(one.one, one.other) for one in found.closing} == set(want)
    for one in found.closing:
        same = want[one.one, one.other]
        assert (one.pairs, one.before, one.after) == (same.pairs, pytest.approx(same.before), pytest.approx(same.after))
        assert 0 < one.after < 1
    assert found.joint == pytest.approx(joint_recall(view.vectors, view.modalities, rows))
    assert (found.recalled, found.samples) == (79, 79)


def test_of_very_many_samples_recall_is_of_some_and_the_rest_of_all() -> None:
    view, samples = _view(3 * MOST_RECALLED + 300), _samples(3 * MOST_RECALLED + 300)
    found = _measured(view, samples)
    assert (found.recalled, found.samples) == (MOST_RECALLED, len(samples))
    links = {(one.one, one.other): one.links for one in found.between}
    assert links["audio", "image"] == len(samples) - 1
    assert all(one.pairs <= MOST_RECALLED for one in found.closing)


def test_without_samples_there_is_a_gap_and_no_recall() -> None:
    found = _measured(_view(30), [])
    assert len(found.between) == 3
    assert not found.closing
    assert np.isnan(found.joint).all()


def test_the_process_beside_the_window_tells_the_same() -> None:
    view, samples, aside = _view(90), _samples(90), Aside()
    rows = SampleRows.of(view, samples)
    try:
        found = finish(aside_if_many(aside, 10**6, measured, view.vectors, view.modalities, rows))
    finally:
        aside.stop()
    here = _measured(view, samples)
    assert found.closing == here.closing
    assert found.joint == here.joint
    assert [one.length for one in found.between] == [one.length for one in here.between]
