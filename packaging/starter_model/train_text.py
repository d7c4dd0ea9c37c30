"""Trains the text tower to give the teacher's vectors from a fifth of its size. Resumable: run it again to go on.

    python teacher.py && python train_text.py --epochs 6

Word pieces start from a linear fit: the token vectors whose mean best gives the teacher's vectors (ridge regression),
cut to the tower's width by their principal axes. Layers then learn what order and context add.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
import world
from common import DEVICE, RUN, bank_path, config, save_array, say
from course import Course
from scipy import sparse
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from torch.nn import functional as F

from mmstudio.encoders.starter_towers import StarterConfig, TextTower

BATCH = 256
MARK = "[TEXT]"  # the first token of every text, so that an empty one has a vector too


def make_tokenizer(texts: list[str], size: int) -> Tokenizer:
    """Lower-cased word pieces (Schuster & Nakajima 2012) learned from the corpus."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=["[UNK]", MARK], show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{MARK} $A", special_tokens=[(MARK, 1)])
    return tokenizer


def start_from_linear_fit(tower: TextTower, rows: list[list[int]], wanted: Tensor) -> None:
    """Token vectors by ridge regression of the teacher's vectors (n, 384) on token shares; layers start as identity."""
    lengths = np.array([len(r) for r in rows])
    shares = sparse.csr_matrix(
        (
            np.repeat(1.0 / lengths, lengths).astype(np.float32),
            (np.repeat(np.arange(len(rows)), lengths), np.concatenate(rows)),
        ),
        shape=(len(rows), tower.words.num_embeddings),
    )
    gram = torch.from_numpy((shares.T @ shares).toarray())
    gram.diagonal().add_(0.3)
    fitted = torch.linalg.solve(gram, torch.from_numpy(np.asarray(shares.T @ wanted.numpy())))  # (vocabulary, 384)
    used = torch.from_numpy(np.asarray(shares.sum(0)).ravel()).sqrt()[:, None]
    axes = torch.linalg.svd(fitted * used, full_matrices=False).Vh[: tower.words.embedding_dim]
    vectors = fitted @ axes.T
    gain = 0.5 / vectors.square().mean().sqrt()
    with torch.no_grad():
        tower.words.weight.copy_(vectors * gain)
        tower.places.weight.zero_()
        tower.project.weight.copy_(axes.T)
        tower.project.bias.zero_()
        tower.pool.score.weight.zero_()
        for block in tower.blocks:
            for layer in (block.attention.out, block.down):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)


