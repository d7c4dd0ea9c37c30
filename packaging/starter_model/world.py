"""The world the starter model learns: its concepts, their names, and the sentences made from them.

Concepts are single-code-point emoji (names and keywords from the Unicode CLDR, cut to glyphs that Noto Color
Emoji has), coloured shapes, and handwritten digits. Everything here is deterministic: the order of `concepts()`
is the order of every bank and label in the other scripts.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

CLDR_EN = Path("/usr/share/unicode/cldr/common/annotations/en.xml")  # Debian package unicode-cldr-core
EMOJI_FONT = Path("/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")  # Debian package fonts-noto-color-emoji
WORDNET = Path("/usr/share/wordnet")  # Debian package wordnet-base: glosses, a text source for distillation
WORDS = Path("/usr/share/dict/american-english")  # Debian package wamerican

COLOURS = {
    "red": (214, 40, 40), "green": (46, 158, 62), "blue": (40, 84, 214), "yellow": (245, 214, 40),
    "orange": (245, 138, 30), "purple": (132, 52, 170), "pink": (245, 140, 185), "brown": (124, 76, 40),
    "black": (28, 28, 28),
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "pentagon", "hexagon", "cross", "ring", "arrow")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Emoji of one code point that are near-copies of each other at 64 pixels, or signs nobody names.
_DROPPED_NAMES = re.compile(
    r"o.clock|thirty$|regional indicator|square(d)? (cjk|ideograph|katakana|id\b)|japanese .* button|skin tone|"
    r"(large|small|medium|medium-small) (black|white|blue|orange) (square|diamond)|^(black|white) (large|medium|small)"
    r"|white (large|medium|small)|hair component|^(red|curly|white) hair$|^bald$"
)
HELD_OUT_SHARE = 0.05  # of the emoji: never drawn in training, used to measure zero-shot
UNSPOKEN_SHARE = 0.04  # of the emoji: never said in training, likewise


@dataclass(frozen=True)
class Concept:
    """One thing the model can name: `glyph` is the emoji, or "" for shapes and digits."""

    name: str
    kind: str  # emoji | shape | digit
    glyph: str
    keywords: tuple[str, ...]

    @property
    def held_out(self) -> bool:
        """Whether this concept's picture is kept from training (decided by its name alone)."""
        return self.kind == "emoji" and _fraction(self.name) < HELD_OUT_SHARE

    @property
    def unspoken(self) -> bool:
        """Whether this concept's name is kept from the speech that training hears."""
        return self.kind == "emoji" and _fraction("spoken " + self.name) < UNSPOKEN_SHARE


def _fraction(text: str) -> float:
    """A fixed pseudo-random number in [0, 1) for a text, the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48


def _spoken_name(name: str) -> str:
    """CLDR writes 'flag: Japan' or 'T-Rex'; keep what a person would say."""
    return re.sub(r"\s+", " ", re.sub(r"[:“”’!,()]", " ", name.replace("’", "'"))).strip().lower()


@cache
def _emoji() -> list[Concept]:
    """Emoji of one code point that the font draws, named by CLDR."""
    from fontTools.ttLib import TTFont

    drawn = TTFont(EMOJI_FONT).getBestCmap()
    names: dict[str, str] = {}
    keywords: dict[str, str] = {}
    for node in ElementTree.parse(CLDR_EN).iter("annotation"):
        into = names if node.get("type") == "tts" else keywords
        into[node.get("cp", "")] = node.text or ""
    found: dict[str, Concept] = {}
    for glyph, cldr_name in names.items():
        if len(glyph) != 1 or ord(glyph) not in drawn or ord(glyph) < 0x203C or glyph in "←→↑↓":
            continue
        name = _spoken_name(cldr_name)
        if _DROPPED_NAMES.search(name) or unicodedata.category(glyph) == "Mn" or not name.isascii() or name in found:
            continue
        words = tuple(w for w in (_spoken_name(k) for k in keywords.get(glyph, "").split("|")) if w and w != name)
        found[name] = Concept(name, "emoji", glyph, tuple(w for w in words if w.isascii()))
    return list(found.values())


@cache
def concepts() -> tuple[Concept, ...]:
    """All concepts in their fixed order: emoji, then colour-shapes, then digits."""
    shapes = [Concept(f"{colour} {shape}", "shape", "", (shape, colour)) for colour in COLOURS for shape in SHAPES]
    digits = [Concept(f"digit {word}", "digit", "", (word, str(i))) for i, word in enumerate(DIGITS)]
    drawn = {c.name for c in shapes + digits}
    return (*(c for c in _emoji() if c.name not in drawn), *shapes, *digits)


def article(name: str) -> str:
    """'dog' -> 'a dog', 'apple' -> 'an apple', 'trousers' -> 'trousers'."""
    first = name.split()[0]
    if (name.endswith("s") and not name.endswith(("ss", "us", "is"))) or first in ("two", "three", "digit"):
        return name
    return f"{'an' if first[0] in 'aeiou' else 'a'} {name}"


_SINGLE = (
    "{a}", "a picture of {a}", "a drawing of {a}", "this is {a}", "there is {a} here", "I can see {a}",
    "{a} on a plain background", "a small picture of {a}", "one {n}", "the {n}", "a photo of {a}", "look, {a}",
    "{n} icon", "an image of {a}", "my {n}",
)  # fmt: skip
_PAIR = (
    "{a} and {b}", "{a} next to {b}", "{a} beside {b}", "a picture of {a} and {b}", "{a} with {b}", "{a} near {b}",
    "{a} above {b}", "{a} to the left of {b}", "there is {a} and {b}", "{a} together with {b}",
)  # fmt: skip
_TRIPLE = ("{a}, {b} and {c}", "a picture of {a}, {b} and {c}", "{a} with {b} and {c}", "{a} next to {b} and {c}")


def caption(names: list[str] | tuple[str, ...], rng: Random) -> str:
    """A sentence that mentions one, two or three concepts by name."""
    templates = (_SINGLE, _PAIR, _TRIPLE)[len(names) - 1]
    filled = dict(zip("abc", map(article, names), strict=False))
    return rng.choice(templates).format(n=names[0], **filled)


def _wordnet_glosses() -> list[str]:
    """Definitions and example sentences, from WordNet's data files (format: wndb(5WN))."""
    glosses: list[str] = []
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"data.{part}").read_text(encoding="utf-8", errors="ignore").splitlines():
            if line[:2] != "  " and "| " in line:
                glosses += [g.strip(' "') for g in line.split("| ", 1)[1].split(";")]
    return [g for g in glosses if 2 <= len(g.split()) <= 14]


