"""A preview that is made by itself is the one that was made when the file was added."""

from __future__ import annotations

import pytest

from mmstudio.errors import UnreadableMedia
from mmstudio.media import MediaRef
from mmstudio.media.describe import describe
from mmstudio.media.preview import preview


@pytest.mark.parametrize("of", ["photo.jpg", "tone.wav", "utf8.txt", "talk.mp4"])
def test_the_preview_of_each_item_of_a_file_is_as_when_it_was_added(of, make, tmp_path, limits):
    for found in describe(make.file(tmp_path, of), limits).items:
        assert preview(MediaRef(found.path, found.modality, found.part, found.text), limits) == found.preview


def test_a_file_that_is_gone_is_said_to_be(tmp_path, limits):
    with pytest.raises(UnreadableMedia):
        preview(MediaRef(tmp_path / "gone.png", "image"), limits)
