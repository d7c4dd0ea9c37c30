"""How an item looks when it is small: a thumbnail, a waveform, a card of text. Text is always drawn as plain text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPoint, QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap, QPixmapCache, QPolygonF

from mmstudio.desktop.previews import Preview
from mmstudio.desktop.theme import MODALITY_COLOURS, colours
from mmstudio.library import Item


def draw_item(painter: QPainter, box: QRect, item: Item, preview: Preview | None) -> None:
    """Draw the item's face into ``box``; faces are kept, so that scrolling only copies them."""
    if preview is None and item.modality != "text":
        painter.fillRect(box, QColor(colours().line))
        return
    ratio = painter.device().devicePixelRatio()
    key = f"{item.content_hash} {box.width()} {box.height()} {ratio} {colours().dark}"
    face = QPixmap()
    if not QPixmapCache.find(key, face):
        face = QPixmap(box.size() * ratio)
        face.setDevicePixelRatio(ratio)
        face.fill(Qt.GlobalColor.transparent)
        onto = QPainter(face)
        _draw_face(onto, QRect(QPoint(0, 0), box.size()), item, preview)
        onto.end()
        QPixmapCache.insert(key, face)
    painter.drawPixmap(box.topLeft(), face)


def _draw_face(painter: QPainter, box: QRect, item: Item, preview: Preview | None) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
    if item.modality == "text":
        _draw_text(painter, box, item.text)
    elif isinstance(preview, QPixmap):
        size = preview.size().scaled(box.size(), Qt.AspectRatioMode.KeepAspectRatio)
        place = QRect(0, 0, max(1, size.width()), max(1, size.height()))
        place.moveCenter(box.center())
        painter.drawPixmap(place, preview)
    elif isinstance(preview, np.ndarray):
        draw_waveform(painter, QRectF(box), preview)


def _draw_text(painter: QPainter, box: QRect, text: str) -> None:
    c = colours()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(c.raised if c.dark else "#e8ebf0"))
    painter.drawRoundedRect(box, 4, 4)
    small = box.width() < 80
    font = painter.font()
    font.setPixelSize(10 if small else 12)
    painter.setFont(font)
    painter.setPen(QColor(c.text))
    page = box.adjusted(4, 3, -4, -3) if small else box.adjusted(7, 6, -7, -6)
    page.setHeight(page.height() // painter.fontMetrics().lineSpacing() * painter.fontMetrics().lineSpacing())
    flags = int(Qt.TextFlag.TextWordWrap)
    fits = painter.boundingRect(page, flags, text[:160]).height() <= page.height()
    painter.setClipRect(page)  # whole lines, from the first on
    upright = Qt.AlignmentFlag.AlignVCenter if fits else Qt.AlignmentFlag.AlignTop
    painter.drawText(page, flags | int(upright), text[:160])


def draw_waveform(painter: QPainter, box: QRectF, peaks: NDArray[np.float32], colour: str = "") -> None:
    """Lowest and highest of each bin as one filled shape around the middle."""
    lows, highs = peaks[:, 0], peaks[:, 1]
    top = max(float(np.abs(peaks).max(initial=0)), 1e-4)
    x = np.linspace(box.left() + 2, box.right() - 2, len(peaks))
    middle, scale = box.center().y(), box.height() * 0.45 / top
    upper = [QPointF(a, middle - max(b * scale, 0.5)) for a, b in zip(x, highs, strict=True)]
    lower = [QPointF(a, middle - min(b * scale, -0.5)) for a, b in zip(x, lows, strict=True)]
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(colour or MODALITY_COLOURS["audio"]))
    painter.drawPolygon(QPolygonF(upper + lower[::-1]))
