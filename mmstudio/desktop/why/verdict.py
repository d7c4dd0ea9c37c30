"""Whether a map is true, as a badge and in sentences."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel

from mmstudio.desktop.text import tr
from mmstudio.explain.boxes import Pointing
from mmstudio.explain.trust import Verdict


def show_verdict(label: QLabel, found: Verdict | None) -> None:
    """A badge, whose tooltip has the numbers; nothing where nothing was tested."""
    label.setText(tr(found.badge).format(found.effect) if found else "")
    label.setToolTip(verdict_told(found) if found else "")
    label.setVisible(found is not None)


def pointing_told(found: Pointing) -> str:
    """Whether a map points into known boxes, in a sentence."""
    return tr(found.text).format(*found.values)


def verdict_told(found: Verdict) -> str:
    """The numbers behind a badge, in sentences."""
    deletion, insertion = found.curves.areas
    told = [tr("Area under deletion {:.3f}, under insertion {:.3f}, against {} random maps of the same texture."
               ).format(deletion, insertion, len(found.random))]
    if found.randomised is not None:
        told.append(tr("Rank correlation with the map of a model with random weights {:.2f}.").format(found.randomised))
    if found.noise is not None:
        told.append(tr("With the map of a slightly changed item {:.2f}.").format(found.noise))
    return " ".join(told)
