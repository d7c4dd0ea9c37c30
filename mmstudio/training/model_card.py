"""What a person should know of an exported model, as its README.md (model cards, Mitchell et al. 2019).

The front matter is that of the Hugging Face hub (https://huggingface.co/docs/hub/model-cards).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.encoders.registry import STARTER, catalog
from mmstudio.training.examples import TEST, TRAIN, VALIDATION, Examples
from mmstudio.training.exported import Recipe
from mmstudio.training.job import ADAPTERS, TUNED, TrainingJob, UsedModel
from mmstudio.training.loading_lines import loading_lines
from mmstudio.training.runs import Run

MOST_CLASSES = 100
"""That are listed; all of them are in job.json."""
FEW = 10
"""Training examples of a class below which the card warns."""
_PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
_MEDIA = {"image": "pictures", "audio": "sounds", "text": "texts"}
_TRAINED = {
    "head": "a head on the encoder's vectors", "clip adapter": "a CLIP-Adapter on the encoder's vectors",
    "tip adapter": "a Tip-Adapter on the encoder's vectors", "lora": "low-rank additions to the encoder (LoRA)",
    "last blocks": "the encoder's last blocks", "everything": "the whole encoder",
    "locked text": "the encoder, but not its reading of texts", "scratch": "encoders from scratch",
}
_SETTINGS = ("fusion", "width", "layers", "dropout", "modality_dropout", "loss", "class_weights", "resampling",
             "label_smoothing", "balancing", "epochs", "batch", "accumulation", "lr", "weight_decay", "warmup", "clip",
             "ema", "patience", "seed", "deterministic", "precision")


def card(run: Run, examples: Examples, share: float, recipe: Recipe, files: Sequence[str]) -> str:
    """The card in Markdown. ``files`` are what the folder holds, ``share`` is the part of the way from start to best
    that the weights lie at (``interpolation``).
    """
    job = run.job
    sections = [
        _front_matter(job), f"# {_plain(job.name)}\n\n{_does(job)}",
        "## What it was trained on\n\n" + _trained_on(run, examples),
        "## How it was trained\n\n" + _how(run, share), "## How good it is\n\n" + _how_good(run, examples, share),
        *_decides(job, recipe),
        "## What it does not know\n\n" + _bullets(_unknown(run, examples)),
        "## How to load it\n\n" + loading_lines(job, recipe, files),
        "## Licence\n\n" + _licence(job), "## Versions\n\n" + _versions(run)]
    return "\n\n".join(sections) + "\n"


def _front_matter(job: TrainingJob) -> str:
    known = _licences()
    names = () if job.trains == "scratch" else job.model_names
    licences = {known.get(name, "").lower() for name in names}
    bases = [name for name in names if name in known and name != STARTER]
    lines = ["library_name: mmstudio", f"tags: {json.dumps(['multimodal', job.task, *job.modalities])}"]
    if len(licences) == 1 and all(licences):
        lines.append(f"license: {licences.pop()}")
    if bases:
        lines.append(f"base_model: {json.dumps(bases[0] if len(bases) == 1 else bases)}")
    return "\n".join(["---", *lines, "---"])


def _does(job: TrainingJob) -> str:
    *most, last = (_MEDIA[modality] for modality in job.modalities)
    read = f"{', '.join(most)} and {last}" if most else last
    return {
        "classification": f"Tells from {read} which one of {len(job.classes)} classes an example belongs to.",
        "multi-label": f"Tells from {read} which of {len(job.classes)} labels an example has.",
        "regression": f"Tells from {read} an amount: “{_plain(job.target)}”.",
        "alignment": f"Puts {read} into one space, where those that belong together lie close.",
        "captioning": f"Tells a caption of {read}.",
    }[job.task]


def _trained_on(run: Run, examples: Examples) -> str:
    job, of = run.job, run.provenance
    lines = [f"Task: {job.task}", f"Modalities: {', '.join(job.modalities)}"]
    if job.task not in ("alignment", "captioning"):
        lines.append("Target: " + ("tags" if job.target == "tags" else f"the column “{_plain(job.target)}”"))
    lines += [f"Examples: {len(examples):,} (" + ", ".join(
        f"{len(examples.rows(part)):,} {name}" for name, part in _PARTS.items()) + ")",
        f"Divided: {job.split.kind}" + (f" by “{_plain(job.split.column)}”" if job.split.column else ""),
        f"Data fingerprint (BLAKE2b): `{of.fingerprint}`"]
    if of.left_out:
        lines.append(f"Left out: {_plain(of.left_out)}")
    counts = _counts(job, examples)
    if not counts:
        return _bullets(lines)
    shown = [(_plain(name), f"{count:,}") for name, count in list(counts.items())[:MOST_CLASSES]]
    rest = f"\n\n… and {len(counts) - MOST_CLASSES:,} more in job.json." if len(counts) > MOST_CLASSES else ""
    return f"{_bullets(lines)}\n\n{_table(('class', 'training examples'), shown)}{rest}"


def _counts(job: TrainingJob, examples: Examples) -> dict[str, int]:
    """Training examples of each class, in the order of the outputs."""
    targets = np.asarray(examples.targets)[examples.rows(TRAIN)]
    if job.task == "classification":
        counts = np.bincount(targets, minlength=len(job.classes))
    elif job.task == "multi-label":
        counts = (targets > 0.5).sum(0)
    else:
        return {}
    return {name: int(count) for name, count in zip(job.classes, counts, strict=True)}


def _how(run: Run, share: float) -> str:
    job = run.job
    settings = {name: getattr(job, name) for name in _SETTINGS} | {"loss": job.loss_name}
    if job.trains in TUNED:
        settings |= {"encoder_lr": job.encoder_lr, "probe_epochs": job.probe_epochs}
    settings |= {"rank": job.rank} if job.trains == "lora" else {"blocks": job.blocks} if (
        job.trains == "last blocks") else {}
    if job.trains in ADAPTERS:
        settings["prompt"] = job.prompt
    behind = ", and a head behind them" if job.reads_media and job.task != "alignment" else ""
    lines = [f"What learned: {_TRAINED[job.trains]}{behind}"]
    for modality, model in job.models.items():
        lines.append(f"Encoder of {_MEDIA[modality]}: {_model(model.name)} ({model.dim} numbers)" + _revision(model))
    if job.trains != "scratch" and not job.models:
        lines.append(f"Encoder: {_model(job.model)}" + _revision(job.model_of(job.modalities[0])))
    lines.append(f"Best epoch: {run.results.get('best_epoch', run.state.best_epoch + 1)}; "
                 f"{run.state.step:,} steps in {run.state.seconds:,.0f} s")
    if share != 1:
        lines.append(f"The weights lie {share:.0%} of the way from the start of the encoder's learning to the best "
                     "epoch (WiSE-FT)")
    rows = [(name, _plain(str(value))) for name, value in settings.items() if value != ""]
    return f"{_bullets(lines)}\n\n{_table(('setting', 'value'), rows)}"


def _how_good(run: Run, examples: Examples, share: float) -> str:
    found, of = run.results, run.results["of"]
    n = len(examples.rows(_PARTS[of]))
    if share != 1:
        nearest = min(found.get("interpolation", ()), key=lambda one: abs(one["share"] - share), default=None)
        if nearest is None:
            return "It was not measured at these weights."
        rows = [(name, _number(value)) for name, value in nearest["held out"].items()]
        return (f"Measured on the {of} examples at {nearest['share']:.0%} of the way.\n\n"
                + _table(("metric", "held out"), rows))
    text = f"Measured on {n:,} {of} examples.\n\n" + _metrics(found, of)
    for title, name in (("With only some modalities", "modalities"), ("Each modality decides alone", "alone")):
        if found.get(name):
            text += f"\n\n### {title}\n\n{_by_modality(found[name])}"
    return text


def _decides(job: TrainingJob, recipe: Recipe) -> list[str]:
    """A section on what turns logits into probabilities, and these into answers, where the run tells classes."""
    if job.task not in ("classification", "multi-label"):
        return []
    lines = ["Probabilities are the sigmoid of each logit."]
    if job.task == "classification" and recipe.temperature == 1:
        lines = ["Probabilities are the softmax of the logits."]
    elif job.task == "classification":
        lines = [f"Probabilities are the softmax of the logits divided by the temperature {recipe.temperature:.4g}, "
                 "fitted on the validation examples (Guo et al. 2017). It changes how sure the model is, not which "
                 "class is the most probable."]
    if recipe.thresholds:
        names = job.classes if job.task == "multi-label" else job.classes[1:]
        told = ", ".join(f"{_plain(name)} {at:.3g}" for name, at in zip(names[:MOST_CLASSES], recipe.thresholds,
                                                                        strict=False))
        lines.append(f"Thresholds of the highest F1 on the validation examples: {told}. " + (
            "The model tells a class from these on." if recipe.asked else "They are not used: it tells "
            + ("a label from 0.5 on." if job.task == "multi-label" else "the most probable class.")))
    return ["## How it decides\n\n" + _bullets(lines)]


def _metrics(found: dict[str, Any], of: str) -> str:
    others = [name for name in _PARTS if name in found["parts"] and name != of]
    before = found.get("before")
    rows = []
    for name, value in found["parts"][of].items():
        low, high = found.get("intervals", {}).get(name, (None, None))
        interval = "" if low is None else f"{_number(low)} – {_number(high)}"
        rows.append((name, _number(value), interval, *([_number(before.get(name))] if before else ()),
                     *(_number(found["parts"][part].get(name)) for part in others)))
    return _table(("metric", of, "95 % interval", *(["before learning"] if before else ()), *others), rows)


def _by_modality(found: dict[str, dict[str, float]]) -> str:
    names = list(dict.fromkeys(name for one in found.values() for name in one))
    return _table(("modalities", *names), [(seen, *(_number(one.get(name)) for name in names))
                                           for seen, one in found.items()])


def _unknown(run: Run, examples: Examples) -> list[str]:
    job, of = run.job, run.results["of"]
    lines = ["What was held out comes from the same collection: media from elsewhere may be told worse."]
    if of == "train":
        lines = ["No examples were held out: the figures are of what it learned from, and flatter it."]
    elif of == "validation":
        lines.append("The figures are of the validation examples, by which the best epoch was chosen: they flatter it.")
    if job.task == "classification":
        lines.append("Of an example of none of its classes it tells one of them nevertheless.")
    few = [name for name, count in _counts(job, examples).items() if count < FEW]
    if few:
        more = f" and {len(few) - 10} more" if len(few) > 10 else ""
        lines.append(f"It saw fewer than {FEW} training examples of {', '.join(map(_plain, few[:10]))}{more}.")
    unread = [medium for modality, medium in _MEDIA.items() if modality not in job.modalities]
    if unread:
        lines.append(f"It does not read {' or '.join(unread)}.")
    if len(job.modalities) > 1 and job.task != "alignment" and np.asarray(examples.present).all():
        lines.append("It never saw an example that lacks a modality.")
    if job.trains != "scratch":
        names = " and ".join(f"“{_model(name)}”" for name in job.model_names)
        lines.append(f"Whatever {names} {'does' if len(job.model_names) == 1 else 'do'} not tell apart, it hardly can.")
    return lines


def _licence(job: TrainingJob) -> str:
    if job.trains == "scratch":
        return "No other model went into it: the licence is yours to choose."
    lines = []
    for name in job.model_names:
        known = _licences().get(name)
        lines.append(f"The licence of “{_model(name)}” is not known to the studio; see where it comes from."
                     if known is None else f"“{_model(name)}” is licensed {known}; what was made from it follows that.")
    return " ".join(lines)


def _licences() -> dict[str, str]:
    return {one.name: one.licence for one in catalog()}


def _versions(run: Run) -> str:
    lines = []
    for one in run.provenance.environments:
        versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
        lines.append(f"{versions}; {one.platform}; {one.device}" + (f"; code {one.commit}" if one.commit else ""))
    return _bullets(lines or ["They were not written down."])


def _model(name: str) -> str:
    """The encoder's name; of a folder on this computer only the last part."""
    return _plain(Path(name).name if Path(name).is_absolute() else name)


def _revision(model: UsedModel) -> str:
    return f", revision `{model.revision}`" if model.revision else ""


def _plain(text: str) -> str:
    """A text from a file or a person, in one line that is no Markdown."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
