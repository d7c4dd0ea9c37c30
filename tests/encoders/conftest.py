"""Tiny models of each real architecture with random weights, saved as a person's folder would hold them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORDS = ["a", "red", "circle", "of", "the", "dog", "barks", "loud", "blue", "##s", ",", ".", "photo", "un", "##der"]
SIZE = 32


def byte_vocab(suffix: str = "") -> dict[str, int]:
    """A byte-level vocabulary without merges: every character is a token."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = list(bytes_to_unicode().values())
    pieces = letters + [letter + suffix for letter in letters] if suffix else letters
    return {piece: at for at, piece in enumerate(pieces)}


def with_specials(vocab: dict[str, int], *specials: str) -> dict[str, int]:
    """Special tokens first, so that their ids are 0, 1, 2 ..."""
    return {piece: at for at, piece in enumerate([*specials, *vocab])}


def bert_tokenizer() -> Any:
    from transformers import BertTokenizer

    vocab = with_specials(dict.fromkeys(WORDS, 0), "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    return BertTokenizer(vocab=vocab, model_max_length=16)


def roberta_tokenizer(length: int = 30) -> Any:
    from transformers import RobertaTokenizer

    vocab = with_specials(byte_vocab(), "<s>", "<pad>", "</s>", "<unk>", "<mask>")
    return RobertaTokenizer(vocab=vocab, merges=[], model_max_length=length)


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    vocab = byte_vocab("</w>")
    vocab |= {"do": len(vocab), "dog</w>": len(vocab) + 1}
    vocab |= {"<|startoftext|>": len(vocab), "<|endoftext|>": len(vocab) + 1}
    return CLIPTokenizer(vocab=vocab, merges=[("d", "o"), ("do", "g</w>")], model_max_length=20)


def gemma_like_tokenizer(length: int) -> Any:
    from transformers import Siglip2Tokenizer

    letters = "▁abcdefghijklmnopqrstuvwxyz,."
    vocab = with_specials(dict.fromkeys(letters, 0), "<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
    vocab["do"] = len(vocab)
    return Siglip2Tokenizer(vocab=vocab, merges=[("d", "o")], model_max_length=length, padding_side="right",
                            model_input_names=["input_ids"])


def saved(folder: Path, config: Any, class_name: str, *parts: Any) -> Path:
    """Random weights from a fixed seed, spread wide enough that attention is far from uniform."""
    import torch
    import transformers

    torch.manual_seed(3)
    model = getattr(transformers, class_name)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    model.save_pretrained(folder, safe_serialization=True)
    for part in parts:
        part.save_pretrained(folder)
    return folder


TOWER = {"hidden_size": SIZE, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}


def clip(folder: Path) -> Path:
    from transformers import CLIPConfig, CLIPImageProcessor

    tokenizer = clip_tokenizer()
    end = tokenizer.eos_token_id
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 20, "eos_token_id": end,
                    "bos_token_id": end - 1, "pad_token_id": end, "projection_dim": 24}
    vision = TOWER | {"image_size": 32, "patch_size": 8, "projection_dim": 24}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return saved(folder, config, "CLIPModel", processor, tokenizer)


def metaclip_2(folder: Path) -> Path:
    from transformers import CLIPImageProcessor, MetaClip2Config

    tokenizer = roberta_tokenizer(24)
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 24, "projection_dim": 24,
                    "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 1}
    config = MetaClip2Config(text_config=text, projection_dim=24,
                             vision_config=TOWER | {"image_size": 32, "patch_size": 8, "projection_dim": 24})
    processor = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    return saved(folder, config, "MetaClip2Model", processor, tokenizer)


def siglip(folder: Path) -> Path:
    from transformers import SiglipConfig, SiglipImageProcessor

    tokenizer = gemma_like_tokenizer(16)
    config = SiglipConfig(
        text_config=TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 16, "projection_size": SIZE},
        vision_config=TOWER | {"image_size": 32, "patch_size": 8})
    return saved(folder, config, "SiglipModel", SiglipImageProcessor(size={"height": 32, "width": 32}), tokenizer)


def siglip2(folder: Path) -> Path:
    from transformers import Siglip2Config, Siglip2ImageProcessor

    tokenizer = gemma_like_tokenizer(16)
    config = Siglip2Config(
        text_config=TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 16, "projection_size": SIZE},
        vision_config=TOWER | {"patch_size": 8, "num_patches": 16})
    return saved(folder, config, "Siglip2Model", Siglip2ImageProcessor(patch_size=8, max_num_patches=20), tokenizer)


