"""Methods with gradients, each against Captum or a computation of its own, in the starter and in transformers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from encoders.conftest import MODELS, clip
from PIL import Image

from mmstudio.encoders import Encoder, load_encoder
from mmstudio.encoders.base import Vectors, encode
from mmstudio.errors import AttentionUnavailable
from mmstudio.explain import gradients, inside
from mmstudio.explain.methods import METHODS, relevance
from mmstudio.explain.parts import parts_of
from mmstudio.explain.subject import Subject
from mmstudio.media import AudioClip
from mmstudio.progress import finish

TEXT = "a big dog beside the red chair"


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """CLIP's architecture with random weights."""
    return load_encoder(str(clip(tmp_path_factory.mktemp("clip"))), "cpu")


@pytest.fixture(scope="module")
def subjects(starter: Encoder, scenes: Any) -> dict[str, Subject]:
    target = encode(starter, ["a dog"], "text")[0]
    wave = (0.3 * np.random.default_rng(0).standard_normal(8000)).astype(np.float32)
    return {"text": Subject(starter, TEXT, "text", encode(starter, [scenes[3][0]], "image")[0]),
            "image": Subject(starter, scenes[3][0], "image", target),
            "audio": Subject(starter, AudioClip((wave,), 16_000), "audio", target)}


def by_itself(starter: Any, target: Vectors) -> tuple[Any, Callable[[Any], Any]]:
    """What enters the text tower's layers, and the score as a function of it, put together from the tower's parts."""
    tower, (ids, _, _) = starter.model.text, starter.model.tokenize([TEXT])
    start = (tower.words(ids) + tower.places.weight[: ids.shape[1]]).detach()

    def score(x: Any) -> Any:
        for block in tower.blocks:
            x = block(x, None, False)[0]
        return tower.to_space(tower.project(tower.pool(x, None)[0])) @ torch.from_numpy(target)
    return start, score


def emptied(starter: Any) -> Any:
    """The same text of the tokens of “…”, as it enters the layers."""
    tower, (ids, _, spans) = starter.model.text, starter.model.tokenize([TEXT])
    neutral = next(int(key) for key, span in zip(*(x[0] for x in starter.model.tokenize(["…"])[::2]), strict=True)
                   if span[1] > span[0])
    ids = torch.where(torch.tensor([[b > a for a, b in spans[0]]]), neutral, ids)
    return (tower.words(ids) + tower.places.weight[: ids.shape[1]]).detach()


def test_integrated_gradients_are_captums(starter: Encoder, subjects: dict[str, Subject]) -> None:
    from captum.attr import IntegratedGradients

    start, score = by_itself(starter, subjects["text"].target)
    for progress in gradients.integrated_gradients(subjects["text"]):
        theirs = IntegratedGradients(score).attribute(start, emptied(starter), n_steps=progress.done)
        assert np.allclose(progress.fresh.weights, theirs.sum(dim=-1)[0].detach().numpy(), atol=1e-4)
    assert progress.done >= gradients.STEPS


def test_gradient_times_input_is_captums(starter: Encoder, subjects: dict[str, Subject]) -> None:
    from captum.attr import Saliency

    start, score = by_itself(starter, subjects["text"].target)
    gradient = Saliency(score).attribute(start.requires_grad_(), abs=False)
    wanted = (gradient * (start - emptied(starter))).sum(dim=-1)[0].detach().numpy()
    assert np.allclose(finish(gradients.grad_input(subjects["text"])).weights, wanted, atol=1e-5)


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_integrated_gradients_sum_to_what_the_item_scores_more_than_nothing(
    modality: str, subjects: dict[str, Subject],
) -> None:
    subject = subjects[modality]
    found = finish(gradients.integrated_gradients(subject))
    if modality == "text":
        prepared = gradients._emptied(subject, subject.encoder.prepare(TEXT, "text"))
        nothing = subject.encoder.forward([prepared])[0]
    else:
        parts = parts_of(subject.media)
        nothing = encode(subject.encoder, [parts.kept(np.zeros(len(parts.positions), np.float32))], modality)[0]
    assert found.weights.sum() == pytest.approx(subject.score - float(nothing @ subject.target), abs=1.1e-3)


def test_gradient_weighted_attention_is_that_of_the_paper(starter: Any, subjects: dict[str, Subject]) -> None:
    tower, target = starter.model.text, torch.from_numpy(subjects["text"].target)
    ids, _, _ = starter.model.tokenize([TEXT])
    x = (tower.words(ids) + tower.places.weight[: ids.shape[1]]).detach().requires_grad_()
    kept = []
    for block in tower.blocks:
        x, weights = block(x, None, True)
        kept.append(weights)
    mean, pooling = tower.pool(x, None)
    kept.append(pooling)
    score = (tower.to_space(tower.project(mean)) @ target).sum()
    slopes = torch.autograd.grad(score, kept)
    flow = np.eye(ids.shape[1])
    for weights, slope in zip(kept[:-1], slopes[:-1], strict=True):
        flow = flow + np.maximum((weights * slope).detach().numpy(), 0)[0].mean(axis=0) @ flow
    wanted = np.maximum((pooling * slopes[-1]).detach().numpy(), 0)[0] @ flow
    assert np.allclose(finish(gradients.chefer(subjects["text"])).weights, wanted, atol=1e-6)


