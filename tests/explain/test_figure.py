"""A map as a file: numbers, and a figure that shows the map over its item, a scale with numbers, and what it is of."""

from __future__ import annotations

import io
from base64 import b64decode
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import Positions
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain import figure
from mmstudio.explain.drawing import Fill, Words, to_picture, to_png, to_svg
from mmstudio.explain.figure import Caption
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.overlay import EDGE, SOUND_HEIGHT, WIDTH, behind_words, colour_table, over
from mmstudio.media import AudioClip, Media, Modality
from mmstudio.progress import finish

SVG = "{http://www.w3.org/2000/svg}"
EVIL = "</svg><script>&\x00\ud800]]>\"'.png"
RED = Image.new("RGB", (96, 64), "red")
TONE = AudioClip((0.3 * np.sin(2 * np.pi * 3000 * np.arange(16_000) / 16_000).astype(np.float32),), 16_000)
ITEMS: list[tuple[Media, Modality]] = [(RED, "image"), (TONE, "audio"), ("a red\ncircle", "text")]


def boxes(*weights: float) -> RelevanceMap:
    """Equal columns over a picture."""
    edges = np.linspace(0, 1, len(weights) + 1)
    extents = np.array([(a, 0, b, 1) for a, b in pairwise(edges)], np.float32)
    return RelevanceMap(np.array(weights, np.float32), Positions("patch", extents), "Columns", "score")


def spans(*found: tuple[int, int, float]) -> RelevanceMap:
    """Stretches of a text."""
    extents = np.array([one[:2] for one in found], np.float32)
    weights = np.array([one[2] for one in found], np.float32)
    return RelevanceMap(weights, Positions("character", extents), "Words", "score")


def told(made: Any) -> str:
    """All words of a drawing."""
    return " ".join(part.text for part in made.parts if isinstance(part, Words))


@pytest.mark.parametrize("method", ["auto", "similarity", "pooling", "attention", "rollout"])
@pytest.mark.parametrize("suffix", [".png", ".svg", ".npz"])
def test_every_method_becomes_a_file_for_every_modality(
    method: str, suffix: str, starter: Encoder, tmp_path: Path,
) -> None:
    query = starter.explain("red", "text").vector
    for media, modality in ITEMS:
        found = figure.chosen_map(starter.explain(media, modality), method, 0, query)
        file = tmp_path / f"out{suffix}"
        figure.write(found, media, Caption.of(starter, "an item", "red", 0.25), file)
        if suffix == ".png":
            with Image.open(file) as picture:
                assert picture.width == WIDTH
                assert len(picture.convert("RGB").getcolors(1 << 24) or []) > 3
        elif suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag == f"{SVG}svg"
        else:
            with np.load(file) as kept:
                assert np.array_equal(kept["weights"], found.weights)
                assert len(kept["extents"]) == len(kept["weights"])
                assert (str(kept["query"]), float(kept["score"]), str(kept["title"])) == ("red", 0.25, found.title)


def test_a_figure_says_what_it_is_of_and_how_much_its_colours_are() -> None:
    made = figure.figure(boxes(-0.5, 0, 1.5), RED, Caption("cat.png", "a cat", "starter · revision 1", 0.25))
    text = told(made)
    for part in ("Item cat.png", "Query “a cat”", "Model starter · revision 1", "Method Columns", "Score cosine 0.250",
                 "score -0.5 0.5 1.5"):
        assert part in text
    assert "Score" not in told(figure.figure(boxes(0, 1), RED, Caption("cat.png")))


def test_a_picture_lies_half_under_the_colours_of_its_map() -> None:
    """Red under black and white, in the pixels and in the boxes of the SVG."""
    drawn = np.asarray(to_picture(over(boxes(0, 1), RED)), float)
    middle = [drawn[200, x] for x in (160, 480)]
    expected = [(np.array([255, 0, 0]) + colour_table()[at]) / 2 for at in (0, 255)]
    assert np.abs(np.array(middle) - expected).max() <= 1
    root = ElementTree.fromstring(to_svg(over(boxes(0, 1), RED), "x"))
    rects = root.findall(f"{SVG}rect")[1:]
    assert [(rect.get("x"), rect.get("width"), rect.get("fill-opacity")) for rect in rects] == [
        ("0", "320", "0.5"), ("320", "320", "0.5")]


def test_an_svg_holds_its_picture_its_words_as_text_and_loads_nothing() -> None:
    content = to_svg(figure.figure(boxes(0, 1), RED, Caption("a cat")), "a cat")
    root = ElementTree.fromstring(content)
    images = [image.get("href", "") for image in root.findall(f"{SVG}image")]
    assert all(image.startswith("data:image/png;base64,") for image in images)
    with Image.open(io.BytesIO(b64decode(images[0].split(",")[1]))) as picture:
        assert picture.convert("RGB").getpixel((5, 5)) == (255, 0, 0)
    assert "cat" in [text.text for text in root.findall(f"{SVG}text")]
    addresses = content.replace(b"http://www.w3.org/", b"")
    assert b"://" not in addresses
    assert b"<script" not in addresses


