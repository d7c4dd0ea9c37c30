"""What happens when a person does two things at once: drop while encoding, switch the model, open another project."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, Qt, QUrl
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot
from renamed import Renamed

from mmstudio import paths, settings
from mmstudio.desktop import session as desktop_session
from mmstudio.desktop.window import MainWindow
from mmstudio.desktop.worker import Lane
from mmstudio.encoders import Encoder
from mmstudio.errors import StudioError
from mmstudio.library import Sample
from mmstudio.progress import finish
from mmstudio.project import Project

Use, Settled = Callable[[Encoder], None], Callable[[], None]


def _texts(folder: Path, count: int, word: str) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"{word} number {number}")
    return folder


@pytest.fixture
def encoding(window: MainWindow, qtbot: QtBot, use: Use, starter: Encoder, tmp_path: Path) -> MainWindow:
    """A window that is in the middle of encoding 250 texts one by one."""
    session = window.session
    session.settings.set("batch", 1)
    session.add([_texts(tmp_path / "first", 250, "thing")])
    qtbot.waitUntil(lambda: len(session.items) == 250 and not session.jobs.running, timeout=20_000)
    use(starter)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) > 2, timeout=20_000)
    return window


def test_items_dropped_while_encoding_get_their_vectors_too(
    encoding: MainWindow, qtbot: QtBot, tmp_path: Path, settled: Settled,
) -> None:
    session = encoding.session
    session.add([_texts(tmp_path / "second", 20, "other")])
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 270, timeout=60_000)
    settled()


def test_items_removed_while_encoding_lend_their_vectors_to_no_other(
    encoding: MainWindow, qtbot: QtBot, tmp_path: Path, starter: Encoder,
) -> None:
    session = encoding.session
    session.remove(list(session.items)[-20:])
    qtbot.waitUntil(lambda: len(session.items) == 230, timeout=20_000)
    session.add([_texts(tmp_path / "second", 10, "other")])
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 240, timeout=60_000)
    for item in list(session.items.values())[-10:]:
        alone = starter.forward([starter.prepare(item.text, "text")])[0]
        assert np.abs(session.view.vector(item.id) - alone).max() < 1e-5  # type: ignore[union-attr]


def test_another_model_takes_over_and_shows_nothing_of_the_old_one(
    encoding: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, starter: Encoder,
) -> None:
    session = encoding.session
    other = Renamed(starter, "other")
    monkeypatch.setattr("mmstudio.project.load_encoder", lambda *_: other)
    session.use_model("other", "cpu")
    qtbot.waitUntil(lambda: session.encoder is other, timeout=20_000)
    qtbot.waitUntil(lambda: session.view is not None and session.view.key.space == "other"
                    and len(session.view) == 250, timeout=60_000)
    assert other.batches >= 250


def test_another_project_opens_cleanly_while_a_job_runs_and_the_first_goes_on_later(
    encoding: MainWindow, qtbot: QtBot, tmp_path: Path,
) -> None:
    session, failures, layouts = encoding.session, [], []
    session.failed.connect(failures.append)
    first = session.project.folder  # type: ignore[union-attr]
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(tmp_path / "second project")
    session.layoutChanged.connect(lambda layout: layouts.append(len(layout.keys)))
    assert session.items == {}
    session.add([_texts(tmp_path / "second", 12, "other")])
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 12 and 12 in layouts, timeout=60_000)
    assert max(layouts) == 12
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(first)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 250, timeout=60_000)
    assert failures == []


def test_the_last_open_project_is_remembered(window: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    with qtbot.waitSignal(window.session.projectOpened, timeout=20_000):
        window.session.open_project(tmp_path / "mine")
    assert settings.load()[0]["project"] == str(tmp_path / "mine")


def test_very_many_samples_are_not_looked_through_for_garbage(
    window: MainWindow, qtbot: QtBot, pool: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 300,000 each look took the window 200 ms."""
    monkeypatch.setattr(desktop_session, "MANY_SAMPLES", 1)
    session = window.session
    project = Project.open(tmp_path / "grouped")
    finish(project.add([_texts(tmp_path / "texts", 4, "thing")], pool))
    for first in (1, 3):
        project.group("two", [first, first + 1])
    project.close()
    session.open_project(tmp_path / "grouped")
    qtbot.waitUntil(lambda: len(session.samples) == 2)
    watched = {id(found) for found in gc.get_objects() if isinstance(found, Sample)}
    assert not watched & {id(sample) for sample in session.samples.values()}


def test_files_dropped_before_the_project_is_open_are_added_when_it_is(
    window: MainWindow, qtbot: QtBot, make_picture: Callable[..., Path],
) -> None:
    session = window.session
    session.project = None
    session.add([make_picture("early.png")])
    session.open_project(paths.default_project())
    qtbot.waitUntil(lambda: len(session.items) == 1, timeout=20_000)


