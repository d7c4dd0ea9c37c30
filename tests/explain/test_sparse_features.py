"""Sparse features: directions that vectors were made of are found again, kept, and read back."""

from __future__ import annotations

import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mmstudio.errors import ProjectError, StudioError
from mmstudio.explain.kept_features import Features, Firings, keep, read
from mmstudio.explain.sparse_features import Learned, Wish, learn
from mmstudio.progress import finish

N, DIM, TRUE, ACTIVE = 1500, 32, 40, 3
DIGEST = "0123456789abcdef"


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """``(TRUE, DIM)`` directions of length 1, and ``(N, DIM)`` sums of ``ACTIVE`` of them."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(TRUE, DIM))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shares = np.zeros((N, TRUE))
    for row in shares:
        row[rng.choice(TRUE, ACTIVE, replace=False)] = rng.uniform(0.5, 1.5, ACTIVE)
    return directions.astype(np.float32), (shares @ directions).astype(np.float32)


def groups_of(vectors: np.ndarray) -> np.ndarray:
    return np.full(len(vectors), "image")


def learned_from(vectors: np.ndarray, wish: Wish) -> Learned:
    return finish(learn(vectors, groups_of(vectors), wish))


@pytest.fixture(scope="module")
def found() -> Learned:
    return learned_from(made()[1], Wish(TRUE, ACTIVE, 128, 500))


def test_the_directions_that_vectors_are_made_of_are_found(found: Learned) -> None:
    directions, _ = made()
    cosines = directions @ found.autoencoder.decoder.T
    assert cosines.max(axis=1).mean() > 0.97
    assert len(set(cosines.argmax(axis=1).tolist())) == TRUE
    assert np.allclose(np.linalg.norm(found.autoencoder.decoder, axis=1), 1, atol=1e-5)


def test_exactly_k_features_fire_on_each_and_what_is_reported_is_so(found: Learned) -> None:
    _, vectors = made()
    assert found.which.shape == (N, ACTIVE)
    assert (found.strength > 0).all()
    assert all(len(set(row)) == ACTIVE for row in found.which.tolist())
    centred = (vectors - vectors.mean(axis=0)).astype(np.float64)
    model = found.autoencoder
    codes = np.zeros((N, TRUE))
    np.put_along_axis(codes, found.which.astype(np.int64), found.strength, axis=1)
    left = centred - (codes @ model.decoder + model.bias) * model.scale
    assert found.explained == pytest.approx(1 - (left**2).sum() / (centred**2).sum(), abs=1e-4)
    assert found.explained > 0.95
    latents = (centred / model.scale - model.bias) @ model.encoder.T
    assert np.array_equal(np.sort(found.which, axis=1), np.sort(np.argsort(-latents, axis=1)[:, :ACTIVE], axis=1))
    assert found.dead == 0


def test_the_same_seed_finds_the_same_and_another_seed_others() -> None:
    _, vectors = made()
    wish = Wish(TRUE, ACTIVE, 64, 30)
    one, same, other = (learned_from(vectors, replace(wish, seed=seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.autoencoder.decoder, same.autoencoder.decoder)
    assert np.array_equal(one.which, same.which)
    assert not np.allclose(one.autoencoder.decoder, other.autoencoder.decoder)


def test_more_features_than_there_are_leave_some_dead_and_say_so() -> None:
    _, vectors = made()
    found = learned_from(vectors, Wish(4 * TRUE, ACTIVE, 128, 300))
    assert found.dead == 1 - len(np.unique(found.which[found.strength > 0])) / (4 * TRUE)
    assert 0 < found.dead < 1


def test_each_group_lies_around_its_own_mean_so_that_features_cross_the_gap() -> None:
    directions, vectors = made()
    groups = np.where(np.arange(N) % 2 == 0, "image", "text")
    apart = vectors + np.where(groups == "text", 5.0, -5.0)[:, None].astype(np.float32)
    found = finish(learn(apart, groups, Wish(TRUE, ACTIVE, 128, 500)))
    assert (directions @ found.autoencoder.decoder.T).max(axis=1).mean() > 0.95
    firings = Firings(Features(found, np.arange(N)))
    of_texts = [np.mean(groups[firings.of(at)[0]] == "text") for at in range(TRUE) if firings.counts[at]]
    assert 0.2 < min(of_texts) < max(of_texts) < 0.8


def test_fewer_vectors_than_features_are_no_trouble() -> None:
    vectors = made()[1][:5]
    found = learned_from(vectors, Wish.fitting(5, DIM, features=64))
    assert found.which.shape == (5, 4)
    assert found.explained > 0.9


@pytest.mark.parametrize("count", [0, 1, 9])
def test_vectors_that_do_not_differ_are_refused(count: int) -> None:
    vectors = np.repeat(made()[1][:1], count, axis=0)
    with pytest.raises(StudioError, match="do not differ"):
        learned_from(vectors, Wish.fitting(count, DIM))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float) -> None:
    vectors = made()[1]
    vectors[-1, 3] = value
    with pytest.raises(StudioError, match="no numbers"):
        learned_from(vectors, Wish.fitting(N, DIM))


def test_the_rule_suits_few_and_a_million() -> None:
    few, many = Wish.fitting(300, 512), Wish.fitting(1_000_000, 512)
    assert (few.features, few.k) == (75, 4)
    assert (many.features, many.k, many.batch) == (2048, 16, 1024)
    assert many.steps * many.batch >= 4_000_000


def test_only_mini_batches_are_read_of_vectors_on_a_disk(tmp_path: Path) -> None:
    _, vectors = made()
    mapped = np.memmap(tmp_path / "vectors", np.float32, "w+", shape=vectors.shape)
    mapped[:] = vectors
    wish = Wish(TRUE, ACTIVE, 64, 20)
    assert np.array_equal(learned_from(mapped, wish).which, learned_from(vectors, wish).which)


# ---- what is kept -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def features(found: Learned) -> Features:
    return Features(found, np.arange(N) * 2 + 7, tuple(f"feature {at}" for at in range(TRUE)))


def test_each_feature_gives_its_items_strongest_first(features: Features) -> None:
    firings, learned = Firings(features), features.learned
    for at in range(TRUE):
        fires = (learned.which == at) & (learned.strength > 0)
        ids, strength = firings.of(at)
        assert set(ids.tolist()) == set(features.ids[fires.any(axis=1)].tolist())
        assert firings.counts[at] == len(ids)
        assert np.array_equal(strength, -np.sort(-learned.strength[fires]))
        assert np.array_equal(firings.top[at], ids[:12])


def test_what_is_kept_is_read_back(features: Features, tmp_path: Path) -> None:
    keep(tmp_path, DIGEST, features)
    back = read(tmp_path, DIGEST, DIM)
    assert back is not None
    assert back.names == features.names
    assert np.array_equal(back.ids, features.ids)
    assert np.array_equal(back.learned.which, features.learned.which)
    assert np.allclose(back.learned.strength, features.learned.strength, rtol=1e-3)
    assert back.learned.explained == features.learned.explained
    _, vectors = made()
    again = back.learned.autoencoder.codes(vectors[:9], groups_of(vectors[:9]))
    assert np.array_equal(again[0], features.learned.which[:9])
    assert read(tmp_path, "another", DIM) is None
    assert [file.name for file in tmp_path.iterdir()] == [f"features-{DIGEST}.safetensors"]


def test_new_items_get_codes_and_items_that_went_have_none(features: Features) -> None:
    _, vectors = made()
    ids = np.concatenate([features.ids[100:][::-1], [1]])
    rows = np.concatenate([vectors[100:][::-1], vectors[:1]])
    now = features.over(ids, rows, groups_of(rows))
    assert np.array_equal(now.ids, ids)
    assert np.array_equal(now.learned.which, np.concatenate([features.learned.which[100:][::-1],
                                                             features.learned.which[:1]]))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def foreign(file: Path) -> None:
    save_file({"weights": np.zeros(3, np.float32)}, file)


def of_other_shapes(file: Path) -> None:
    raw = file.read_bytes()
    told = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
    save_file({**load_file(file), "decoder": np.zeros((TRUE, DIM + 1), np.float32)}, file, told)


def of_wild_codes(file: Path) -> None:
    raw = file.read_bytes()
    told = json.loads(raw[8 : 8 + struct.unpack("<Q", raw[:8])[0]])["__metadata__"]
    save_file({**load_file(file), "which": np.full((N, ACTIVE), TRUE, np.uint16)}, file, told)


@pytest.mark.parametrize("spoil", [cut, foreign, of_other_shapes, of_wild_codes])
def test_a_file_that_is_damaged_or_foreign_is_set_aside(spoil: object, features: Features, tmp_path: Path) -> None:
    keep(tmp_path, DIGEST, features)
    file = tmp_path / f"features-{DIGEST}.safetensors"
    spoil(file)  # type: ignore[operator]
    spoiled = file.read_bytes()
    with pytest.raises(ProjectError, match="set aside"):
        read(tmp_path, DIGEST, DIM)
    assert read(tmp_path, DIGEST, DIM) is None
    aside, = tmp_path.iterdir()
    assert aside.read_bytes() == spoiled


def test_another_spaces_file_is_not_taken_for_this_ones(features: Features, tmp_path: Path) -> None:
    keep(tmp_path, DIGEST, features)
    (tmp_path / f"features-{DIGEST}.safetensors").rename(tmp_path / "features-another.safetensors")
    with pytest.raises(ProjectError, match="set aside"):
        read(tmp_path, "another", DIM)


def test_where_it_cannot_be_kept_it_says_so_and_what_was_kept_stays(features: Features, tmp_path: Path) -> None:
    (tmp_path / f"features-{DIGEST}.safetensors").mkdir()
    with pytest.raises(ProjectError, match="could not be kept"):
        keep(tmp_path, DIGEST, features)
    assert [file.name for file in tmp_path.iterdir()] == [f"features-{DIGEST}.safetensors"]
