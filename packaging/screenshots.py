"""Regenerate the README's pictures from the real window: ``python packaging/screenshots.py``.

With a folder as argument, save every step there in both themes instead, to look at.

Opens the example with the starter model, does what a person would do, and grabs the window in both themes: empty,
full, searching, explaining a picture, a sound and a text, a fused sample, and an error. Needs a display (Xvfb will do).
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from at_window import Studio, rest, wait
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from mmstudio import paths
from mmstudio.desktop.train_dialog import TrainDialog

FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent / "pictures"
README = ("map-dark", "search-light", "sound-dark", "why-light", "features-dark", "sample-light", "trial-dark",
          "filter-light", "training-dark", "beside-dark")


def main() -> None:
    """Walk through the studio and save what is seen."""
    studio = Studio(1440, 860)
    session, window = studio.session, studio.window
    item, show, ask = studio.item, studio.open, studio.ask

    def grab(name: str, shown: QWidget | None = None) -> None:
        for theme in ("dark", "light"):
            if len(sys.argv) > 1 or f"{name}-{theme}" in README:
                studio.grab(FOLDER / f"{name}-{theme}.png", theme, shown)

    studio.start(paths.default_project())
    grab("empty")
    session.add_example()
    wait(lambda: session.layout is not None and session.layout.final and session.layout.kind == "PaCMAP"
         and not session.jobs.running)
    rest(1.0)
    grab("map")
    window.maps.add()
    beside = window.maps.others[0]
    beside.which.setCurrentIndex(beside.which.findData("tsne"))
    beside.make()
    wait(lambda: beside.found is not None and beside.found.layout.kind == "t-SNE" and beside.found.layout.final)
    show(item("dog"))
    grab("beside")
    beside.closed.emit()
    ask("puppy")
    hits = session.answer.hits if session.answer else {}
    show(hits["image"][0].item_id)
    grab("search")
    window._arrange("explain")
    show(hits["audio"][0].item_id)
    grab("sound")
    show(next(i.id for i in session.items.values() if i.modality == "text" and len(i.text) > 40))
    grab("text")
    window.actions_.by_id["trial"].trigger()
    tried: list[object] = []
    window.trial._trials.tried.connect(tried.append)
    window._open(hits["image"][0].item_id)
    wait(lambda: tried)
    window.trial.changes.setCurrentIndex(window.trial.changes.findData("occlusion"))
    tried.clear()
    window.trial.slider.setValue(80)
    wait(lambda: tried)
    rest(0.5)
    grab("trial")
    window._arrange("explore")
    window.library._words.setText("has:caption dog")
    window.library._filter()
    wait(lambda: window.library.items.rowCount() < 50)
    window.actions_.by_id["select_all"].trigger()
    show(hits["image"][0].item_id)
    window.actions_.by_id["select_all"].trigger()
    rest(0.5)
    grab("filter")
    window.library._clear_filter()
    wait(lambda: window.library.items.rowCount() == len(session.items))
    window.actions_.by_id["histograms"].trigger()
    rest(0.8)
    grab("histograms")
    window.actions_.by_id["histograms"].trigger()
    session.select([])
    window._arrange("explain")
    window.actions_.by_id["why_score"].trigger()
    score = window.why.made.pages["score"].made
    window._open(item("scene_004_dog_chair"))
    score.method.setCurrentIndex(score.method.findData("chefer"))
    score.words.setText("a chair")
    wait(lambda: not score._work.busy and score.judge.isEnabled())
    score.judge.click()
    wait(lambda: score.verdicts[0].text())
    grab("why")
    window.actions_.by_id["why_features"].trigger()
    features = window.why.made.pages["features"].made
    features.start.click()
    wait(lambda: features.found is not None and features._job is None)
    features.coloured.setChecked(True)
    features.list.setCurrentIndex(features.list.model().index(0, 0))
    features._select()
    rest(1.0)
    grab("features")
    features.coloured.setChecked(False)
    window.map.colour_by.choose("modality")
    session.select([])
    window.actions_.by_id["structure_trusting"].trigger()
    rest(0.5)
    grab("structure")
    window.actions_.by_id["train"].trigger()
    dialog = window.findChild(TrainDialog)
    assert dialog is not None
    wait(lambda: dialog.target.count())
    dialog.name.setText("attention over all")
    dialog.fusion.setCurrentIndex(dialog.fusion.findData("attention"))
    for row in range(dialog.classes.count()):
        line = dialog.classes.item(row)
        wanted = line.text().split()[0] in ("animal", "food", "vehicle", "weather", "music", "plant")
        line.setCheckState(Qt.CheckState.Checked if wanted else Qt.CheckState.Unchecked)
    rest(0.5)
    grab("train", dialog)
    dialog.go.click()
    wait(lambda: window.learning.runs and window.learning.runs[0].state.status == "done")
    rest(1.0)
    grab("training")
    panel = window.training.made
    panel.tabs.setCurrentIndex(1)
    rest(0.5)
    grab("results")
    window._docks["jobs"].raise_()
    window._arrange("explore")
    sample = next(s for s in session.samples.values()
                  if len({session.items[i].modality for i in s.item_ids}) == 3)
    session.select([-sample.id])
    session.focus(-sample.id)
    window._arrange("explore")
    rest(0.5)
    grab("sample")
    window.map.colour_by.choose("cluster")
    session.select([])
    session.focus(None)
    grab("clusters")
    broken = Path(tempfile.mkdtemp()) / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 40)
    session.add([broken])
    wait(lambda: not session.jobs.running)
    session.ask(broken, "broken.png")
    wait(lambda: window.banner.isVisible())
    grab("error")
    window.close()


if __name__ == "__main__":
    main()
