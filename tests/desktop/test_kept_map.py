"""The map is kept with the project, opens as it was, and turns towards what was seen before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop import kept_map
from mmstudio.desktop.arranging import Arrangement, Layout, turned
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.explore.projection import Wish
from mmstudio.library import SpaceKey

SPACE = SpaceKey("a space", "1", "1", 3)


def _layout(n: int = 7, **more: object) -> Layout:
    rng = np.random.default_rng(0)
    names = np.array(["image", "text", "audio"])[np.arange(n) % 3]
    return Layout(np.arange(1, n + 1), names, rng.normal(size=(n, 2)).astype(np.float32), "UMAP",
                  **more)  # type: ignore[arg-type]


def test_a_layout_is_read_as_it_was_kept(tmp_path: Path) -> None:
    arrangement = Arrangement(Wish("umap", 3, 30, 0.3, seed=5), False, np.arange(4), np.array([0, 1, -1, 0]), 0.7,
                              np.eye(2, 3, dtype=np.float32), ("a “dog”", "夜"))
    kept = _layout(clusters=np.arange(7), solid=np.ones((7, 3), np.float32), arrangement=arrangement)
    kept_map.save(tmp_path, SPACE, kept)
    found = kept_map.load(tmp_path, SPACE)
    assert found is not None
    assert found.arrangement is not None
    for name in ("keys", "modalities", "places", "clusters", "solid"):
        assert np.array_equal(getattr(found, name), getattr(kept, name))
    for name in ("target_ids", "target", "axes"):
        assert np.array_equal(getattr(found.arrangement, name), getattr(arrangement, name))
    assert (found.kind, found.arrangement.wish, found.arrangement.closes_gap, found.arrangement.titles,
            found.arrangement.strength) == ("UMAP", arrangement.wish, False, arrangement.titles, 0.7)
    assert kept_map.load(tmp_path, replace(SPACE, revision="2")) is None


@pytest.mark.parametrize("torn", [b"", b"PK\x03\x04 torn", b"\x93NUMPY"])
def test_a_map_that_cannot_be_read_or_written_is_none(tmp_path: Path, torn: bytes) -> None:
    kept_map.save(tmp_path, SPACE, _layout())
    file = next((tmp_path / "maps").iterdir())
    file.write_bytes(torn or file.read_bytes()[:-50])
    assert kept_map.load(tmp_path, SPACE) is None
    (tmp_path / "full").write_text("not a folder")
    kept_map.save(tmp_path / "full", SPACE, _layout())
    assert kept_map.load(tmp_path / "full", SPACE) is None


def test_places_that_do_not_fit_their_keys_are_refused(tmp_path: Path) -> None:
    whole = _layout()
    kept_map.save(tmp_path, SPACE, replace(whole, places=whole.places[:5]))
    assert kept_map.load(tmp_path, SPACE) is None
    kept_map.save(tmp_path, SPACE, replace(whole, arrangement=Arrangement(axes=np.ones((2, 9), np.float32))))
    assert kept_map.load(tmp_path, SPACE) is None


def test_a_map_is_turned_and_mirrored_to_lie_as_another_of_the_same_points() -> None:
    seen = _layout(40)
    angle = 2.0
    turn = np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), -np.cos(angle)]])
    other = replace(seen, keys=seen.keys[5:], modalities=seen.modalities[5:],
                    places=(seen.places[5:] @ turn).astype(np.float32))
    assert np.allclose(turned(other, seen).places, seen.places[5:], atol=1e-5)
    assert turned(other, None) is other


def test_a_project_opens_with_the_map_that_it_was_closed_with(
    window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], settled: Callable[[], None], starter: Encoder,
    mixed_folder: Path, tmp_path: Path,
) -> None:
    session = window.session
    use(starter)
    session.add([mixed_folder])
    settled()
    session.mapping.anew(Arrangement(Wish("pca", seed=3), closes_gap=False))
    qtbot.waitUntil(lambda: session.layout is not None and session.layout.final and session.layout.kind == "PCA")
    before, first = session.layout, session.project.folder  # type: ignore[union-attr]
    assert before is not None
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(tmp_path / "another")
    assert session.arrangement.wish is None
    seen: list[Layout] = []
    session.layoutChanged.connect(seen.append)
    with qtbot.waitSignal(session.projectOpened):
        session.open_project(first)
    settled()
    assert {one.kind for one in seen} == {"PCA"}
    assert all(one.final for one in seen)
    assert np.array_equal(seen[0].places, before.places)
    assert session.arrangement.wish == Wish("pca", seed=3)
    assert not session.arrangement.closes_gap
    (tmp_path / "new.txt").write_text("something new about dogs")
    session.add([tmp_path / "new.txt"])
    qtbot.waitUntil(lambda: session.layout is not None and session.layout.final and len(session.layout.keys) == 25)
    after = session.layout
    assert after is not None
    assert np.array_equal(after.places[np.isin(after.keys, before.keys)], before.places)


def test_points_stay_while_another_model_reads_and_fly_from_there(
    window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], settled: Callable[[], None], starter: Encoder,
    mixed_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:
    from encoders.conftest import clip

    session = window.session
    use(starter)
    session.add([mixed_folder])
    settled()
    session.mapping.anew(Arrangement(axes=np.eye(2, starter.dim, dtype=np.float32), titles=("one", "two")))
    qtbot.waitUntil(lambda: session.layout is not None and "one" in session.layout.kind)
    session.settings.set("animations", True)
    drawn: list[int] = []
    session.encoderChanged.connect(lambda: drawn.append(len(window.map.canvas.points.keys)))
    session.use_model(str(clip(tmp_path / "clip")), "cpu")
    qtbot.waitUntil(lambda: bool(drawn) and session.layout is not None and session.layout.final)
    assert drawn[0] == 24
    assert session.arrangement.axes is None  # of another space
    assert set(session.layout.modalities) == {"image", "text"}  # type: ignore[union-attr]
    session.use_model("starter", "cpu")
    qtbot.waitUntil(lambda: session.layout is not None and len(session.layout.keys) == 24)
    assert "one" in session.layout.kind  # type: ignore[union-attr]


def test_samples_turn_with_a_map_of_three_dimensions(
    window: MainWindow, qtbot: QtBot, use: Callable[[Encoder], None], settled: Callable[[], None], starter: Encoder,
    mixed_folder: Path,
) -> None:
    from mmstudio.desktop.arranging import seen_from

    session = window.session
    use(starter)
    session.add([mixed_folder])
    settled()
    session.group(list(session.items)[:2], "pair")
    points = window.map.canvas
    qtbot.waitUntil(lambda: len(points.points.keys) == 25)
    placed: list[object] = []
    session.samplesPlaced.connect(placed.append)
    session.mapping.anew(Arrangement(Wish("pca", 3)))
    qtbot.waitUntil(lambda: session.layout is not None and session.layout.solid is not None and bool(placed))
    at, solid = points.points.places[-1].copy(), session.layout.solid  # type: ignore[union-attr]
    assert solid is not None
    placed.clear()
    session.mapping.show_side(*seen_from(solid, 90.0, 0.0))
    qtbot.waitUntil(lambda: bool(placed))
    assert np.abs(points.points.places[-1] - at).max() > 0.05
