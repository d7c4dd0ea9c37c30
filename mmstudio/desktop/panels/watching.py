"""The training panel's pages that look into one run: while it learns the gallery and the film, after it where it
errs and what its fusion looked at.
"""

from __future__ import annotations

from PySide6.QtWidgets import QTabWidget

from mmstudio.desktop.previews import Previews
from mmstudio.desktop.session import Session
from mmstudio.desktop.text import tr
from mmstudio.desktop.widgets.film_page import FilmPage
from mmstudio.desktop.widgets.fusion_page import FusionPage
from mmstudio.desktop.widgets.gallery_page import GalleryPage
from mmstudio.desktop.widgets.slices_page import SlicesPage
from mmstudio.training.attended import has_weights
from mmstudio.training.film import has_film
from mmstudio.training.runs import Run

SLICED = ("classification", "multi-label", "regression")
"""Tasks in which an example is told right or wrong."""


class Watching:
    """Pages in ``tabs``, all about one run."""

    def __init__(self, session: Session, previews: Previews, tabs: QTabWidget) -> None:
        self._tabs = tabs
        self.gallery, self.film = GalleryPage(session, previews), FilmPage(session)
        self.slices, self.fusion = SlicesPage(session), FusionPage(session)
        for page, title in ((self.gallery, tr("Gallery")), (self.film, tr("Film")), (self.slices, tr("Slices")),
                            (self.fusion, tr("Fusion"))):
            tabs.addTab(page, title)

    def show_run(self, run: Run | None) -> None:
        """A run as it is now, or none."""
        done = run if run is not None and run.state.status == "done" else None
        sliced = done is not None and done.job.task in SLICED
        weighed = done is not None and has_weights(done.job)
        learned = run if run is None or run.beside is None else None  # a baseline has no epochs
        for page, shown in ((self.gallery, run is None or learned is not None),
                            (self.film, run is None or (learned is not None and has_film(run.job))),
                            (self.slices, sliced), (self.fusion, weighed)):
            self._tabs.setTabVisible(self._tabs.indexOf(page), shown)
        self.slices.show_run(done if sliced else None)
        self.fusion.show_run(done if weighed else None)
        self.gallery.show_run(learned)
        self.film.show_run(learned)
