"""The map's picture where points are too many to be drawn as shapes: quick while it moves, exact when it rests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QObject, QPointF, QRectF, Qt, QTimer
from PySide6.QtGui import QColor, QImage, QPainter

from mmstudio.desktop.plots.cloud import Behind, Cloud
from mmstudio.desktop.plots.raster import (
    FULL,
    Dots,
    Longs,
    Loops,
    NumpyLoops,
    Pixels,
    Raster,
    Window,
    opacity_curve,
    palette_words,
)
from mmstudio.desktop.plots.sprites import SHAPES, draw_shape
from mmstudio.desktop.plots.transform import Transform
from mmstudio.desktop.preload import preload

_SIDES = ((12_000, 7), (60_000, 5), (300_000, 3))
"""Up to so many points on the screen are drawn as stamps of so many pixels; more as one pixel each."""
_ALONE = {7: 0.95, 5: 0.9, 3: 0.8, 1: 0.5}
"""How opaque one point is, by the stamp's side."""
_BUDGET, _BUDGET_UNSORTED, _BUDGET_NUMPY = 1_500_000, 400_000, 30_000
"""Points that are drawn in one frame. Of more, every second or third is drawn until the map rests."""
REST_MS = 120
"""After so long without another frame the map rests."""
_MANY = 8
"""A pixel is wholly opaque where so many times more points lie than on the average."""


class Compiled:
    """The raster's loops: in numpy until they are machine code, which takes a second and is asked for once."""

    def __init__(self) -> None:
        self.loops: Loops = NumpyLoops()
        self._asked = self._taken = False

    def want(self, behind: Behind | None) -> None:
        """Compile behind the window; at once where there is nothing behind, also where an answer never came because
        its window was closed.
        """
        if not self._taken and (behind is None or not self._asked):
            self._asked = True
            if behind is None:
                self._take(_compile())
            else:
                behind(_compile, self._take)

    def _take(self, loops: Loops) -> None:
        self.loops, self._taken = loops, True

    @property
    def ready(self) -> bool:
        return not isinstance(self.loops, NumpyLoops)


COMPILED = Compiled()


def _compile() -> Loops:
    """Where numba is not to be had, numpy has to do."""
    preload("llvmlite", ("binding/libllvmlite.so",))
    try:
        from mmstudio.desktop.plots import kernels
    except ImportError:
        return NumpyLoops()
    return cast(Loops, kernels)


@dataclass(frozen=True)
class Scene:
    """Dots and the runs of them that are seen. Each stands for ``share`` points; ``count`` points are seen."""

    dots: Dots
    runs: tuple[Longs, Longs]
    count: int
    share: float = 1.0
    is_sorted: bool = True


@dataclass(frozen=True)
class Look:
    """Colours: of the categories, for the rest where some points stand out, and behind all. ``in_front`` where some
    points are drawn in front, ``greyed`` where the rest is grey.
    """

    colours: tuple[QColor, ...]
    grey: QColor
    base: QColor
    in_front: bool = False
    greyed: bool = False


def scene_of(cloud: Cloud, transform: Transform, width: int, height: int, margin: float) -> Scene:
    """What is seen, and ``margin`` pixels around it."""
    left, top = transform.to_place(-margin, -margin, width, height)
    right, bottom = transform.to_place(width + margin, height + margin, width, height)
    runs = cloud.grid.runs(left, bottom, right, top)
    return Scene(cloud.dots, runs, cloud.count(runs), is_sorted=cloud.is_sorted)


