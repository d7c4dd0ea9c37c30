"""Ways to tell which parts of an item carry its nearness to a target, behind one interface.

One table: what a menu and the command line are made from. The quick ones come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmstudio.encoders.base import Encoder, Vectors
from mmstudio.errors import AttentionUnavailable, StudioError
from mmstudio.explain import gradients, leaving_out, maps
from mmstudio.explain.maps import RelevanceMap
from mmstudio.explain.subject import Subject
from mmstudio.media import Media, Modality
from mmstudio.progress import Progress, Work

Needs = Literal["tokens", "attention", "gradients", "nothing"]


@dataclass(frozen=True)
class Method:
    """``run`` is long work whose steps' ``fresh`` is the map so far. ``needs`` says what an encoder must show of itself
    beyond vectors; ``signed`` whether negative relevance speaks against the target; ``text`` is one sentence for a
    person. Each raises AttentionUnavailable where an encoder does not show what it needs.
    """

    name: str
    title: str
    needs: Needs
    quick: bool
    signed: bool
    text: str
    run: Callable[[Subject], Work[RelevanceMap]]


def _at_once(make: Callable[[Subject], RelevanceMap]) -> Callable[[Subject], Work[RelevanceMap]]:
    def run(subject: Subject) -> Work[RelevanceMap]:
        return make(subject)
        yield
    return run


def _last_attention(subject: Subject) -> RelevanceMap:
    found = subject.explanation
    return maps.attention_map(found, len(found.attention) - 1, query=found.pooling_query)


METHODS: tuple[Method, ...] = (
    Method("similarity", "Similarity of parts", "tokens", True, True,
           "The cosine of each part's own vector with the target.",
           _at_once(lambda s: maps.similarity_map(s.explanation, s.target))),
    Method("attention", "Attention of the last layer", "attention", True, False,
           "What the last layer looks at. It does not know the target.", _at_once(_last_attention)),
    Method("rollout", "Attention rollout", "attention", True, False,
           "What all layers together look at. It does not know the target.",
           _at_once(lambda s: maps.rollout_map(s.explanation))),
    Method("chefer", "Gradient-weighted attention", "gradients", True, False,
           "Attention through all layers, as far as it speaks for the target.", gradients.chefer),
    Method("grad-input", "Gradient × input", "gradients", True, True,
           "How the score would change if a part grew a little stronger.", gradients.grad_input),
    Method("grad-cam", "Grad-CAM", "gradients", True, False,
           "Where the features that speak for the target are.", gradients.grad_cam),
    Method("integrated-gradients", "Integrated gradients", "gradients", False, True,
           "What each part adds on the way from nothing to the item; the parts sum to the score gained.",
           gradients.integrated_gradients),
    Method("smooth-grad", "SmoothGrad", "gradients", False, True,
           "Gradient × input, calmed by the mean over random noise.", gradients.smooth_grad),
    Method("occlusion", "Occlusion", "nothing", False, True,
           "How far the score falls when a window hides a part.", leaving_out.occlusion),
    Method("kernel-shap", "KernelSHAP", "nothing", False, True,
           "What each region adds, on the mean of all orders; the regions sum to the score gained.",
           leaving_out.kernel_shap),
    Method("rise", "RISE", "nothing", False, True,
           "Which parts are there when the score is high, over 1,000 random masks.", leaving_out.rise),
)

TRIAL = "grad-input"
"""The quick method that needs what the slow ones with gradients need."""


def named(name: str) -> Method:
    """The method of that name. Raises StudioError."""
    for method in METHODS:
        if method.name == name:
            return method
    raise StudioError(f"There is no method named “{name}”.", hint=f"There are: {', '.join(m.name for m in METHODS)}.")


def relevance(name: str, encoder: Encoder, media: Media, modality: Modality, target: Vectors) -> Work[RelevanceMap]:
    """The relevance of an item's positions for its cosine with ``target (dim,)``. Raises StudioError for a method that
    is not there, AttentionUnavailable where the encoder does not show what it needs, SpaceMismatch.
    """
    subject = Subject(encoder, media, modality, np.asarray(target, np.float32))
    return (yield from named(name).run(subject))


def refusals(subject: Subject) -> Work[dict[str, str]]:
    """Why methods cannot explain such an item, by their names: those that are missing can. What needs gradients is
    known only when it is tried, so of those methods the quick ones are.
    """
    out = dict[str, str]()
    for done, method in enumerate(METHODS):
        if method.quick:
            try:
                yield from method.run(subject)
            except AttentionUnavailable as error:
                out[method.name] = str(error)
        elif method.needs == "gradients" and TRIAL in out:
            out[method.name] = out[TRIAL]
        yield Progress(done + 1, len(METHODS))
    return out


def offered(encoder: Encoder) -> list[Method]:
    """The methods that an encoder may allow: those that need gradients only where it gives them."""
    return [m for m in METHODS if m.needs != "gradients" or hasattr(encoder, "tensors")]
