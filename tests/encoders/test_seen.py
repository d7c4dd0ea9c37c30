"""What a model gets, shown to a person: every family, on tiny random weights of the real architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from mmstudio.encoders import Encoder
from mmstudio.encoders.base import SeenPicture, SeenSound, SeenText
from mmstudio.encoders.text import readable
from mmstudio.errors import WrongModality
from mmstudio.media import AudioClip

IMAGE = ["clip", "metaclip_2", "siglip", "siglip2", "vit", "deit", "dinov2", "dinov2_registers", "vit_without_pooler"]
TEXT = ["clip", "metaclip_2", "siglip", "siglip2", "clap", "clap_fused", "bert", "roberta", "xlm_roberta", "mpnet",
        "distilbert", "albert", "electra", "deberta", "modernbert", "nomic_bert", "pooled_cls", "pooled_mean",
        "pooled_max"]
MELS = ["clap", "clap_fused", "whisper", "ast"]
WAVES = ["wav2vec2", "wav2vec2_layer", "hubert", "hubert_layer", "wavlm", "wavlm_layer"]


@pytest.fixture
def get(encoders: Any, starter: Encoder) -> Any:
    """name → that encoder, the starter among them."""
    return lambda name: starter if name == "starter" else encoders(name)


def tone(hertz: float, seconds: float, rate: int) -> AudioClip:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return AudioClip((wave.astype(np.float32),), rate)


# Pictures


@pytest.mark.parametrize("name", ["starter", *IMAGE])
def test_a_picture_of_one_colour_is_shown_in_that_colour(name: str, get: Any) -> None:
    for colour in ((200, 30, 90), (0, 0, 0), (255, 255, 255)):
        seen = get(name).seen(Image.new("RGB", (61, 40), colour), "image")
        assert isinstance(seen, SeenPicture)
        assert seen.pixels.dtype == np.uint8
        assert np.abs(seen.pixels.astype(int) - colour).max() <= 2


@pytest.mark.parametrize("name", ["starter", *IMAGE])
def test_values_are_what_the_model_is_fed(name: str, get: Any, pictures: Any) -> None:
    for picture in pictures:
        seen, fed = get(name).seen(picture, "image"), get(name).prepare(picture, "image").inputs
        height, width = seen.values.shape[1:]
        assert seen.values.dtype == np.float32
        assert seen.pixels.shape == (height, width, 3)
        assert seen.grid == (height // 8, width // 8)
        if name == "starter":
            assert np.array_equal(seen.values, fed["pixels"].astype(np.float32) / 255)
        elif name == "siglip2":
            assert tuple(fed["spatial_shapes"]) == seen.grid
            for at, patch in enumerate(fed["pixel_values"]):
                row, column = divmod(at, seen.grid[1])
                square = seen.values[:, row * 8:row * 8 + 8, column * 8:column * 8 + 8]
                assert np.array_equal(square.transpose(1, 2, 0).ravel(), patch)
        else:
            assert np.array_equal(seen.values, fed["pixel_values"])
        back = seen.values * np.reshape(seen.std, (3, 1, 1)) + np.reshape(seen.mean, (3, 1, 1))
        assert np.abs(255 * back.transpose(1, 2, 0) - seen.pixels).max() <= 1.01


@pytest.mark.parametrize("name", ["starter", *IMAGE])
def test_the_box_says_which_part_of_the_picture_is_shown(name: str, get: Any) -> None:
    """Colours of a slope across the picture are found at both ends of the box."""
    slope = np.broadcast_to(np.linspace(0, 255, 120)[None, :, None], (60, 120, 3))
    seen = get(name).seen(Image.fromarray(slope.astype(np.uint8)), "image")
    left, _, right, _ = seen.box
    ends = seen.pixels[:, [0, -1]].mean(axis=(0, 2)) / 255
    half = 0.5 / seen.pixels.shape[1] * (right - left)
    assert ends == pytest.approx([left + half, right - half], abs=0.04)


def test_a_tiny_picture_and_an_extreme_one_are_shown(get: Any) -> None:
    for name in ("starter", *IMAGE):
        for size in ((1, 1), (3000, 2)):
            assert min(get(name).seen(Image.new("RGB", size, "red"), "image").grid) >= 1


# Texts


@pytest.mark.parametrize("name", ["starter", *TEXT])
def test_tokens_join_to_the_words_and_their_spans_cut_the_text(name: str, get: Any) -> None:
    text = "a red dog barks" if name != "starter" else "a red dog barks loudly, at night"
    if name.startswith("pooled"):
        text = "a red dog"
    seen = get(name).seen(text, "text")
    assert isinstance(seen, SeenText)
    words = [token for token in seen.tokens if not token.special]
    for token in words:
        plain = token.text.replace("</w>", "").replace("##", "").replace("▁", " ").strip()
        assert plain == text[token.start:token.end].strip() or token.text == "[UNK]"
    assert "".join(text[token.start:token.end] for token in words).replace(" ", "") == text.replace(" ", "")
    assert all(token.start == token.end == 0 for token in seen.tokens if token.special)
    assert not seen.truncated


@pytest.mark.parametrize("name", ["starter", *TEXT])
def test_ids_and_positions_are_those_that_are_fed(name: str, get: Any, texts: Any) -> None:
    for text in [*texts, "", "ö 😀"]:
        seen, fed = get(name).seen(text, "text"), get(name).prepare(text, "text").inputs
        ids = fed["ids" if name == "starter" else "input_ids"]
        assert [token.id for token in seen.tokens] == ids.tolist()
        assert [token.position for token in seen.tokens] == list(range(len(ids)))


@pytest.mark.parametrize("name", ["starter", *TEXT])
def test_a_text_that_is_cut_says_so(name: str, get: Any) -> None:
    assert get(name).seen("a red dog " * 40, "text").truncated
    assert not get(name).seen("dog", "text").truncated


def test_start_end_and_padding_are_special_and_unknown_words_are_not(get: Any) -> None:
    seen = get("bert").seen("a zebra", "text")
    assert [(t.text, t.special, t.segment) for t in seen.tokens] == [
        ("[CLS]", True, 0), ("a", False, 0), ("[UNK]", False, 0), ("[SEP]", True, 0)]
    padded = get("siglip").seen("dog", "text").tokens
    assert len(padded) == 16
    assert padded[-1].text == "<pad>"
    assert padded[-1].special
    assert padded[0].segment is None
    ends = [token.special for token in get("clip").seen("dog", "text").tokens]
    assert ends == [True, False, True]


def test_letters_of_byte_level_vocabularies_are_readable() -> None:
    assert readable("Ġdog") == " dog"
    assert readable("dÃ¶g") == "dög"
    assert readable("é") == "é"
    assert readable("▁dog") == "▁dog"
    assert readable("ðŁ") == "ðŁ"
    assert readable("[CLS]") == "[CLS]"


# Sounds


@pytest.mark.parametrize("name", ["starter", *MELS])
@pytest.mark.parametrize("hertz", [440, 1500])
def test_a_tone_is_strongest_in_its_bin(name: str, hertz: int, get: Any) -> None:
    encoder = get(name)
    seen = encoder.seen(tone(hertz, 0.8, encoder.sample_rate_hz), "audio")
    assert isinstance(seen, SeenSound)
    assert seen.kind == "log-mel"
    assert seen.values.dtype == np.float32
    assert seen.edges_hz.shape == (len(seen.values) + 1,)
    assert (np.diff(seen.edges_hz) > 0).all()
    frames = int(0.8 / seen.seconds * seen.values.shape[1])
    strongest = seen.values[:, 2:frames - 2].mean(axis=1).argmax()
    bin_hz = seen.edges_hz[strongest + 1] - seen.edges_hz[strongest]
    # Half a bin of grace: where a bank of triangles of unit area leaks into a narrower neighbour.
    assert seen.edges_hz[strongest] - bin_hz / 2 <= hertz <= seen.edges_hz[strongest + 1] + bin_hz / 2


@pytest.mark.parametrize("name", [*MELS, *WAVES])
def test_sounds_are_shown_as_they_are_fed(name: str, get: Any, sounds: Any) -> None:
    encoder = get(name)
    for clip in sounds(encoder.sample_rate_hz):
        seen, fed = encoder.seen(clip, "audio"), encoder.prepare(clip, "audio")
        values = fed.inputs["input_values" if "input_values" in fed.inputs else "input_features"]
        values = values if fed.parts == 1 else values[0]
        values = values[0].T if "clap" in name else values.T if name == "ast" else values
        assert np.array_equal(seen.values, values)
        assert seen.parts == fed.parts == len(clip.windows)
        assert seen.sound_seconds == pytest.approx(len(clip.windows[0]) / clip.rate_hz)
        assert seen.kind == ("waveform" if name in WAVES else "log-mel")


@pytest.mark.parametrize("name", [*MELS, *WAVES])
def test_patches_that_a_step_apart_fill_the_input_are_the_models_tokens(name: str, get: Any, sounds: Any) -> None:
    encoder = get(name)
    clip = sounds(encoder.sample_rate_hz)[3]
    seen = encoder.seen(clip, "audio")
    bins = 1 if name in WAVES else len(seen.values)
    rows = int((bins - seen.patch[0]) // seen.step[0]) + 1
    columns = int((seen.seconds - seen.patch[1]) / seen.step[1] + 1e-6) + 1
    piece = encoder.prepare(clip, "audio").inputs
    assert rows * columns == token_count(encoder, name, piece)


def token_count(encoder: Any, name: str, piece: Any) -> int:
    """How many tokens the model itself makes of one piece before its first layer."""
    import torch

    with torch.no_grad():
        if name in WAVES:
            return int(encoder.model(torch.from_numpy(piece["input_values"])[None]).last_hidden_state.shape[1])
        if name == "ast":
            return int(encoder.model(torch.from_numpy(piece["input_values"])[None]).last_hidden_state.shape[1]) - 2
        if name == "whisper":
            return int(encoder.model(torch.from_numpy(piece["input_features"])[None]).last_hidden_state.shape[1])
        tower = encoder.model.audio_model.audio_encoder
        folded = tower.reshape_mel2img(torch.from_numpy(piece["input_features"][None, :1]))
        return int(tower.patch_embed.proj(folded).flatten(2).shape[-1])


def test_the_starter_shows_its_log_mel(starter: Any) -> None:
    clip = AudioClip((np.full(20_000, 0.1, np.float32), np.zeros(9, np.float32)), 16_000)
    seen = starter.seen(clip, "audio")
    assert seen.values.shape == (64, 8 * 16)
    assert seen.patch == (64, pytest.approx(0.08))
    assert seen.seconds == pytest.approx(1.28)
    assert seen.sound_seconds == pytest.approx(1.25)
    assert seen.parts == 2


def test_a_short_sound_that_clap_repeats_says_so(get: Any) -> None:
    assert "repeated" in get("clap").seen(tone(440, 0.5, 8000), "audio").note
    assert get("clap").seen(tone(440, 1.5, 8000), "audio").note == ""


@pytest.mark.parametrize("name", ["starter", *MELS, *WAVES])
def test_one_sample_of_sound_is_shown(name: str, get: Any) -> None:
    clip = AudioClip((np.full(1, 0.5, np.float32),), get(name).sample_rate_hz)
    assert np.isfinite(get(name).seen(clip, "audio").values).all()


@pytest.mark.parametrize("name", ["starter", "clip"])
def test_what_the_model_does_not_read_is_not_shown(name: str, get: Any) -> None:
    with pytest.raises(WrongModality):
        get(name).seen("a text", "audio")
