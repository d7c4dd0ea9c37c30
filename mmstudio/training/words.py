"""Texts as words of a vocabulary that a run makes for itself."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

PAD, UNKNOWN, END, START = range(4)
MARKS = 4
"""A word's number is its place in the vocabulary behind these."""
MOST_WORDS, MOST_TOKENS = 8000, 32
"""Of a vocabulary, and of a caption with its end."""
_WORD = re.compile(r"\w+|[^\w\s]")


def split(text: str) -> list[str]:
    """Words and marks, in lower case."""
    return _WORD.findall(text.lower())


def vocabulary(texts: Iterable[str]) -> tuple[str, ...]:
    """The words of the texts, frequent ones first."""
    counts = Counter(word for text in texts for word in split(text))
    return tuple(word for word, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_WORDS])


def numbers(text: str, places: dict[str, int], most: int) -> list[int]:
    """A text's words by their places in the vocabulary, at most ``most``."""
    return [places[word] + MARKS if word in places else UNKNOWN for word in split(text)[:most]]


def text(numbers: Iterable[int], words: Sequence[str]) -> str:
    """Numbers up to the end as words."""
    made = []
    for number in numbers:
        if number in (END, PAD):
            break
        made.append(words[number - MARKS] if number >= MARKS else "…")
    return " ".join(made)
