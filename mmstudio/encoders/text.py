"""Texts: BERT-like encoders and sentence-transformers folders, and what every text reader shares.

Sentence-BERT: https://arxiv.org/abs/1908.10084. A folder of that library says in modules.json and 1_Pooling/config.json
how token vectors become one; other folders take the masked mean.
"""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mmstudio.encoders import hf
from mmstudio.encoders.base import Encoder, Explanation, Positions, Prepared, SeenText, SeenToken, with_marks
from mmstudio.encoders.registry import read_config
from mmstudio.errors import EncoderError, ModelRefused

CLASSES = {
    "bert": "BertModel", "roberta": "RobertaModel", "xlm-roberta": "XLMRobertaModel", "mpnet": "MPNetModel",
    "distilbert": "DistilBertModel", "albert": "AlbertModel", "electra": "ElectraModel",
    "deberta-v2": "DebertaV2Model", "modernbert": "ModernBertModel", "nomic_bert": "NomicBertModel",
}
OFFSET_POSITIONS = {"roberta", "xlm-roberta", "mpnet", "clap_text_model"}
"""Kinds whose first position index comes after the padding's, so that many fewer tokens fit."""
VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocab.json", "*.model")
KNOWN_MODULES = {"Transformer", "Pooling", "Normalize"}
POOLINGS = {
    "pooling_mode_cls_token": "cls", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max",
    # Divides the sum by the root of the length: the same direction as the mean, and vectors are normalised.
    "pooling_mode_mean_sqrt_len_tokens": "mean",
}


def load(folder: Path, name: str, device: str) -> Encoder:
    """A text encoder that pools as the folder says. Raises ModelRefused where it asks for what the studio lacks."""
    kind = str(read_config(folder)["model_type"])
    pooling = pooling_of(folder)
    build = hf.load_model(folder, CLASSES[kind])
    placed = hf.place(build, device)
    config = placed.model.config
    texts = Texts(load_tokenizer(folder), longest(config, folder))
    dim = getattr(config, "hidden_size", None) or config.dim
    return hf.HubEncoder(name, folder, build, placed, {"text": TextReader(texts, pooling)}, dim,
                         texts.describe(f"{kind} {pooling}"))


def load_tokenizer(folder: Path) -> Any:
    """The folder's own tokenizer. Raises EncoderError, also where there is no vocabulary: transformers then makes an
    empty one, to which every text is the same.
    """
    if not any(path for pattern in VOCABULARIES for path in folder.glob(pattern)):
        raise EncoderError("The model's folder holds no vocabulary, so it cannot read texts.", path=folder)
    return hf.load_part(folder, "AutoTokenizer")


def pooling_of(folder: Path) -> str:
    """cls, mean or max. Raises ModelRefused for other modules or poolings of a sentence-transformers folder."""
    modules = _table(folder / "modules.json", [])
    kinds = {str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules}
    if kinds - KNOWN_MODULES:
        parts = ", ".join(sorted(kinds - KNOWN_MODULES))
        raise ModelRefused(f"This sentence model has a part that the studio does not run ({parts}).", path=folder)
    where = next((str(m.get("path", "")) for m in modules if str(m.get("type", "")).endswith("Pooling")), "1_Pooling")
    table = _table(folder / where / "config.json", {})
    named = table.get("pooling_mode")
    flags = [key for key, value in table.items() if key.startswith("pooling_mode_") and value is True]
    wanted = [named] if isinstance(named, str) else flags
    chosen = {POOLINGS.get(key, key) for key in wanted} or {"mean"}
    if len(chosen) != 1 or not chosen <= {"cls", "mean", "max"}:
        reason = ", ".join(sorted(chosen))
        raise ModelRefused(f"This sentence model pools in a way the studio does not know ({reason}).", path=folder)
    return chosen.pop()


def longest(config: Any, folder: Path | None = None) -> int:
    """How many tokens the model takes; the sentence-transformers limit where the folder names a smaller one."""
    limit = int(getattr(config, "max_position_embeddings", 0) or 512)
    if config.model_type in OFFSET_POSITIONS:
        limit -= int(config.pad_token_id) + 1
    named = _table(folder / "sentence_bert_config.json", {}).get("max_seq_length") if folder else None
    return min(limit, int(named)) if named else limit


def _table(path: Path, absent: Any) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return absent
    except (OSError, ValueError) as error:
        raise ModelRefused(f"The model's {path.name} cannot be read ({error}).", path=path) from error
    if type(content) is not type(absent):
        raise ModelRefused(f"The model's {path.name} does not have the form it should.", path=path)
    return content


