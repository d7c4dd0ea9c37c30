"""A report as one page of HTML that holds all it shows, runs nothing and loads nothing. It can be printed.

``head_html`` and ``entry_html`` keep to what simple renderers of rich text know too, such as those that make a PDF.
"""

from __future__ import annotations

import io
import math
from base64 import b64encode
from functools import cache
from html import escape

from mmstudio.explain.overlay import behind_words, colour_table
from mmstudio.explain.report import Entry, Piece, Report, Shot
from mmstudio.explain.trust import RANDOM, TRUSTED
from mmstudio.library import Item
from mmstudio.media import Modality

KINDS: dict[Modality, str] = {"image": "picture", "audio": "sound", "text": "text"}
WIDTH, LARGE, SMALL, TINY = 336, 222, 108, 40
"""Pixels that a wide picture takes where no style sheet says otherwise; a higher one, it again beside that; and the
longer side of a neighbour.
"""
_UNSEEN = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127), "\ufffd")
"""Control characters, which a page may not hold."""

STYLE = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #ffffff; --line: #d5d9e0; --text: #1c2026;
  --faint: #5f6672; --good: #1a7f4b; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #1b1d21; --card: #25282e; --line: #363a42; --text: #e7e9ed;
  --faint: #9ba1ac; --good: #5cc489; --bad: #f2777a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px 16px; max-width: 1040px; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
h1 { font-size: 24px; margin: 0 0 16px; } h2 { font-size: 17px; margin: 0 0 12px; }
header, .item { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px;
  margin-bottom: 16px; }
table { border-collapse: collapse; width: 100%; }
td, th { vertical-align: top; text-align: left; padding: 2px 0; }
th { width: 144px; padding-right: 16px; font-weight: 400; color: var(--faint); }
td.face { width: 48%; padding-right: 24px; }
.face p, .facts p { margin: 0 0 8px; }
.face img { vertical-align: top; height: auto; border-radius: 4px; }
.facts img.tiny { vertical-align: middle; border-radius: 3px; margin: 1px 4px 1px 0; }
.wide { width: 100%; } .large { width: 66%; } .small { width: 32%; }
audio { width: 100%; height: 36px; }
.passage { background: #ffffff; color: #111111; border: 1px solid var(--line); border-radius: 4px; padding: 12px;
  line-height: 1.9; white-space: pre-wrap; }
