"""Changes to a text. Words are what stands between white space, which stays as it is; a text in a script without
spaces is one word.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import numpy as np

FREQUENT = """
a about above after again all am an and any are as at be because been before being below between both but by can could
did do does doing down during each few for from further had has have having he her here hers him his how i if in into
is it its just me more most my of off on once only or other our out over own same she should so some such than that the
their them then there these they this those through to too under until up very was we were what when where which while
who whom why will with would you your
"""
STOP_WORDS = frozenset(FREQUENT.split())
"""English function words, a short list of the kind that text retrieval leaves out; without no, nor and not, which turn
what is said around.
"""
MASK = "…"


def drop_stop_words(text: str, share: float, seed: int = 0) -> str:
    """Without a ``share`` of its English stop words (punctuation at them goes with them); 0 is the text. Nothing may
    be left.
    """
    words = text.split()
    found = [at for at, word in enumerate(words) if word.strip(".,;:!?'\"()").lower() in STOP_WORDS]
    dropped = {found[at] for at in _chosen(len(found), share, seed)}
    kept = _rewritten(text, dict.fromkeys(dropped, ""))
    return kept.rstrip() if len(words) - 1 in dropped else kept


def shuffle(text: str, share: float, seed: int = 0) -> str:
    """A ``share`` of its words, at least two, goes round in a ring; 0 is the text, and so is a single word."""
    words = text.split()
    places = _chosen(len(words), max(share, 2 / max(2, len(words))) if share else 0, seed)
    return _rewritten(text, {to: words[at] for at, to in zip(places, [*places[1:], *places[:1]], strict=True)})


def mask(text: str, share: float, seed: int = 0) -> str:
    """A ``share`` of its words replaced by MASK; 0 is the text."""
    return _rewritten(text, dict.fromkeys(_chosen(len(text.split()), share, seed), MASK))


def lower_case(text: str, strength: float, seed: int = 0) -> str:
    """Small letters from a half on; 0 is the text."""
    return text.lower() if strength >= 0.5 else text


def _chosen(count: int, share: float, seed: int) -> list[int]:
    """A ``share`` of ``range(count)`` in an order drawn by ``seed``: a greater share begins with the smaller one."""
    return [int(at) for at in np.random.default_rng(seed).permutation(count)[: round(share * count)]]


def _rewritten(text: str, words: Mapping[int, str]) -> str:
    """The text with some words replaced by their number; one replaced by nothing takes the space after it along."""
    number = itertools.count()

    def word(match: re.Match[str]) -> str:
        new = words.get(next(number), match[1])
        return new + match[2] if new else ""
    return re.sub(r"(\S+)(\s*)", word, text)
