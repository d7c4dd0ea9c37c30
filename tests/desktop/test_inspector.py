"""The inspector by mouse and keys: pictures zoomed, sounds repeated, videos watched, columns changed in place."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QToolButton, QWidget
from pytestqt.qtbot import QtBot

from mmstudio.desktop import audio
from mmstudio.desktop.audio import Player, heard
from mmstudio.desktop.faces_media import picture_view
from mmstudio.desktop.widgets.passage_face import PassageFace
from mmstudio.desktop.widgets.picture_face import LARGEST, PictureFace
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Positions
from mmstudio.explain.maps import RelevanceMap

Use, Settled = Callable[[Encoder], None], Callable[[], None]
LEFT, SHIFT, NONE = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.NoModifier


def wheel(widget: QWidget, at: QPoint, turned: int) -> bool:
    """Turn the wheel as the window system tells it; 120 is one notch away from the person. Whether it was taken."""
    event = QWheelEvent(
        QPointF(at), QPointF(widget.mapToGlobal(at)), QPoint(), QPoint(0, turned), Qt.MouseButton.NoButton, NONE,
        Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(widget, event)
    return event.isAccepted()


def drag(widget: QWidget, start: QPoint, end: QPoint, keys: Qt.KeyboardModifier = NONE) -> None:
    QTest.mousePress(widget, LEFT, keys, start)
    for step in range(1, 6):
        QTest.mouseMove(widget, start + (end - start) * step / 5)
    QTest.mouseRelease(widget, LEFT, keys, end)


@pytest.fixture
def show(window: MainWindow, qtbot: QtBot) -> Callable[..., int]:
    """Add a file and show its first item, or the first of a modality."""

    def add(path: Path, modality: str = "") -> int:
        session = window.session
        session.add([path])
        qtbot.waitUntil(lambda: not session.jobs.running and any(i.path == path for i in session.items.values()),
                        timeout=20_000)
        key = next(i.id for i in session.items.values() if i.path == path and modality in ("", i.modality))
        session.focus(key)
        return key

    return add


# ---- pictures -------------------------------------------------------------------------------------------------------

@pytest.fixture
def face(qtbot: QtBot) -> PictureFace:
    """300 × 220 with a picture of 600 × 400 whose red is its column and whose green is its row."""
    made = PictureFace()
    qtbot.addWidget(made)
    made.resize(300, 200 + made.STRIP)
    pixels = np.zeros((400, 600, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.arange(600) % 256, (np.arange(400) % 256)[:, None]
    pixels[:, :, 2] = 200
    made.show_picture(picture_view(pixels, []))
    made.show()
    return made


def patches(columns: int, rows: int) -> RelevanceMap:
    """A map over a grid of patches, the last the strongest."""
    extents = [(c / columns, r / rows, (c + 1) / columns, (r + 1) / rows) for r in range(rows) for c in range(columns)]
    count = rows * columns
    return RelevanceMap(np.linspace(0, 1, count, dtype=np.float32), Positions("patch", np.array(extents, np.float32)),
                        "test", "weight")


def test_the_wheel_zooms_around_the_pointer(face: PictureFace) -> None:
    at = QPoint(220, 150)
    under = face.point_at(QPointF(at))
    for _ in range(9):
        wheel(face, at, 120)
    assert face.scale > 1.5
    assert (face.point_at(QPointF(at)) - under).manhattanLength() < 0.5
    for _ in range(40):
        wheel(face, at, 120)
    assert face.scale == pytest.approx(LARGEST / face.devicePixelRatioF())
    for _ in range(60):
        wheel(face, at, -120)
    assert face.scale == pytest.approx(0.5)
    assert face.box().getRect() == pytest.approx((0, 0, 300, 200))


def test_the_wheel_at_its_end_belongs_to_the_panel(face: PictureFace) -> None:
    assert not wheel(face, QPoint(100, 100), -120)
    assert wheel(face, QPoint(100, 100), 120)
    assert wheel(face, QPoint(100, 100), -120)
    assert not wheel(face, QPoint(100, 100), -120)


def test_dragging_moves_the_picture_and_leaves_no_gap(face: PictureFace) -> None:
    picked: list[int] = []
    face.positionPicked.connect(picked.append)
    face.show_map(patches(6, 4))
    face.toggle_zoom()
    assert face.scale == 1
    under = face.point_at(QPointF(150, 100))
    drag(face, QPoint(150, 100), QPoint(100, 80))
    assert (face.point_at(QPointF(100, 80)) - under).manhattanLength() < 0.5
    for _ in range(8):
        drag(face, QPoint(20, 20), QPoint(280, 180))
    assert face.box().topLeft() == QPointF(0, 0)
    drag(face, QPoint(150, 100), QPoint(145, 100 - 30))
    assert face.box().left() == -5  # what went beyond the border is not owed
    assert picked == []


def test_double_click_and_the_key_0_change_between_all_of_it_and_100_per_cent(face: PictureFace) -> None:
    at = QPoint(290, 190)
    under = face.point_at(QPointF(at))
    QTest.mouseDClick(face, LEFT, pos=at)
    assert face.scale == 1
    assert (face.point_at(QPointF(at)) - under).manhattanLength() < 0.5
    QTest.keyClick(face, Qt.Key.Key_0)
    assert face.scale == 0.5
    QTest.keyClick(face, Qt.Key.Key_0)
    assert face.scale == 1
    QTest.keyClick(face, Qt.Key.Key_Plus)
    assert face.scale == 1.25
    left = face.box().left()
    QTest.keyClick(face, Qt.Key.Key_Right)
    assert face.box().left() < left


@pytest.mark.parametrize("turns", [0, 3, 12])
def test_the_pixel_under_the_pointer_is_told_from_the_pictures_own_pixels(face: PictureFace, turns: int) -> None:
    for _ in range(turns):
        wheel(face, QPoint(200, 120), 120)
    QTest.mouseMove(face, QPoint(37, 51))
    point = face.point_at(QPointF(37, 51))
    x, y = int(point.x()), int(point.y())
    assert face.told == f"x {x}  y {y}   R {x % 256}  G {y % 256}  B 200"
    QTest.mouseMove(face, QPoint(37, 219))
    assert face.told == ""


def test_transparent_pixels_tell_their_own_colour_and_how_transparent_they_are(face: PictureFace) -> None:
    face.show_picture(picture_view(np.full((20, 20, 4), (10, 20, 30, 40), np.uint8), []))
    QTest.mouseMove(face, QPoint(150, 100))
    assert face.told.endswith("R 10  G 20  B 30  A 40")
    shown = face.grab().toImage().pixelColor(150, 100)
    assert shown.red() == pytest.approx(255 - 245 * 40 / 255, abs=2)  # over white, as models get it


@pytest.mark.parametrize("turns", [0, 4, 14])
def test_the_overlay_and_the_clicks_lie_on_their_patches_however_far_one_zooms(
    face: PictureFace, qtbot: QtBot, turns: int,
) -> None:
    found = patches(6, 4)
    face.show_map(found)
    for _ in range(turns):
        wheel(face, QPoint(260, 30), 120)
    at = QPoint(270, 40)
    point = face.point_at(QPointF(at))
    wanted = int(point.y() // 100) * 6 + int(point.x() // 100)
    with qtbot.waitSignal(face.positionPicked) as told:
        QTest.mouseClick(face, LEFT, pos=at)
    assert told.args == [wanted]
    plain = RelevanceMap(np.zeros(24, np.float32), found.positions, "", "")
    only = plain.weights.copy()
    only[wanted] = 1
    face.picked = None
    face.show_map(RelevanceMap(only, found.positions, "", ""))
    bright = face.grab().toImage()
    face.show_map(plain)
    dull = face.grab().toImage()
    middle = QPointF((wanted % 6 + 0.5) * 100, (wanted // 6 + 0.5) * 100)
    where = face.box().topLeft() + middle * face.scale
    inside = QPointF(min(max(where.x(), 1), 298), min(max(where.y(), 1), 198)).toPoint()
    assert bright.pixelColor(inside) != dull.pixelColor(inside)


def test_a_large_picture_is_zoomed_without_holding_up_the_window(qtbot: QtBot) -> None:
    face = PictureFace()
    qtbot.addWidget(face)
    face.resize(600, 420)
    chance = np.random.default_rng(1)
    face.show_picture(picture_view(chance.integers(0, 255, (4000, 6000, 3), np.uint8), []))
    face.show_map(patches(16, 16))
    face.show()
    slowest = 0.0
    for _ in range(40):
        wheel(face, QPoint(250, 200), 120)
        started = time.perf_counter()
        face.grab()
        slowest = max(slowest, time.perf_counter() - started)
    assert slowest < 0.5


def test_a_pictures_exif_can_be_unfolded(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], tmp_path: Path, make_picture: Callable[..., Path],
) -> None:
    exif = Image.Exif()
    exif[0x0110] = "<b>Camera</b> 7"
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (40, 30), "red").save(path, exif=exif)
    inspector = window.inspector
    show(path)
    qtbot.waitUntil(inspector.details_part.isVisible)
    assert "Details (1)" in inspector.details_part.button.text()
    assert not inspector.details.isVisible()
    QTest.mouseClick(inspector.details_part.button, LEFT)
    name, value = inspector.details._rows[0]
    assert (name.text(), value.text()) == ("Camera", "<b>Camera</b> 7")
    assert value.textFormat() is Qt.TextFormat.PlainText
    show(make_picture("plain.png"))
    qtbot.waitUntil(lambda: inspector.picture._view is not None)
    assert not inspector.details_part.isVisible()


# ---- texts ----------------------------------------------------------------------------------------------------------

def test_a_word_tells_its_tokens(qtbot: QtBot) -> None:
    face = PassageFace()
    qtbot.addWidget(face)
    face.resize(320, 100)
    face.show_text("an unbelievable <s>")
    assert face.told_at(face.boxes_of(4, 5)[0].center()) == ""
    spans = np.array([[0, 2], [3, 5], [5, 15], [16, 19], [np.nan, np.nan]], np.float32)
    tokens = Positions("character", spans, ("an", " un", "believable", "<s>", "[SEP]"))
    face.show_tokens(tokens)
    assert face.told_at(face.boxes_of(8, 9)[0].center()) == "Tokens “un” | “believable”"
    assert face.told_at(face.boxes_of(0, 1)[0].center()) == "Token “an”"
    assert face.told_at(face.boxes_of(2, 3)[0].center()) == ""
    face.show_map(RelevanceMap(np.array([0, 0.25, 0.5, 0, 0], np.float32), tokens, "", "weight"))
    assert face.told_at(face.boxes_of(8, 9)[0].center()) == "Tokens “un” | “believable” · 0.500 weight"


def test_a_text_in_the_inspector_tells_its_tokens_as_soon_as_it_is_explained(
    window: MainWindow, qtbot: QtBot, use: Use, show: Callable[..., int], starter: Encoder, tmp_path: Path,
) -> None:
    use(starter)
    (tmp_path / "a.txt").write_text("a red circle")
    show(tmp_path / "a.txt")
    passage = window.inspector.passage

    def told() -> str:
        return passage.told_at(passage.boxes_of(3, 4)[0].center())

    qtbot.waitUntil(lambda: told().startswith("Token “red”"), timeout=20_000)


# ---- sounds ---------------------------------------------------------------------------------------------------------

class Loudspeaker:
    """Takes sound at its rate as PortAudio does, from a thread of its own; ``taken`` is what was heard."""

    latency, block = 0.0, 160
    taken: list[np.ndarray] = []

    def __init__(self, samplerate: int, channels: int, dtype: str, callback: Callable[..., None]) -> None:
        self._rate, self._callback, self.active = samplerate, callback, False

    def start(self) -> None:
        self.active = True
        self._thread = threading.Thread(target=self._play)
        self._thread.start()

    def _play(self) -> None:
        due = time.perf_counter()
        while self.active:
            out = np.zeros((self.block, 1), np.float32)
            self._callback(out, self.block, None, None)
            Loudspeaker.taken.append(out[:, 0])
            due += self.block / self._rate
            time.sleep(max(0.0, due - time.perf_counter()))

    def abort(self) -> None:
        self.active = False
        self._thread.join()

    def close(self) -> None:
        pass


@pytest.fixture
def loudspeaker(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Loudspeaker]]:
    monkeypatch.setattr(audio.portaudio(), "OutputStream", Loudspeaker)
    Loudspeaker.taken = []
    yield Loudspeaker
    Loudspeaker.taken = []


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer without a loudspeaker."""
    sd = audio.portaudio()

    def refuse(*_: object, **__: object) -> None:
        raise sd.PortAudioError("no device")

    monkeypatch.setattr(sd, "OutputStream", refuse)