def clap(folder: Path, fused: bool = False) -> Path:
    from transformers import ClapConfig, ClapFeatureExtractor

    tokenizer = roberta_tokenizer()
    text = TOWER | {"vocab_size": len(tokenizer), "max_position_embeddings": 32, "projection_dim": 24,
                    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    audio = {"spec_size": 64, "num_mel_bins": 16, "patch_size": 4, "patch_stride": [4, 4], "window_size": 4,
             "depths": [2, 2], "num_attention_heads": [2, 4], "patch_embeds_hidden_size": 16, "hidden_size": 32,
             "projection_dim": 24, "enable_fusion": fused, "aff_block_r": 4}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=24)
    extractor = ClapFeatureExtractor(
        feature_size=16, sampling_rate=8000, hop_length=80, max_length_s=2, fft_window_size=256, frequency_max=4000,
        truncation="fusion" if fused else "rand_trunc")
    return saved(folder, config, "ClapModel", extractor, tokenizer)


def clap_fused(folder: Path) -> Path:
    return clap(folder, fused=True)


def bert(folder: Path) -> Path:
    from transformers import BertConfig

    tokenizer = bert_tokenizer()
    return saved(folder, BertConfig(**TOWER, vocab_size=len(tokenizer), max_position_embeddings=16), "BertModel",
                 tokenizer)


def roberta(folder: Path) -> Path:
    from transformers import RobertaConfig

    tokenizer = roberta_tokenizer()
    config = RobertaConfig(**TOWER, vocab_size=len(tokenizer), max_position_embeddings=32, pad_token_id=1)
    return saved(folder, config, "RobertaModel", tokenizer)


def text(class_name: str, **settings: Any) -> Callable[[Path], Path]:
    """Any other BERT-like kind, with BERT's tokenizer."""
    def make(folder: Path) -> Path:
        import transformers

        tokenizer = bert_tokenizer()
        config = getattr(transformers, class_name.replace("Model", "Config"))(
            vocab_size=len(tokenizer), max_position_embeddings=20, **settings)
        return saved(folder, config, class_name, tokenizer)
    return make


