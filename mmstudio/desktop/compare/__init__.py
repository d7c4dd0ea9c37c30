"""Comparisons of many items at once: each page asks one question of the project's vectors."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page of the comparisons: ``id`` is also the name of its module."""

    id: str
    title: str


PAGES = (
    Page("matrix", "Similarity matrix"),
    Page("labels", "Zero-shot labels"),
    Page("retrieval", "Retrieval report"),
    Page("recommend", "Recommendations"),
    Page("measures", "Measures"),
)
