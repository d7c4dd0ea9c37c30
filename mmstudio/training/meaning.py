"""Which settings mean something in which job: one that would do nothing is refused with a word, not passed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmstudio.training.job import TrainingJob

LATE = ("average", "learned average", "product of experts")
SUMMED = ("concatenate", "weighted sum", "gated")
"""Fusions whose logits, where no hidden layer lies behind, are a sum of what each modality gives."""
_ONE_OF = {"resampling": ("classification",), "class_weights": ("classification", "multi-label"),
           "label_smoothing": ("classification", "captioning")}
_WORDS = {"resampling": "Resampling draws examples by the one class that each has",
          "class_weights": "Weights of classes are of classes or labels",
          "label_smoothing": "Label smoothing shares a little of the one right class, or word, with the others"}
OF_TASKS = (*_ONE_OF, "balancing", "modality_dropout")
"""The settings that ``why_not`` knows, and “fusion”."""


def why_not(job: TrainingJob, setting: str) -> str:
    """Why a setting would do nothing in a job, as a sentence; empty where it does what it says."""
    if setting == "balancing":
        return _why_not_balanced(job)
    if setting == "modality_dropout":
        return "" if len(job.modalities) > 1 else "There is only one modality, which cannot be left out."
    if setting == "fusion":
        return "" if job.task not in ("alignment", "captioning") else (
            f"A fusion is of what tells classes, labels or amounts; a run of {job.task} has none.")
    if job.task in _ONE_OF[setting]:
        return ""
    return f"{_WORDS[setting]}; a run of {job.task} has none."


def _why_not_balanced(job: TrainingJob) -> str:
    """On-the-fly gradient modulation (Peng et al. 2022) compares how sure each modality's share of the logits is of the
    right class: ``W_m x_m + b / M`` of a linear head on concatenated or summed features.
    """
    if len(job.modalities) < 2:
        return "OGM-GE balances two modalities or more."
    if job.task != "classification":
        return f"OGM-GE compares how sure each modality is of the one right class; a run of {job.task} has none."
    if job.trains in ("clip adapter", "tip adapter") or job.fusion not in (*LATE, *SUMMED):
        return ("OGM-GE needs a fusion whose logits are a sum of what each modality gives: "
                f"{', '.join((*SUMMED, *LATE))}.")
    if job.fusion in SUMMED and job.layers:
        return "Behind hidden layers the logits are no sum of what each modality gives: OGM-GE needs 0 of them here."
    return ""


def validated_otherwise(job: TrainingJob) -> str:
    """What the loss of a validation is where it is not the one that is learned from, as a sentence; else empty."""
    if job.task == "alignment":
        return "Its validation loss is the cross-entropy of partners at a temperature of 0.05, whatever it learns from."
    more = [word for word, has in (("focal", job.loss_name == "focal"), ("Huber", job.loss_name == "huber"),
                                   ("weights of classes", job.class_weights),
                                   ("label smoothing", job.label_smoothing > 0)) if has]
    if not more:
        return ""
    plain = "squared error" if job.task == "regression" else "cross-entropy"
    return f"Its validation loss is the plain {plain}, to compare runs by; it learns from one with {', '.join(more)}."
