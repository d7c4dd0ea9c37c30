"""Reports of a selection, from the window: what is asked, what is written, and what is left when it cannot be."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from mmstudio.desktop.pages import Pages
from mmstudio.desktop.reporting import ReportDialog
from mmstudio.desktop.why.score import ScorePage
from mmstudio.desktop.window import MainWindow
from mmstudio.encoders import Encoder
from mmstudio.errors import StudioError

EVIL = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def filled(
    window: MainWindow, make_picture: Callable[..., Path], make_sound: Callable[..., Path], tmp_path: Path,
    starter: Encoder, use: Callable[[Encoder], None], settled: Callable[[], None], qtbot: QtBot,
) -> MainWindow:
    """The window with two pictures, a sound and a text that have vectors, all selected."""
    make_picture(f"media/{EVIL}", "red")
    make_picture("media/blue.png", "blue")
    make_sound("media/tone.wav")
    (tmp_path / "media" / "words.txt").write_text("a red circle", encoding="utf-8")
    window.session.add([tmp_path / "media"])
    qtbot.waitUntil(lambda: len(window.session.items) == 4 and not window.session.jobs.running)
    use(starter)
    settled()
    window.session.select(window.session.items)
    return window


def dialog(window: MainWindow, tests: bool = False) -> ReportDialog:
    window.actions_.by_id["report"].trigger()
    found = window.findChild(ReportDialog)
    assert found is not None
    found.tests.setChecked(tests)
    return found


def ended(window: MainWindow, qtbot: QtBot) -> str:
    qtbot.waitUntil(lambda: not window.session.jobs.running)
    qtbot.waitUntil(lambda: bool(window.session.jobs.all[-1].outcome or window.session.jobs.all[-1].error))
    return window.session.jobs.all[-1].line()


def pages_of(pdf: bytes) -> list[str]:
    """The text of each page of a PDF as Qt writes it: two bytes a glyph, which the font's table turns into letters."""
    objects = {int(number): body for number, body in re.findall(rb"(\d+) 0 obj\s(.*?)endobj", pdf, re.DOTALL)}

    def named(body: bytes, name: bytes) -> int:
        found = re.search(rb"/" + name + rb" (\d+) 0 R", body)
        assert found is not None
        return int(found[1])

    def letters(font: int) -> dict[str, str]:
        table = objects[named(objects[font], b"ToUnicode")].decode("latin-1")
        found: dict[str, str] = {}
        for first, listed in re.findall(r"<(\w{4})> <\w{4}> \[(.*?)\]", table, re.DOTALL):
            for at, code in enumerate(re.findall(r"<(\w+)>", listed)):
                found[f"{int(first, 16) + at:04x}"] = bytes.fromhex(code).decode("utf-16-be")
        return found

    out = []
    for body in objects.values():
        if not re.search(rb"/Type /Page\s", body):
            continue
        fonts = {name.decode(): letters(int(number)) for name, number in re.findall(
            rb"/(F\d+) (\d+) 0 R", objects[named(body, b"Resources")])}
        packed = re.search(rb"stream\n(.*?)\nendstream", objects[named(body, b"Contents")], re.DOTALL)
        assert packed is not None
        text, font = "", ""
        for name, glyphs in re.findall(r"/(F\d+) [\d.]+ Tf|<(\w+)> Tj", zlib.decompress(packed[1]).decode("latin-1")):
            font = name or font
            text += "".join(fonts[font].get(glyphs[at : at + 4].lower(), "") for at in range(0, len(glyphs), 4))
        out.append(text.replace("\t", " "))  # one glyph of the font is for both
    return out


def test_the_command_is_there_where_something_is_selected(filled: MainWindow) -> None:
    action = filled.actions_.by_id["report"]
    assert action.isEnabled()
    assert any(action in menu.menu().actions() and filled.actions_.by_id["export"] in menu.menu().actions()
               for menu in filled.menuBar().actions())
    filled.session.select([])
    assert not action.isEnabled()


def test_a_page_explains_the_nearness_to_what_was_searched_for(
    filled: MainWindow, tmp_path: Path, qtbot: QtBot,
) -> None:
    session = filled.session
    with qtbot.waitSignal(session.answered):
        session.asking.ask_words("a red circle")
    asked = dialog(filled)
    assert asked.query.text() == "a red circle"
    assert asked.method.currentText() == "Similarity of parts"
    asked.start(tmp_path / "out.html")
    assert ended(filled, qtbot) == "4 items → out.html"
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert page.count('<section class="item">') == 4
    assert "&lt;img src=x onerror=alert(1)&gt;.png" in page
    assert EVIL not in page
    assert session.answer is not None
    for hits in session.answer.hits.values():
        for hit in hits:
            assert f"cosine {hit.score:.3f}" in page
    assert "not tested" in page


