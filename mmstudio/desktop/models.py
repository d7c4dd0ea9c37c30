"""The models dialog: what is on this computer, what can be downloaded, and which one reads the items."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QVBoxLayout,
    QWidget,
)

from mmstudio.desktop.session import Session
from mmstudio.desktop.text import megabytes, modality_name, tr
from mmstudio.desktop.theme import restyle
from mmstudio.encoders import ModelCard, catalog
from mmstudio.encoders.registry import STARTER


class ModelsDialog(QDialog):
    """Which encoder reads the items: the starter, a model of the catalogue, or a folder."""

    chosen = Signal(str)

    def __init__(self, session: Session, parent: QWidget, shown: str = "") -> None:
        super().__init__(parent, windowTitle=tr("Models"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.resize(720, 500)
        self._session = session
        layout = QVBoxLayout(self)
        hint = QLabel(tr("A model is downloaded only when you press Download, into the Hugging Face cache of this "
                         "computer; then it works without a network. Nothing of yours is ever sent."))
        hint.setWordWrap(True)
        hint.setProperty("faint", True)
        self.list = QListWidget()
        self._about = QLabel()
        self._about.setWordWrap(True)
        self._about.setTextFormat(Qt.TextFormat.PlainText)
        for widget, stretch in ((hint, 0), (self.list, 1), (self._about, 0), (self._buttons(), 0)):
            layout.addWidget(widget, stretch)
        self.list.itemActivated.connect(lambda _: self._use())
        self.list.currentItemChanged.connect(lambda *_: self._tell())
        session.modelsChanged.connect(self._fill)
        self._fill(shown or session.model)

    def _buttons(self) -> QDialogButtonBox:
        buttons = QDialogButtonBox()
        self.use = buttons.addButton(tr("Use"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.download = buttons.addButton(tr("Download"), QDialogButtonBox.ButtonRole.ActionRole)
        self.remove = buttons.addButton(tr("Remove…"), QDialogButtonBox.ButtonRole.ActionRole)
        folder = buttons.addButton(tr("Open a folder…"), QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(QDialogButtonBox.StandardButton.Close)
        self.use.clicked.connect(self._use)
        self.download.clicked.connect(self._download)
        self.remove.clicked.connect(self._remove)
        folder.clicked.connect(self._folder)
        buttons.rejected.connect(self.reject)
        return buttons

    def _fill(self, shown: str = "") -> None:
        """List the catalogue anew, those that are here first; the line ``shown`` (else the current one) is chosen."""
        current = self._card()
        shown = shown or (current.name if current else "")
        self.list.clear()
        for card in [*self._session.made_here, *sorted(catalog(), key=lambda c: not c.present)]:
            line = QListWidgetItem(self._line(card))
            line.setData(Qt.ItemDataRole.UserRole, card)
            self.list.addItem(line)
            if card.name == shown:
                self.list.setCurrentItem(line)
        if self.list.currentItem() is None:
            self.list.setCurrentRow(0)
        self._tell()

    def _line(self, card: ModelCard) -> str:
        reads = ", ".join(modality_name(m).lower() for m in card.modalities)
        state = (tr("in use") if card.name == self._session.model else tr("here") if card.present
                 else tr("downloading…") if self._session.downloading(card.name) else tr("not on this computer"))
        size = f"{megabytes(card.size_mb * 1e6)} · " if card.size_mb else ""
        return f"{card.title}    {reads} · {size}{state}"

    def _card(self) -> ModelCard | None:
        line = self.list.currentItem()
        return line.data(Qt.ItemDataRole.UserRole) if line else None

    def _tell(self) -> None:
        card = self._card()
        if card is None:
            return
        coming, in_use = self._session.downloading(card.name), card.name == self._session.model
        self.use.setEnabled(card.present and not in_use)
        self.download.setEnabled(not card.present and not coming)
        self.remove.setEnabled(card.present and not in_use and card.name != STARTER
                               and card not in self._session.made_here)
        restyle(self.use, "primary", card.present)
        restyle(self.download, "primary", not card.present)
        progress = tr("\nIt is being downloaded: see Jobs.") if coming else ""
        self._about.setText(f"{card.name} · {card.licence}\n{card.text}{progress}")

    def _use(self) -> None:
        card = self._card()
        if card is not None and self.use.isEnabled():
            self.chosen.emit(card.name)
            self.accept()

    def _download(self) -> None:
        card = self._card()
        if card is not None:
            self._session.download(card)
            self._fill()

    def _remove(self) -> None:
        card = self._card()
        if card is None:
            return
        box = QMessageBox(QMessageBox.Icon.Question, tr("Remove the model"),
                          tr("{} is deleted from the Hugging Face cache of this computer. It can be downloaded again; "
                             "vectors that it made are kept.").format(card.title), parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        yes = box.addButton(tr("Remove"), QMessageBox.ButtonRole.DestructiveRole)
        box.addButton(tr("Keep"), QMessageBox.ButtonRole.RejectRole)
        yes.clicked.connect(lambda: self._session.remove_model(card))
        box.open()

    def _folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("A folder with config.json and safetensors"))
        if folder:
            self.chosen.emit(folder)
            self.accept()
