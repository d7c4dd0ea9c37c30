"""What the starter model was not made for, seen in what was added: photographs, recordings, recorded speech."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mmstudio.encoders.registry import ModelCard, catalog
from mmstudio.errors import StudioError
from mmstudio.library import Item
from mmstudio.media import Limits, Modality, load
from mmstudio.media.recorded import recorded

LOOKED_AT = 12
"""Items of each modality, spread over all that were added."""
ENOUGH: dict[Modality, float] = {"image": 0.25, "audio": 0.5}
"""The share of them that must seem so: of a sound it is less sure."""


def fitting(added: Sequence[Item], limits: Limits) -> ModelCard | None:
    """The catalogue's first choice for what was added, if the starter is none. Decodes a few of them."""
    kind = next(filter(None, (_kind(added, modality, limits) for modality in ENOUGH)), "")
    return next((card for card in catalog() if kind and card.first_choice_for == kind), None)


def _kind(added: Sequence[Item], modality: Modality, limits: Limits) -> str:
    those = [item for item in added if item.modality == modality]
    some = those[:: max(1, -(-len(those) // LOOKED_AT))]
    kinds = Counter(filter(None, (_recorded(item, limits) for item in some)))
    return kinds.most_common(1)[0][0] if kinds and kinds.total() >= ENOUGH[modality] * len(some) else ""


def _recorded(item: Item, limits: Limits) -> str:
    try:
        return recorded(load(item.ref, limits), int(item.facts.get("rate_hz", 0)))
    except StudioError:  # moved or damaged since: told where it is shown
        return ""