def test_a_pdf_holds_every_item_as_text_on_numbered_pages(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    asked = dialog(filled)
    asked.query.setText("a red circle")
    asked.start(tmp_path / "out.pdf")
    assert ended(filled, qtbot) == "4 items → out.pdf"
    assert [job.title for job in filled.session.jobs.all].count("Report") == 1
    pages = pages_of((tmp_path / "out.pdf").read_bytes())
    assert len(pages) >= 2
    assert [text[:6] for text in pages] == [f"Page {number}" for number in range(1, len(pages) + 1)]
    whole = "".join(pages)
    for name in (EVIL, "blue.png", "tone.wav", "words.txt"):
        assert name in whole
    assert "Nothing was sent anywhere" in whole
    assert whole.count("cosine") >= 4


def test_a_sample_that_is_selected_gives_its_items(filled: MainWindow, tmp_path: Path, qtbot: QtBot) -> None:
    session = filled.session
    with qtbot.waitSignal(session.samplesChanged):
        session.group(list(session.items)[:2], "pair")
    qtbot.waitUntil(lambda: len(session.selection.items) == 0)
    dialog(filled).start(tmp_path / "out.html")
    assert ended(filled, qtbot) == "2 items → out.html"
    assert (tmp_path / "out.html").read_text(encoding="utf-8").count("<td>pair</td>") == 2


def test_a_file_that_is_gone_is_told_and_the_rest_is_written(
    filled: MainWindow, tmp_path: Path, qtbot: QtBot,
) -> None:
    (tmp_path / "media" / "blue.png").unlink()
    dialog(filled).start(tmp_path / "out.html")
    assert ended(filled, qtbot) == "4 items → out.html"
    assert filled.session.jobs.all[-1].problems == [(tmp_path / "media" / "blue.png", "The file is missing.")]
    page = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert page.count("The file is missing.") == 1
    assert page.count('class="small"') == 1  # the other picture, and no more


@pytest.mark.parametrize("suffix", [".html", ".pdf"])
def test_cancelled_it_leaves_the_file_as_it_was(
    filled: MainWindow, tmp_path: Path, qtbot: QtBot, suffix: str,
) -> None:
    target = tmp_path / "out" / f"out{suffix}"
    target.parent.mkdir()
    target.write_bytes(b"before")
    dialog(filled, tests=True).start(target)
    job = filled.session.jobs.all[-1]
    qtbot.waitUntil(lambda: job.progress.total == 4)
    job.cancel()
    with qtbot.waitSignal(filled.session.explained):  # the models' lane is past the job's end when it answers
        filled.session.focus(next(iter(filled.session.items)))
    qtbot.waitUntil(lambda: not filled.session.jobs.running)
    assert [(file.name, file.read_bytes()) for file in target.parent.iterdir()] == [(target.name, b"before")]


@pytest.mark.parametrize("suffix", [".html", ".pdf"])
def test_a_place_that_cannot_be_written_is_told_before_any_work(
    filled: MainWindow, tmp_path: Path, qtbot: QtBot, suffix: str,
) -> None:
    told: list[StudioError] = []
    filled.session.failed.connect(told.append)
    dialog(filled).start(tmp_path / "no such folder" / f"out{suffix}")
    assert "There is no folder" in ended(filled, qtbot)
    assert filled.session.jobs.all[-1].progress.done == 0
    assert len(told) == 1
    assert filled.banner.isVisible()


def test_the_question_is_that_of_the_why_page_where_nothing_was_searched_for(
    filled: MainWindow, make_picture: Callable[..., Path], tmp_path: Path, qtbot: QtBot,
) -> None:
    filled._why("score")
    page = filled.findChild(ScorePage)
    assert page is not None
    page.words.setText("a bell")
    asked = dialog(filled)
    assert asked.query.text() == "a bell"
    asked.compare_with(make_picture("query.png", "red"))
    filled.session.select(list(filled.session.items)[:1])
    asked.start(tmp_path / "out.html")
    ended(filled, qtbot)
    assert "nearness to “query.png”" in (tmp_path / "out.html").read_text(encoding="utf-8")


def test_a_piece_longer_than_a_page_loses_no_line(qtbot: QtBot) -> None:
    pages = Pages("long")
    pages.add("<p>before</p>")
    pages.add("".join(f"<p>line{number:03}</p>" for number in range(100)))
    pages.add("<p>after</p>")
    found = pages_of(pages.end())
    assert len(found) == pages.count
    whole = "".join(found)
    assert [int(number) for number in re.findall(r"line(\d{3})", whole)] == list(range(100))
    assert whole.index("before") < whole.index("line000") < whole.index("line099") < whole.index("after")
