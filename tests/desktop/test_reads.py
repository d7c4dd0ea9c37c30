"""The Train dialog offers, for each modality, the models on this computer that read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from encoders.conftest import bert
from pytestqt.qtbot import QtBot

from mmstudio.desktop.train_dialog import TrainDialog
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import ModelCard
from mmstudio.training import runs
from mmstudio.training.job import TrainingJob, UsedModel


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """What trains ends with its test."""
    yield
    runs.let_go()
    for child in list(runs._CHILDREN):
        child.wait(60)


@pytest.fixture
def dialog(filled: MainWindow, qtbot: QtBot, tmp_path: Path) -> TrainDialog:
    """With a tiny BERT beside the model in use, which reads all three."""
    card = ModelCard(str(bert(tmp_path / "bert")), "Tiny BERT", ("text",), 0, "made here", "", present=True)
    filled.learning.runsChanged.disconnect()
    filled.session.made_here = [card]
    filled.session.tag(filled.session.items, "all")
    filled.session.tag(list(filled.session.items)[::2], "some")
    qtbot.waitUntil(lambda: sum(len(item.tags) for item in filled.session.items.values()) == 36)
    filled.actions_.by_id["train"].trigger()
    made = filled.findChild(TrainDialog)
    assert made is not None
    qtbot.waitUntil(lambda: made.target.count() > 0)
    return made


def choose(dialog: TrainDialog, name: str) -> None:
    box = dialog.reads.models["text"]
    box.setCurrentIndex(box.findText(name))


def take(dialog: TrainDialog, box: str, name: str) -> None:
    found = getattr(dialog, box) if box != "way" else dialog.learns.way
    found.setCurrentIndex(found.findData(name))


def test_a_model_is_chosen_for_a_modality_and_no_mean_is_taken_of_different_spaces(dialog: TrainDialog) -> None:
    take(dialog, "task", "multi-label")
    offered = {m: [box.itemText(row) for row in range(box.count())] for m, box in dialog.reads.models.items()}
    assert offered == {"image": ["The model in use"], "audio": ["The model in use"],
                       "text": ["The model in use", "Tiny BERT"]}
    assert dialog.job().models == {}
    assert dialog.fusion.currentData() == "joint mean"
    choose(dialog, "Tiny BERT")
    assert list(dialog.job().models) == ["text"]
    assert dialog.job().models["text"].name.endswith("bert")
    assert dialog.fusion.currentData() == "concatenate"
    assert "one after another" in dialog.told.text()
    for box, name, back in (("way", "lora", "head"), ("fusion", "tokens", "gated")):
        take(dialog, box, name)
        assert not dialog.reads.models["text"].isVisible()
        assert dialog.job().models == {}
        take(dialog, box, back)
        assert dialog.reads.models["text"].isVisible()
        assert list(dialog.job().models) == ["text"]


def test_the_models_of_a_run_are_offered_again(dialog: TrainDialog) -> None:
    name = dialog.reads.models["text"].itemData(1)
    dialog.reads.be_like(TrainingJob(modalities=("audio", "text"), models={
        "audio": UsedModel("gone/model"), "text": UsedModel(name, "a space", dim=32)}))
    assert dialog.reads.chosen() == ("audio", "text")
    assert dialog.reads.used() == {"text": UsedModel(name)}


def test_a_run_is_made_with_the_chosen_models_and_tells_the_library(
    dialog: TrainDialog, filled: MainWindow, qtbot: QtBot,
) -> None:
    take(dialog, "task", "multi-label")
    choose(dialog, "Tiny BERT")
    dialog.how.numbers["epochs"].setValue(1)
    dialog.go.click()
    project = filled.session.project
    assert project is not None
    qtbot.waitUntil(lambda: (project.runs / "0001" / "results.json").is_file(), timeout=60_000)
    run = runs.look(project.runs / "0001")
    assert run.job.model_names == ("starter", run.job.models["text"].name)
    assert run.job.widths(384) == (384, 384, 32)
    filled.learning.apply(run)
    qtbot.waitUntil(lambda: all("predicted tags" in i.columns for i in filled.session.items.values()), timeout=20_000)