RAMP = np.arange(100, dtype=np.float32)


@pytest.mark.parametrize(("speed", "wanted"), [(1.0, [10, 11, 12, 13]), (2.0, [10, 12, 14, 16]),
                                               (0.5, [10, 10.5, 11, 11.5])])
def test_sound_is_played_at_its_speed(speed: float, wanted: list[float]) -> None:
    out, at = heard(RAMP, 10, speed, 4, None)
    assert out.tolist() == wanted
    assert at == 10 + 4 * speed


def test_sound_ends_in_silence_and_a_loop_never_ends() -> None:
    out, at = heard(RAMP, 97, 1.0, 5, None)
    assert out.tolist() == [97, 98, 99, 0, 0]
    assert at == 102
    assert heard(RAMP, 97, 1.0, 5, (0, 100))[0].tolist() == [97, 98, 99, 0, 1]
    assert heard(RAMP, 18, 1.0, 6, (10, 20))[0].tolist() == [18, 19, 10, 11, 12, 13]
    assert heard(RAMP, 5, 1.0, 3, (10, 20))[0].tolist() == [5, 6, 7]  # it comes to the loop from before
    assert heard(RAMP, 60, 1.0, 3, (10, 20))[0].tolist() == [10, 11, 12]
    assert heard(RAMP[:1], 0, 2.0, 3, (0, 1))[0].tolist() == [0, 0, 0]
    assert heard(RAMP[:0], 0, 1.0, 3, None)[0].tolist() == [0, 0, 0]


