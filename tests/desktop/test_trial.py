"""What the model sees, and changes that move a vector, through the real starter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.panels.trial import STEPS
from mmstudio.desktop.trials import Trial, share_of, strength_at
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import SeenPicture, SeenSound, SeenText
from mmstudio.errors import StudioError
from mmstudio.explain.perturb import PERTURBATIONS


@pytest.fixture
def trials(
    window: MainWindow, mixed_folder: Path, starter: Encoder, use: Callable[[Encoder], None],
    settled: Callable[[], None], qtbot: QtBot,
) -> list[Trial | StudioError]:
    """The window with items and vectors and its trial panel in front; all trials are collected."""
    window.session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(window.session.items) == 24 and not window.session.jobs.running, timeout=20_000)
    use(starter)
    settled()
    told: list[Trial | StudioError] = []
    window.trial._trials.tried.connect(told.append)
    window.actions_.by_id["trial"].trigger()
    qtbot.waitUntil(window.trial.isVisible)
    return told


def _open(window: MainWindow, modality: str) -> int:
    key = next(key for key, item in window.session.items.items() if item.modality == modality)
    window._open(key)
    return key


@pytest.mark.parametrize(("modality", "kind"), [("image", SeenPicture), ("audio", SeenSound), ("text", SeenText)])
def test_each_modality_shows_what_the_model_gets_unchanged_at_first(
    window: MainWindow, trials: list[Trial], modality: str, kind: type, qtbot: QtBot,
) -> None:
    key = _open(window, modality)
    qtbot.waitUntil(lambda: any(t.key == key for t in trials), timeout=10_000)
    assert isinstance(trials[-1].seen, kind)
    assert trials[-1].change is None
    assert trials[-1].cosine == pytest.approx(1, abs=1e-5)
    offered = {window.trial.changes.itemData(i) for i in range(window.trial.changes.count())}
    assert offered == {p.name for p in PERTURBATIONS if p.modality == modality}


def test_moving_the_slider_moves_the_vector_and_undoing_brings_it_back(
    window: MainWindow, trials: list[Trial], qtbot: QtBot,
) -> None:
    panel = window.trial
    _open(window, "image")
    qtbot.waitUntil(lambda: bool(trials), timeout=10_000)
    panel.changes.setCurrentIndex(panel.changes.findData("occlusion"))
    near = []
    for share in (0.2, 0.6, 1.0):
        trials.clear()
        panel.slider.setValue(round(STEPS * share))
        qtbot.waitUntil(lambda: bool(trials) and trials[-1].change is not None, timeout=10_000)
        near.append(trials[-1].cosine)
    assert near[0] > near[2]
    assert "Cosine" in panel.told.text()
    trials.clear()
    panel._reset.click()
    qtbot.waitUntil(lambda: bool(trials), timeout=10_000)
    assert trials[-1].change is None


def test_of_many_slider_moves_the_last_is_the_one_that_is_shown(
    window: MainWindow, trials: list[Trial], qtbot: QtBot,
) -> None:
    _open(window, "text")
    panel = window.trial
    panel.changes.setCurrentIndex(panel.changes.findData("mask"))
    for value in range(0, STEPS + 1, 4):
        panel.slider.setValue(value)
    qtbot.waitUntil(lambda: bool(trials) and trials[-1].change is not None and trials[-1].change.strength == 1,
                    timeout=20_000)
    assert len(trials) < STEPS / 4


def test_a_file_that_is_gone_says_so(window: MainWindow, trials: list[Trial], qtbot: QtBot) -> None:
    key = [key for key, item in window.session.items.items() if item.modality == "image"][-1]
    window.session.items[key].path.unlink()
    trials.clear()
    window._open(key)
    qtbot.waitUntil(lambda: bool(trials) and isinstance(trials[-1], StudioError), timeout=10_000)
    assert window.trial.told.text()


@pytest.mark.parametrize("name", [p.name for p in PERTURBATIONS])
def test_every_slider_covers_the_whole_range_and_comes_back(name: str) -> None:
    low, high = strength_at(name, 0), strength_at(name, 1)
    assert share_of(name, low) == pytest.approx(0)
    assert share_of(name, high) == pytest.approx(1)
    assert share_of(name, strength_at(name, 0.3)) == pytest.approx(0.3)
