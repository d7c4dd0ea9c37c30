"""The structure of a project's vectors: how the map is made, what it hides, and what is grouped, fused or unusual."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page: ``id`` is also the name of its module, which has a ``make(session, previews, map)``."""

    id: str
    title: str


PAGES = (
    Page("arrange", "Projection"),
    Page("trusting", "Trust"),
    Page("groups", "Clusters"),
    Page("gaps", "Modality gap"),
    Page("fusing", "Fusion"),
    Page("unusual", "Outliers and duplicates"),
)
