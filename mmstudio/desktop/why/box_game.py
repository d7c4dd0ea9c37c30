"""Does the map point into what the words name? Boxes that the project knows of, or one that a person draws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QPushButton

from mmstudio.desktop.text import tr
from mmstudio.desktop.why.verdict import pointing_told
from mmstudio.desktop.widgets.item_face import ItemFace
from mmstudio.errors import StudioError
from mmstudio.explain.boxes import Box, boxes_of, pointing
from mmstudio.library import Item


class BoxGame(QObject):
    """Outlines boxes on the pictures of some faces; ``told`` says what came of one that was drawn, or that the known
    ones cannot be read.
    """

    told = Signal(str)

    def __init__(self, faces: Sequence[ItemFace], parent: QObject) -> None:
        super().__init__(parent)
        self._faces = faces
        self.button = QPushButton(tr("Draw a box"), checkable=True)
        self.button.setToolTip(tr("Drag over what the words name: does the map point into it?"))
        self.button.toggled.connect(self._let_draw)
        for face in faces:
            face.picture.boxDrawn.connect(partial(self._drawn, face))

    def show_button(self) -> None:
        """It is seen while there is a map over a picture."""
        self.button.setVisible(any(face.face is face.picture and face.face.map is not None for face in self._faces))

    def show_known(self, face: ItemFace) -> None:
        """The boxes that the project has of the item on a face."""
        boxes: tuple[Box, ...] = ()
        try:
            if isinstance(face.shown, Item):
                boxes = boxes_of(face.shown)
        except StudioError as error:
            self.told.emit(f"{error}")
        face.picture.show_boxes(boxes)

    def sentences(self) -> list[str]:
        """What the maps make of the boxes on their pictures, those that the query names."""
        return [told for face in self._faces if (told := self._outcome(face))]

    def _outcome(self, face: ItemFace) -> str:
        found, shown = face.face.map, face.save.shown
        if found is None or face.face is not face.picture:
            return ""
        game = pointing(found, face.picture.boxes, shown.caption.query if shown else "")
        return pointing_told(game) if game else ""

    def _let_draw(self, on: bool) -> None:
        for face in self._faces:
            face.picture.let_draw(on)

    def _drawn(self, face: ItemFace, box: Box | None) -> None:
        """A click alone gives the known boxes back."""
        self.button.setChecked(False)
        if box is None:
            self.show_known(face)
        else:
            self.told.emit(self._outcome(face))