def pooling(mode: str) -> Callable[[Path], Path]:
    """A sentence-transformers folder that pools in one way."""
    def make(folder: Path) -> Path:
        bert(folder)
        (folder / "1_Pooling").mkdir()
        modes = {f"pooling_mode_{name}": name == mode for name in ("cls_token", "mean_tokens", "max_tokens")}
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": SIZE, **modes}))
        (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
        (folder / "modules.json").write_text(json.dumps([
            {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]))
        return folder
    return make


def vision(kind: str, class_name: str, **more: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import transformers

        config = getattr(transformers, class_name.replace("Model", "Config"))(
            **TOWER, image_size=32, patch_size=8, **more)
        processor = transformers.CLIPImageProcessor(size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32})
        return saved(folder, config, class_name, processor)
    return make


def vit_without_pooler(folder: Path) -> Path:
    from transformers import ViTConfig, ViTImageProcessor

    config = ViTConfig(**TOWER, image_size=32, patch_size=8)
    return saved(folder, config, "ViTForImageClassification", ViTImageProcessor(size={"height": 32, "width": 32}))


def whisper(folder: Path) -> Path:
    from transformers import WhisperConfig, WhisperFeatureExtractor

    config = WhisperConfig(
        d_model=SIZE, encoder_layers=2, encoder_attention_heads=4, encoder_ffn_dim=48, decoder_layers=1,
        decoder_attention_heads=4, decoder_ffn_dim=48, num_mel_bins=16, max_source_positions=100, vocab_size=50,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1)
    return saved(folder, config, "WhisperModel", WhisperFeatureExtractor(feature_size=16, chunk_length=2))


def ast(folder: Path) -> Path:
    from transformers import ASTConfig, ASTFeatureExtractor

    config = ASTConfig(**TOWER, patch_size=8, frequency_stride=6, time_stride=6, max_length=100, num_mel_bins=32)
    return saved(folder, config, "ASTModel", ASTFeatureExtractor(num_mel_bins=32, max_length=100))


def waves(class_name: str, norm: str, **more: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import transformers

        config = getattr(transformers, class_name.replace("Model", "Config"))(
            **TOWER, conv_dim=[16, 16, 16], conv_kernel=[10, 3, 2], conv_stride=[5, 4, 4], feat_extract_norm=norm,
            num_feat_extract_layers=3, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=4,
            do_stable_layer_norm=norm == "layer", **more)
        extractor = transformers.Wav2Vec2FeatureExtractor(return_attention_mask=norm == "layer")
        return saved(folder, config, class_name, extractor)
    return make


MODELS: dict[str, Callable[[Path], Path]] = {
    "clip": clip, "metaclip_2": metaclip_2, "siglip": siglip, "siglip2": siglip2, "clap": clap,
    "clap_fused": clap_fused, "bert": bert, "roberta": roberta,
    "xlm_roberta": text("XLMRobertaModel", **TOWER, pad_token_id=1),
    "mpnet": text("MPNetModel", **TOWER, pad_token_id=0),
    "distilbert": text("DistilBertModel", dim=SIZE, n_layers=2, n_heads=4, hidden_dim=48),
    "albert": text("AlbertModel", **TOWER, embedding_size=16),
    "electra": text("ElectraModel", **TOWER, embedding_size=16),
    "deberta": text("DebertaV2Model", **TOWER, relative_attention=True, position_buckets=8,
                    pos_att_type=["p2c", "c2p"], type_vocab_size=0),
    "modernbert": text("ModernBertModel", **TOWER, local_attention=4, global_attn_every_n_layers=2, pad_token_id=0,
                       bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3),
    "nomic_bert": text("NomicBertModel", **TOWER),
    "pooled_cls": pooling("cls_token"), "pooled_mean": pooling("mean_tokens"), "pooled_max": pooling("max_tokens"),
    "vit": vision("vit", "ViTModel"),
    "deit": vision("deit", "DeiTModel"), "dinov2": vision("dinov2", "Dinov2Model"),
    "dinov2_registers": vision("dinov2", "Dinov2WithRegistersModel", num_register_tokens=2),
    "vit_without_pooler": vit_without_pooler, "whisper": whisper, "ast": ast,
    "wav2vec2": waves("Wav2Vec2Model", "group"), "wav2vec2_layer": waves("Wav2Vec2Model", "layer"),
    "hubert": waves("HubertModel", "group"), "hubert_layer": waves("HubertModel", "layer"),
    "wavlm": waves("WavLMModel", "group", num_buckets=16, max_bucket_distance=40),
    "wavlm_layer": waves("WavLMModel", "layer", num_buckets=16, max_bucket_distance=40),
}


# Which models read which modality
IMAGE = ["clip", "metaclip_2", "siglip", "siglip2", "vit", "deit", "dinov2", "dinov2_registers", "vit_without_pooler"]
BERTS = ["bert", "roberta", "xlm_roberta", "mpnet", "distilbert", "albert", "electra", "deberta", "modernbert",
         "nomic_bert", "pooled_cls", "pooled_mean", "pooled_max"]
TEXT = ["clip", "metaclip_2", "siglip", "siglip2", "clap", "clap_fused", *BERTS]
WAVES = ["wav2vec2", "wav2vec2_layer", "hubert", "hubert_layer", "wavlm", "wavlm_layer"]
AUDIO = ["clap", "clap_fused", "whisper", "ast", *WAVES]
ALL = [(n, "image") for n in IMAGE] + [(n, "text") for n in TEXT] + [(n, "audio") for n in AUDIO]
Items = Callable[[str, str], list[Any]]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """name → the folder of that tiny model, made once."""
    made: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in made:
            made[name] = MODELS[name](tmp_path_factory.mktemp(name))
        return made[name]
    return get


@pytest.fixture(scope="session")
def encoders(folders: Callable[[str], Path]) -> Callable[[str], Any]:
    """name → the encoder loaded from that folder through the real code, once."""
    from mmstudio.encoders import load_encoder

    loaded: dict[str, Any] = {}

    def get(name: str) -> Any:
        if name not in loaded:
            loaded[name] = load_encoder(str(folders(name)), "cpu")
        return loaded[name]
    return get


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def picture(seed: int, width: int, height: int) -> Any:
    from PIL import Image

    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (5, 5, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


@pytest.fixture(scope="session")
def pictures() -> list[Any]:
    """Pictures of unlike shapes."""
    return [picture(0, 64, 40), picture(1, 40, 90), picture(2, 33, 33), picture(3, 20, 24)]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Texts of unlike length, one longer than any of the tiny models takes."""
    return ["a red circle", "dog", "the dog barks, loud.", "blue circles under " * 5]


@pytest.fixture(scope="session")
def sounds() -> Callable[[int], list[Any]]:
    """rate → clips: short, uneven, two of equal length, and one of several windows."""
    def make(rate: int) -> list[Any]:
        from mmstudio.media import AudioClip

        rng = np.random.default_rng(5)

        def wave(seconds: float) -> Any:
            t = np.arange(int(seconds * rate)) / rate
            tone = np.sin(2 * np.pi * rng.uniform(200, 2000) * t) * np.hanning(len(t))
            return (0.4 * tone + 0.01 * rng.standard_normal(len(t))).astype(np.float32)
        clips = [(wave(0.5),), (wave(0.31),), (wave(0.5),), (wave(0.9),), (wave(0.7), wave(0.7), wave(0.4))]
        return [AudioClip(windows, rate) for windows in clips]
    return make


@pytest.fixture
def items(encoders: Any, pictures: Any, texts: Any, sounds: Any) -> Items:
    """model name, modality → that modality's test items."""
    def get(name: str, modality: str) -> list[Any]:
        if modality == "audio":
            return sounds(encoders(name).sample_rate_hz)  # type: ignore[no-any-return]
        return pictures if modality == "image" else texts  # type: ignore[no-any-return]
    return get
