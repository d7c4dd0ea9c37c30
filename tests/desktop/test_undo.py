"""Ctrl+Z in the window: everything that shows the project follows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytestqt.qtbot import QtBot

from mmstudio.desktop.window import MainWindow, column_value
from mmstudio.encoders import Encoder


def test_a_removal_is_undone_in_library_map_and_search_and_redone(
    window: MainWindow, mixed_folder: Path, starter: Encoder, use: Callable[[Encoder], None],
    settled: Callable[[], None], qtbot: QtBot,
) -> None:
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running, timeout=20_000)
    use(starter)
    settled()
    gone = list(session.items)[:4]
    session.select(gone)
    window.actions_.by_id["remove"].trigger()
    qtbot.waitUntil(lambda: len(session.items) == 20, timeout=20_000)
    window.actions_.by_id["undo"].trigger()
    qtbot.waitUntil(lambda: len(session.items) == 24 and window.library.items.rowCount() == 24, timeout=20_000)
    qtbot.waitUntil(lambda: session.layout is not None and set(gone) <= set(session.layout.keys.tolist()),
                    timeout=20_000)
    assert "Undone" in window.banner.text.text()
    window.actions_.by_id["redo"].trigger()
    qtbot.waitUntil(lambda: len(session.items) == 20, timeout=20_000)
    qtbot.waitUntil(lambda: session.layout is not None and not set(gone) & set(session.layout.keys.tolist()),
                    timeout=20_000)


def test_tags_and_columns_are_undone_step_by_step(window: MainWindow, mixed_folder: Path, qtbot: QtBot) -> None:
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running, timeout=20_000)
    first = next(iter(session.items))
    session.tag([first], "a")
    session.set_column([first], "score", 2.0)
    session.untag([first], "a")
    qtbot.waitUntil(lambda: session.items[first].columns == {"score": 2.0} and not session.items[first].tags)
    session.undo()
    qtbot.waitUntil(lambda: session.items[first].tags == ("a",))
    session.undo()
    qtbot.waitUntil(lambda: session.items[first].columns == {})
    session.undo()
    qtbot.waitUntil(lambda: session.items[first].tags == ())
    session.undo()  # the adding itself
    qtbot.waitUntil(lambda: len(session.items) == 0)
    session.undo()
    qtbot.waitUntil(lambda: "nothing" in window.banner.text.text())


def test_a_value_is_a_number_where_it_reads_as_one() -> None:
    assert [column_value(t) for t in ("3.5", " dog ", "", "nan", "1e3")] == [3.5, "dog", None, "nan", 1000.0]