def test_a_cancelled_adding_shows_everything_that_it_committed(
    window: MainWindow, qtbot: QtBot, tmp_path: Path,
) -> None:
    session = window.session
    session.add([_texts(tmp_path / "many", 1500, "thing")])
    qtbot.waitUntil(lambda: len(session.items) > 0, timeout=20_000)
    session.jobs.all[-1].cancel()
    project = session.project
    assert project is not None
    qtbot.waitUntil(lambda: not session.jobs.running and len(session.items) == len(project.items())
                    == window.library.items.rowCount(), timeout=20_000)


def test_a_file_pasted_into_the_search_box_is_the_question(
    window: MainWindow, qtbot: QtBot, make_picture: Callable[..., Path],
) -> None:
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(make_picture("question.png")))])
    QApplication.clipboard().setMimeData(mime)
    window.search.setFocus()
    with qtbot.waitSignal(window.search.fileGiven) as given:
        QTest.keyClick(window.search, Qt.Key.Key_V, Qt.KeyboardModifier.ControlModifier)
    assert given.args[0].name == "question.png"
    assert window.search.text() == ""


def test_slash_goes_to_the_search_box_from_the_library(window: MainWindow, qtbot: QtBot) -> None:
    window.activateWindow()
    window.library.list.setFocus()
    QTest.keyClick(window.library.list, Qt.Key.Key_Slash)
    assert window.search.hasFocus()


def test_an_item_the_model_does_not_read_says_so(
    window: MainWindow, qtbot: QtBot, use: Use, starter: Encoder, make_picture: Callable[..., Path],
) -> None:
    session = window.session
    session.add([make_picture("a.png")])
    qtbot.waitUntil(lambda: len(session.items) == 1 and not session.jobs.running, timeout=20_000)
    text_only = Renamed(starter, "text only")
    text_only.modalities = frozenset({"text"})  # type: ignore[attr-defined]
    use(text_only)  # type: ignore[arg-type]
    session.focus(next(iter(session.items)))
    qtbot.waitUntil(lambda: "does not read image" in window.inspector.attention.why.text(), timeout=20_000)


def test_a_lane_survives_even_a_panic_in_a_library(qtbot: QtBot) -> None:
    class Panic(BaseException):
        pass

    def panic() -> None:
        raise Panic("pyo3")

    lane, failed, answered = Lane("test"), [], []
    lane.ask(panic, on_failed=failed.append)
    lane.ask(lambda: 5, on_done=answered.append)
    qtbot.waitUntil(lambda: answered == [5])
    assert isinstance(failed[0], StudioError)
    assert lane.stop()


def test_an_unwritable_settings_file_is_said_and_not_thrown(
    window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(paths, "write_atomically", refuse)
    with pytest.raises(StudioError, match="could not be written"):
        window.session.settings.set("theme", "light")
    assert window.session.settings["theme"] == "light"


def test_a_removal_that_is_answered_after_another_project_was_opened_touches_nothing_of_it(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, tmp_path: Path,
) -> None:
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running, timeout=20_000)
    first = session.project.folder  # type: ignore[union-attr]
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(tmp_path / "second")
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running, timeout=20_000)
    session.open_project(first)
    session.remove(list(session.items)[:5])
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        pass
    qtbot.waitUntil(lambda: not session.models._tickets, timeout=20_000)
    assert len(session.items) == 24


def test_another_project_asked_for_twice_or_and_back_opens_what_was_asked_last(
    window: MainWindow, qtbot: QtBot, tmp_path: Path,
) -> None:
    session, failed = window.session, []
    session.failed.connect(failed.append)
    first = session.project.folder  # type: ignore[union-attr]
    for folder in (tmp_path / "b", tmp_path / "b", first, tmp_path / "c", first):
        session.open_project(folder)
    qtbot.waitUntil(lambda: not session.models._tickets and len(session._open) == 1, timeout=20_000)
    assert failed == []
    assert session.project is session._open[0]
    assert session.project.folder == first


def test_opening_another_project_while_files_are_added_writes_nothing_more_into_the_old_one(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, tmp_path: Path, starter: Encoder,
    use: Callable[[Encoder], None],
) -> None:
    session, failed = window.session, []
    session.failed.connect(failed.append)
    use(starter)
    old = session.project
    session.add([mixed_folder])
    with qtbot.waitSignal(session.projectOpened, timeout=20_000):
        session.open_project(tmp_path / "next")
    qtbot.waitUntil(lambda: not session.jobs.running and not session.models._tickets, timeout=20_000)
    assert failed == []
    assert session._open == [session.project]
    assert old is not session.project
