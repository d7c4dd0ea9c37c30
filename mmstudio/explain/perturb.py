"""Changes to one item by a strength, so that a person sees how far its vector moves.

One table: what a menu, a slider and the command line are made from. Every change is deterministic in
(media, strength, seed) and gives back media of the kind it got: a picture of the same size in RGB, a clip of the same
rate with as many windows, a text. Where something is chosen at random (patches, words), a greater strength chooses
all that a smaller one chose and more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mmstudio.errors import StudioError
from mmstudio.explain import perturb_pictures as pictures
from mmstudio.explain import perturb_sounds as sounds
from mmstudio.explain import perturb_texts as texts
from mmstudio.media import AudioClip, Media, Modality


@dataclass(frozen=True)
class Perturbation:
    """One way to change media: ``apply(media, strength, seed)`` with a strength of ``low``..``high`` in ``unit``.

    ``neutral`` is the strength that changes nothing, ``default`` one that shows the effect, ``text`` one sentence
    for a person.
    """

    name: str
    title: str
    modality: Modality
    low: float
    high: float
    default: float
    neutral: float
    unit: str
    text: str
    apply: Callable[[Any, float, int], Media]


PERTURBATIONS: tuple[Perturbation, ...] = (
    Perturbation("greyscale", "Greyscale", "image", 0, 1, 1, 0, "",
                 "Colours fade to grey; 1 is without colour.", pictures.greyscale),
    Perturbation("edges", "Edges", "image", 0, 1, 1, 0, "",
                 "Surfaces fade to black and outlines stay, white; 1 is outlines only.", pictures.edges),
    Perturbation("blur", "Blur", "image", 0, 20, 2, 0, "% of the shorter side",
                 "Details vanish under a Gaussian of this standard deviation.", pictures.blur),
    Perturbation("crop", "Crop", "image", 0.1, 1, 0.5, 1, "of each side",
                 "The middle of the picture is kept and enlarged to its old size; 1 keeps all.", pictures.crop),
    Perturbation("rotate", "Rotate", "image", -180, 180, 30, 0, "°",
                 "The picture turns counter-clockwise about its middle; corners that come free are white.",
                 pictures.rotate),
    Perturbation("noise", "Noise", "image", 0, 1, 0.2, 0, "of white",
                 "Each colour of each pixel gets a random error of this standard deviation.", pictures.noise),
    Perturbation("occlusion", "Occlusion", "image", 0, 0.9, 0.3, 0, "of the picture",
                 "Random patches are covered with the picture's mean grey.", pictures.occlude),
    Perturbation("pitch", "Pitch", "audio", -12, 12, 4, 0, "semitones",
                 "The sound becomes higher or lower and keeps its duration.", sounds.pitch),
    Perturbation("speed", "Speed", "audio", 0.5, 2, 1.5, 1, "×",
                 "The sound runs faster or slower, as a tape would: its pitch changes too.", sounds.speed),
    Perturbation("white-noise", "Noise", "audio", 0, 3.2, 0.5, 0, "× the sound's level",
                 "White noise is added; 0.1 is 20 dB below the sound, 1 as loud as the sound, 3.2 is 10 dB above it.",
                 sounds.add_noise),
    Perturbation("low-pass", "Low-pass", "audio", 200, sounds.TOP_HZ, 1000, sounds.TOP_HZ, "Hz",
                 "What lies above this frequency is taken away; half the sound's rate and more changes nothing.",
                 sounds.low_pass),
    Perturbation("clipping", "Clipping", "audio", 0.05, 1, 0.2, 1, "of the peak",
                 "The wave is cut off above this share of its peak, as by an overdriven microphone.", sounds.clipping),
    Perturbation("drop-stop-words", "Drop stop words", "text", 0, 1, 1, 0, "of them",
                 "Frequent English words that say little (the, of, is …) are left out.", texts.drop_stop_words),
    Perturbation("shuffle", "Shuffle words", "text", 0, 1, 0.5, 0, "of the words",
                 "Random words change places.", texts.shuffle),
    Perturbation("mask", "Mask words", "text", 0, 1, 0.3, 0, "of the words",
                 "Random words are replaced by “…”.", texts.mask),
    Perturbation("lower-case", "Lower case", "text", 0, 1, 1, 0, "",
                 "All letters become small: from a half on.", texts.lower_case),
)


def perturb(media: Media, name: str, strength: float, seed: int = 0) -> Media:
    """Media changed by the perturbation of that name; the very same object at its neutral strength.

    Raises StudioError for an unknown name, media of another modality, or a strength outside its range.
    """
    chosen = named(name)
    if chosen.modality != modality_of(media):
        raise StudioError(f"“{chosen.title}” changes items of the kind {chosen.modality}, and this one is of the kind "
                          f"{modality_of(media)}.")
    if not chosen.low <= strength <= chosen.high:
        raise StudioError(f"“{chosen.title}” takes {chosen.low:g} to {chosen.high:g} and got {strength:g}.")
    return media if strength == chosen.neutral else chosen.apply(media, strength, seed)


def named(name: str) -> Perturbation:
    """The perturbation of that name. Raises StudioError."""
    for one in PERTURBATIONS:
        if one.name == name:
            return one
    raise StudioError(f"There is no change named “{name}”.",
                      hint=f"There are: {', '.join(one.name for one in PERTURBATIONS)}.")


def modality_of(media: Media) -> Modality:
    """What decoded media is."""
    if isinstance(media, str):
        return "text"
    return "audio" if isinstance(media, AudioClip) else "image"
