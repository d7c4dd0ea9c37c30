"""A project opens as it was left: its filter, its order, the map's colours."""

from __future__ import annotations

from pathlib import Path

from pytestqt.qtbot import QtBot

from mmstudio.desktop.filtering import Wish
from mmstudio.desktop.window import MainWindow
from mmstudio.project import Project

WISH = Wish("width>50", "image", "price", True)


def _filled(window: MainWindow, qtbot: QtBot, mixed_folder: Path) -> None:
    session = window.session
    session.add([mixed_folder])
    qtbot.waitUntil(lambda: len(session.items) == 24 and not session.jobs.running)
    session.set_columns({key: {"price": float(key % 5)} for key in session.items}, "prices")
    qtbot.waitUntil(lambda: "price" in session.items[1].columns)
    window.map.colour_by.offer_columns()
    qtbot.waitUntil(lambda: window.map.colour_by.findData("price") >= 0)
    window.map.colour_by.choose("price")
    window.library.show_wish(WISH)


def test_filter_order_and_colours_come_back_and_are_each_projects_own(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path, tmp_path: Path,
) -> None:
    _filled(window, qtbot, mixed_folder)
    session, library, colours = window.session, window.library, window.map.colour_by
    assert session.project is not None
    first = session.project.folder
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(tmp_path / "another")
    assert library.wish == Wish()
    assert colours.currentData() == "modality"
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(first)
    assert library.wish == WISH
    qtbot.waitUntil(lambda: colours.currentData() == "price")
    qtbot.waitUntil(lambda: not library.items.filter.waits)
    shown = [session.items[key] for key in library.items.keys_of(0, 24).tolist()]
    assert 0 < len(shown) < 12
    assert all(item.facts["width"] > 50 for item in shown)
    prices = [item.columns["price"] for item in shown]
    assert prices == sorted(prices, reverse=True)


def test_what_was_typed_last_is_kept_when_the_window_is_closed_at_once(
    window: MainWindow, qtbot: QtBot, mixed_folder: Path,
) -> None:
    _filled(window, qtbot, mixed_folder)
    project = window.session.project
    assert project is not None
    window._stop_and_close = True
    window.close()
    opened = Project.open(project.folder, read_only=True)
    assert opened.own.get("view") == {"filter": "width>50", "modality": "image", "sort": "price", "descending": True,
                                      "colour": "price"}
    opened.close()