@pytest.mark.parametrize("media", [RED, EVIL, TONE])
def test_hostile_names_queries_and_texts_leave_the_xml_valid(media: Media) -> None:
    found = {str: spans((0, 6, 1.0), (6, 14, 0.0)), AudioClip: RelevanceMap(
        np.ones(1, np.float32), Positions("time", np.array([[0, 1]], np.float32), (EVIL,)), EVIL, EVIL)}.get(
        type(media), boxes(0, 1))
    made = figure.figure(found, media, Caption(EVIL, EVIL * 40, EVIL))
    root = ElementTree.fromstring(to_svg(made, EVIL))
    assert [child.tag for child in root.iter() if "script" in child.tag] == []
    assert "</svg><script>&\ufffd\ufffd]]>" in "".join(text.text or "" for text in root.iter(f"{SVG}text"))
    assert to_png(made)


def test_a_long_caption_ends_after_some_rows() -> None:
    made = figure.figure(boxes(0, 1), RED, Caption("cat.png", "a cat on a mat " * 80))
    assert "…" in told(made)
    assert made.height < over(boxes(0, 1), RED).height + 300


def test_the_words_of_a_text_stand_before_the_colours_of_their_places() -> None:
    text = "cafe\u0301 שלום 👍🏽 中文"
    at = {word: text.index(word) for word in text.split()}
    places = ((start, start + len(word), number / 3) for number, (word, start) in enumerate(at.items()))
    made = over(spans(*places), text)
    fills = [part for part in made.parts if isinstance(part, Fill)]
    words = {part.text: part for part in made.parts if isinstance(part, Words)}
    assert list(words) == text.split()
    for number, word in enumerate(words.values()):
        fill = next(fill for fill in fills if fill.box[0] == pytest.approx(word.left, abs=0.01))
        assert fill.box[2] == pytest.approx(word.left + word.wide, abs=0.01)
        assert fill.colour == behind_words(np.float32(number / 3))


def test_the_first_part_of_a_word_that_is_read_from_the_right_is_on_its_right() -> None:
    made = over(spans((0, 1, 0.0), (1, 4, 1.0)), "שלום")
    first, rest = (part.box for part in made.parts if isinstance(part, Fill))
    assert rest[0] < rest[2] == pytest.approx(first[0])
    assert first[2] == pytest.approx(WIDTH - EDGE)


def test_a_mark_has_the_colour_of_its_letter() -> None:
    made = over(spans((0, 1, 0.0), (1, 2, 1.0), (2, 3, 1.0)), "e\u0301x")
    colours = [part.colour for part in made.parts if isinstance(part, Fill)]
    assert colours == [behind_words(0), behind_words(1)]


def test_a_letter_without_a_font_is_told_of() -> None:
    made = figure.figure(spans((0, 1, 1.0)), "\U000f1234 a", Caption("x"))
    assert "No font of this computer has U+F1234." in told(made)
    assert "No font" not in told(figure.figure(spans((0, 1, 1.0)), "a", Caption("x")))


def test_a_long_text_is_drawn_from_its_beginning() -> None:
    made = over(spans((0, 4, 1.0), (19_990, 19_994, 0.0)), "word " * 4000)
    assert told(made).endswith("…")
    assert made.height < 6000


def test_a_map_over_time_and_frequency_is_drawn_at_both(starter: Encoder) -> None:
    query = starter.explain("a bell", "text").vector
    found = finish(figure.method_map(starter, TONE, "audio", "occlusion", query))
    high = (found.positions.extents[:, 2] > 2000).astype(np.float32)
    pixels = np.asarray(to_picture(over(replace(found, weights=high), TONE)), np.float32)
    assert pixels[:40].mean() > 2 * pixels[-100:].mean()
    with pytest.raises(AttentionUnavailable, match="compares with a query"):
        finish(figure.method_map(starter, TONE, "audio", "occlusion", None))
    with pytest.raises(StudioError, match="no method named"):
        finish(figure.method_map(starter, TONE, "audio", "magic", query))


def test_a_sounds_seconds_are_those_of_what_was_read_of_it() -> None:
    """Of 30 s the last half is relevant; a model may tell of silence behind the sound."""
    sound = AudioClip((np.tile(TONE.windows[0], 30), TONE.windows[0]), 16_000)
    extents = np.array([[0, 15], [15, 30], [30, 32]], np.float32)
    found = RelevanceMap(np.array([0, 1, 1], np.float32), Positions("time", extents), "Seconds", "score")
    made = figure.figure(found, sound, Caption("long.wav"))
    assert all(part.box[2] <= WIDTH for part in made.parts if isinstance(part, Fill))
    pixels = np.asarray(to_picture(made), float)[: SOUND_HEIGHT - 20]
    assert pixels[:, : WIDTH // 2 - 4].mean() + 50 < pixels[:, WIDTH // 2 + 4 :].mean()
    assert "0 s 7.5 s 15 s 22.5 s 30 s" in told(made)
    assert "its first 30 s" in told(made)


def test_a_layer_that_is_not_there_and_an_unknown_ending_are_errors(starter: Encoder, tmp_path: Path) -> None:
    with pytest.raises(AttentionUnavailable, match="no layer 99"):
        figure.chosen_map(starter.explain("a dog", "text"), "attention", 99, None)
    with pytest.raises(StudioError, match="has to end in"):
        figure.check_target(Path("x.gif"))
    taken = tmp_path / "folder.png"
    taken.mkdir()
    with pytest.raises(StudioError, match="could not be written"):
        figure.write(boxes(0, 1), RED, Caption("x"), taken)
