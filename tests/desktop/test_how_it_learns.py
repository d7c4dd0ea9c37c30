"""Everything that a job file can say of how a run learns is in the dialog, and what would do nothing is greyed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PySide6.QtGui import QStandardItemModel
from pytestqt.qtbot import QtBot

from mmstudio.desktop.widgets.how_it_learns import HowItLearns
from mmstudio.training.job import LOSSES, Split, TrainingJob

JOB = TrainingJob(classes=("a", "b"), modalities=("image", "audio"), fusion="concatenate")


@pytest.fixture
def how(qtbot: QtBot) -> HowItLearns:
    made = HowItLearns()
    qtbot.addWidget(made)
    made.offer(LOSSES["classification"], ["day", "speaker"])
    made.fit(JOB)
    return made


def test_untouched_it_says_what_a_job_has_by_default(how: HowItLearns) -> None:
    assert replace(JOB, **how.values()) == replace(JOB, loss="cross-entropy")


def test_every_setting_comes_back_as_it_was_chosen(how: HowItLearns) -> None:
    job = replace(JOB, loss="focal", precision="bf16", accumulation=4, clip=0.5, warmup=0.2, weight_decay=0.02,
                  ema=0.99, deterministic=False, seed=7, label_smoothing=0.1, resampling=True, class_weights=True,
                  balancing="ogm-ge", epochs=9, batch=12, lr=0.001, width=24, dropout=0.2, modality_dropout=0.3,
                  patience=2, split=Split("time", 0.2, 0.25, "day", False)).check()
    how.be_like(job)
    assert replace(JOB, **how.values()) == job


def test_a_column_that_is_gone_is_kept_so_that_it_is_told(how: HowItLearns) -> None:
    for kind in ("grouped", "time"):
        how.be_like(replace(JOB, split=Split(kind, column="gone")))
        assert how.values()["split"].column == "gone"
    how.be_like(replace(JOB, split=Split("time")))
    assert how.values()["split"].column == ""


@pytest.mark.parametrize(("changes", "greyed"), [
    ({"task": "regression", "classes": ()}, {"class_weights", "resampling", "balancing", "label_smoothing"}),
    ({"task": "multi-label"}, {"resampling", "balancing", "label_smoothing"}),
    ({"fusion": "attention"}, {"balancing"}),
    ({"modalities": ("image",)}, {"balancing", "modality_dropout"}),
])
def test_what_would_do_nothing_is_greyed_with_why_and_left_out(
    how: HowItLearns, changes: dict, greyed: set[str],
) -> None:
    how.be_like(replace(JOB, class_weights=True, resampling=True, balancing="ogm-ge", label_smoothing=0.1,
                        modality_dropout=0.1))
    job = replace(JOB, **changes)
    how.fit(job)
    fields = how.numbers | how.checks
    assert {name for name, field in fields.items() if not field.isEnabled()} == greyed
    assert all("\n" in fields[name].toolTip() for name in greyed)
    assert how.why.text()
    replace(job, **(how.values() | {"loss": ""})).check()
    how.fit(JOB)
    how.numbers["layers"].setValue(2)
    how.fit(JOB)
    assert not how.checks["balancing"].isEnabled()
    assert "hidden layers" in how.why.text()


def test_a_precision_that_the_device_lacks_is_greyed_with_a_word(how: HowItLearns) -> None:
    how.precision.setCurrentIndex(how.precision.findData("fp16"))
    how.tell_device({"fp16": "float16 needs a CUDA graphics card."})
    model = how.precision.model()
    assert isinstance(model, QStandardItemModel)
    row = how.precision.findData("fp16")
    assert not model.item(row).isEnabled()
    assert "CUDA" in how.precision.itemText(row)
    assert how.values()["precision"] == "auto"


def test_times_may_be_a_column_or_when_items_were_added(how: HowItLearns) -> None:
    how.split.setCurrentIndex(how.split.findData("time"))
    assert [how.column.itemData(row) for row in range(how.column.count())] == ["", "day", "speaker"]
    assert how.values()["split"].column == ""
    how.column.setCurrentIndex(1)
    assert how.values()["split"] == Split("time", column="day")
    how.split.setCurrentIndex(how.split.findData("column"))
    assert not how.validation.isEnabled()
    assert how.values()["split"] == Split("column", column="day")
    how.split.setCurrentIndex(how.split.findData("random"))
    assert how.values()["split"] == Split("random")


def test_a_fusion_by_attention_begins_with_two_layers_and_others_with_what_was_chosen(how: HowItLearns) -> None:
    def label() -> str:
        return how.layers_title.text()

    assert (label(), how.values()["layers"]) == ("Hidden layers", 0)
    how.fit(replace(JOB, fusion="attention"))
    assert (label(), how.values()["layers"]) == ("Attention layers", 2)
    how.numbers["layers"].setValue(0)
    assert how.values()["layers"] == 1  # there is no attention without a layer
    how.numbers["layers"].setValue(3)
    how.fit(replace(JOB, fusion="tokens"))
    assert how.values()["layers"] == 3
    how.fit(JOB)
    assert (label(), how.values()["layers"]) == ("Hidden layers", 0)
    how.fit(replace(JOB, fusion="attention"))
    how.be_like(replace(JOB, fusion="attention", layers=4))
    assert how.values()["layers"] == 4


def test_a_job_that_is_taken_over_keeps_what_its_fields_cannot_show(how: HowItLearns) -> None:
    job = TrainingJob(modalities=("image", "text"), classes=("a", "b"), weight_decay=1e-5, clip=0.004, batch=100_000,
                      split=Split("random", 0.125, 0.005))
    how.be_like(job)
    values = how.values()
    assert (values["weight_decay"], values["clip"], values["batch"]) == (1e-5, 0.004, 100_000)
    assert (values["split"].validation, values["split"].test) == (0.125, 0.005)
    how.numbers["clip"].setValue(2)
    how.test.setValue(20)
    assert (how.values()["clip"], how.values()["split"].test) == (2, 0.2)