def test_gradient_weighted_attention_of_clip_uses_what_transformers_returns(tiny_clip: Any) -> None:
    picture = Image.effect_noise((32, 32), 90).convert("RGB")
    target = encode(tiny_clip, ["dog"], "text")[0]
    found = finish(gradients.chefer(Subject(tiny_clip, picture, "image", target)))
    model = tiny_clip.model
    model.set_attn_implementation("eager")
    pixels = torch.from_numpy(tiny_clip.prepare(picture, "image").inputs["pixel_values"])[None].requires_grad_()
    out = model.vision_model(pixel_values=pixels, output_attentions=True)
    vector = torch.nn.functional.normalize(model.visual_projection(out.pooler_output), dim=-1)
    slopes = torch.autograd.grad((vector @ torch.from_numpy(target)).sum(), out.attentions)
    flow = np.eye(17)
    for weights, slope in zip(out.attentions, slopes, strict=True):
        flow = flow + np.maximum((weights * slope).detach().numpy(), 0)[0].mean(axis=0) @ flow
    assert np.allclose(found.weights, flow[0] - np.eye(17)[0], atol=1e-5)


def test_grad_cam_is_its_definition(starter: Any, subjects: dict[str, Subject]) -> None:
    subject, tower = subjects["image"], starter.model.image
    pixels = torch.from_numpy(starter.prepare(subject.media, "image").inputs["pixels"])[None].float() / 255
    grid = tower.stem((pixels - 0.5) * 4)
    state = tower.blocks[0]((grid + tower.place(grid)).flatten(2).transpose(1, 2), None, False)[0]
    state = state.detach().requires_grad_()
    mean = tower.pool(tower.norm(tower.blocks[1](state, None, False)[0]), None)[0]
    score = torch.nn.functional.normalize(tower.project(mean), dim=-1) @ torch.from_numpy(subject.target)
    slope = torch.autograd.grad(score.sum(), state)[0]
    wanted = np.maximum((state[0] @ slope[0].mean(dim=0)).detach().numpy(), 0)
    assert np.allclose(finish(gradients.grad_cam(subject)).weights, wanted, atol=1e-5)


def test_every_quick_method_works_in_transformers_too(tiny_clip: Encoder) -> None:
    picture = Image.effect_noise((32, 32), 90).convert("RGB")
    vectors = {"text": encode(tiny_clip, [picture], "image")[0], "image": encode(tiny_clip, ["dog"], "text")[0]}
    for method in (m for m in METHODS if m.quick or m.needs == "gradients"):
        for modality, media in (("text", "a dog"), ("image", picture)):
            if (method.name, modality) == ("grad-cam", "text"):
                continue
            found = finish(relevance(method.name, tiny_clip, media, modality, vectors[modality]))  # type: ignore[arg-type]
            assert np.isfinite(found.weights).all()
            assert len(found.weights) == len(found.positions)
            assert np.ptp(found.weights) > 0


def test_attention_that_a_model_does_not_reckon_with_is_refused(tmp_path: Path) -> None:
    """WavLM's layers go through a fused function, and what they return as attention is computed apart."""
    wavlm = load_encoder(str(MODELS["wavlm"](tmp_path / "wavlm")), "cpu")
    wave = np.random.default_rng(0).normal(size=8000).astype(np.float32)
    subject = Subject(wavlm, AudioClip((wave,), 16_000), "audio", np.eye(1, wavlm.dim, dtype=np.float32)[0])
    with pytest.raises(AttentionUnavailable, match="leaves parts"):
        finish(gradients.chefer(subject))


def test_looking_inside_leaves_no_hook_behind(starter: Any, subjects: dict[str, Subject]) -> None:
    finish(gradients.chefer(subjects["text"]))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in starter.model.modules())


def test_an_encoder_without_gradients_is_refused_with_a_way_out(starter: Encoder) -> None:
    class Closed:
        """Only what an encoder must have."""

        def __getattr__(self, name: str) -> Any:
            if name in ("tensors", "model"):
                raise AttributeError(name)
            return getattr(starter, name)

    closed: Any = Closed()
    with pytest.raises(AttentionUnavailable, match="leaves parts"):
        inside.layers_of(closed, "text")
    found = finish(relevance("occlusion", closed, "a dog", "text", encode(starter, ["dog"], "text")[0]))
    assert found.positions.labels[int(found.weights.argmax())] == "dog"
