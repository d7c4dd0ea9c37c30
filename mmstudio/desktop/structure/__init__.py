"""The structure of a project's vectors: how the map is made, what it hides, and what is grouped, fused or unusual.

Each page's module has a ``make(session, previews, map)``.
"""

from __future__ import annotations

from mmstudio.desktop.widgets.later import Page

PAGES = (
    Page("arrange", "Projection"),
    Page("trusting", "Trust"),
    Page("groups", "Clusters"),
    Page("gaps", "Modality gap"),
    Page("bridge", "Bridge"),
    Page("fusing", "Fusion"),
    Page("unusual", "Outliers and duplicates"),
)