def test_a_marked_range_is_repeated(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_sound: Callable[..., Path],
    loudspeaker: type[Loudspeaker],
) -> None:
    inspector, player = window.inspector, window.inspector.player
    show(make_sound("tone.wav", seconds=2.0))
    qtbot.waitUntil(lambda: inspector.sound_bar.isVisible() and player.seconds > 0)
    face = inspector.sound
    drag(face, QPoint(face.width() // 4, 20), QPoint(face.width() // 2, 20), SHIFT)
    assert player.mark == pytest.approx((0.5, 1.0), abs=0.05)
    assert player.position == pytest.approx(0.5, abs=0.05)
    assert player.speed == 1
    QTest.mouseClick(inspector.sound_bar.choices.loop, LEFT)
    assert player.loop
    inspector.sound_bar.choices.speed.setCurrentIndex(5)
    inspector.sound_bar.choices.speed.activated.emit(5)
    assert player.speed == 2
    places: list[float] = []
    player.moved.connect(lambda at: places.append(at))
    QTest.mouseClick(inspector.sound_bar.play, LEFT)
    qtbot.waitUntil(lambda: sum(map(len, loudspeaker.taken)) > 16_000 * 0.7)
    assert player.playing
    assert places
    assert all(0.45 <= at <= 1.05 for at in places)
    QTest.mouseClick(face, LEFT, SHIFT, QPoint(50, 20))
    assert player.mark is None
    player.choose(loop=False)
    with qtbot.waitSignal(player.ended, timeout=5_000):
        player.seek(1.9)
    assert not player.playing


def test_a_loudspeaker_that_goes_away_is_told_and_ends_the_playing(
    qtbot: QtBot, loudspeaker: type[Loudspeaker],
) -> None:
    player = Player()
    player.load(np.zeros(160_000, np.float32), 16_000)
    player.play()
    with qtbot.waitSignal(player.failed) as told:
        player._stream.active = False
    assert "stopped answering" in str(told.args[0])
    assert not player.playing
    player.stop()


# ---- videos ---------------------------------------------------------------------------------------------------------

@pytest.fixture
def make_video(tmp_path: Path) -> Callable[..., Path]:
    """Twenty frames a second whose grey tells their number (ten times it), with a tone where asked for."""

    def make(name: str, frames: int = 24, sound: bool = False) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            moving = container.add_stream("libvpx" if name.endswith("webm") else "mpeg4", rate=20)
            moving.width, moving.height, moving.pix_fmt, moving.time_base = 160, 120, "yuv420p", Fraction(1, 20)
            moving.gop_size, moving.bit_rate, moving.thread_count = 8, 2_000_000, 1
            heard_ = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
            for number in range(frames):
                frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 10 * number % 250, np.uint8), format="rgb24")
                frame.pts = number
                container.mux(moving.encode(frame))
            container.mux(moving.encode(None))
            if heard_ is not None:
                tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(frames * 800) / 16_000)
                piece = av.AudioFrame.from_ndarray(tone[None].astype(np.float32), format="fltp", layout="mono")
                piece.sample_rate, piece.pts = 16_000, 0
                container.mux(heard_.encode(piece))
                container.mux(heard_.encode(None))
        return path

    return make


