"""What is saved of a map is what is seen of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from PySide6.QtWidgets import QFileDialog, QMenu
from pytestqt.qtbot import QtBot

from mmstudio import paths
from mmstudio.desktop.widgets.save_map import SaveMap
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import encode
from mmstudio.media import Limits, load

SCENE = paths.resources() / "samples" / "pictures" / "scene_004_dog_chair.webp"
SOUND = paths.resources() / "samples" / "sounds" / "dog_1.ogg"


@pytest.fixture
def opened(window: MainWindow, starter: Encoder, use: Callable[[Encoder], None], qtbot: QtBot) -> MainWindow:
    """A picture and a sound, of which the picture is in the inspector."""
    session = window.session
    session.add([SCENE, SOUND])
    qtbot.waitUntil(lambda: len(session.items) == 2 and not session.jobs.running)
    use(starter)
    qtbot.waitUntil(lambda: session.view is not None and len(session.view) == 2)
    window._open(next(key for key, item in session.items.items() if item.modality == "image"))
    return window


@pytest.fixture
def choose(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch, window: MainWindow, tmp_path: Path) -> Callable[..., Path]:
    """Press one of the button's two entries and answer where to."""
    def press(button: SaveMap, entry: int, name: str, kind: str = "PNG (*.png)") -> Path:
        said: list[str] = []
        window.session.noted.connect(said.append)
        monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / name), kind))
        menu = button.menu()
        assert isinstance(menu, QMenu)
        menu.actions()[entry].trigger()
        qtbot.waitUntil(lambda: any("Saved as" in text for text in said))
        return next(file for file in tmp_path.iterdir() if file.name.startswith(name))
    return press


def words_of(file: Path) -> str:
    return " ".join(text.text or "" for text in ElementTree.parse(file).getroot().iter("{http://www.w3.org/2000/svg}text"))


def page(window: MainWindow, name: str, qtbot: QtBot) -> Any:
    window.actions_.by_id[f"why_{name}"].trigger()
    qtbot.waitUntil(lambda: window.why.made is not None and window.why.made.pages[name].made is not None)
    return window.why.made.pages[name].made  # type: ignore[union-attr]


def test_either_side_of_a_score_is_saved_with_its_caption(
    opened: MainWindow, choose: Callable[..., Path], starter: Encoder, qtbot: QtBot,
) -> None:
    made = page(opened, "score", qtbot)
    made.words.setText("a <chair> & a dog")
    qtbot.waitUntil(lambda: not made._work.busy and made._maps[1] is not None)
    figure = choose(made.faces[0].save, 0, "why.svg")
    picture = load(next(iter(opened.session.items.values())).ref, Limits())
    score = float((encode(starter, [picture], "image") @ encode(starter, ["a <chair> & a dog"], "text").T)[0, 0])
    told = words_of(figure)
    for part in ("scene_004_dog_chair", "“a <chair> & a dog”", "Model starter", "Similarity of parts",
                 f"cosine {score:.3f}"):
        assert part in told
    with np.load(choose(made.faces[1].save, 1, "words")) as kept:
        assert np.array_equal(kept["weights"], made._maps[1].weights)
        assert str(kept["item"]) == "a <chair> & a dog"
        assert str(kept["query"]) == opened.session.items[opened.session.current or 0].title


def test_attention_is_saved_as_it_is_chosen(opened: MainWindow, choose: Callable[..., Path], qtbot: QtBot) -> None:
    made = page(opened, "attention", qtbot)
    qtbot.waitUntil(lambda: made.face.face.map is not None)
    assert not made.face.save.isHidden()
    with Image.open(choose(made.face.save, 0, "attention")) as picture:
        assert picture.format == "PNG"
        assert picture.height > picture.width / 2
    with np.load(choose(made.face.save, 1, "attention.npz")) as kept:
        assert str(kept["title"]) == made.face.face.map.title
        assert np.isnan(kept["score"])


def test_the_inspectors_map_is_saved_and_without_one_there_is_no_button(
    opened: MainWindow, choose: Callable[..., Path], qtbot: QtBot,
) -> None:
    inspector = opened.inspector
    qtbot.waitUntil(lambda: inspector.picture.map is not None)
    with np.load(choose(inspector.save, 1, "map.npz")) as kept:
        assert np.array_equal(kept["weights"], inspector.picture.map.weights)  # type: ignore[union-attr]
    box = inspector.attention.show_what
    box.setCurrentIndex(box.findData("none"))
    box.activated.emit(box.currentIndex())
    assert inspector.save.isHidden()
