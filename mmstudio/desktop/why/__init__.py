"""Explanations of the item in the inspector: each page asks one question of the model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """One page of the explanations: ``id`` is also the name of its module."""

    id: str
    title: str
    shortcut: str = ""


PAGES = (
    Page("score", "Why this score?", "Alt+8"),
    Page("attention", "Attention"),
    Page("change", "What if?"),
    Page("concepts", "Concepts"),
    Page("layers", "Layers"),
)