def number_shown(window: MainWindow) -> int:
    """The number of the frame on the screen, or -1."""
    image = window.inspector.film.picture.image
    return -1 if image.isNull() else round(image.pixelColor(80, 60).red() / 10)


@pytest.fixture
def watch(window: MainWindow, qtbot: QtBot, show: Callable[..., int]) -> Callable[..., Any]:
    """Show a video's first item and open its film."""

    def open_film(path: Path, modality: str = "image") -> Any:
        show(path, modality)
        assert not window.inspector.film.isVisible()
        QTest.mouseClick(window.inspector.watch, LEFT)
        qtbot.waitUntil(lambda: number_shown(window) >= 0, timeout=10_000)
        return window.inspector.film.projector

    return open_film


def test_only_items_of_videos_offer_a_film(
    window: MainWindow, show: Callable[..., int], make_video: Callable[..., Path], make_picture: Callable[..., Path],
) -> None:
    show(make_picture("a.png"))
    assert not window.inspector.watch.isVisible()
    show(make_video("a.mp4", sound=True), "audio")
    assert window.inspector.watch.isVisible()


@pytest.mark.parametrize("name", ["steps.mp4", "steps.webm"])
def test_a_video_is_gone_through_by_frames_in_both_directions(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path], name: str,
) -> None:
    projector, film = watch(make_video(name)), window.inspector.film
    assert number_shown(window) == 0
    for number in range(1, 24):
        QTest.keyClick(film, Qt.Key.Key_Period)
        qtbot.waitUntil(lambda: number_shown(window) == number)  # noqa: B023
        assert projector.position == pytest.approx(number / 20)
        assert len(projector._frames) <= 24
    QTest.keyClick(window.inspector, Qt.Key.Key_Period)
    for number in range(22, -1, -1):
        QTest.mouseClick(film.back, LEFT)
        qtbot.waitUntil(lambda: number_shown(window) == number)  # noqa: B023
    QTest.keyClick(window.inspector, Qt.Key.Key_Comma)
    qtbot.wait(50)
    assert number_shown(window) == 0
    for _ in range(5):
        QTest.keyClick(film, Qt.Key.Key_Period)
    qtbot.waitUntil(lambda: number_shown(window) == 5)


