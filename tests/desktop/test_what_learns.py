"""What of the model learns is chosen with only those fields that matter for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.widgets.between_page import BetweenPage
from mmstudio.desktop.widgets.what_learns import WAYS, WhatLearns
from mmstudio.training.job import TrainingJob
from mmstudio.training.runs import Run, State


@pytest.fixture
def learns(qtbot: QtBot) -> WhatLearns:
    made = WhatLearns()
    qtbot.addWidget(made)
    made.fit("classification", frozenset({"image", "text"}))
    made.show()
    return made


def take(learns: WhatLearns, way: str) -> None:
    learns.way.setCurrentIndex(learns.way.findData(way))


@pytest.mark.parametrize(("way", "shown"), [
    ("head", set()), ("clip adapter", {"prompt"}), ("lora", {"encoder_lr", "rank", "probe_epochs"}),
    ("last blocks", {"encoder_lr", "blocks", "probe_epochs"}), ("scratch", {"text_tower"}),
])
def test_a_way_shows_its_own_fields(learns: WhatLearns, way: str, shown: set[str]) -> None:
    take(learns, way)
    names = ("encoder_lr", "rank", "blocks", "probe_epochs", "prompt", "text_tower", "audio_tower")
    assert {name for name in names if getattr(learns, name).isVisible()} == shown
    assert learns.values()["trains"] == way


def test_a_way_that_the_task_does_not_allow_is_left(learns: WhatLearns) -> None:
    take(learns, "tip adapter")
    learns.fit("alignment", frozenset({"image", "text"}))
    assert learns.values()["trains"] == "head"
    take(learns, "locked text")
    learns.probe_epochs.setValue(3)
    assert learns.values() | {"probe_epochs": 0} == learns.values()
    TrainingJob(task="alignment", modalities=("image", "text"), **learns.values()).check()
    learns.fit("alignment", frozenset({"image", "audio"}))
    assert learns.values()["trains"] == "head"


def test_every_way_makes_a_job_that_is_one(learns: WhatLearns) -> None:
    for way in WAYS:
        task = "alignment" if way == "locked text" else "classification"
        learns.fit(task, frozenset({"image", "text"}))
        take(learns, way)
        classes = () if task == "alignment" else ("a", "b")
        job = TrainingJob(task=task, classes=classes, modalities=("image", "text"), **learns.values()).check()
        other = WhatLearns()
        other.fit(task, frozenset({"image", "text"}))
        other.be_like(job)
        assert other.values() == learns.values()


def test_between_start_and_best_the_slider_tells_each_share(qtbot: QtBot) -> None:
    curve = [{"share": n / 10, "validation": {"accuracy": n / 20, "loss": 2 - n / 10},
              "held out": {"accuracy": n / 25, "loss": 2.5 - n / 10}} for n in range(11)]
    run = Run(Path("0001"), TrainingJob(classes=("a", "b")), State("done"), {"interpolation": curve}, share=0.4)
    page = BetweenPage()
    qtbot.addWidget(page)
    page.show_run(run)
    assert page.slider.value() == 4
    assert "40%" in page.told.text()
    assert "0.2" in page.told.text()
    page.which.setCurrentIndex(1)
    page.slider.setValue(10)
    assert "1.5" in page.told.text()
    with qtbot.waitSignal(page.shareChosen) as chosen:
        page.use.click()
    assert chosen.args == [1.0]


@pytest.mark.parametrize(("trains", "why"), [("head", "leaves the encoder"), ("scratch", "begin with chance"),
                                             ("clip adapter", "zero-shot"), ("lora", "Train it again")])
def test_where_nothing_lies_between_a_sentence_says_why(qtbot: QtBot, trains: Any, why: str) -> None:
    page = BetweenPage()
    qtbot.addWidget(page)
    page.show()
    page.show_run(Run(Path("0001"), TrainingJob(classes=("a", "b"), trains=trains), State("done"), {}))
    assert why in page.told.text()
    assert not page.slider.isVisible()
