"""Explanations of the item in the inspector: each page asks one question of the model."""

from __future__ import annotations

from mmstudio.desktop.widgets.later import Page

PAGES = (
    Page("score", "Why this score?", "Alt+8"),
    Page("attention", "Attention"),
    Page("change", "What if?"),
    Page("concepts", "Concepts"),
    Page("features", "Features"),
    Page("layers", "Layers"),
)
