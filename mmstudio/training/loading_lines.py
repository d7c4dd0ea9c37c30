"""How an exported model is loaded: a few lines of Python for each thing that its folder holds."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mmstudio.encoders.registry import STARTER
from mmstudio.training.exported import Recipe, reads_vectors
from mmstudio.training.job import TUNED, TrainingJob

_LOAD = "from mmstudio.training.exported import load"
_MEDIUM = {
    "text": ("", '"a text"'),
    "image": ("from PIL import Image\n", 'Image.new("RGB", (64, 64))'),
    "audio": ("import numpy as np\nfrom mmstudio.media import AudioClip\n",
              "AudioClip((np.zeros(32_000, np.float32),), {rate})"),
}
"""For each modality what to import and a medium of it."""


def loading_lines(job: TrainingJob, recipe: Recipe, files: Sequence[str]) -> str:
    """Markdown; ``files`` are what the folder holds."""
    ways = ["The lines run in this folder."]
    if reads_vectors(job):
        ways += _head(job, recipe, "head.onnx" in files)
    elif job.fusion == "tokens":
        ways.append(_way("The head, which reads the encoder's tokens, as a torch module, by the studio:",
                         f'{_LOAD}\nhead = load(".").head'))
    if "encoder/" in files:
        ways += _starter(job) if job.model == STARTER else _transformers(job)
    if (name := f"encoder-{_first(job)}.onnx") in files:
        ways.append(_way("The encoder without torch, by ONNX Runtime, of what its preprocessing gives; “inputs” names "
                         "it, and what may vary in size. A mask is 1 where something is and 0 where it was filled up; "
                         "where there is none, and a length may vary, all of one call are of one length. “samples” are "
                         "how many a sound has, “spatial_shapes” how many rows and columns of patches a picture has:", (
            f'import onnxruntime\nencoder = onnxruntime.InferenceSession("{name}")\n'
            "inputs = [(one.name, one.type, one.shape) for one in encoder.get_inputs()]")))
    if "adapter/" in files:
        ways.append(_way("Only the low-rank additions, beside the model that they belong to, by PEFT:", (
            "from peft import PeftModel\nfrom transformers import AutoModel\n"
            f'base = AutoModel.from_pretrained({json.dumps(job.model)})\n'
            'model = PeftModel.from_pretrained(base, "adapter").eval()')))
    if job.trains == "scratch":
        imports, medium = _medium(job, "16_000")
        ways.append(_way("The encoders that the run made from nothing, by the studio:", (
            f'{imports}{_LOAD}\nvectors = load(".").encode([{medium}], "{_first(job)}")')))
    return "\n\n".join(ways)


def _head(job: TrainingJob, recipe: Recipe, is_onnx: bool) -> list[str]:
    source = ("the run's own encoders" if job.trains == "scratch" else "the folder `encoder`" if job.trains in TUNED
              else "the encoder that it was trained with")
    m = len(job.modalities)
    if job.models:
        source = "the models that it was trained with, one for each modality"
        given = "\n".join(f"{name} = np.zeros((1, {width}), np.float32)"
                          for name, width in zip(job.modalities, job.widths(recipe.dim), strict=True))
        vectors, named = f"[{', '.join(job.modalities)}]", ", ".join(f'"{name}": {name}' for name in job.modalities)
    else:
        given = f"vectors = np.zeros((1, {m}, {recipe.dim}), np.float32)  # of {', '.join(job.modalities)}"
        vectors, named = "vectors", '"vectors": vectors'
    given += f"\npresent = np.ones((1, {m}), bool)"
    ways = [f"The head reads vectors of length 1, made by {source}; `present` says which modalities are there."]
    shares = {"classification": "\nshares = np.exp((logits - logits.max(1, keepdims=True)) / "
              f"{recipe.temperature:.6g}); shares /= shares.sum(1, keepdims=True)",
              "multi-label": "\nshares = 1 / (1 + np.exp(-logits))"}.get(job.task, "")
    if is_onnx:
        amounts = f"\namounts = logits * {recipe.spread} + {recipe.middle}" if job.task == "regression" else ""
        ways.append(_way("The head without torch, by ONNX Runtime:", (
            f'import numpy as np, onnxruntime\n{given}\nhead = onnxruntime.InferenceSession("head.onnx")\n'
            f'logits, = head.run(None, {{{named}, "present": present}}){amounts}{shares}')))
    told = {"captioning": 'captions = load(".").captions', "regression": 'amounts = load(".").tell',
            "alignment": 'aligned = load(".").tell'}.get(job.task, 'shares = load(".").shares')
    return [*ways, _way("The head by the studio:", f"import numpy as np\n{_LOAD}\n{given}\n{told}({vectors}, present)")]


def _starter(job: TrainingJob) -> list[str]:
    imports, medium = _medium(job, "16_000")
    return [_way("The encoder, by the studio:", (
        f"{imports}from pathlib import Path\nfrom mmstudio.encoders.base import encode\n"
        f'from mmstudio.encoders.starter import load\n'
        f'vectors = encode(load(Path("encoder"), "tuned", "cpu"), [{medium}], "{_first(job)}")'))]


def _transformers(job: TrainingJob) -> list[str]:
    imports, medium = _medium(job, "encoder.sample_rate_hz")
    return [
        _way("The encoder, by transformers alone:",
             'from transformers import AutoModel\nmodel = AutoModel.from_pretrained("encoder").eval()'),
        _way("The encoder with its preprocessing and pooling, by the studio:", (
            f"{imports}from mmstudio.encoders import load_encoder\nfrom mmstudio.encoders.base import encode\n"
            'encoder = load_encoder("encoder", "cpu")\n'
            f'vectors = encode(encoder, [{medium}], "{_first(job)}")'))]


def _first(job: TrainingJob) -> str:
    return next(modality for modality in _MEDIUM if modality in job.modalities)


def _medium(job: TrainingJob, rate: str) -> tuple[str, str]:
    imports, medium = _MEDIUM[_first(job)]
    return imports, medium.format(rate=rate)


def _way(title: str, code: str) -> str:
    return f"{title}\n\n```python\n{code}\n```"