def padded(rows: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Token rows -> ids (n, t) int64, mask (n, t) bool, where the tower is."""
    longest = max(map(len, rows))
    ids = torch.tensor([r + [0] * (longest - len(r)) for r in rows])
    mask = torch.arange(longest) < torch.tensor([len(r) for r in rows])[:, None]
    return ids.to(DEVICE), mask.to(DEVICE)


def batches(rows: list[list[int]], names: np.ndarray, epoch: int, focus: int) -> list[np.ndarray]:
    """Shuffled batches of texts of similar length; the rows `names` appear `focus` times more often."""
    rng = np.random.default_rng([3, epoch])
    order = rng.permutation(np.concatenate([np.arange(len(rows)), np.tile(names, focus)]))
    chunk = BATCH * 12
    lengths = np.array([len(r) for r in rows])
    sorted_chunks = [c[np.argsort(lengths[c], kind="stable")] for c in np.split(order, range(chunk, len(order), chunk))]
    cut = [c[i : i + BATCH] for c in sorted_chunks for i in range(0, len(c), BATCH)]
    return [cut[i] for i in rng.permutation(len(cut)) if len(cut[i]) > BATCH // 2]


def distance(given: Tensor, wanted: Tensor) -> Tensor:
    """5 x cosine distance + KL between the batch's neighbourhoods, as the teacher and the student see them."""
    given = F.normalize(given, dim=-1)
    own = torch.eye(len(given), dtype=torch.bool, device=given.device)
    near = (wanted @ wanted.T * 20).masked_fill(own, -1e4).softmax(-1)
    guess = (given @ given.T * 20).masked_fill(own, -1e4).log_softmax(-1)
    return 5 * (1 - (given * wanted).sum(-1)).mean() + F.kl_div(guess, near, reduction="batchmean")


@torch.no_grad()
def vectors_of(tower: TextTower, rows: list[list[int]]) -> Tensor:
    """Unwhitened unit vectors (n, 384)."""
    tower.eval()
    found = [F.normalize(tower.read(*padded(rows[i : i + 200]), False)[0], dim=-1) for i in range(0, len(rows), 200)]
    return torch.cat(found)


class Examiner:
    """Measures a text tower on what it never saw."""

    def __init__(self, tokenizer: Tokenizer, concept_vectors: Tensor) -> None:
        self.sets: dict[str, tuple[list[list[int]], Tensor]] = {}
        for kind, texts in world.validation_texts().items():
            teacher = torch.from_numpy(np.load(RUN / f"teacher_{kind.replace(' ', '_')}.npy"))
            self.sets[kind] = ([e.ids for e in tokenizer.encode_batch(texts)], teacher.to(DEVICE))
        self.names = [e.ids for e in tokenizer.encode_batch([c.name for c in world.concepts()])]
        self.sets["names"] = (self.names, concept_vectors)

    def report(self, tower: TextTower) -> str:
        """Mean cosine to the teacher, by kind."""
        means = {k: (vectors_of(tower, rows) * wanted).sum(-1).mean() for k, (rows, wanted) in self.sets.items()}
        return "cosine to the teacher: " + ", ".join(f"{k} {v:.4f}" for k, v in means.items())


def whitened_tower(sizes: StarterConfig) -> TextTower:
    """A new tower that will move its vectors into the shared space."""
    tower = TextTower(sizes)
    stored = torch.from_numpy(np.load(RUN / "whitening_teacher.npy"))
    tower.centre.copy_(stored[0])
    tower.whitening.copy_(stored[1:])
    return tower


def main() -> None:
    """Distils; at the end leaves the student's concept bank for the other towers."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--epochs", type=int, default=6)
    ask.add_argument("--every", type=int, default=120, help="CPU-seconds between checkpoints")
    told = ask.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(2)
    texts, sizes = world.training_texts(), config()
    if not (RUN / "tokenizer.json").exists():
        make_tokenizer(texts, sizes.vocabulary).save(str(RUN / "tokenizer.json"))
    tokenizer = Tokenizer.from_file(str(RUN / "tokenizer.json"))
    rows = [e.ids[: sizes.max_text_tokens] for e in tokenizer.encode_batch(texts)]
    wanted = torch.from_numpy(np.load(RUN / "teacher_train.npy"))
    names = np.arange(len(world.concepts()))  # the corpus begins with the concepts' names
    tower = whitened_tower(sizes)
    if not (RUN / "text.pt").exists():
        start_from_linear_fit(tower, rows, wanted)
    wanted = wanted.to(DEVICE)
    examiner = Examiner(tokenizer, wanted[: len(names)])
    plan = [b for e in range(told.epochs) for b in batches(rows, names, e, 10 if e >= told.epochs - 2 else 2)]
    course = Course("text", tower, nn.Module(), len(plan), lr=2e-3, muon=0.0, decay=0.998, final_share=0.8,
                    every=told.every)  # fmt: skip
    say(f"from step {course.step} of {len(plan)}: {examiner.report(course.judged())}", "text")
    for chosen in plan[course.step :]:
        tower.train()
        ids, mask = padded([rows[i] for i in chosen])
        with torch.autocast(DEVICE.type, torch.bfloat16):
            given = tower.read(ids, mask, False)[0]
        course.learn(distance(given.float(), wanted[chosen]), 1)
        if course.due():
            course.save()
            facts = f"step {course.step} of {len(plan)} in {course.spent:.0f} CPU-s  loss {course.loss:.3f}"
            say(f"{facts}  {examiner.report(course.judged())}", "text")
    judge = course.judged()
    save_array(bank_path("student"), judge.to_space(vectors_of(judge, examiner.names)).cpu().numpy())
    say("student's bank written", "text")


if __name__ == "__main__":
    main()