def test_the_seek_bar_goes_to_the_frame_of_its_time(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path],
) -> None:
    watch(make_video("seek.mp4"))
    bar = window.inspector.film.seek
    QTest.mouseClick(bar, LEFT, pos=QPoint(bar.width() // 2, bar.height() // 2))
    qtbot.waitUntil(lambda: number_shown(window) in (11, 12))
    assert window.inspector.film.clock.text() == "0:00.6 / 0:01.2"
    window.inspector.seek_share(0.2)
    qtbot.waitUntil(lambda: number_shown(window) == 4)


def test_without_a_loudspeaker_the_pictures_play_at_their_pace_and_say_so(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path], silence: None,
) -> None:
    projector, film = watch(make_video("play.mp4", sound=True)), window.inspector.film
    qtbot.waitUntil(lambda: projector._track is not None)
    seen: list[int] = []
    projector.shown.connect(lambda _: seen.append(number_shown(window)))
    started = time.perf_counter()
    QTest.mouseClick(film.play, LEFT)
    assert projector.playing
    assert "without sound" in film.told.text()
    qtbot.waitUntil(lambda: not projector.playing, timeout=10_000)
    assert 1.1 < time.perf_counter() - started < 3
    assert seen == sorted(seen)
    assert len(set(seen)) > 8
    assert number_shown(window) == 23
    QTest.mouseClick(film.play, LEFT)
    qtbot.waitUntil(lambda: number_shown(window) == 3)  # again from the beginning
    QTest.mouseClick(film.play, LEFT)
    assert not projector.playing


def test_with_a_loudspeaker_the_pictures_follow_the_sound(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path],
    loudspeaker: type[Loudspeaker],
) -> None:
    projector, player = watch(make_video("talk.mp4", sound=True), "audio"), window.inspector.player
    qtbot.waitUntil(lambda: projector._track is not None)
    apart: list[float] = []

    def compare(_: object) -> None:
        if player.playing:
            apart.append(abs(number_shown(window) / 20 + 0.025 - player.position))

    projector.moved.connect(compare)
    projector.play()
    assert player.playing
    projector.seek(0.5)
    qtbot.waitUntil(lambda: not projector.playing, timeout=10_000)
    assert np.median(apart) < 0.1
    assert number_shown(window) == 23
    loud = np.concatenate(loudspeaker.taken)
    assert np.abs(loud).max() == pytest.approx(0.3, abs=0.05)
    assert window.inspector.sound._at is not None


