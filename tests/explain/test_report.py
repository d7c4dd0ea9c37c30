"""A report of items: all that it says is true, it shows names as they are, and it is one file that needs no other."""

from __future__ import annotations

import io
import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from mmstudio.colour_maps import colour_map
from mmstudio.encoders import Encoder
from mmstudio.encoders.base import encode
from mmstudio.errors import StudioError
from mmstudio.explain.maps import similarity_map, to_unit
from mmstudio.explain.methods import named
from mmstudio.explain.parts import words_of
from mmstudio.explain.report import SOUND_BYTES, Entry, Report, Wish, reported
from mmstudio.explain.report_html import END, beginning, section
from mmstudio.explain.subject import Subject
from mmstudio.explain.trust import verdict_of
from mmstudio.exports.report_page import written_page
from mmstudio.library import Item, Sample, SpaceKey, VectorView
from mmstudio.media import Limits, Modality, load
from mmstudio.progress import finish

EVIL, EVIL_TAG = "<img src=x onerror=alert(1)>.png", '"><script>evil()</script>'
TEXT = "A <b>dog</b> & a \x07 red circle"
QUERY = "a red circle"
VOID = ("meta", "img", "br")


@dataclass
class Page(HTMLParser):
    """What a browser would find: elements with their attributes, texts by the path of elements they stand in."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, "elements are closed in the order in which they were opened"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)

    def all(self, tag: str, kind: str = "") -> list[dict[str, str]]:
        return [found for name, found in self.elements
                if name == tag and (not kind or kind in found.get("class", "").split())]


def read(page: str) -> Page:
    parsed = Page()
    parsed.feed(page)
    parsed.close()
    assert not parsed.open
    return parsed


def content(address: str) -> bytes:
    """The bytes of a data: address."""
    return b64decode(address.split(",", 1)[1], validate=True)


def row(page: str, name: str) -> list[str]:
    """The values of all rows of that name."""
    return re.findall(f"<th>{re.escape(name)}</th><td>(.*?)</td>", page)


@pytest.fixture(scope="module")
def wish(tmp_path_factory: pytest.TempPathFactory, starter: Encoder) -> Wish:
    """Two pictures, one of an evil name; two sounds, one long; a text; a picture whose file is gone."""
    folder = tmp_path_factory.mktemp("media")
    for name, colour in (("red.png", "red"), (EVIL, "blue"), ("gone.png", "green")):
        picture = Image.new("RGB", (96, 64), "white")
        ImageDraw.Draw(picture).ellipse((30, 8, 80, 56), colour)
        picture.save(folder / name)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000 * 8) / 16_000)
    soundfile.write(folder / "short.wav", tone[:8000], 16_000)
    soundfile.write(folder / "long.wav", tone, 16_000)
    kinds: list[tuple[str, Modality]] = [("red.png", "image"), (EVIL, "image"), ("short.wav", "audio"),
                                         ("long.wav", "audio"), ("words.txt", "text"), ("gone.png", "image")]
    items = [Item(at, folder / name, "", kind, f"{at}", TEXT if kind == "text" else "",
                  {"width": 96, "height": 64} if kind == "image" else {}, (EVIL_TAG,) if at == 2 else ())
             for at, (name, kind) in enumerate(kinds, 1)]
    vectors = np.stack([encode(starter, [load(item.ref, Limits(), rate_hz=starter.sample_rate_hz,
                                              window_seconds=starter.window_seconds)], item.modality)[0]
                        for item in items])
    (folder / "gone.png").unlink()
    view = VectorView(SpaceKey(starter.space, starter.revision, starter.preprocessing, starter.dim),
                      np.arange(1, 7), vectors, np.array([kind for _, kind in kinds]),
                      {at: at - 1 for at in range(1, 7)})
    return Wish("Report of “a & b”", items, {item.id: item for item in items}, [Sample(1, "</td>pair", (1, 5))], view,
                Limits(), named("similarity"), QUERY, encode(starter, [QUERY], "text")[0], tests=False)


def whole(starter: Encoder, wish: Wish) -> Report:
    """A report with all that its steps told."""
    work, entries = reported(starter, wish), list[Entry]()
    while True:
        try:
            fresh = next(work).fresh
        except StopIteration as stop:
            return replace(stop.value, entries=tuple(entries))
        if isinstance(fresh, Entry):
            entries.append(fresh)


def to_html(report: Report) -> str:
    return beginning(report) + "".join(map(section, report.entries)) + END


@pytest.fixture(scope="module")
def report(wish: Wish, starter: Encoder) -> Report:
    return whole(starter, wish)


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return to_html(report)


def test_every_item_is_there_once_under_a_head_that_says_how_it_was_made(page: str, starter: Encoder) -> None:
    parsed = read(page)
    assert [found["class"] for found in parsed.all("section")] == ["item"] * 6
    assert len(parsed.all("h1")) == 1
    text = "".join(parsed.texts)
    assert text.count("Similarity of parts. The cosine of each part's own vector with the target.") == 1
    assert f"{starter.name} · revision {starter.revision}" in text
    assert "nearness to “a red circle”" in text
    assert row(page, "Items") == ["6"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d .*", row(page, "Made")[0])
    assert "Nothing was sent anywhere" in text
    assert row(page, "In samples") == ["&lt;/td&gt;pair"] * 2
    assert row(page, "Size") == ["96 × 64 pixels"] * 3


def test_what_comes_from_files_and_people_is_shown_as_text_and_never_as_marks(page: str) -> None:
    parsed = read(page)
    assert EVIL in parsed.texts
    assert EVIL_TAG in parsed.texts
    assert "A <b>dog</b> & a \ufffd red circle" in parsed.texts  # a title; a bell is no character of a page
    assert not {"script", "b", "link", "iframe", "object", "form"} & {tag for tag, _ in parsed.elements}
    assert not [name for _, found in parsed.elements for name in found if name.startswith("on")]
    assert {found["alt"] for found in parsed.all("img", "small")} >= {"red.png", EVIL}


def test_the_page_is_one_file_that_loads_nothing_and_has_a_dark_look(page: str) -> None:
    parsed = read(page)
    assert "://" not in page
    assert "url(" not in page
    assert "@import" not in page
    addresses = [found[name] for _, found in parsed.elements for name in ("src", "href", "poster") if name in found]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert "@media (prefers-color-scheme: dark)" in page
    assert "@media print" in page
    policy = next(found for found in parsed.all("meta") if "http-equiv" in found)
    assert policy["content"].startswith("default-src 'none'")
    for found in parsed.all("img"):
        with Image.open(io.BytesIO(content(found["src"]))) as picture:
            picture.load()
            assert picture.width > 0


def test_the_heat_over_a_picture_is_that_of_the_method(page: str, wish: Wish, starter: Encoder) -> None:
    """Each patch's cosine with the query, as the strength of the colour map's colour over half of the picture."""
    with Image.open(io.BytesIO(content(read(page).all("img", "large")[0]["src"]))) as picture:
        pixels = np.asarray(picture.convert("RGB"), float)
    with Image.open(wish.items[0].path) as original:
        under = np.asarray(original.convert("RGB").resize((pixels.shape[1], pixels.shape[0])), float)
        explanation = starter.explain(original.convert("RGB"), "image")
    assert explanation.tokens is not None
    assert explanation.token_positions is not None
    cosines = explanation.tokens @ wish.target
    inside = explanation.token_positions.placed
    low, high = cosines[inside].min(), cosines[inside].max()
    table = colour_map("linear_kryw_0_100_c71") / 255
    for (left, top, right, bottom), cosine in zip(explanation.token_positions.extents[inside], cosines[inside],
                                                  strict=True):
        x, y = int((left + right) / 2 * pixels.shape[1]), int((top + bottom) / 2 * pixels.shape[0])
        expected = (under[y, x] + 255 * table[int(255 * (cosine - low) / (high - low))]) / 2
        assert np.abs(pixels[y - 2 : y + 3, x - 2 : x + 3].mean(axis=(0, 1)) - expected).max() < 20  # JPEG, edges


def test_the_words_of_a_text_carry_the_methods_numbers(page: str, wish: Wish, starter: Encoder) -> None:
    """A word's number is the mean of its tokens' cosines by the characters that they share."""
    explanation = starter.explain(TEXT, "text")
    found = similarity_map(explanation, wish.target)
    spans, expected = found.positions.extents, []
    for start, end in words_of(TEXT):
        shared = np.nan_to_num(np.minimum(spans[:, 1], end) - np.maximum(spans[:, 0], start)).clip(0)
        there = found.weights[found.positions.placed].mean()
        expected.append(float(shared @ found.weights / shared.sum()) if shared.sum() else float(there))
    told = [float(word["title"]) for word in read(page).all("span", "word")][4:]  # after those of the legend
    assert told == pytest.approx(expected, abs=1e-4)
    colours = [word["style"] for word in read(page).all("span", "word")]
    assert colours[4 + int(np.argmax(expected))] == colours[3]  # the most relevant of the legend
    assert colours[4 + int(np.argmin(expected))] == colours[0]


def test_scores_and_neighbours_are_cosines_of_the_vectors(report: Report, wish: Wish, page: str) -> None:
    assert row(page, "Score") == [f"cosine {wish.view.vectors[at] @ wish.target:.3f}" for at in range(6)]
    cosines = wish.view.vectors @ wish.view.vectors.T
    for at, entry in enumerate(report.entries):
        for modality in ("image", "audio", "text"):
            others = [i for i in range(6) if i != at and wish.items[i].modality == modality]
            best = sorted(others, key=lambda i: -cosines[at, i])[:3]
            assert [(near.item.id, near.score) for near in entry.neighbours if near.item.modality == modality] == [
                (i + 1, pytest.approx(cosines[at, i], abs=1e-5)) for i in best]
    assert f"{cosines[0, 1]:.3f} <bdi>&lt;img" in page


def test_neighbours_that_are_pictures_show_their_faces(starter: Encoder, wish: Wish) -> None:
    def preview(item: Item) -> bytes:
        if item.id == 6:
            return b"torn"
        out = io.BytesIO()
        Image.new("RGB", (192, 128), "red").save(out, "JPEG")
        return out.getvalue()

    told = whole(starter, replace(wish, items=wish.items[:1], preview=preview))
    faces = {near.item.id: near.face for near in told.entries[0].neighbours}
    assert {at for at, face in faces.items() if face} == {2}
    tiny = read(to_html(told)).all("img", "tiny")
    assert [(one["width"], one["height"], one["alt"]) for one in tiny] == [("40", "27", EVIL)]
    assert Image.open(io.BytesIO(content(tiny[0]["src"]))).size == (96, 64)


def test_a_missing_file_says_so_and_keeps_what_is_known(report: Report, page: str) -> None:
    gone = report.entries[5]
    assert gone.notes == ("The file is missing.",)
    assert gone.neighbours
    assert page.count("The file is missing.") == 1
    assert all(not entry.notes for entry in report.entries[:5])


def test_a_short_sound_can_be_played_and_a_long_one_not(page: str, wish: Wish) -> None:
    players = read(page).all("audio")
    assert len(players) == 1
    assert players[0]["src"].startswith("data:audio/")
    assert content(players[0]["src"]) == wish.items[2].path.read_bytes()
    assert wish.items[3].path.stat().st_size > SOUND_BYTES


def test_the_badge_is_what_the_test_of_the_map_tells(wish: Wish, starter: Encoder) -> None:
    text = replace(wish.items[4], text="a red")
    page = to_html(whole(starter, replace(wish, items=[text], tests=True)))
    assert wish.target is not None
    subject = Subject(starter, text.text, "text", wish.target)
    verdict = finish(verdict_of(subject, finish(wish.method.run(subject)), wish.method.name))
    assert row(page, "Is it true?") == [
        f'<span class="{"good" if verdict.trusted else "bad"}">{verdict.badge.format(verdict.effect)}</span>']
    assert ("do not trust this" in page) is not verdict.trusted
    assert "random maps" in row(page, "Tested")[0]


def test_without_a_question_the_items_own_vector_is_explained(wish: Wish, starter: Encoder) -> None:
    report = whole(starter, replace(wish, items=wish.items[:1], query="", target=None))
    page = to_html(report)
    assert row(page, "Score") == []
    assert row(page, "Explained") == ["what carries each item's own vector"]
    found, entry = starter.explain(load(wish.items[0].ref, Limits()), "image"), report.entries[0]
    assert entry.found is not None
    own = similarity_map(found, wish.view.vectors[0])
    assert np.allclose(to_unit(entry.found)[0], to_unit(own)[0], atol=1e-4)


def test_a_method_that_cannot_explain_an_item_says_why_beside_it(wish: Wish, starter: Encoder) -> None:
    report = whole(starter, replace(wish, items=[wish.items[4], wish.items[0]], method=named("grad-cam")))
    assert report.entries[0].notes == ("Grad-CAM: Grad-CAM needs places in a picture or a sound.",)
    assert report.entries[0].passage
    assert report.entries[1].heat is not None


def test_no_items_are_refused(wish: Wish, starter: Encoder) -> None:
    with pytest.raises(StudioError, match="at least one item"):
        finish(reported(starter, replace(wish, items=[])))


def test_a_page_is_written_while_it_is_made_and_keeps_no_pictures(
    wish: Wish, page: str, starter: Encoder, tmp_path: Path,
) -> None:
    target = tmp_path / "page.html"
    kept = finish(written_page(reported(starter, wish), target))
    made, expected = (re.sub(r"<td>[\d-]+ [\d:]+ .*?</td>", "", text) for text in (target.read_text(), page))
    assert made == expected  # but for the time
    assert [entry.item.id for entry in kept.entries] == [1, 2, 3, 4, 5, 6]
    assert not any(entry.plain or entry.heat or entry.passage or entry.neighbours for entry in kept.entries)


def test_a_page_that_is_left_half_way_is_not_there(wish: Wish, starter: Encoder, tmp_path: Path) -> None:
    target = tmp_path / "page.html"
    target.write_text("before")
    work = written_page(reported(starter, wish), target)
    for _ in range(3):
        next(work)
    work.close()
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    assert target.read_text() == "before"


def test_a_name_that_is_no_text_is_shown_with_its_bytes(wish: Wish, starter: Encoder) -> None:
    item = replace(wish.items[0], path=Path("bad \udcff.png"))
    page = to_html(whole(starter, replace(wish, items=[item])))
    assert "bad \\udcff.png" in page
    assert page.encode()
