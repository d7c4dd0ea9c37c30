"""Methods with gradients, each against Captum or a computation of its own, in the starter and in transformers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
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
from mmstudio.explain.methods import METHODS, refusals, relevance
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
    steps = gradients.STEPS
    for progress in (step for step in gradients.integrated_gradients(subjects["text"]) if step.fresh is not None):
        theirs = IntegratedGradients(score).attribute(start, emptied(starter), n_steps=steps)
        assert np.allclose(progress.fresh.weights, theirs.sum(dim=-1)[0].detach().numpy(), atol=1e-4)
        steps *= 2
    assert steps > gradients.STEPS


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
    refused = finish(refusals(subject))
    assert set(refused) == {"chefer"}
    assert "not what it reckons with" in refused["chefer"]


SHORT = {"whisper": 0.4, "ast": 0.3, "clap": 2.0}


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """Sounds shorter than what the model reads, and CLAP, whose positions are joined between its stages."""
    out = {}
    for name, seconds in SHORT.items():
        encoder = load_encoder(str(MODELS[name](tmp_path_factory.mktemp(name))), "cpu")
        rng = np.random.default_rng(0)
        wave = rng.normal(size=round(seconds * encoder.sample_rate_hz)).astype(np.float32)
        target = rng.normal(size=encoder.dim).astype(np.float32)
        out[name] = Subject(encoder, AudioClip((wave,), encoder.sample_rate_hz), "audio",
                            target / np.linalg.norm(target))
    return out


@pytest.mark.parametrize("name", list(SHORT))
def test_sounds_get_every_method(name: str, sounds: dict[str, Subject]) -> None:
    subject = sounds[name]
    assert not finish(refusals(subject))
    for method in (method for method in METHODS if method.needs != "nothing"):
        found = finish(method.run(subject))
        assert len(found.weights) == len(found.positions)
        assert found.positions.placed.any()
        assert np.ptp(found.weights[found.positions.placed]) > 0


@pytest.mark.parametrize("name", ["whisper", "ast"])
def test_of_a_short_sound_the_silence_after_it_takes_its_part_of_the_score(
    name: str, sounds: dict[str, Subject],
) -> None:
    subject = sounds[name]
    found = finish(gradients.integrated_gradients(subject))
    parts = parts_of(subject.media)
    nothing = encode(subject.encoder, [parts.kept(np.zeros(len(parts.positions), np.float32))], "audio")[0]
    assert subject.explanation.rows is not None
    assert found.positions.labels[-1] == "silence after the sound"
    assert found.weights.sum() == pytest.approx(subject.score - float(nothing @ subject.target), abs=5e-3)


def test_gradient_weighted_attention_in_windows_is_that_of_whole_matrices(sounds: dict[str, Subject]) -> None:
    subject = sounds["clap"]
    vectors, seen = inside.vectors(subject.encoder, [gradients._prepared(subject)], attention=True)
    slopes = torch.autograd.grad((vectors @ torch.from_numpy(subject.target)).sum(), seen.attention)
    flow = np.eye(len(subject.explanation.attention[0].positions))
    for layer, weights, slope in zip(subject.explanation.attention, seen.attention, slopes, strict=True):
        count = len(layer.positions)
        while len(flow) > count:  # a joined position is the mean of the four it was joined from
            side = round(len(flow) ** 0.5)
            flow = flow.reshape(side // 2, 2, side // 2, 2, -1).mean(axis=(1, 3)).reshape(len(flow) // 4, -1)
        relevant = np.zeros((count, count))
        blocks = np.maximum((weights * slope).detach().numpy(), 0).mean(axis=1)
        for block, index in zip(blocks, layer.index, strict=True):
            relevant[np.ix_(index, index)] = block
        flow = flow + relevant @ flow
    start = np.full(flow.shape[1], 1 / flow.shape[1])
    assert np.allclose(finish(gradients.chefer(subject)).weights, flow.mean(axis=0) - start, atol=1e-7)


def test_smooth_grad_is_the_mean_gradient_under_noise_that_is_the_same_each_time(
    starter: Encoder, subjects: dict[str, Subject],
) -> None:
    start, score = by_itself(starter, subjects["text"].target)
    noise = torch.Generator().manual_seed(3)
    spread = gradients.NOISE * float(start.max() - start.min())
    slopes = []
    for at in range(0, gradients.NOISES, gradients.AT_ONCE):
        many = min(gradients.AT_ONCE, gradients.NOISES - at)
        for shaken in torch.randn((many, *start.shape[1:]), generator=noise) * spread:
            x = (start[0] + shaken)[None].requires_grad_()
            slopes.append(torch.autograd.grad(score(x).sum(), x)[0])
    assert len(slopes) == 24
    wanted = (torch.stack(slopes).mean(dim=0) * (start - emptied(starter))).sum(dim=-1)[0].detach().numpy()
    assert np.allclose(finish(gradients.smooth_grad(subjects["text"], seed=3)).weights, wanted, atol=1e-5)


def test_slow_gradients_can_be_stopped_after_every_few_passes(
    subjects: dict[str, Subject], monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[int] = []
    through = inside.vectors

    def counted(encoder: Encoder, batch: Any, *rest: Any, **more: Any) -> Any:
        read.append(len(batch))
        return through(encoder, batch, *rest, **more)

    monkeypatch.setattr(inside, "vectors", counted)
    for method in (gradients.integrated_gradients, gradients.smooth_grad):
        told = [(progress.done, progress.total, sum(read)) for progress in method(subjects["image"])]
        assert all(after[2] - before[2] <= gradients.AT_ONCE for before, after in pairwise(told))
        assert all(before[0] < after[0] <= after[1] for before, after in pairwise(told))


def test_a_text_of_siglip_has_no_parts_in_its_space_and_says_which_methods_work(tmp_path: Path) -> None:
    encoder = load_encoder(str(MODELS["siglip"](tmp_path / "siglip")), "cpu")
    target = np.eye(1, encoder.dim, dtype=np.float32)[0]
    picture = Subject(encoder, Image.effect_noise((32, 32), 90).convert("RGB"), "image", target)
    text = finish(refusals(Subject(encoder, "a dog", "text", target)))
    assert set(finish(refusals(picture))) == {"similarity"}
    assert set(text) == {"similarity", "grad-cam"}
    assert "no vectors for parts" in text["similarity"]


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