def test_a_sound_can_be_played_alone_again_when_the_film_is_closed(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path],
    loudspeaker: type[Loudspeaker],
) -> None:
    projector, inspector = watch(make_video("talk.mp4", sound=True), "audio"), window.inspector
    projector.play()
    QTest.mouseClick(inspector.watch, LEFT)
    assert not projector.opened
    assert not inspector.player.playing
    qtbot.waitUntil(inspector.sound_bar.isVisible)  # once the sound is decoded
    assert inspector.player.seconds == pytest.approx(1.2, abs=0.1)
    inspector.toggle_play()
    assert inspector.player.playing
    inspector.player.stop()


def test_a_long_video_keeps_few_frames_and_pieces_of_sound(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path],
    loudspeaker: type[Loudspeaker], monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mmstudio.desktop.projector.TRACK_SECONDS", 1.5)
    monkeypatch.setattr("mmstudio.desktop.projector.TRACK_LEFT_SECONDS", 0.4)
    monkeypatch.setattr("mmstudio.desktop.projector.SPARE_SECONDS", 0.1)
    projector, player = watch(make_video("long.mp4", frames=80, sound=True)), window.inspector.player
    qtbot.waitUntil(lambda: projector._track is not None)
    tracks: set[tuple[float, float]] = set()
    most: list[int] = []
    projector.moved.connect(lambda _: (tracks.add(projector._track), most.append(len(projector._frames))))
    projector.play()
    qtbot.waitUntil(lambda: not projector.playing, timeout=15_000)
    assert len(tracks) >= 3
    assert player.seconds <= 1.6
    assert max(most) <= 24
    assert projector.position == pytest.approx(4.0, abs=0.15)


