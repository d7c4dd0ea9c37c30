"""What the model sees of a text: its tokens, with their segments where the model knows some."""

from __future__ import annotations

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.widgets.seen import SeenView
from mmstudio.encoders.base import SeenText, SeenToken


@pytest.mark.parametrize("segment", [0, None])
def test_the_segment_is_shown_where_there_is_one(qtbot: QtBot, segment: int | None) -> None:
    view = SeenView()
    qtbot.addWidget(view)
    view.show_seen(SeenText((SeenToken("[CLS]", 101, 0, segment, 0, 0, True),
                             SeenToken("dog", 7, 1, segment, 2, 5, False)), False))
    assert view.tokens.isColumnHidden(4) == (segment is None)
    shown = [view.tokens.item(1, column).text() for column in range(5)]  # type: ignore[union-attr]
    assert shown == ["1", "dog", "7", "2–5", "" if segment is None else "0"]
