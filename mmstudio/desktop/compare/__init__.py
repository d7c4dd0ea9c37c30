"""Comparisons of many items at once: each page asks one question of the project's vectors."""

from __future__ import annotations

from mmstudio.desktop.widgets.later import Page

PAGES = (
    Page("matrix", "Similarity matrix"),
    Page("labels", "Labels"),
    Page("retrieval", "Retrieval report"),
    Page("recommend", "Recommendations"),
    Page("measures", "Measures"),
)
