"""Pictures of every view of the studio, to look at: ``python packaging/views.py OUT --items 1000 --theme dark``.

Opens a project of so many items (see ``many_items``) in the real window, goes through every panel, page and dialog as a
person would, and saves a picture of each in OUT, with ``contact-N.png`` of all of them. Beside each it prints how long
it took until the view was there and the longest stall of the window meanwhile. A view that does not come is told, and
the rest goes on. Needs a display (Xvfb will do).

With ``--project FOLDER`` the made project is kept there, or taken from there; ``--only WORDS`` takes the views whose
names begin so; ``--size 1280x800`` is the window's.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import many_items
import numpy as np
from at_window import Studio, rest, wait
from PIL import Image, ImageDraw
from PySide6.QtCore import QPoint, QPointF, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QMenu, QWidget

from mmstudio.desktop.arranging import Arrangement
from mmstudio.desktop.panels.map import MapPanel
from mmstudio.desktop.reporting import ReportDialog
from mmstudio.desktop.train_dialog import TrainDialog
from mmstudio.explore.projection import Wish
from mmstudio.media import Modality

NOT_OF_A_MILLION = ("start", "train runs", "train sweep", "map arranging")
"""Views that very many items make no other, only slower: reading media, and learning from them."""
MANY = 100_000
LONG = 1500.0
"""Seconds that a view of very many items may take."""
SHEET, COLUMNS, LINES = 420, 4, 5

Shown = QWidget | None
View = Callable[["Walk"], Shown]
VIEWS: dict[str, View] = {}


def view(name: str) -> Callable[[View], View]:
    """What is to be seen under this name: the function does what brings it forward, and gives the widget to take a
    picture of in place of the window.
    """
    def keep(act: View) -> View:
        VIEWS[name] = act
        return act

    return keep


class Stalls:
    """How much later than it should a timer of 5 ms is called."""

    def __init__(self) -> None:
        self.worst, self._last = 0.0, time.perf_counter()
        self._timer = QTimer(interval=5, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._tick)
        self._timer.start()

    def _tick(self) -> None:
        now = time.perf_counter()
        self.worst, self._last = max(self.worst, now - self._last - 0.005), now

    @contextmanager
    def looked_for(self) -> Iterator[None]:
        rest(0.05)
        self.worst = 0.0
        yield
        rest(0.05)


class Walk(Studio):
    """One walk through the views."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self.hits: dict[Modality, list[int]] = {}

    @property
    def is_many(self) -> bool:
        return len(self.session.items) > MANY

    @property
    def map(self) -> MapPanel:
        return self.window.map

    def one(self, modality: Modality) -> int:
        """An item to look at, one that “puppy” finds."""
        if not self.hits:
            self.ask("puppy")
            answer = self.session.answer
            assert answer is not None
            self.hits = {name: [hit.item_id for hit in found] for name, found in answer.hits.items()}
        return self.hits[modality][0]

    def some(self, number: int) -> np.ndarray:
        """Items of all modalities."""
        return self.session.items.ids()[:: max(1, len(self.session.items) // number)][:number]

    def dialog(self, name: str) -> Shown:
        """The dialog that a menu item opens."""
        self.act(name)
        rest(1.0)
        return QApplication.activeModalWidget()

    def menu(self, menu: QMenu) -> Shown:
        menu.popup(self.window.mapToGlobal(QPoint(200, 200)))
        rest(0.8)
        return menu

    def page(self, dock: str, name: str) -> Any:
        """A page of Structure, Compare or Why, in front."""
        self.act(f"{dock}_{name}")
        rest(0.3)
        return getattr(self.window, dock).made.pages[name].made

    def whole(self) -> None:
        """The map as it is when nothing is chosen."""
        self.close_all()
        self.act("explore")
        self.session.select([])
        self.session.focus(None)
        self.map.colour_by.choose("modality")
        self.map.contours.setChecked(False)
        self.map.canvas.fit()

    def near(self, share: float) -> None:
        """The map where it is densest, so much larger."""
        canvas = self.map.canvas
        canvas.fit()
        x, y = canvas.points.places[np.isin(canvas.points.keys, self.one("image"))][0].tolist()
        canvas.transform.x, canvas.transform.y = x, y
        canvas.transform.scale *= share
        canvas._fitted = False
        canvas.update()
        rest(1.5)

    def close_all(self) -> None:
        """No dialog and no menu stands before the window."""
        while (open_ := QApplication.activePopupWidget() or QApplication.activeModalWidget()) is not None:
            open_.reject() if isinstance(open_, QDialog) else open_.close()
            rest(0.1)


# ---- library ---------------------------------------------------------------------------------------------------------


@view("library grid")
def _(walk: Walk) -> Shown:
    walk.whole()
    rest(1.0)


@view("library list")
def _(walk: Walk) -> Shown:
    walk.window.library._as_list.setChecked(True)
    rest(1.0)


@view("library sorted")
def _(walk: Walk) -> Shown:
    library = walk.window.library
    library._as_list.setChecked(False)
    library.order.choose("duration", True)
    wait(lambda: not library.items.filter.waits)
    rest(1.0)


@view("library order menu")
def _(walk: Walk) -> Shown:
    shown = walk.menu(walk.window.library.order.menu())
    rest(1.0)
    return shown


@view("library slices menu")
def _(walk: Walk) -> Shown:
    walk.close_all()
    walk.window.library.order.choose("", False)
    return walk.menu(walk.window.library._slices.menu())


@view("library filtered")
def _(walk: Walk) -> Shown:
    walk.close_all()
    library, every = walk.window.library, len(walk.session.items)
    library.line.setText("tag:animal modality:image rating>=4")
    wait(lambda: 0 < library.items.rowCount() < every)
    walk.act("select_all")
    rest(1.0)


@view("library nothing passes")
def _(walk: Walk) -> Shown:
    walk.window.library.line.setText("tag:unheard")
    wait(lambda: walk.window.library.items.rowCount() == 0)
    rest(0.5)


@view("library filter refused")
def _(walk: Walk) -> Shown:
    walk.window.library.line.setText("width>>9 (")
    rest(1.0)


@view("library histograms")
def _(walk: Walk) -> Shown:
    library = walk.window.library
    library.line.clear()
    wait(lambda: library.items.rowCount() == len(walk.session.items))
    walk.act("histograms")
    wait(lambda: walk.window.histograms.made is not None and walk.window.histograms.made.cards)
    rest(2.0)


@view("library histograms filtered")
def _(walk: Walk) -> Shown:
    walk.window.library.line.setText("rating>=4")
    rest(2.0)
    walk.session.select(walk.some(300))
    rest(2.0)


# ---- inspector -------------------------------------------------------------------------------------------------------


def inspect(modality: Modality) -> View:
    def act(walk: Walk) -> Shown:
        walk.window.library.line.clear()
        if walk.window._docks["histograms"].isVisible():
            walk.act("histograms")
        walk.session.clear_answer()
        walk.act("explain")
        walk.open(walk.one(modality))
        rest(0.7)

    return act


for shown, modality in (("picture", "image"), ("sound", "audio"), ("text", "text")):
    view(f"inspector {shown}")(inspect(modality))


@view("inspector after a search")
def _(walk: Walk) -> Shown:
    walk.ask("puppy")
    walk.act("explain")
    walk.open(walk.one("image"))


@view("inspector video")
def _(walk: Walk) -> Shown:
    before = set(walk.session.items.ids()[-100:].tolist())
    walk.session.add([video(Path(tempfile.mkdtemp()) / "a walk.mp4", walk)])
    wait(lambda: not walk.session.jobs.has("Adding") and walk.session.items.ids()[-1] not in before)
    wait(lambda: not walk.session.jobs.running, LONG)
    new = [key for key in walk.session.items.ids()[-100:].tolist() if key not in before]
    walk.open(next(key for key in new if walk.session.items[key].modality == "image"))
    walk.window.inspector.watch.setChecked(True)
    rest(2.0)


@view("inspector sample")
def _(walk: Walk) -> Shown:
    walk.window.inspector.watch.setChecked(False)
    sample = next(s for s in walk.session.samples.values() if len(s.item_ids) == 3)
    walk.session.select([-sample.id])
    walk.session.focus(-sample.id)
    wait(lambda: any(row.isVisible() for row in walk.window.inspector.hits.rows.values()), LONG)
    rest(1.0)


def seen(modality: Modality, change: str = "") -> View:
    def act(walk: Walk) -> Shown:
        walk.act("explain")
        walk.act("trial")
        trial, tried = walk.window.trial, []
        trial._trials.tried.connect(tried.append)
        walk.open(walk.one(modality))
        wait(lambda: tried)
        if change:
            tried.clear()
            trial.changes.setCurrentIndex(trial.changes.findData(change))
            trial._change_chosen()
            wait(lambda: tried)
        trial._trials.tried.disconnect(tried.append)
        rest(0.7)

    return act


for shown, modality in (("picture", "image"), ("sound", "audio"), ("text", "text")):
    view(f"sees {shown}")(seen(modality))
view("sees changed picture")(seen("image", "occlusion"))
view("sees changed sound")(seen("audio", "white-noise"))


# ---- map -------------------------------------------------------------------------------------------------------------


@view("map far")
def _(walk: Walk) -> Shown:
    walk.whole()
    rest(1.0)


@view("map nearer")
def _(walk: Walk) -> Shown:
    walk.near(4)


@view("map nearest")
def _(walk: Walk) -> Shown:
    walk.near(150 if walk.is_many else 12)
    rest(1.5)


@view("map beside")
def _(walk: Walk) -> Shown:
    walk.whole()
    walk.act("beside")
    beside = walk.window.maps.others[0]
    wait(lambda: beside.found is not None, LONG)
    if not walk.is_many:
        beside.which.setCurrentIndex(beside.which.findData("tsne"))
        beside.make()
        wait(lambda: beside.found is not None and beside.found.layout.kind == "t-SNE"
             and beside.found.layout.final, LONG)
    walk.session.select(walk.some(300))
    rest(2.0)


@view("map hovered")
def _(walk: Walk) -> Shown:
    for beside in list(walk.window.maps.others):
        beside.closed.emit()
    walk.near(12)
    hover(walk, walk.one("image"))


@view("map contours")
def _(walk: Walk) -> Shown:
    walk.whole()
    walk.map.contours.setChecked(True)
    rest(2.0)


def coloured(by: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.whole()
        wait(lambda: walk.map.colour_by.findData(by) >= 0)
        found: list[object] = []
        walk.map.colour_by.found.connect(found.append)
        walk.map.colour_by.choose(by)
        wait(lambda: found)
        walk.map.colour_by.found.disconnect(found.append)
        rest(1.0)

    return act


for by in ("tag", "cluster", "rating", "taken", "added", "duration"):
    view(f"map by {by}")(coloured(by))


@view("map by score")
def _(walk: Walk) -> Shown:
    walk.ask("a dog")
    coloured("score")(walk)


@view("map selected")
def _(walk: Walk) -> Shown:
    walk.session.clear_answer()
    walk.whole()
    canvas = walk.map.canvas
    corners = [QPointF(canvas.width() * x, canvas.height() * y) for x, y in ((.2, .2), (.7, .3), (.6, .8), (.3, .7))]
    walk.map.lasso(canvas.keys_inside(corners), Qt.KeyboardModifier.NoModifier)
    rest(1.0)


@view("map item and its neighbours")
def _(walk: Walk) -> Shown:
    walk.whole()
    walk.open(walk.one("image"))
    rest(1.0)


def arranged(walk: Walk, arrangement: Arrangement) -> None:
    walk.session.mapping.anew(arrangement)
    wait(lambda: walk.session.layout.arrangement is arrangement and walk.session.layout.final, LONG)
    rest(2.0)


@view("map arranging")
def _(walk: Walk) -> Shown:
    walk.page("structure", "arrange")
    walk.session.mapping.anew(Arrangement(Wish("tsne")))
    rest(2.5)


@view("map in three dimensions")
def _(walk: Walk) -> Shown:
    page = walk.page("structure", "arrange")
    page.method.setCurrentIndex(page.method.findData("pca"))
    page.axes.setCurrentIndex(1)
    page.arrange()
    wait(lambda: walk.session.layout.final and walk.session.layout.solid is not None, LONG)
    rest(1.5)
    page.around.setValue(40)
    page.above.setValue(-25)
    rest(1.0)


@view("map by words")
def _(walk: Walk) -> Shown:
    page = walk.page("structure", "arrange")
    page.method.setCurrentIndex(page.method.findData("words"))
    page.right.setText("a dog")
    page.upwards.setText("a guitar")
    page.arrange()
    wait(lambda: walk.session.layout.final and "dog" in walk.session.layout.kind, LONG)
    rest(1.5)


@view("map again")
def _(walk: Walk) -> Shown:
    """As it was, for what follows."""
    page = walk.page("structure", "arrange")
    page.method.setCurrentIndex(0)
    arranged(walk, Arrangement(Wish("pca")) if walk.is_many else Arrangement())


# ---- search ----------------------------------------------------------------------------------------------------------


@view("search empty")
def _(walk: Walk) -> Shown:
    walk.whole()
    walk.act("search")


@view("search words")
def _(walk: Walk) -> Shown:
    walk.act("search")
    walk.ask("puppy")
    rest(1.0)


@view("search parts")
def _(walk: Walk) -> Shown:
    walk.ask("a dog")
    for words in ("+rain", "-a guitar"):
        before = walk.session.answer
        walk.window.search.setText(words)
        walk.window._ask_words()
        wait(lambda before=before: walk.session.answer is not before)
    rest(1.0)


@view("search like an item")
def _(walk: Walk) -> Shown:
    before = walk.session.answer
    walk.session.ask_like(walk.one("audio"))
    wait(lambda: walk.session.answer is not before)
    rest(1.0)


@view("search one list")
def _(walk: Walk) -> Shown:
    walk.window.results.bar.one_list.click()
    rest(1.0)


@view("search nothing is close")
def _(walk: Walk) -> Shown:
    walk.window.results.bar.one_list.click()
    walk.ask("xyzzy 000 qqq")
    rest(1.0)


@view("search where menu")
def _(walk: Walk) -> Shown:
    return walk.menu(walk.window.results.bar.scope.menu())


# ---- structure -------------------------------------------------------------------------------------------------------


def structure(name: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.whole()
        walk.session.clear_answer()
        walk.page("structure", name)
        rest(0.5)

    return act


for name in ("arrange", "trusting", "groups", "gaps", "bridge", "fusing", "unusual"):
    view(f"structure {name}")(structure(name))


@view("structure arrange umap")
def _(walk: Walk) -> Shown:
    page = walk.page("structure", "arrange")
    page.method.setCurrentIndex(page.method.findData("umap"))
    page.target.setCurrentIndex(1)
    rest(0.5)


@view("structure trust found")
def _(walk: Walk) -> Shown:
    page = walk.page("structure", "trusting")
    page.look()
    wait(lambda: page._found is not None, LONG)
    wait(lambda: walk.map.legend._scale is not None, LONG)
    rest(1.0)


@view("structure true neighbours")
def _(walk: Walk) -> Shown:
    hover(walk, walk.one("image"))
    wait(lambda: walk.map.marks._rays is not None, 20)


def grouped(method: str, over: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.whole()
        page = walk.page("structure", "groups")
        page.method.setCurrentIndex(page.method.findData(method))
        page.over.setCurrentIndex(page.over.findData(over))
        page._forget()
        page.look()
        wait(lambda: len(page.names) and not any("Cluster" in name for name in page.names.values()), LONG)
        rest(2.0)

    return act


view("structure clusters of the map")(grouped("hdbscan", "map"))
view("structure clusters of the vectors")(grouped("k_means", "vectors"))


@view("structure gap measured")
def _(walk: Walk) -> Shown:
    walk.whole()
    page = walk.page("structure", "gaps")
    page.measure()
    wait(lambda: page.found is not None, LONG)
    page.links.setChecked(True)
    rest(1.0)


@view("structure bridge measured")
def _(walk: Walk) -> Shown:
    walk.page("structure", "gaps").links.setChecked(False)
    page = walk.page("structure", "bridge")
    wait(lambda: page.start.isEnabled())
    page.measure()
    wait(lambda: page.found is not None, LONG)
    rest(0.5)


@view("structure fusion of a sample")
def _(walk: Walk) -> Shown:
    page = walk.page("structure", "fusing")
    wait(lambda: page.ready is not None, LONG)
    sample = next(s for s in walk.session.samples.values() if len(s.item_ids) == 3)
    walk.session.select([-sample.id])
    walk.session.focus(-sample.id)
    wait(lambda: page.ablation.rowCount() > 0, LONG)
    rest(1.0)


@view("structure fusion moved")
def _(walk: Walk) -> Shown:
    page = walk.page("structure", "fusing")
    page.whom.setCurrentIndex(page.whom.findData("all"))
    slider = page.sliders["image"]
    slider.setSliderDown(True)
    for value in range(100, 200, 10):
        slider.setValue(value)
        rest(0.05)
    rest(0.5)
    slider.setSliderDown(False)
    rest(1.5)


def unusual(kind: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.whole()
        page = walk.page("structure", "unusual")
        page.kind.setCurrentIndex(page.kind.findData(kind))
        page.look()
        wait(lambda: page.found is not None, LONG)
        rest(1.0)

    return act


for kind in ("far", "thin", "typical", "within", "across"):
    view(f"structure unusual {kind}")(unusual(kind))


# ---- compare ---------------------------------------------------------------------------------------------------------


def compare(name: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.whole()
        walk.page("compare", name)
        rest(0.5)

    return act


for name in ("matrix", "labels", "retrieval", "recommend", "measures"):
    view(f"compare {name}")(compare(name))


@view("compare matrix of a selection")
def _(walk: Walk) -> Shown:
    page = walk.page("compare", "matrix")
    walk.session.select(walk.some(60))
    wait(lambda: page._shown is not None)
    rest(1.5)


@view("compare labels told")
def _(walk: Walk) -> Shown:
    page = walk.page("compare", "labels")
    wait(lambda: page.truth.count() > 1, LONG)
    page.classes.setPlainText("animal\nfood\nvehicle\nmusic\nplant")
    page.truth.setCurrentIndex(1)
    page.predict()
    wait(lambda: page.model.rowCount() > 0, LONG)
    rest(1.0)


@view("compare retrieval reckoned")
def _(walk: Walk) -> Shown:
    page = walk.page("compare", "retrieval")
    page.reckon()
    wait(lambda: page.table.rowCount() > 0, LONG)
    rest(0.5)


@view("compare recommendations")
def _(walk: Walk) -> Shown:
    page = walk.page("compare", "recommend")
    walk.session.select([walk.one("image"), walk.one("text")])
    page.like.click()
    wait(lambda: page._stack.currentIndex() == 1, LONG)
    rest(1.0)


@view("compare measures looked at")
def _(walk: Walk) -> Shown:
    page = walk.page("compare", "measures")
    walk.session.select([])
    page.look()
    wait(lambda: page.table.rowCount() > 0, LONG)
    rest(0.5)


# ---- why -------------------------------------------------------------------------------------------------------------


def why(name: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.whole()
        walk.page("why", name)
        rest(0.5)

    return act


for name in ("score", "attention", "change", "concepts", "features", "layers"):
    view(f"why {name}")(why(name))


def scored(modality: Modality, words: str) -> View:
    def act(walk: Walk) -> Shown:
        page = walk.page("why", "score")
        walk.window._open(walk.one(modality))
        page.words.setText(words)
        wait(lambda: not page._work.busy and page.judge.isEnabled())
        rest(0.7)

    return act


view("why score of a picture")(scored("image", "a puppy"))
view("why score of a sound")(scored("audio", "a puppy"))
view("why score of a text")(scored("text", "a puppy"))


@view("why score judged")
def _(walk: Walk) -> Shown:
    page = walk.page("why", "score")
    scored("image", "a puppy")(walk)
    page.judge.click()
    wait(lambda: page.verdicts[0].text())
    rest(0.5)


@view("why score of two items")
def _(walk: Walk) -> Shown:
    page = walk.page("why", "score")
    page.words.clear()
    walk.session.select([walk.one("image"), walk.one("audio")])
    wait(lambda: not page._work.busy and page.judge.isEnabled())
    rest(0.7)


def attended(modality: Modality) -> View:
    def act(walk: Walk) -> Shown:
        page = walk.page("why", "attention")
        walk.window._open(walk.one(modality))
        wait(lambda: page.face.isVisible() and page._key and page._key[0] == walk.session.current)
        rest(1.0)

    return act


for shown, modality in (("picture", "image"), ("sound", "audio"), ("text", "text")):
    view(f"why attention of a {shown}")(attended(modality))


def changed(modality: Modality) -> View:
    def act(walk: Walk) -> Shown:
        page = walk.page("why", "change")
        walk.window._open(walk.one(modality))
        wait(lambda: page._parts is not None and page._key and page._key[0] == walk.session.current)
        page.words.setText("a puppy")
        for cell in (len(page._gone) // 2, len(page._gone) // 2 + 1):
            page.stroke(min(cell, len(page._gone) - 1))
        wait(lambda: not page._work.busy)
        rest(0.7)

    return act


for shown, modality in (("picture", "image"), ("sound", "audio"), ("text", "text")):
    view(f"why changed {shown}")(changed(modality))


@view("why what flips it")
def _(walk: Walk) -> Shown:
    page = walk.page("why", "change")
    changed("image")(walk)
    page.find_flip()
    wait(lambda: page.flip.isEnabled())
    rest(0.7)


@view("why concept found")
def _(walk: Walk) -> Shown:
    page = walk.page("why", "concepts")
    walk.session.select(walk.hits["image"][:12])
    page.take[0].click()
    wait(lambda: page._found is not None, LONG)
    rest(0.5)


@view("why features found")
def _(walk: Walk) -> Shown:
    page = walk.page("why", "features")
    if page.found is None:
        page.look()
        wait(lambda: page.found is not None and page._job is None, LONG)
    page.coloured.setChecked(True)
    page.list.setCurrentIndex(page.list.model().index(0, 0))
    rest(2.0)


@view("why layers looked into")
def _(walk: Walk) -> Shown:
    walk.window.why.made.pages["features"].made.coloured.setChecked(False)
    page = walk.page("why", "layers")
    walk.window._open(walk.one("image"))
    page.look_in()
    wait(lambda: page._seen is not None, LONG)
    rest(0.5)


# ---- training --------------------------------------------------------------------------------------------------------


def train_dialog(walk: Walk) -> TrainDialog:
    walk.session.select(walk.some(2000) if walk.is_many else [])
    walk.act("train")
    dialog = walk.window.findChild(TrainDialog)
    assert dialog is not None
    wait(lambda: dialog.target.count(), LONG)
    for row in range(dialog.classes.count()):
        line = dialog.classes.item(row)
        wanted = line.data(Qt.ItemDataRole.UserRole) in ("animal", "food", "vehicle", "weather", "music", "plant")
        line.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)
    rest(0.5)
    return dialog


def trained(walk: Walk, fusion: str) -> None:
    before = len(walk.window.learning.runs)
    dialog = train_dialog(walk)
    dialog.name.setText(f"fusion: {fusion}")
    dialog.fusion.setCurrentIndex(dialog.fusion.findData(fusion))
    dialog.go.click()
    runs = walk.window.learning
    wait(lambda: len(runs.runs) > before and runs.runs[0].state.status == "done", LONG)
    rest(1.5)


def tab(walk: Walk, page: QWidget) -> None:
    walk.act("training")
    walk.window.training.made.tabs.setCurrentWidget(page)
    rest(1.5)


@view("train empty")
def _(walk: Walk) -> Shown:
    walk.whole()
    walk.act("training")
    rest(0.5)


@view("train dialog")
def _(walk: Walk) -> Shown:
    return train_dialog(walk)


@view("train dialog more")
def _(walk: Walk) -> Shown:
    dialog = walk.window.findChild(TrainDialog) or train_dialog(walk)
    for fold in (dialog.how.more, dialog.how.advanced):
        fold.button.setChecked(True)
    rest(0.5)
    return dialog


@view("train tried")
def _(walk: Walk) -> Shown:
    dialog = walk.window.findChild(TrainDialog) or train_dialog(walk)
    dialog.attempt.click()
    wait(lambda: not dialog._tries, LONG)
    rest(1.0)
    return dialog


@view("train sweep dialog")
def _(walk: Walk) -> Shown:
    dialog = walk.window.findChild(TrainDialog) or train_dialog(walk)
    dialog.sweep.click()
    rest(0.8)
    return QApplication.activeModalWidget()


@view("train runs curves")
def _(walk: Walk) -> Shown:
    walk.close_all()
    for fusion in ("joint mean", "gated"):
        trained(walk, fusion)
    panel = walk.window.training.made
    tab(walk, panel.curves)


def of_run(name: str, number: int = 1) -> View:
    """A page about the newest runs."""
    def act(walk: Walk) -> Shown:
        panel = walk.window.training.made
        panel.table.choose([run.folder.name for run in walk.window.learning.runs[:number]])
        page = getattr(panel, name, None) or getattr(panel.watching, name)
        tab(walk, page)
        rest(1.0)

    return act


view("train runs results")(of_run("results"))


def result(name: str) -> View:
    def act(walk: Walk) -> Shown:
        of_run("results")(walk)
        results = walk.window.training.made.results
        wait(lambda: results.evaluation is not None)
        results.tabs.setCurrentWidget(getattr(results, name))
        rest(0.5)

    return act


for name in ("classes", "confusion_page", "curves", "errors", "examples"):
    view(f"train runs results {name}")(result(name))
view("train runs compared")(of_run("results", 2))
view("train runs differences")(of_run("differences", 2))
for name in ("repeat", "gallery", "film", "slices", "fusion"):
    view(f"train runs {name}")(of_run(name))


@view("train sweep")
def _(walk: Walk) -> Shown:
    dialog = train_dialog(walk)
    dialog.sweep.click()
    rest(0.5)
    sweep: Any = QApplication.activeModalWidget()
    sweep.trials.setValue(12)
    sweep.go.click()
    learning = walk.window.learning
    wait(lambda: learning.sweeps and learning.sweeps[0].state.status == "done", LONG)
    tab(walk, walk.window.training.made.sweep)


# ---- dialogs, jobs and errors ----------------------------------------------------------------------------------------


def dialog(name: str) -> View:
    def act(walk: Walk) -> Shown:
        walk.close_all()
        return walk.dialog(name)

    return act


for name in ("settings", "models", "palette", "shortcuts", "export", "watch", "record"):
    view(f"dialog {name}")(dialog(name))


@view("dialog report")
def _(walk: Walk) -> Shown:
    walk.close_all()
    walk.session.select(walk.some(6))
    walk.act("report")
    rest(0.5)
    return walk.window.findChild(ReportDialog)


@view("dialog table")
def _(walk: Walk) -> Shown:
    walk.close_all()
    table = Path(tempfile.mkdtemp()) / "sightings.csv"
    rows = [f"{walk.session.items[int(key)].path},animal {key},{2000 + key % 20}" for key in walk.some(8)]
    table.write_text("\n".join(["file,caption,year", *rows]), encoding="utf-8")
    walk.window.add_paths([table])
    rest(1.5)
    return QApplication.activeModalWidget()


@view("jobs")
def _(walk: Walk) -> Shown:
    walk.close_all()
    walk.act("explore")
    walk.window._docks["jobs"].raise_()
    rest(0.5)


@view("error")
def _(walk: Walk) -> Shown:
    broken = Path(tempfile.mkdtemp()) / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    walk.session.ask(broken, "broken.png")
    wait(lambda: walk.window.banner.isVisible())


@view("start")
def _(walk: Walk) -> Shown:
    """A project without anything, and the example on its way."""
    from mmstudio import paths

    walk.session.open_project(paths.default_project())
    wait(lambda: not len(walk.session.items))
    rest(1.0)


@view("start encoding")
def _(walk: Walk) -> Shown:
    walk.session.add_example()
    wait(lambda: walk.session.jobs.has("Encoding") and len(walk.session.view or ()) > 200)


# ---- parts of views ------------------------------------------------------------------------------------------------


def hover(walk: Walk, key: int) -> None:
    """The pointer on a point of the map."""
    canvas = walk.map.canvas
    QTest.mouseMove(canvas, QPoint(5, 5))
    rest(0.3)
    at = canvas.pixel_of(key)
    QTest.mouseMove(canvas, at.toPoint())
    rest(0.8)


def video(file: Path, walk: Walk) -> Path:
    """Three of the project's pictures, a second each."""
    import av

    with av.open(str(file), "w") as out:
        stream = out.add_stream("libx264", 12)
        stream.width = stream.height = 192
        stream.pix_fmt = "yuv420p"
        pictures = [key for key in walk.some(40).tolist() if walk.session.items[key].modality == "image"][:3]
        for key in pictures:
            picture = Image.open(walk.session.items[key].path).convert("RGB").resize((192, 192))
            for _ in range(12):
                out.mux(stream.encode(av.VideoFrame.from_image(picture)))
        out.mux(stream.encode(None))
    return file


def contact_sheets(folder: Path, names: list[str]) -> None:
    """All pictures, small, with their names."""
    for number, start in enumerate(range(0, len(names), COLUMNS * LINES), 1):
        some = names[start : start + COLUMNS * LINES]
        high = SHEET * 5 // 8
        sheet = Image.new("RGB", (COLUMNS * SHEET, -(-len(some) // COLUMNS) * (high + 24)), "grey")
        draw = ImageDraw.Draw(sheet)
        for at, name in enumerate(some):
            picture = Image.open(folder / f"{name}.png").convert("RGB")
            picture.thumbnail((SHEET - 6, high))
            x, y = at % COLUMNS * SHEET, at // COLUMNS * (high + 24)
            sheet.paste(picture, (x, y + 20))
            draw.text((x + 4, y + 4), name, "white")
        sheet.save(folder / f"contact-{number}.png")


def run(walk: Walk, names: list[str], folder: Path, themes: list[str]) -> None:
    """Take the pictures, and tell of each how it came."""
    stalls, taken = Stalls(), list[str]()
    for name in names:
        start, failed = time.perf_counter(), ""
        shown: Shown = None
        with stalls.looked_for():
            try:
                shown = VIEWS[name](walk)
            except Exception as error:  # noqa: BLE001 - the other views are to be seen all the same
                failed = f"  FAILED: {type(error).__name__} {error}"
        took = time.perf_counter() - start
        print(f"{name:40} {took:7.1f} s, longest stall {1e3 * stalls.worst:7.0f} ms{failed}", flush=True)
        for theme in themes:
            taken.append(f"{name.replace(' ', '-')}-{theme}")
            walk.grab(folder / f"{taken[-1]}.png", theme, shown)
    contact_sheets(folder, taken)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("out", type=Path)
    asked.add_argument("--items", type=int, default=1000)
    asked.add_argument("--theme", choices=("dark", "light", "both"), default="both")
    asked.add_argument("--only", default="", help="views whose names begin so")
    asked.add_argument("--project", type=Path, help="where the made project is kept")
    asked.add_argument("--size", default="1280x800")
    told = asked.parse_args()
    project = told.project or Path(tempfile.mkdtemp()) / "project"
    if not project.exists():
        many_items.make(project, told.items)
    walk = Walk(*(int(side) for side in told.size.split("x")))
    start = time.perf_counter()
    walk.start(project)
    print(f"open after {time.perf_counter() - start:.1f} s", flush=True)
    if walk.is_many:
        walk.session.arrangement = Arrangement(Wish("pca"))
    wait(walk.map_is_done, LONG)
    print(f"map after {time.perf_counter() - start:.1f} s", flush=True)
    names = [name for name in VIEWS if name.startswith(told.only)
             and not (walk.is_many and name.startswith(NOT_OF_A_MILLION))]
    run(walk, names, told.out, ["dark", "light"] if told.theme == "both" else [told.theme])
    walk.window._stop_and_close = True
    walk.window.close()


if __name__ == "__main__":
    main()