class Texts:
    """The folder's own tokenizer. ``fixed`` pads every text to ``max_length``, as some models were trained."""

    def __init__(self, tokenizer: Any, max_length: int, fixed: bool = False) -> None:
        self.tokenizer, self.fixed = tokenizer, fixed
        self.max_length = min(max_length, int(tokenizer.model_max_length))
        self.pad = int(tokenizer.pad_token_id or 0)
        # The Rust tokenizer keeps truncation and padding as state and refuses to be used while they are set.
        self._lock = threading.Lock()

    def describe(self, family: str) -> str:
        """The preprocessing in a short stable string."""
        return f"{family} {type(self.tokenizer).__name__} {self.max_length} 1"

    def prepare(self, text: str) -> Prepared:
        """A text → ``input_ids`` ``(t,)`` int64, cut at the model's length; ``origin`` holds the text and spans."""
        spans = bool(self.tokenizer.is_fast)
        with self._lock:
            coded = self.tokenizer(text, truncation=True, max_length=self.max_length, return_offsets_mapping=spans,
                                   padding="max_length" if self.fixed else False)
        ids = np.asarray(coded["input_ids"], np.int64)
        if not len(ids):
            raise EncoderError("The text is empty, so the model cannot read it.")
        offsets = with_marks(text, coded["offset_mapping"]) if spans else [(0, 0)] * len(ids)
        return Prepared("text", {"input_ids": ids}, len(ids), origin={"offsets": offsets, "text": text})

    def padded(self, model: Any, pieces: Sequence[hf.Piece]) -> dict[str, Any]:
        """``input_ids`` and ``attention_mask`` ``(n, longest)``, padded on the right."""
        ids, mask = hf.padded(model, pieces, "input_ids", self.pad)
        return {"input_ids": ids, "attention_mask": mask}

    def positions(self, prepared: Prepared) -> Positions:
        """Character spans in the text; NaN for special tokens and padding, which stand for no characters."""
        extents = np.asarray(prepared.origin["offsets"], np.float32).reshape(-1, 2)
        extents[extents[:, 0] >= extents[:, 1]] = np.nan
        with self._lock:
            labels = self.tokenizer.convert_ids_to_tokens(prepared.inputs["input_ids"].tolist())
        return Positions("character", extents, tuple(readable(str(label)) for label in labels))


    def seen(self, prepared: Prepared) -> SeenText:
        """Tokens with their characters."""
        t, ids = self.tokenizer, prepared.inputs["input_ids"].tolist()
        with self._lock:
            pieces = t.convert_ids_to_tokens(ids)
            whole = len(t(prepared.origin["text"], truncation=False, padding=False, verbose=False)["input_ids"])
        specials, segment = set(t.all_special_ids), 0 if "token_type_ids" in t.model_input_names else None
        tokens = []
        for at, (key, piece, (start, end)) in enumerate(zip(ids, pieces, prepared.origin["offsets"], strict=True)):
            # An unknown word has characters; some vocabularies use one token for it and for the end of the text.
            special = key in specials and (key != t.unk_token_id or start >= end)
            start, end = (start, end) if start < end and not special else (0, 0)
            tokens.append(SeenToken(readable(str(piece)), key, at, segment, int(start), int(end), special))
        return SeenText(tuple(tokens), whole > self.max_length)


def readable(piece: str) -> str:
    """A word piece in letters: byte-level vocabularies (GPT-2's) write each byte of UTF-8 as one printable letter.
    Pieces of other vocabularies, and parts of a letter, stay as they are.
    """
    try:
        return bytes(_byte_letters()[letter] for letter in piece).decode("utf-8")
    except (KeyError, UnicodeDecodeError):
        return piece


@functools.cache
def _byte_letters() -> dict[str, int]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return {letter: byte for byte, letter in bytes_to_unicode().items()}


class TextReader:
    """Texts through a BERT-like encoder."""

    def __init__(self, texts: Texts, pooling: str) -> None:
        self.texts, self.pooling = texts, pooling

    def prepare(self, media: Any) -> Prepared:
        """See Reader."""
        return self.texts.prepare(media)

    def vectors(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader."""
        inputs = self.texts.padded(model, pieces)
        return pooled(model(**inputs).last_hidden_state, inputs["attention_mask"], self.pooling)

    def tokens(self, model: Any, pieces: Sequence[hf.Piece]) -> Any:
        """See Reader: final hidden states."""
        inputs = self.texts.padded(model, pieces)
        return hf.kept(model(**inputs).last_hidden_state, inputs["attention_mask"])

    def explain(self, model: Any, prepared: Prepared, piece: hf.Piece) -> Explanation:
        """Tokens are the final hidden states, from which the vector is pooled."""
        inputs = self.texts.padded(model, [piece])
        out = model(**inputs, output_attentions=True)
        positions = self.texts.positions(prepared)
        count = len(positions)
        shares = np.full(count, 1 / count, np.float32) if self.pooling == "mean" else None
        vector = hf.unit(pooled(out.last_hidden_state, inputs["attention_mask"], self.pooling))[0]
        return Explanation(vector, hf.unit(out.last_hidden_state[0]), positions, shares,
                           hf.dense_layers(out.attentions, positions), 0 if self.pooling == "cls" else None)

    def seen(self, prepared: Prepared, piece: hf.Piece) -> SeenText:
        """See Reader."""
        return self.texts.seen(prepared)


def pooled(hidden: Any, mask: Any, pooling: str) -> Any:
    """``(n, t, d)`` and ``(n, t)`` 0/1 → ``(n, d)``."""
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "max":
        return hidden.float().masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)
    return hf.masked_mean(hidden, mask)