@pytest.mark.parametrize("share", [0.0, 0.4])
def test_a_video_that_broke_since_says_so_in_a_word(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_video: Callable[..., Path], share: float,
) -> None:
    path = make_video("broken.mp4")
    show(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    QTest.mouseClick(window.inspector.watch, LEFT)
    film = window.inspector.film
    qtbot.waitUntil(lambda: film.told.isVisible(), timeout=10_000)
    assert "video" in film.told.text()
    assert "Errno" not in film.told.text()
    assert not film.play.isEnabled()
    QTest.keyClick(film, Qt.Key.Key_Period)


def test_a_video_that_is_cut_short_plays_to_where_it_ends_and_says_so(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path],
) -> None:
    path = make_video("short.webm", frames=60)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.5)])
    projector = watch(path)
    projector.play()
    qtbot.waitUntil(lambda: not projector.playing, timeout=10_000)
    assert "cut short" in window.inspector.film.told.text()
    assert 0.3 < projector.position < 2


def test_another_item_closes_the_film_and_nothing_late_is_shown(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path],
    make_picture: Callable[..., Path], show: Callable[..., int],
) -> None:
    projector = watch(make_video("gone.mp4"))
    projector.play()
    for share in (0.1, 0.9, 0.5):
        projector.seek(share)
    show(make_picture("b.png"))
    assert not projector.playing
    qtbot.wait(150)
    assert number_shown(window) == -1
    assert not window.inspector.film.isVisible()


def test_playing_a_video_never_holds_up_the_window(
    window: MainWindow, qtbot: QtBot, watch: Callable[..., Any], make_video: Callable[..., Path], silence: None,
) -> None:
    projector = watch(make_video("smooth.mp4", frames=40))
    slowest = 0.0
    projector.play()
    while projector.playing:
        started = time.perf_counter()
        QApplication.processEvents()
        slowest = max(slowest, time.perf_counter() - started)
        time.sleep(0.002)
    assert slowest < 0.5


# ---- columns --------------------------------------------------------------------------------------------------------

def cells(window: MainWindow) -> list[tuple[str, str]]:
    table = window.inspector.columns
    return [(table.item(row, 0).text(), table.item(row, 1).text()) for row in range(table.rowCount())]


def type_into(window: MainWindow, row: int, column: int, text: str) -> None:
    """Double-click a cell, type, confirm."""
    table = window.inspector.columns
    at = table.visualRect(table.model().index(row, column)).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=at)
    QTest.mouseDClick(table.viewport(), LEFT, pos=at)
    confirm(window, text)


def editor_of(window: MainWindow) -> QLineEdit | None:
    return next((e for e in window.inspector.columns.findChildren(QLineEdit) if e.isVisible()), None)


def confirm(window: MainWindow, text: str) -> None:
    editor = editor_of(window)
    assert editor is not None
    editor.selectAll()
    QTest.keyClick(editor, Qt.Key.Key_Delete)
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key.Key_Return)


def test_a_column_is_added_changed_emptied_and_undone_where_it_stands(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_picture: Callable[..., Path],
) -> None:
    session, table = window.session, window.inspector.columns
    key = show(make_picture("a.png"))
    assert cells(window) == [("Tags", ""), ("Add a column…", "")]
    type_into(window, 1, 0, "rating")
    qtbot.waitUntil(lambda: table.currentColumn() == 1 and editor_of(window) is not None)
    confirm(window, "4.5")
    qtbot.waitUntil(lambda: session.items[key].columns == {"rating": 4.5})
    assert cells(window) == [("Tags", ""), ("rating", "4.5"), ("Add a column…", "")]
    table.setCurrentCell(1, 1)
    QTest.keyClick(table, Qt.Key.Key_F2)
    confirm(window, "3")
    qtbot.waitUntil(lambda: session.items[key].columns == {"rating": 3.0})
    assert cells(window)[1] == ("rating", "3")
    session.undo()
    qtbot.waitUntil(lambda: cells(window)[1] == ("rating", "4.5"))
    type_into(window, 1, 1, "")
    qtbot.waitUntil(lambda: cells(window) == [("Tags", ""), ("Add a column…", "")])
    assert session.items[key].columns == {}