@dataclass(frozen=True)
class Frame:
    """All that a picture of ``height`` x ``width`` pixels is made from; any thread may draw it."""

    scene: Scene
    width: int
    height: int
    window: Window
    rgb: NDArray[np.int64]
    weights: NDArray[np.int64]
    layers: NDArray[np.int64]
    masks: NDArray[np.uint8]
    opacities: tuple[NDArray[np.float32], NDArray[np.float32]]
    base: int

    @classmethod
    def of(cls, scene: Scene, look: Look, cloud: Cloud, transform: Transform, size: tuple[int, int],
           ratio: float) -> Frame:
        """``size`` (width, height) is the transform's, of whose pixels each is ``ratio`` long."""
        number = len(look.colours)
        rgb = [(colour.red(), colour.green(), colour.blue())
               for colour in (*look.colours, *look.colours, look.grey, look.grey)]
        weights, layers = np.ones(len(rgb), np.int64), np.zeros(len(rgb), np.int64)
        layers[number : 2 * number] = 1
        weights[number : 2 * number] = look.in_front
        weights[-1] = 0
        side = next((side for most, side in _SIDES if scene.count <= most), 1)
        left, top = transform.to_place(0, 0, *size)
        scale = transform.scale * ratio
        area = max(float((cloud.grid.side / cloud.grid.per_unit * scale).prod()), 1.0)
        many = max(4.0, _MANY * cloud.total * side**2 / area)
        unit, alone = (1 if side == 1 else FULL), _ALONE[side]
        strength = 0.65 if look.greyed else 1.0
        return cls(scene, max(1, round(size[0] * ratio)), max(1, round(size[1] * ratio)), Window(left, top, scale),
                   np.array(rgb, np.int64), weights, layers, stamps(side),
                   (opacity_curve(unit, alone, many, strength), opacity_curve(unit, max(alone, 0.85), many)),
                   look.base.rgb())

    def draw(self, raster: Raster, step: int, out: Pixels) -> Pixels:
        """Draw every ``step``-th dot."""
        out[:] = self.base
        weight = max(1, round(step * self.scene.share))
        raster.draw(COMPILED.loops, self.scene.dots, self.scene.runs, step, self.window,
                    palette_words(self.rgb, self.weights * weight, self.layers), self.masks, self.opacities, out)
        return out


class Density:
    """Draws frames, and keeps the last: what is not changed is not drawn again. A frame that was thinned to be quick is
    drawn in full once the map rests.
    """

    def __init__(self, behind: Behind | None, changed: Callable[[], None], parent: QObject) -> None:
        self._behind, self._changed = behind, changed
        self._raster, self._slow = Raster(), Raster()
        self._pixels: Pixels = np.zeros((0, 0), np.uint32)
        self._key: object = None
        self._rough: Frame | None = None
        self._refining = False
        self._rest = QTimer(parent, singleShot=True, interval=REST_MS)
        self._rest.timeout.connect(self._refine)

    @property
    def is_rough(self) -> bool:
        """Whether points are left out of what is shown."""
        return self._rough is not None

    def draw(self, painter: QPainter, target: QRectF, key: object, frame: Callable[[], Frame]) -> None:
        """Draw the frame, which is made anew where the key is another than the last time."""
        if key != self._key:
            made, self._key = frame(), key
            if self._pixels.shape != (made.height, made.width):
                self._pixels = np.empty((made.height, made.width), np.uint32)
            step = step_of(made.scene)
            made.draw(self._raster, step, self._pixels)
            self._rough = made if step > 1 else None
            if self._rough:
                self._rest.start()
        height, width = self._pixels.shape
        image = QImage(self._pixels.data, width, height, 4 * width, QImage.Format.Format_RGB32)
        painter.drawImage(target, image)

    def _refine(self) -> None:
        frame, key = self._rough, self._key
        if frame is None:
            return
        if self._refining:
            self._rest.start()
        elif self._behind is None:
            self._refined(key, frame.draw(self._raster, 1, self._pixels))
        else:
            self._refining = True
            self._behind(lambda: frame.draw(self._slow, 1, np.empty((frame.height, frame.width), np.uint32)),
                         lambda pixels: self._refined(key, pixels))

    def _refined(self, key: object, pixels: Pixels) -> None:
        self._refining = False
        if key == self._key and self._rough is not None:
            self._pixels, self._rough = pixels, None
            self._changed()


def step_of(scene: Scene) -> int:
    """Draw every so many-th dot, to be quick."""
    budget = _BUDGET if scene.is_sorted else _BUDGET_UNSORTED
    if not COMPILED.ready:
        budget = _BUDGET_NUMPY
    return max(1, -(-int((scene.runs[1] - scene.runs[0]).sum()) // budget))


@cache
def stamps(side: int) -> NDArray[np.uint8]:
    """``(shapes, side, side)`` of 0..15: how much of each pixel a shape covers. A pixel is all of a shape."""
    if side == 1:
        return np.ones((len(SHAPES), 1, 1), np.uint8)
    out = np.empty((len(SHAPES), side, side), np.uint8)
    for row, shape in enumerate(SHAPES):
        image = QImage(side, side, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        draw_shape(painter, shape, QPointF(side / 2, side / 2), side / 2, QColor("white"), QColor("white"))
        painter.end()
        pixels = np.frombuffer(image.constBits(), np.uint32).reshape(side, side)
        out[row] = np.rint((pixels >> 24) * (FULL / 255))
    return out
