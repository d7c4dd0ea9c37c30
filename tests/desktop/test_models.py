"""The models dialog: what is here, what can be downloaded from a hub, and what is removed again."""

from __future__ import annotations

import shutil
import threading
from importlib.resources import files
from pathlib import Path

import pytest
from fake_hub import FakeHub
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from mmstudio.desktop.models import ModelsDialog
from mmstudio.desktop.window import MainWindow

SENTENCES = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture
def hub(fake_hub: FakeHub, tmp_path: Path) -> FakeHub:
    """A hub that has one model of the catalogue, in tiny."""
    from encoders.conftest import MODELS

    (tmp_path / "tiny").mkdir()
    fake_hub.name = SENTENCES
    fake_hub.serve(MODELS["pooled_cls"](tmp_path / "tiny"))
    return fake_hub


def _dialog(window: MainWindow, qtbot: QtBot, shown: str = "") -> ModelsDialog:
    dialog = ModelsDialog(window.session, window, shown)
    qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def test_a_model_that_is_not_here_can_be_downloaded_but_not_used(
    window: MainWindow, cache: Path, qtbot: QtBot,
) -> None:
    dialog = _dialog(window, qtbot)
    assert not dialog.use.isEnabled()  # the starter is in use already
    assert not dialog.download.isEnabled()
    dialog.list.setCurrentRow(dialog.list.count() - 1)
    assert not dialog.use.isEnabled()
    assert not dialog.remove.isEnabled()
    assert dialog.download.isEnabled()


def test_a_downloaded_model_is_offered_used_and_removed(window: MainWindow, hub: FakeHub, qtbot: QtBot) -> None:
    session = window.session
    dialog = _dialog(window, qtbot, SENTENCES)
    with qtbot.waitSignal(session.downloaded, timeout=20_000):
        qtbot.mouseClick(dialog.download, Qt.MouseButton.LeftButton)
        assert session.downloading(SENTENCES)
        assert not dialog.download.isEnabled()
    qtbot.waitUntil(lambda: dialog.use.isEnabled())
    assert window.banner.offer.text() == "Use it"
    with qtbot.waitSignal(session.encoderChanged, timeout=60_000):
        window.banner.offer.click()
    assert session.encoder is not None
    assert session.encoder.name == SENTENCES
    with qtbot.waitSignal(session.encoderChanged, timeout=60_000):
        session.choose_model("starter")
    dialog._fill()
    dialog.remove.click()
    next(b for b in dialog.findChild(QMessageBox).buttons() if "Remove" in b.text()).click()
    qtbot.waitUntil(dialog.download.isEnabled, timeout=20_000)
    assert not dialog.use.isEnabled()


def test_a_download_that_fails_says_why_and_can_be_tried_again(
    window: MainWindow, hub: FakeHub, qtbot: QtBot,
) -> None:
    hub.refusals[f"/api/models/{SENTENCES}"] = (404, "RepoNotFound")
    dialog = _dialog(window, qtbot, SENTENCES)
    with qtbot.waitSignal(window.session.failed, timeout=20_000):
        dialog.download.click()
    assert "has no model" in window.banner.text.text()
    qtbot.waitUntil(dialog.download.isEnabled)


def test_a_cancelled_download_goes_on_where_it_stopped(window: MainWindow, hub: FakeHub, qtbot: QtBot) -> None:
    hub.hold = threading.Event()
    dialog = _dialog(window, qtbot, SENTENCES)
    dialog.download.click()
    job = window.session.jobs.running[0]
    half = len(hub.files["model.safetensors"]) // 2
    qtbot.waitUntil(lambda: 0 < job.progress.total - job.progress.done <= half + 1, timeout=20_000)
    job.cancel()
    qtbot.waitUntil(lambda: dialog.download.isEnabled() and not window.session.network._tickets)
    hub.hold.set()
    with qtbot.waitSignal(window.session.downloaded, timeout=20_000):
        dialog.download.click()
    assert [bool(asked) for asked in hub.sent_from] == [False, True]


def test_photographs_bring_the_offer_of_a_model_that_fits_once(
    window: MainWindow, tmp_path: Path, cache: Path, qtbot: QtBot,
) -> None:
    for number, name in enumerate(("china.jpg", "flower.jpg")):
        shutil.copyfile(Path(str(files("sklearn.datasets.images") / name)), tmp_path / f"photo {number}.jpg")
    session = window.session
    with qtbot.waitSignal(session.offered, timeout=20_000):
        session.add([tmp_path / "photo 0.jpg"])
    assert "CLIP ViT-B/32" in window.banner.offer.text()
    window.banner.offer.click()
    dialog = window.findChild(ModelsDialog)
    assert dialog is not None
    assert dialog.list.currentItem().text().startswith("CLIP ViT-B/32")
    assert dialog.download.isEnabled()
    dialog.reject()
    with qtbot.assertNotEmitted(session.offered):
        session.add([tmp_path / "photo 1.jpg"])
        qtbot.waitUntil(lambda: len(session.items) == 2 and not session.jobs.running)