.word { color: #111111; border-radius: 3px; padding: 2px 0; }
.scale { width: 200px; height: 12px; vertical-align: middle; border-radius: 2px; }
.faint { color: var(--faint); } .good { color: var(--good); } .bad, .missing { color: var(--bad); }
@media (max-width: 720px) { .card > tbody > tr > td { display: block; width: auto; padding-right: 0; } }
@page { margin: 15mm; }
@media print { :root { --page: #ffffff; --card: #ffffff; --line: #d5d9e0; --text: #000000; --faint: #444444;
  --good: #1a7f4b; --bad: #b3261e; } body { padding: 0; font-size: 12px; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; } .item, header { break-inside: avoid; } audio { display: none; } }
"""


END = "</main></body></html>\n"
"""Of the page, after its last section."""


def beginning(report: Report) -> str:
    """The page up to its first section."""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; media-src data:; \
style-src 'unsafe-inline'">
<title>{shown(report.title)}</title><style>{STYLE}</style></head><body>
<header>{head_html(report)}</header>
<main>
"""


def section(entry: Entry) -> str:
    """The page's part that one item takes."""
    return f'<section class="item">{entry_html(entry)}</section>\n'


def page_html(told: object) -> str:
    """What a step of ``reported`` tells, for a page of its own; empty where that is no part of the report."""
    if isinstance(told, Report):
        return head_html(told)
    return entry_html(told) if isinstance(told, Entry) else ""


def head_html(report: Report) -> str:
    """What the report is about and how it is read."""
    query = f"nearness to “{shown(report.query)}”" if report.query else "what carries each item's own vector"
    tests = (f"✓ where taking away what an explanation calls relevant changes the score by at least {TRUSTED:g} "
             f"standard deviations more than {RANDOM} random maps of the same texture do, and a model that knows "
             "nothing gives another map; else ✗." if report.tests else "The explanations were not tested.")
    scale = _picture(_scale(), 200, 12, "from dark over red and yellow to white", "scale")
    rows = [
        ("Model", shown(f"{report.model} · revision {report.revision}" if report.revision else report.model)),
        ("Explained", query), ("Method", f"{shown(report.method.title)}. {shown(report.method.text)}"),
        ("Tested", tests), ("Items", f"{report.count:,}"),
        ("Made", report.made.strftime("%Y-%m-%d %H:%M %Z").strip()),
        ("Colours", f"least {scale} most relevant, drawn over a picture or the spectrogram of a sound (time runs to "
                    "the right, low notes lie below)"),
        ("Words", f"{_words(_STEPS)} relevant of their text"),
    ]
    return (f"<h1>{shown(report.title)}</h1>{_table(rows)}"
            '<p class="faint">Made on this computer. Nothing was sent anywhere, and this report loads nothing from '
            "elsewhere. A colour is relative to its own item: the numbers beside it say how much it is.</p>")


_STEPS = tuple(Piece(word, share, share) for word, share in ((" least ", 0.0), (" less ", 0.33), (" more ", 0.67),
                                                           (" most ", 1.0)))


def entry_html(entry: Entry) -> str:
    """One item: its face, and beside it all that is known."""
    return (f'<h2><bdi>{shown(entry.item.title)}</bdi></h2><table class="card" width="100%" role="presentation">'
            f'<tr><td class="face" width="53%">{_face(entry)}</td><td class="facts">{_facts(entry)}</td></tr></table>')


def _face(entry: Entry) -> str:
    name, parts = shown(entry.item.title), []
    if entry.passage:
        parts.append(f'<div class="passage">{_words(entry.passage)}</div>')
    if entry.plain is not None:
        parts.append(f"<p>{_shots(entry.plain, entry.heat, name)}</p>")
    kind, sound = entry.sound
    if sound:
        parts.append(f'<p><audio controls src="{_address(kind, sound)}"></audio></p>')
    parts += [f'<p class="missing">{shown(note)}</p>' for note in entry.notes]
    return "".join(parts)


def _facts(entry: Entry) -> str:
    item, rows = entry.item, _own_facts(entry.item)
    if entry.samples:
        rows.append(("In samples", shown(", ".join(entry.samples))))
    if entry.score is not None:
        rows.append(("Score", f"cosine {entry.score:.3f}"))
    if entry.found is not None:
        found = f"{shown(entry.found.title)}, {_from_to(*entry.span)} {shown(entry.found.unit)}"
        rows.append(("Explanation", found))
    if entry.verdict is not None:
        told = "good" if entry.verdict.trusted else "bad"
        rows.append(("Is it true?", f'<span class="{told}">{entry.verdict.badge.format(entry.verdict.effect)}</span>'))
    if entry.pointing is not None:
        told = "good" if entry.pointing.hit else "bad"
        text = shown(entry.pointing.text.format(*entry.pointing.values))
        rows.append(("Known boxes", f'<span class="{told}">{text}</span>'))
    return _table([("Kind", KINDS[item.modality]), *rows, *_near(entry)])


def _near(entry: Entry) -> list[tuple[str, str]]:
    """A row for each modality that has neighbours."""
    lines: dict[Modality, list[str]] = {}
    for near in entry.neighbours:
        name = shown(near.item.title)
        face = "" if near.face is None else _shot(near.face, name, "tiny", TINY * near.face.width // max(
            near.face.width, near.face.height)) + " "
        lines.setdefault(near.item.modality, []).append(f"{face}{near.score:.3f} <bdi>{name}</bdi>")
    return [(f"Nearest {KINDS[modality]}s", "<br>".join(found)) for modality, found in lines.items()]


def _from_to(low: float, high: float) -> str:
    """Both ends of a range with three digits of the larger."""
    largest = max(abs(low), abs(high))
    places = max(0, 2 - math.floor(math.log10(largest))) if largest else 0
    return f"{low:.{places}f} … {high:.{places}f}"


def _own_facts(item: Item) -> list[tuple[str, str]]:
    facts, name = item.facts, f"{item.path.name} · {item.part}" if item.part else item.path.name
    rows = [("File", f"<bdi>{shown(name)}</bdi>")]
    if "width" in facts and "height" in facts:
        rows.append(("Size", f"{facts['width']:,.0f} × {facts['height']:,.0f} pixels"))
    if "duration_s" in facts:
        rows.append(("Length", f"{facts['duration_s']:,.2f} s"))
    if item.tags:
        rows.append(("Tags", shown(", ".join(item.tags))))
    return [*rows, *((shown(name), shown(str(value))) for name, value in item.columns.items())]


def _table(rows: list[tuple[str, str]]) -> str:
    """Names and what belongs to them, both as HTML."""
    return "<table>" + "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in rows) + "</table>"


def _words(pieces: tuple[Piece, ...]) -> str:
    return "".join(shown(piece.text) if piece.weight is None else _word(piece) for piece in pieces)


def _word(piece: Piece) -> str:
    red, green, blue = behind_words(piece.share)
    return (f'<span class="word" style="background-color:#{red:02x}{green:02x}{blue:02x}" '
            f'title="{piece.weight:.4g}">{shown(piece.text)}</span>')


def _shots(plain: Shot, heat: Shot | None, name: str) -> str:
    """The item with the heat over it, and as it is: below each other where they are wide, else beside each other."""
    wide = plain.width > 2 * plain.height
    large, small, between = (("wide", WIDTH), ("wide", WIDTH), "</p><p>") if wide else (
        ("large", LARGE), ("small", SMALL), " ")
    if heat is None:
        return _shot(plain, name, *large)
    return _shot(heat, f"{name}, relevance drawn over it", *large) + between + _shot(plain, name, *small)


def _shot(shot: Shot, name: str, kind: str, width: int) -> str:
    return _picture(("image/jpeg", shot.jpeg), width, max(1, round(width * shot.height / shot.width)), name, kind)


def _picture(found: tuple[str, bytes], width: int, height: int, name: str, kind: str) -> str:
    return f'<img class="{kind}" src="{_address(*found)}" width="{width}" height="{height}" alt="{name}">'


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"


@cache
def _scale() -> tuple[str, bytes]:
    """The colour map as a strip."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(colour_table()[None]).save(out, "PNG")
    return "image/png", out.getvalue()


def shown(text: str) -> str:
    """A text of a file or a person as HTML that shows just it, whatever marks are in it."""
    return escape(text.encode("utf-8", "backslashreplace").decode().translate(_UNSEEN))
