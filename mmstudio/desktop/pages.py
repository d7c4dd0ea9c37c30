"""Pieces of a report as pages of a PDF whose text can be selected. For the GUI thread: a piece takes milliseconds."""

from __future__ import annotations

from PySide6.QtCore import QBuffer, QIODevice, QMarginsF, QRectF, QSizeF, Qt
from PySide6.QtGui import QFont, QPageLayout, QPageSize, QPainter, QPdfWriter, QTextDocument

from mmstudio.desktop.text import tr

PIXELS_PER_INCH, DOTS_PER_INCH = 96, 1200
"""Text is laid out in the first, as a page on a screen is, and drawn in the second."""
GAP = 18.0
STYLE = """
h1 { font-size: 22px; } h2 { font-size: 15px; }
th { text-align: left; font-weight: normal; color: #5f6672; padding-right: 10px; }
td { padding-bottom: 2px; }
.face { padding-right: 18px; }
img { vertical-align: top; }
.passage { white-space: pre-wrap; }
.word { color: #111111; }
.faint { color: #5f6672; } .good { color: #1a7f4b; } .bad, .missing { color: #b3261e; }
"""


class Pages:
    """A4 pages that are filled from top to bottom; ``end`` gives the file."""

    def __init__(self, title: str) -> None:
        self._buffer = QBuffer()
        self._buffer.open(QIODevice.OpenModeFlag.WriteOnly)
        self._writer = QPdfWriter(self._buffer)
        self._writer.setTitle(title)
        self._writer.setCreator("Multimodal Studio")
        self._writer.setResolution(DOTS_PER_INCH)
        self._writer.setPageSize(QPageSize(QPageSize.PageSizeId.A4))
        self._writer.setPageMargins(QMarginsF(15, 15, 15, 18), QPageLayout.Unit.Millimeter)
        self._font = QFont()
        self._font.setPixelSize(12)
        self._font.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
        scale = PIXELS_PER_INCH / DOTS_PER_INCH
        self._size = QSizeF(self._writer.width() * scale, self._writer.height() * scale)
        self._painter = QPainter(self._writer)
        self._painter.scale(1 / scale, 1 / scale)
        self._painter.setFont(self._font)
        self._filled, self.count = 0.0, 1
        self._number()

    def add(self, html: str) -> None:
        """Put a piece below what is there, on a new page where it fits no more; one longer than a page is cut between
        lines.
        """
        whole = QTextDocument(documentMargin=0, defaultStyleSheet=STYLE, useDesignMetrics=True)
        whole.setDefaultFont(self._font)
        whole.setHtml(html)
        whole.setTextWidth(self._size.width())
        height = whole.size().height()
        if self._filled and self._filled + height > self._size.height():
            self._turn()
        if height > self._size.height():
            whole.setPageSize(self._size)
        for page in range(whole.pageCount()):
            if page:
                self._turn()
            self._draw(whole, page)
        self._filled += height - (whole.pageCount() - 1) * self._size.height() + GAP

    def _draw(self, whole: QTextDocument, page: int) -> None:
        """One page of a piece; a line that touched the border would be on both pages."""
        width, height = self._size.width(), self._size.height()
        self._painter.save()
        self._painter.translate(0, self._filled - page * height)
        whole.drawContents(self._painter, QRectF(0, page * height + 1, width, height - 2) if whole.pageCount() > 1
                           else QRectF())
        self._painter.restore()

    def _turn(self) -> None:
        self._writer.newPage()
        self._filled, self.count = 0.0, self.count + 1
        self._number()

    def _number(self) -> None:
        """The page's number, in the lower margin."""
        box = QRectF(0, self._size.height() + 14, self._size.width(), 20)
        self._painter.drawText(box, Qt.AlignmentFlag.AlignRight, tr("Page {}").format(self.count))

    def end(self) -> bytes:
        """Close the file; gives its bytes."""
        self._painter.end()
        return bytes(self._buffer.data().data())

    def __del__(self) -> None:
        """Of a report that was cancelled: nothing may go while it is painted on."""
        if self._painter.isActive():
            self._painter.end()
