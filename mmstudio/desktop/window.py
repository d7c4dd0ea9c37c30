"""The main window: library left, map in the middle, inspector right, jobs below, search on top."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QByteArray, QEvent, QSettings, Qt, QTimer, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent, QKeyEvent, QPaintEvent
from PySide6.QtWidgets import (
    QApplication,
    QDockWidget,
    QFileDialog,
    QInputDialog,
    QLabel,
    QMainWindow,
    QMessageBox,
    QTabWidget,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from mmstudio import __version__, paths
from mmstudio.desktop.actions import Actions, Intent
from mmstudio.desktop.compare import PAGES
from mmstudio.desktop.dialogs import Palette, RecordDialog, SettingsDialog, ShortcutsDialog
from mmstudio.desktop.heat import as_pixels
from mmstudio.desktop.kept_view import KeptView
from mmstudio.desktop.learning import Learning
from mmstudio.desktop.models import ModelsDialog
from mmstudio.desktop.panels.inspector import InspectorPanel
from mmstudio.desktop.panels.jobs import JobsPanel
from mmstudio.desktop.panels.library import LibraryPanel
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.panels.maps import Maps
from mmstudio.desktop.panels.search import ResultsPanel, SearchBox, save_text
from mmstudio.desktop.panels.trial import TrialPanel
from mmstudio.desktop.previews import Previews
from mmstudio.desktop.project_menu import ProjectMenu
from mmstudio.desktop.session import Session
from mmstudio.desktop.structure import PAGES as STRUCTURES
from mmstudio.desktop.tagging import TagDialog, Tagging, TagKeys
from mmstudio.desktop.text import column_value, count, megabytes, tr
from mmstudio.desktop.theme import THEME
from mmstudio.desktop.why import PAGES as WHY_PAGES
from mmstudio.desktop.widgets.banner import Banner
from mmstudio.desktop.widgets.given import save_image
from mmstudio.desktop.widgets.later import Later
from mmstudio.desktop.widgets.question_bar import Where
from mmstudio.desktop.widgets.slices import SlicesButton
from mmstudio.encoders import ModelCard
from mmstudio.library import Items
from mmstudio.media.choice import EVERYTHING, Choice

if TYPE_CHECKING:
    from mmstudio.desktop.reporting import Reporting
    from mmstudio.desktop.table_pages import TablePages
    from mmstudio.desktop.unfinished import Left
    from mmstudio.training.job import TrainingJob
    from mmstudio.training.runs import Run

ARRANGEMENT_VERSION = 2
T = TypeVar("T")


class MainWindow(QMainWindow):
    """Puts the panels together and turns gestures into intents."""

    painted = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._was_painted = self._shown_learning = False
        self._closing: QMessageBox | None = None
        self._close_when_done = self._stop_and_close = False
        self.previews, self.tagging = Previews(session), Tagging(session)
        self.library = LibraryPanel(session, self.previews)
        self.histograms = Later(self._make_histograms)
        self.map = MapPanel(session, self.previews)
        self.maps = Maps(session, self.map, self.previews)
        self.inspector = InspectorPanel(session, self.previews)
        self.trial = TrialPanel(session, self.previews)
        self.why = Later(self._make_why)
        self.results = ResultsPanel(session, self.previews, self._where_to_look())
        self.compare = Later(self._make_compare)
        self.structure = Later(self._make_structure)
        self.jobs = JobsPanel(session.jobs)
        self.learning = Learning(session)
        self.training = Later(self._make_training)
        self.search = SearchBox(session)
        self.banner = Banner()
        self._status = {name: QLabel() for name in ("items", "device", "memory")}
        self.projects = ProjectMenu(session, self)
        self.kept_view = KeptView(session, self.library, self.map.colour_by)
        self.actions_ = Actions(self._intents(), self)
        self.setAcceptDrops(True)
        self._build()
        self._connect()
        self._set_title()

    # ---- building ---------------------------------------------------------------------------------------------

    def _intents(self) -> list[Intent]:
        s = self.session
        return [
            *self.projects.intents(),
            Intent("add", "Add files…", "&Library", self._add_files, "Ctrl+O", "add"),
            Intent("add_folder", "Add a folder…", "&Library", self._add_folder, "Ctrl+Shift+O", "folder"),
            Intent("example", "Open the example", "&Library", s.add_example, "", "explore"),
            Intent("record_item", "Record a sound…", "&Library", self._record_item, "Ctrl+Alt+R", "microphone"),
            Intent("watch", "Watched folders…", "&Library", self._watched),
            Intent("find_missing", "Find missing files…", "&Library", self._find_missing),
            Intent("copy_media", "Copy media into the project", "&Library", self._copy_media),
            Intent("export", "Export…", "&Library", self._export, "Ctrl+E"),
            Intent("report", "Report of the selection…", "&Library", self._report),
            Intent("paste", "Paste", "&Library", self._paste, "Ctrl+V"),
            Intent("undo", "Undo", "&Edit", s.undo, "Ctrl+Z"),
            Intent("redo", "Redo", "&Edit", s.redo, "Ctrl+Shift+Z"),
            Intent("select_all", "Select all", "&Edit", lambda: s.select(self.library.items.shown.tolist()), "Ctrl+A"),
            Intent("clear", "Clear the selection", "&Edit", self._escape, "Esc"),
            Intent("tag", "Tag the selection…", "&Edit", self._tag, "T", "tag"),
            Intent("untag", "Remove a tag…", "&Edit", self._untag, "Shift+T"),
            Intent("column", "Set a column…", "&Edit", self._set_column, "C"),
            Intent("group", "Group as a sample", "&Edit", lambda: s.group(s.selection), "Ctrl+G", "group"),
            Intent("remove", "Remove from the library", "&Edit", lambda: s.remove(s.selection), "Del", "remove"),
            Intent("find", "Search", "&Search", self._find, "Ctrl+F", "search"),
            Intent("find_like", "More like this", "&Search", self._find_like, "M"),
            Intent("find_add", "Add this to the question", "&Search", lambda: self._add_to_question(1), "Shift+M"),
            Intent("find_away", "Away from this", "&Search", lambda: self._add_to_question(-1), "Ctrl+Shift+M"),
            Intent("record", "Search with a recording…", "&Search", self._record, "Ctrl+Shift+R", "microphone"),
            *(Intent(f"compare_{page.id}", f"{page.title}…", "&Search", partial(self._compare, page.id))
              for page in PAGES),
            Intent("encode", "Encode what is missing", "&Model", s.encode, "F5"),
            Intent("train", "Train…", "&Model", self._train, "Ctrl+T", "train"),
            Intent("models", "Models…", "&Model", self._models, "Ctrl+M", "model"),
            Intent("arrange", "Arrange the map anew", "&View", lambda: s.mapping.anew(), "Ctrl+R"),
            Intent("beside", "Another map beside", "&View", self.maps.add, "Ctrl+Shift+B", "beside"),
            Intent("fit", "Show the whole map", "&View", self.map.canvas.fit, "Home", "fit"),
            Intent("explore", "Explore", "&View", lambda: self._arrange("explore"), "Alt+1", "explore"),
            Intent("search", "Search results", "&View", lambda: self._arrange("search"), "Alt+2", "search"),
            Intent("explain", "Explain", "&View", lambda: self._arrange("explain"), "Alt+3", "explain"),
            Intent("trial", "What the model sees", "&View", lambda: self._docks["trial"].raise_(), "Alt+4"),
            Intent("histograms", "Histograms", "&View", self._toggle_histograms, "Alt+5"),
            Intent("training", "Training", "&View", lambda: self._arrange("train"), "Alt+6", "train"),
            Intent("compare", "Compare", "&View", self._compare, "Alt+7"),
            Intent("structure", "Structure", "&View", self._structure, "Alt+0"),
            *(Intent(f"structure_{page.id}", f"{page.title}…", "&View", partial(self._structure, page.id))
              for page in STRUCTURES),
            *(Intent(f"why_{page.id}", page.title, "&View", partial(self._why, page.id), page.shortcut)
              for page in WHY_PAGES),
            Intent("theme", "Dark or light", "&View", self._switch_theme, "Ctrl+Shift+D"),
            Intent("settings", "Settings…", "&Help", self._settings, "Ctrl+,", "settings"),
            Intent("palette", "Commands…", "&Help", self._palette, "Ctrl+Shift+P"),
            Intent("shortcuts", "Shortcuts", "&Help", self._shortcuts, "?", "help"),
            Intent("about", "About", "&Help", self._about),
        ]

    def _build(self) -> None:
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.banner)
        column.addWidget(self.maps, 1)
        self.setCentralWidget(centre)
        self.setDockNestingEnabled(True)
        left, right, bottom = (Qt.DockWidgetArea.LeftDockWidgetArea, Qt.DockWidgetArea.RightDockWidgetArea,
                               Qt.DockWidgetArea.BottomDockWidgetArea)
        self._docks = {name: self._dock(name, title, panel, area) for name, title, panel, area in (
            ("library", tr("Library"), self.library, left), ("results", tr("Search results"), self.results, left),
            ("histograms", tr("Histograms"), self.histograms, left),
            ("inspector", tr("Inspector"), self.inspector, right),
            ("trial", tr("What the model sees"), self.trial, right), ("why", tr("Why"), self.why, right),
            ("jobs", tr("Jobs"), self.jobs, bottom),
            ("training", tr("Training"), self.training, bottom), ("compare", tr("Compare"), self.compare, bottom),
            ("structure", tr("Structure"), self.structure, bottom))}
        self._give_corners(None)
        self.tabifyDockWidget(self._docks["library"], self._docks["results"])
        self.setTabPosition(Qt.DockWidgetArea.AllDockWidgetAreas, QTabWidget.TabPosition.North)
        self.tabifyDockWidget(self._docks["inspector"], self._docks["trial"])
        self.tabifyDockWidget(self._docks["trial"], self._docks["why"])
        self.tabifyDockWidget(self._docks["jobs"], self._docks["training"])
        self.tabifyDockWidget(self._docks["training"], self._docks["compare"])
        self.tabifyDockWidget(self._docks["compare"], self._docks["structure"])
        for name in ("library", "results", "inspector", "trial", "why", "jobs", "training", "compare", "structure"):
            self._docks[name].setTitleBarWidget(QWidget())  # their tabs are their titles
        for name in ("library", "inspector", "jobs"):
            self._docks[name].raise_()
        self._docks["histograms"].hide()
        self._docks["histograms"].visibilityChanged.connect(self.histograms.want)
        self._docks["training"].visibilityChanged.connect(self.training.want)
        self._docks["compare"].visibilityChanged.connect(self.compare.want)
        self._docks["structure"].visibilityChanged.connect(self.structure.want)
        self._docks["why"].visibilityChanged.connect(self.why.want)
        self._tool_bars()
        self.actions_.fill(self.menuBar())
        self.projects.take_place(self.actions_)
        self.statusBar().addWidget(TagKeys(self.tagging, self.session, self), 1)
        for label in self._status.values():
            self.statusBar().addPermanentWidget(label)
        self._restore()

    def _dock(self, name: str, title: str, panel: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(name)
        dock.setWidget(panel)
        dock.setFeatures(QDockWidget.DockWidgetFeature.DockWidgetMovable
                         | QDockWidget.DockWidgetFeature.DockWidgetFloatable)
        self.addDockWidget(area, dock)
        return dock

    def _tool_bars(self) -> None:
        rail = QToolBar(tr("Arrangements"), movable=False)
        rail.setObjectName("rail")
        for name in ("explore", "search", "explain", "training"):
            rail.addAction(self.actions_.by_id[name])
        rail.addSeparator()
        for name in ("models", "settings", "shortcuts"):
            rail.addAction(self.actions_.by_id[name])
        self.addToolBar(Qt.ToolBarArea.LeftToolBarArea, rail)
        top = QToolBar(tr("Main"), movable=False)
        top.setObjectName("main")
        for name in ("add", "add_folder"):
            top.addAction(self.actions_.by_id[name])
        top.addSeparator()
        top.addWidget(self.search)
        top.addSeparator()
        for name in ("group", "tag", "remove"):
            top.addAction(self.actions_.by_id[name])
        self.addToolBar(Qt.ToolBarArea.TopToolBarArea, top)

    def _connect(self) -> None:
        s = self.session
        s.failed.connect(self.banner.show_error)
        s.noted.connect(self.banner.show_note)
        s.offered.connect(self._offer)
        s.interrupted.connect(self.banner.show_error)
        s.leftFound.connect(self._offer_to_go_on)
        s.missed.connect(self._missed)
        self.learning.runsChanged.connect(self._runs_changed)
        s.downloaded.connect(self._offer_to_use)
        s.selectionChanged.connect(self._selection_changed)
        s.projectOpened.connect(self._set_title)
        s.jobs.ended.connect(lambda _: QTimer.singleShot(0, self, self._job_ended))
        s.answered.connect(lambda answer: self._docks["results"].raise_() if answer else None)
        for panel in (self.library, self.map):
            panel.addWanted.connect(self._add_files)
            panel.exampleWanted.connect(s.add_example)
        self.library.items.filter.passed.connect(
            lambda shown: self.map.show_passing(None if self.library.items.filter.wish.lets_all_pass
                                                else shown.ascending))
        self.library.list.doubleClicked.connect(
            lambda index: None if index.flags() & Qt.ItemFlag.ItemIsEditable else self._arrange("explain"))
        self.results.opened.connect(self._open)
        self.inspector.opened.connect(self._open)
        self.trial.opened.connect(self._open)
        self.inspector.failed.connect(self.banner.show_error)
        s.leaving.connect(self.banner.forget_offer)
        self.search.returnPressed.connect(self._ask_words)
        self.search.fileGiven.connect(s.ask)
        self.search.speakWanted.connect(self._record)
        self.search.wentDown.connect(self.results.focus_first)
        THEME.changed.connect(self.actions_.refresh_icons)
        self._pulse = QTimer(self, interval=1500)
        self._pulse.timeout.connect(self._tell_status)
        self._pulse.start()
        for signal in (s.itemsAdded, s.itemsRemoved):
            signal.connect(lambda _: self._tell_status())
        s.encoderChanged.connect(self._tell_status)
        self._selection_changed()

    def _set_title(self) -> None:
        name = f"{self.session.project.name} – " if self.session.project else ""
        self.setWindowTitle(f"{name}Multimodal Studio")

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            self.library.list.setFocus()
            QTimer.singleShot(0, self.painted.emit)

    # ---- status -----------------------------------------------------------------------------------------------

    def _tell_status(self) -> None:
        s = self.session
        chosen = f" · {tr('{} selected').format(count(len(s.selection)))}" if s.selection else ""
        self._status["items"].setText(tr("{} items").format(count(len(s.items))) + chosen)
        if s.encoder is not None:
            from mmstudio.encoders.device import describe_device, device_memory_bytes

            self._status["device"].setText(f"{s.encoder.name.rsplit('/', 1)[-1]} · {describe_device(s.encoder.device)}")
            self._status["memory"].setText(megabytes(device_memory_bytes(s.encoder.device)))
        else:
            self._status["device"].setText(tr("no model") if s.encoder_error else tr("loading the model…"))

    def _selection_changed(self) -> None:
        chosen = self.session.selection
        items = len(chosen.items)
        self.actions_.by_id["group"].setEnabled(items > 1)
        for name in ("tag", "untag", "column"):
            self.actions_.by_id[name].setEnabled(items > 0)
        for name in ("remove", "report"):
            self.actions_.by_id[name].setEnabled(bool(chosen))
        self._tell_status()

    # ---- intents ----------------------------------------------------------------------------------------------

    def _add_files(self) -> None:
        files, _ = QFileDialog.getOpenFileNames(self, tr("Add pictures, sounds, texts and videos"))
        self.add_paths([Path(file) for file in files])

    def add_paths(self, files: Sequence[Path], choice: Choice = EVERYTHING) -> None:
        """Add files and folders, of which those that are meant; tables, also those in folders, get their mapping pages.
        """
        if files:
            self._table_pages.add(files, choice)

    @cached_property
    def _table_pages(self) -> TablePages:
        from mmstudio.desktop.table_pages import TablePages  # here, for the window paints before it is loaded

        return TablePages(self.session, self)

    def _add_folder(self) -> None:
        from mmstudio.desktop.folder_dialog import ask_folder

        if dialog := ask_folder(self.session, tr("Add a folder"), tr("Add"), self):
            dialog.chosen.connect(lambda folder, choice: self.add_paths([folder], choice))

    def _where_to_look(self) -> Where:
        slices = self.library.findChild(SlicesButton)
        return Where(lambda: self.library.items.shown, lambda: slices.slices if slices else {})

    def _make_compare(self) -> QWidget:
        from mmstudio.desktop.panels.compare import ComparePanel

        panel = ComparePanel(self.session, self.previews)
        panel.opened.connect(self._open)
        panel.pairChosen.connect(self._explain_pair)
        return panel

    def _label_by(self, run: Run) -> None:
        """Let a finished run tell the items' classes."""
        self._compare("labels")
        if self.compare.made is not None:
            self.compare.made.pages["labels"].made.choose_run(run)  # type: ignore[attr-defined]

    def _compare(self, page: str = "") -> None:
        """Bring the comparisons forward, and one of their pages."""
        self._give_corners(Qt.DockWidgetArea.BottomDockWidgetArea)
        self._docks["compare"].raise_()
        self.resizeDocks([self._docks["compare"]], [400], Qt.Orientation.Vertical)
        self.compare.want()
        if page and self.compare.made is not None:
            self.compare.made.show_page(page)  # type: ignore[attr-defined]

    def _make_why(self) -> QWidget:
        from mmstudio.desktop.panels.why import WhyPanel

        panel = WhyPanel(self.session, self.inspector.player, self.previews, self.map.colour_by)
        panel.opened.connect(self._open)
        return panel

    def _why(self, page: str) -> None:
        """Bring the explanations forward, and one of their pages."""
        self._arrange("explain")
        self._docks["why"].raise_()
        self.why.want()
        if self.why.made is not None:
            self.why.made.show_page(page)  # type: ignore[attr-defined]

    def _explain_pair(self, one: int, other: int) -> None:
        """Two items that are selected: why they are as near as they are."""
        self.session.focus(one)
        self._why("score")
        page = self.why.made.pages["score"].made  # type: ignore[union-attr]
        page.explain_pair()

    def _make_structure(self) -> QWidget:
        from mmstudio.desktop.panels.structure import StructurePanel

        return StructurePanel(self.session, self.previews, self.map)

    def _structure(self, page: str = "") -> None:
        """Bring the pages about the vectors' structure forward, and one of them."""
        self._give_corners(Qt.DockWidgetArea.BottomDockWidgetArea)
        self._docks["structure"].raise_()
        self.resizeDocks([self._docks["structure"]], [360], Qt.Orientation.Vertical)
        self.structure.want()
        if page and self.structure.made is not None:
            self.structure.made.show_page(page)  # type: ignore[attr-defined]

    def _make_histograms(self) -> QWidget:
        from mmstudio.desktop.panels.histograms import HistogramsPanel

        panel = HistogramsPanel(self.session, self.library.items, self.library.line)
        panel.closeWanted.connect(self._toggle_histograms)
        return panel

    def _make_training(self) -> QWidget:
        from mmstudio.desktop.panels.training import TrainingPanel

        panel = TrainingPanel(self.session, self.learning, self.previews)
        panel.trainWanted.connect(self._train)
        panel.againWanted.connect(self._train)
        panel.labelWanted.connect(self._label_by)
        return panel

    def _train(self, like: TrainingJob | None = None) -> None:
        from mmstudio.desktop.train_dialog import TrainDialog

        self._arrange("train")
        if self.session.encoder is None:
            self.session.noted.emit(tr("No model is ready yet."))
        else:
            TrainDialog(self.session, self.learning, self.previews, self, like).open()

    def _runs_changed(self) -> None:
        """What learns is shown where a person left it learning."""
        if self.learning.active and not self._shown_learning:
            self._arrange("train")
        self._shown_learning = bool(self.learning.active)

    def _missed(self, number: int) -> None:
        self.banner.show_offer(
            tr("{} items are not where their files were. Their vectors and tags are kept.").format(count(number)),
            tr("Find them…"), self._find_missing)

    def _find_missing(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, tr("Find missing files under this folder"))
        if folder:
            self.session.places.find(Path(folder))

    def _copy_media(self) -> None:
        """Of the selection; without one, of everything."""
        self.session.places.copy(self.session.selection or self.session.items.ids())

    def _watched(self) -> None:
        from mmstudio.desktop.watched import WatchedDialog

        WatchedDialog(self.session, self).open()

    def _export(self) -> None:
        from mmstudio.desktop.sharing import ExportDialog

        ExportDialog(self.session, self.projects.sharing, self).open()

    @cached_property
    def reporting(self) -> Reporting:
        from mmstudio.desktop.reporting import Reporting

        return Reporting(self.session)

    def _report(self) -> None:
        from mmstudio.desktop.reporting import ReportDialog
        from mmstudio.desktop.why.score import ScorePage

        if self.session.encoder is None:
            self.session.noted.emit(tr("No model is ready yet."))
            return
        page = self.findChild(ScorePage)
        ReportDialog(self.session, self.reporting, page.words.text() if page else "", self).open()

    def _paste(self) -> None:
        mime = QApplication.clipboard().mimeData()
        if mime is None:
            return
        files = [Path(url.toLocalFile()) for url in mime.urls() if url.isLocalFile()]
        folder = self.session.project.folder if self.session.project else paths.user_state()
        name = folder / f"pasted {datetime.now():%Y-%m-%d %H.%M.%S.%f}"
        if files:
            self.add_paths(files)
        elif mime.hasImage():
            pixels = as_pixels(QApplication.clipboard().image())
            self.session.pool.ask(lambda: save_image(pixels, name.with_name(f"{name.name}.png")),
                                  lambda file: self.session.add([file]), self.banner.show_error)
        elif mime.hasText() and mime.text().strip():
            text = mime.text().encode("utf-8", "replace")
            self.session.pool.ask(lambda: save_text(text, name.with_name(f"{name.name}.txt")),
                                  lambda file: self.session.add([file]), self.banner.show_error)

    def _tag(self) -> None:
        TagDialog(self.tagging, self).open()

    def _ask_selected(self, question: Callable[[Items, NDArray[np.int64]], T], then: Callable[[T], None]) -> None:
        """Ask something of the selected items, behind the window, for they may be very many."""
        items, ids = self.session.items.copy(), self.session.selection.items
        self.session.maths.ask(lambda: question(items, ids), on_done=then, on_failed=self.session.failed.emit)

    def _untag(self) -> None:
        self._ask_selected(Items.tags_of, self._untag_one)

    def _untag_one(self, tags: list[str]) -> None:
        if not tags:
            self.session.noted.emit(tr("The selection has no tags."))
            return
        tag, given = QInputDialog.getItem(self, tr("Remove a tag from the selection"), tr("Tag"), tags, 0, False)
        if given:
            self.session.untag(self.session.selection, tag)

    def _set_column(self) -> None:
        self._ask_selected(Items.columns_of, self._set_one_column)

    def _set_one_column(self, known: list[dict[str, str | float]]) -> None:
        names = sorted({name for columns in known for name in columns})
        name, given = QInputDialog.getItem(self, tr("Set a column of the selection"), tr("Column"), names, 0, True)
        if not given or not name.strip():
            return
        before = {str(columns.get(name.strip(), "")) for columns in known}
        text, given = QInputDialog.getText(self, name, tr("Value (a number, a text, or nothing to empty it)"),
                                           text=before.pop() if len(before) == 1 else "")
        if given:
            self.session.set_column(self.session.selection, name.strip(), column_value(text))

    def _escape(self) -> None:
        if self.session.selection:
            self.session.select([])
        elif self.session.answer:
            self.search.clear()
            self.session.clear_answer()

    def _find(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    def _find_like(self) -> None:
        if self.session.current is not None:
            self.session.ask_like(self.session.current)

    def _add_to_question(self, weight: float) -> None:
        if self.session.current is not None:
            self.session.asking.add_like(self.session.current, weight)

    def _ask_words(self) -> None:
        words = self.search.text().strip()
        if words:
            self.session.asking.ask_words(words)
        else:
            self.session.clear_answer()

    def _record(self) -> None:
        self.inspector.player.stop()  # listing the devices closes PortAudio's streams
        dialog = RecordDialog(self.session, self)
        dialog.recorded.connect(lambda file: self.session.ask(file, tr("recording")))
        dialog.open()

    def _record_item(self) -> None:
        """A recording is kept in the project, for it lies nowhere else."""
        project = self.session.project
        if project is None:
            return
        self.inspector.player.stop()
        dialog = RecordDialog(self.session, self, tr("Stop and add"))
        dialog.recorded.connect(lambda file: self.session.add_moved(file, project.media, tr("recording")))
        dialog.open()

    def _open(self, key: int) -> None:
        self.session.select([key])
        self.session.focus(key)

    def _arrange(self, name: str) -> None:
        """Bring the panels of an arrangement forward."""
        widths = {"explore": (360, 380), "search": (520, 380), "explain": (300, 620), "train": (360, 380)}[name]
        self._give_corners(Qt.DockWidgetArea.BottomDockWidgetArea if name == "train" else None)
        self._docks["results" if name == "search" else "library"].raise_()
        self._docks["inspector"].raise_()
        self.resizeDocks([self._docks["library"], self._docks["inspector"]], list(widths), Qt.Orientation.Horizontal)
        if name == "train":
            self._docks["training"].raise_()
            self.resizeDocks([self._docks["training"]], [340], Qt.Orientation.Vertical)
        elif name == "search":
            self._docks["compare"].raise_()
            self._find()

    def _give_corners(self, area: Qt.DockWidgetArea | None) -> None:
        """The lower corners to the bottom, which has the whole width then, or to the sides."""
        self.setCorner(Qt.Corner.BottomLeftCorner, area or Qt.DockWidgetArea.LeftDockWidgetArea)
        self.setCorner(Qt.Corner.BottomRightCorner, area or Qt.DockWidgetArea.RightDockWidgetArea)

    def _toggle_histograms(self) -> None:
        dock = self._docks["histograms"]
        dock.setVisible(dock.isHidden())
        if dock.isVisible() and not dock.isFloating():
            self.resizeDocks([self._docks["library"], dock], [1, 1], Qt.Orientation.Vertical)

    def _switch_theme(self) -> None:
        wish = "light" if THEME.colours.dark else "dark"
        self.session.settings.set("theme", wish)
        THEME.apply(wish)

    def _settings(self) -> None:
        dialog = SettingsDialog(self.session.settings, self)
        dialog.changed.connect(self._setting_changed)
        dialog.open()

    def _setting_changed(self, name: str) -> None:
        s = self.session.settings
        if name == "theme":
            THEME.apply(s["theme"])
        elif name == "model":
            self.session.choose_model(s["model"])
        elif name == "device":
            self.session.use_model(self.session.model, s["device"])

    def _offer(self, card: ModelCard) -> None:
        """The starter is the wrong model for what was added: offer one that fits."""
        self.banner.show_offer(
            tr("The starter model knows drawings and synthetic speech. {} fits {}.").format(
                card.title, tr(card.first_choice_for)),
            tr("Use {}").format(card.title) if card.present else tr("Get {} ({})…").format(
                card.title, megabytes(card.size_mb * 1e6)),
            (lambda: self.session.choose_model(card.name)) if card.present else (lambda: self._models(card.name)))

    def _offer_to_go_on(self, left: list[Left]) -> None:
        def go_on() -> None:
            self.session.go_on_adding()
            for one in left:
                self.add_paths(one.paths, one.choice)

        paths = [path for one in left for path in one.paths]
        self.banner.show_offer(tr("Adding “{}” was interrupted. What was added before is there.").format(
            ", ".join(path.name for path in paths[:3]) + (" …" if len(paths) > 3 else "")), tr("Continue"), go_on)

    def _offer_to_use(self, card: ModelCard) -> None:
        self.banner.show_offer(tr("{} is on this computer now.").format(card.title), tr("Use it"),
                               lambda: self.session.choose_model(card.name))

    def _models(self, shown: str = "") -> None:
        dialog = ModelsDialog(self.session, self, shown)
        dialog.chosen.connect(self.session.choose_model)
        dialog.open()


    def _palette(self) -> None:
        Palette(self.actions_.all(), self).open()

    def _shortcuts(self) -> None:
        ShortcutsDialog(self.actions_.all(), self).open()

    def _about(self) -> None:
        QMessageBox.about(self, tr("About"), tr(
            "Multimodal Studio {}\n\nPictures, sounds, texts and videos through multimodal models, on your own "
            "computer. Nothing leaves it.").format(__version__))

    # ---- drop, keys, closing ----------------------------------------------------------------------------------

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        if event.mimeData().hasUrls() and event.source() is None:
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        files = [Path(url.toLocalFile()) for url in event.mimeData().urls() if url.isLocalFile()]
        if files:
            event.acceptProposedAction()
            self.add_paths(files)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Tab passes by the docks that lie behind another's tab, which count as shown with Qt."""
        before = self.focusWidget()
        while super().focusNextPrevChild(forward):
            focus = self.focusWidget()
            behind = (dock for dock in self._docks.values() if dock.visibleRegion().isEmpty())
            if focus is None or focus is before or not any(dock.isAncestorOf(focus) for dock in behind):
                return True
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.text() == "/":
            self._find()
        elif event.key() == Qt.Key.Key_Space:
            self._play()
        elif event.text().isdigit() and len(event.text()) == 1:
            self.inspector.seek_share(int(event.text()) / 10)
        else:
            super().keyPressEvent(event)

    def _play(self) -> None:
        """Play the sound under the pointer, else the one in the inspector; one at a time."""
        hovered = self.session.items.get(self.map.hovered or 0)
        if hovered is not None and hovered.modality == "audio" and hovered.id != self.session.current:
            self.inspector.play(hovered.id)
        else:
            self.inspector.toggle_play()

    def _restore(self) -> None:
        kept = QSettings(str(paths.user_state() / "window.ini"), QSettings.Format.IniFormat)
        geometry, state = kept.value("geometry"), kept.value("state")
        if isinstance(geometry, QByteArray) and isinstance(state, QByteArray):
            self.restoreGeometry(geometry)
            self.restoreState(state, ARRANGEMENT_VERSION)
        else:
            if (layout := self.layout()) is not None:
                layout.activate()  # else widths from before the docks lay behind each other would be the least
            self.resize(1440, 900)
            self.resizeDocks([self._docks["library"], self._docks["inspector"]], [360, 380], Qt.Orientation.Horizontal)
            self.resizeDocks([self._docks["jobs"]], [120], Qt.Orientation.Vertical)

    def closeEvent(self, event: QCloseEvent) -> None:
        if self.session.jobs.running and not self._stop_and_close:
            event.ignore()
            self._ask_about_work()
            return
        kept = QSettings(str(paths.user_state() / "window.ini"), QSettings.Format.IniFormat)
        kept.setValue("geometry", self.saveGeometry())
        kept.setValue("state", self.saveState(ARRANGEMENT_VERSION))
        self._pulse.stop()
        self.inspector.player.stop()
        self.hide()
        self.session.close()
        event.accept()

    def _ask_about_work(self) -> None:
        """Ask once what becomes of the work; where it ends before the answer, the question is void and the window
        closes as the person wished.
        """
        if self._closing is not None:
            return
        box = self._closing = QMessageBox(
            QMessageBox.Icon.Question, tr("Work is running"),
            tr("A job is still running. What it has done is kept, and it goes on where it stopped when the project is "
               "opened again."), parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        leave = box.addButton(tr("Finish it, then close"), QMessageBox.ButtonRole.AcceptRole)
        stop = box.addButton(tr("Stop it and close"), QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton(tr("Stay"), QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(leave)
        box.setEscapeButton(stay)
        leave.clicked.connect(self._close_later)
        stop.clicked.connect(self._close_now)
        box.finished.connect(self._question_closed)
        box.open()

    def _question_closed(self) -> None:
        self._closing = None

    def _close_now(self) -> None:
        self._stop_and_close = True
        QTimer.singleShot(0, self.close)

    def _close_later(self) -> None:
        """Out of the way until the work is done; whoever brings the window back keeps it."""
        self._close_when_done = True
        for job in self.session.jobs.running:
            job.resume()
        self.showMinimized()

    def changeEvent(self, event: QEvent) -> None:
        super().changeEvent(event)
        if event.type() == QEvent.Type.WindowStateChange and not self.isMinimized():
            self._close_when_done = False

    def _job_ended(self) -> None:
        if not self.session.jobs.running and (self._closing or self._close_when_done):
            if self._closing:
                self._closing.reject()
            self._close_now()