def _wordnet_terms() -> list[str]:
    """Words and collocations ('fire_engine' -> 'fire engine')."""
    terms: set[str] = set()
    for part in ("noun", "verb", "adj", "adv"):
        for line in (WORDNET / f"index.{part}").read_text(encoding="utf-8", errors="ignore").splitlines():
            if line[:2] != "  ":
                terms.add(line.split(" ", 1)[0].replace("_", " "))
    return sorted(t for t in terms if re.fullmatch(r"[a-z][a-z' -]+", t))


def dictionary_words() -> list[str]:
    """Lower-case English words without possessives."""
    return sorted({w for w in WORDS.read_text(encoding="utf-8").split() if re.fullmatch(r"[a-z]{3,}", w)})


def is_unseen_word(word: str) -> bool:
    """2 % of the dictionary: no training text is such a word alone (a gloss may hold it)."""
    return _fraction("word " + word) < 0.02


def concept_texts(rng: Random, singles: int, scenes: int) -> list[str]:
    """Names, keywords, and captions of one to three concepts."""
    names = [c.name for c in concepts()]
    keywords = sorted({k for c in concepts() for k in c.keywords})
    texts = names + keywords
    texts += [caption([rng.choice(names)], rng) for _ in range(singles)]
    texts += [caption(rng.sample(names, rng.choice((2, 2, 3))), rng) for _ in range(scenes)]
    return texts


def training_texts(seed: int = 1) -> list[str]:
    """The distillation corpus, about 120 k texts, without the words held out by `is_unseen_word`."""
    rng = Random(seed)
    glosses = rng.sample(_wordnet_glosses(), 24_000)
    terms = [t for t in rng.sample(_wordnet_terms(), 24_000) if not (" " not in t and is_unseen_word(t))]
    words = [w for w in dictionary_words() if not is_unseen_word(w)]
    texts = concept_texts(rng, 14_000, 14_000) + glosses + terms + words
    return list(dict.fromkeys(texts))


def validation_texts(seed: int = 99) -> dict[str, list[str]]:
    """Texts by kind that training never saw: templates, scenes, and single words."""
    rng, seen = Random(seed), set(training_texts())
    names = [c.name for c in concepts()]
    single = [caption([rng.choice(names)], rng) for _ in range(1200)]
    scene = [caption(rng.sample(names, rng.choice((2, 2, 3))), rng) for _ in range(600)]
    words = rng.sample([w for w in dictionary_words() if is_unseen_word(w) and w not in seen], 600)
    unseen = [t for t in dict.fromkeys(single + scene) if t not in seen]
    return {"templates and scenes": unseen, "unseen words": words}