def test_tags_are_changed_as_a_list(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_picture: Callable[..., Path],
) -> None:
    session = window.session
    key = show(make_picture("a.png"))
    type_into(window, 0, 1, "dog, wet , dog")
    qtbot.waitUntil(lambda: session.items[key].tags == ("dog", "wet"))
    assert "dog, wet" in window.inspector._facts.text()
    type_into(window, 0, 1, "dog, old")
    qtbot.waitUntil(lambda: session.items[key].tags == ("dog", "old"))
    qtbot.waitUntil(lambda: cells(window)[0] == ("Tags", "dog, old"))


def test_a_name_without_a_value_is_forgotten_and_a_known_name_leads_to_its_value(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_picture: Callable[..., Path],
) -> None:
    session, table = window.session, window.inspector.columns
    key = show(make_picture("a.png"))
    type_into(window, 1, 0, "place")
    qtbot.waitUntil(lambda: table.currentColumn() == 1 and editor_of(window) is not None)
    QTest.keyClick(editor_of(window), Qt.Key.Key_Escape)
    qtbot.waitUntil(lambda: cells(window)[-1] == ("Add a column…", ""))
    session.set_column([key], "place", "Oslo")
    qtbot.waitUntil(lambda: cells(window)[1] == ("place", "Oslo"))
    type_into(window, 2, 0, "place")
    qtbot.waitUntil(lambda: table.currentRow() == 1 and editor_of(window) is not None)
    confirm(window, "Rome")
    qtbot.waitUntil(lambda: session.items[key].columns == {"place": "Rome"})


def test_what_changes_meanwhile_does_not_take_the_typing_away(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_picture: Callable[..., Path],
) -> None:
    session, table = window.session, window.inspector.columns
    key = show(make_picture("a.png"))
    session.set_column([key], "a", 1.0)
    qtbot.waitUntil(lambda: len(cells(window)) == 3)
    table.setCurrentCell(1, 1)
    QTest.keyClick(table, Qt.Key.Key_F2)
    session.set_column([key], "b", "new")
    qtbot.waitUntil(lambda: "b" in session.items[key].columns)
    assert len(cells(window)) == 3
    confirm(window, "2")
    qtbot.waitUntil(lambda: cells(window)[1:3] == [("a", "2"), ("b", "new")])


def test_a_value_that_is_not_changed_writes_nothing(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_picture: Callable[..., Path],
) -> None:
    session = window.session
    key = show(make_picture("a.png"))
    session.set_column([key], "code", "12")  # a text that looks like a number stays a text
    qtbot.waitUntil(lambda: len(cells(window)) == 3)
    wishes: list[object] = []
    window.inspector.columns.valueWanted.connect(lambda *wish: wishes.append(wish))
    type_into(window, 1, 1, "12")
    assert wishes == []
    assert session.items[key].columns == {"code": "12"}


def test_a_project_that_cannot_be_written_refuses_with_a_word_and_shows_the_old_value(
    window: MainWindow, qtbot: QtBot, show: Callable[..., int], make_picture: Callable[..., Path],
) -> None:
    session = window.session
    key = show(make_picture("a.png"))
    session.set_column([key], "a", "old")
    qtbot.waitUntil(lambda: len(cells(window)) == 3)
    project = session.project
    assert project is not None
    project._store._item_table._read_only = True
    type_into(window, 1, 1, "new")
    qtbot.waitUntil(window.banner.isVisible)
    assert cells(window)[1] == ("a", "old")
    assert session.items[key].columns == {"a": "old"}
    assert window.banner.text.text()


def test_every_new_button_has_a_tooltip(
    window: MainWindow, watch: Callable[..., Any], make_video: Callable[..., Path],
) -> None:
    watch(make_video("tips.mp4"))
    shown = [b for b in window.inspector.findChildren(QToolButton) if b.isVisible()]
    assert [b for b in shown if not b.text() and not b.toolTip()] == []
