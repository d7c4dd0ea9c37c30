"""Downloading from a hub on this machine: what is fetched, what is refused, and that nothing is lost or half there."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_hub import FIRST, NAME, WEIGHTS, FakeHub, readers

from mmstudio.encoders import hub as online
from mmstudio.encoders import load_encoder
from mmstudio.encoders.base import encode
from mmstudio.encoders.download import download, remove
from mmstudio.encoders.registry import cached_snapshot
from mmstudio.errors import DownloadError, ModelNotFound, ModelRefused
from mmstudio.progress import Progress, Work, finish

SECOND = "2" * 40
Folders = Callable[[str], Path]


@pytest.fixture
def hub(fake_hub: FakeHub, folders: Folders) -> FakeHub:
    """A hub with a sentence model that pools as its 1_Pooling/config.json says."""
    fake_hub.serve(folders("pooled_cls"))
    return fake_hub


def repository(cache: Path) -> Path:
    return cache / "models--some--model"


def parts(cache: Path) -> list[Path]:
    return list(repository(cache).glob("blobs/*.incomplete"))


def run_until(work: Work[Path], ready: Callable[[Progress], bool]) -> Progress:
    return next(step for step in work if ready(step))


def at_the_middle(hub: FakeHub) -> Callable[[Progress], bool]:
    """Whether a download has all but the weights' second half."""
    return lambda step: step.text == WEIGHTS and step.done == step.total - (len(hub.files[WEIGHTS]) + 1) // 2


# What arrives


def test_a_downloaded_model_gives_the_vectors_of_its_folder(
    hub: FakeHub, encoders: Callable[[str], Any], texts: list[str],
) -> None:
    snapshot = finish(download(NAME))
    assert snapshot == cached_snapshot(NAME)
    encoder = load_encoder(NAME, "cpu")
    assert encoder.revision == hub.commit
    wanted = encode(encoders("pooled_cls"), texts, "text")
    assert np.array_equal(encode(encoder, texts, "text"), wanted)


@pytest.mark.parametrize(("kind", "modality"), [
    ("clip", "image"), ("siglip", "text"), ("clap", "text"), ("roberta", "text"), ("vit", "image"),
    ("whisper", "audio"), ("wav2vec2", "audio")])
def test_what_is_fetched_is_enough_for_each_family(
    hub: FakeHub, kind: str, modality: str, folders: Folders, encoders: Callable[[str], Any], texts: list[str],
    pictures: list[Any], sounds: Callable[[int], list[Any]],
) -> None:
    hub.serve(folders(kind))
    finish(download(NAME))
    known = encoders(kind)
    media = {"text": texts, "image": pictures, "audio": sounds(known.sample_rate_hz)}[modality]
    assert np.array_equal(encode(load_encoder(NAME, "cpu"), media, modality), encode(known, media, modality))


def test_weights_in_several_files_are_fetched_together(
    hub: FakeHub, folders: Folders, tmp_path: Path, encoders: Callable[[str], Any], texts: list[str],
) -> None:
    from transformers import BertModel

    folder = Path(shutil.copytree(folders("pooled_cls"), tmp_path / "sharded"))
    (folder / WEIGHTS).unlink()
    BertModel.from_pretrained(folders("pooled_cls")).save_pretrained(folder, max_shard_size="30KB")
    hub.serve(folder)
    assert WEIGHTS not in hub.files
    finish(download(NAME))
    assert sum(name.endswith(".safetensors") for name in hub.fetched) > 1
    assert np.array_equal(encode(load_encoder(NAME, "cpu"), texts, "text"),
                          encode(encoders("pooled_cls"), texts, "text"))


def test_other_forms_of_the_weights_and_other_files_are_left_there(hub: FakeHub) -> None:
    wanted = set(hub.files)
    hub.files |= dict.fromkeys(
        ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack", "model.fp16.safetensors", "onnx/model.onnx",
         "onnx/config.json", "openvino/openvino_model.bin", "original/model.pt", "README.md", ".gitattributes",
         "model-00001-of-00002.safetensors", "training_args.bin", "modeling_own.py", "eval/results.json"), b"x")
    finish(download(NAME))
    assert wanted >= set(hub.fetched) >= {"config.json", WEIGHTS, "modules.json", "1_Pooling/config.json"}


def test_progress_counts_bytes_up_to_the_sum_of_what_is_needed(hub: FakeHub) -> None:
    steps = list(download(NAME))
    counted = [step for step in steps if step.total]
    assert len({step.total for step in counted}) == 1
    assert [step.done for step in counted] == sorted(step.done for step in counted)
    assert counted[-1].done == counted[-1].total == sum(len(hub.files[name]) for name in set(hub.fetched))
    assert counted[-1].text == WEIGHTS
    assert {step.text for step in steps} >= {"config.json", "tokenizer.json", "1_Pooling/config.json"}


def test_a_second_download_fetches_nothing(hub: FakeHub) -> None:
    first = finish(download(NAME))
    hub.log.clear()
    assert finish(download(NAME)) == first
    assert hub.fetched == []


def test_a_file_that_is_in_the_cache_counts_as_done(hub: FakeHub, cache: Path) -> None:
    snapshot = finish(download(NAME))
    shutil.rmtree(repository(cache) / "refs")
    lost = snapshot / "tokenizer.json"
    lost.resolve().unlink()
    hub.log.clear()
    last = [step for step in download(NAME) if step.total]
    assert hub.fetched == ["tokenizer.json"]
    assert next(step.done for step in last if step.text == "tokenizer.json") >= last[-1].total - len(
        hub.files["tokenizer.json"])


def test_a_newer_commit_fetches_what_changed_and_becomes_the_model(hub: FakeHub) -> None:
    old = finish(download(NAME))
    hub.commit = SECOND
    hub.files["sentence_bert_config.json"] = b'{"max_seq_length": 6}'
    hub.log.clear()
    new = finish(download(NAME))
    assert hub.fetched == ["sentence_bert_config.json"]
    assert cached_snapshot(NAME) == new != old
    assert (old / "sentence_bert_config.json").read_bytes() != (new / "sentence_bert_config.json").read_bytes()


def test_huggingface_hub_finds_the_model_in_its_own_cache(hub: FakeHub, cache: Path) -> None:
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    snapshot = finish(download(NAME))
    assert try_to_load_from_cache(NAME, "1_Pooling/config.json") == str(snapshot / "1_Pooling" / "config.json")
    found = scan_cache_dir(cache)
    assert not found.warnings
    assert [repo.repo_id for repo in found.repos] == [NAME]
    assert next(iter(found.repos)).refs["main"].commit_hash == hub.commit


def test_without_symbolic_links_the_files_themselves_lie_in_the_snapshot(
    hub: FakeHub, monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(*_: Any) -> None:
        raise OSError("a privilege is not held")

    monkeypatch.setattr(Path, "symlink_to", refused)
    snapshot = finish(download(NAME))
    assert not any(path.is_symlink() for path in snapshot.rglob("*"))
    assert load_encoder(NAME, "cpu").dim == 32
    hub.log.clear()
    finish(download(NAME))
    assert hub.fetched == []


def test_two_files_of_the_same_content_both_arrive(hub: FakeHub) -> None:
    hub.files["added_tokens.json"] = hub.files["special_tokens_map.json"] = b"{}"
    snapshot = finish(download(NAME))
    assert (snapshot / "added_tokens.json").read_bytes() == (snapshot / "special_tokens_map.json").read_bytes() == b"{}"


def test_an_empty_file_arrives(hub: FakeHub) -> None:
    hub.files["merges.txt"] = b""
    assert (finish(download(NAME)) / "merges.txt").read_bytes() == b""


# Going on


def test_a_cut_connection_goes_on_where_it_ended(hub: FakeHub) -> None:
    hub.cuts = [0.5, 0.5]
    snapshot = finish(download(NAME))
    size = len(hub.files[WEIGHTS])
    second = size // 2
    third = second + (size - second) // 2
    assert hub.sent_from == ["", f"bytes={second}-", f"bytes={third}-"]
    assert (snapshot / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_server_that_sends_no_parts_is_asked_from_the_start(hub: FakeHub) -> None:
    hub.cuts, hub.ranges = [0.5], False
    snapshot = finish(download(NAME))
    assert len(hub.sent_from) == 2
    assert (snapshot / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_closed_download_leaves_no_model_and_the_next_goes_on_where_it_stopped(hub: FakeHub, cache: Path) -> None:
    hub.hold = threading.Event()
    work = download(NAME)
    run_until(work, at_the_middle(hub))
    work.close()
    assert cached_snapshot(NAME) is None
    middle = len(hub.files[WEIGHTS]) // 2
    assert [path.stat().st_size for path in parts(cache)] == [middle]
    hub.hold.set()
    hub.log.clear()
    finish(download(NAME))
    assert hub.fetched == [WEIGHTS]
    assert hub.sent_from == [f"bytes={middle}-"]
    assert parts(cache) == []
    assert load_encoder(NAME, "cpu").dim == 32


def test_steps_and_closing_are_prompt_where_the_network_stands_still(hub: FakeHub) -> None:
    hub.hold = threading.Event()
    work = download(NAME)
    run_until(work, at_the_middle(hub))
    start = time.perf_counter()
    stalled = [next(work) for _ in range(3)]
    work.close()
    assert time.perf_counter() - start < 1
    assert len({step.done for step in stalled}) == 1


def test_a_paused_download_lets_the_network_run_only_a_little_ahead() -> None:
    made = 0

    def endless() -> Iterator[int]:
        nonlocal made
        while True:
            made += 1
            yield made

    work = online.beside(endless())  # type: ignore[arg-type]
    assert next(item for item in work if item is not None) == 1
    work.close()
    for reader in readers():
        reader.join(10)
    assert not readers()
    assert made <= online.AHEAD + 3


def test_a_connection_that_brings_nothing_again_and_again_is_given_up_and_what_there_is_is_kept(
    hub: FakeHub, cache: Path,
) -> None:
    hub.cuts = [0.5, 0, 0, 0]
    with pytest.raises(DownloadError, match="are kept") as caught:
        finish(download(NAME))
    assert "goes on where it stopped" in caught.value.hint
    assert cached_snapshot(NAME) is None
    middle = len(hub.files[WEIGHTS]) // 2
    assert [path.stat().st_size for path in parts(cache)] == [middle]
    assert hub.sent_from == ["", *[f"bytes={middle}-"] * 3]
    hub.log.clear()
    finish(download(NAME))
    assert hub.sent_from == [f"bytes={middle}-"]


def test_a_server_in_trouble_is_asked_again(hub: FakeHub) -> None:
    path = f"/{NAME}/resolve/{FIRST}/tokenizer.json"
    hub.refusals[path] = (503, "")
    work = download(NAME)
    run_until(work, lambda step: bool(step.total))
    with pytest.raises(DownloadError, match="503"):
        finish(work)
    assert hub.fetched.count("tokenizer.json") == 3


def test_one_model_is_downloaded_once_at_a_time(hub: FakeHub) -> None:
    hub.hold = threading.Event()
    work = download(NAME)
    run_until(work, at_the_middle(hub))
    for other in (lambda: finish(download(NAME)), lambda: remove(NAME)):
        with pytest.raises(DownloadError, match="already"):
            other()
    hub.hold.set()
    finish(work)
    assert cached_snapshot(NAME)


# What is refused


def assert_refused_before_the_weights(hub: FakeHub, cache: Path, reason: str) -> None:
    with pytest.raises(ModelRefused, match=reason) as caught:
        finish(download(NAME))
    assert caught.value.path == NAME
    assert hub.fetched == ["config.json"]
    assert not repository(cache).exists()


def test_pickled_weights_are_refused_before_they_are_fetched(hub: FakeHub, cache: Path) -> None:
    hub.files["pytorch_model.bin"] = hub.files.pop(WEIGHTS)
    assert_refused_before_the_weights(hub, cache, "pickled")


def test_weights_that_transformers_would_not_find_are_refused(hub: FakeHub, cache: Path) -> None:
    hub.files["model.fp16.safetensors"] = hub.files.pop(WEIGHTS)
    assert_refused_before_the_weights(hub, cache, "no weights in safetensors")


@pytest.mark.parametrize(("change", "reason"), [
    ({"auto_map": {"AutoModel": "own.Model"}}, "program code"), ({"model_type": "gpt2"}, "“gpt2”")])
def test_a_model_that_could_not_be_loaded_is_refused_before_it_is_fetched(
    hub: FakeHub, cache: Path, change: dict[str, Any], reason: str,
) -> None:
    hub.files["config.json"] = json.dumps(json.loads(hub.files["config.json"]) | change).encode()
    assert_refused_before_the_weights(hub, cache, reason)


def test_a_repository_without_config_is_no_model(hub: FakeHub) -> None:
    del hub.files["config.json"]
    with pytest.raises(ModelNotFound, match=r"“model” is no model.*config\.json"):
        finish(download(NAME))
    assert hub.fetched == []


@pytest.mark.parametrize("name", ["../evil.json", "/etc/evil.json", "a/../../evil", "..\\evil.json", "C:evil.json",
                                  "a\nb.json"])
def test_file_names_that_lead_elsewhere_are_refused(hub: FakeHub, cache: Path, name: str) -> None:
    hub.files[name] = b"{}"
    with pytest.raises(DownloadError, match="names a file"):
        finish(download(NAME))
    assert hub.fetched == []
    assert not repository(cache).exists()


@pytest.mark.parametrize("spoil", [
    {"sha": "../../evil"}, {"sha": None}, {"blobId": "../evil"}, {"size": -1}, {"lfs": {"sha256": "../evil"}}])
def test_hashes_and_sizes_that_are_none_are_refused(hub: FakeHub, cache: Path, spoil: dict[str, Any]) -> None:
    def spoilt(listing: dict[str, Any]) -> dict[str, Any]:
        for line in listing["siblings"]:
            line.update({key: value for key, value in spoil.items() if key != "sha"})
        return listing | {key: value for key, value in spoil.items() if key == "sha"}

    hub.listed = spoilt
    with pytest.raises(DownloadError, match="is none"):
        finish(download(NAME))
    assert hub.fetched == []
    assert not repository(cache).exists()


@pytest.mark.parametrize("answer", [b"<html>Welcome to our network!</html>", b"[]", b"{}", b"\xff", b"",
                                    b'{"sha": 1, "siblings": [{"rfilename": "config.json"}]}'])
def test_an_answer_that_is_no_listing_is_told_as_such(hub: FakeHub, answer: bytes) -> None:
    hub.listed = lambda _: answer
    with pytest.raises(DownloadError, match=r"cannot be understood.*proxy"):
        finish(download(NAME))


@pytest.mark.parametrize("name", [WEIGHTS, "tokenizer.json"])
def test_content_of_another_checksum_is_deleted(hub: FakeHub, cache: Path, name: str) -> None:
    listing = hub.listing()
    hub.listed = lambda _: listing
    hub.files[name] = hub.files[name][:-1] + b"?"
    with pytest.raises(DownloadError, match=rf"“{name}”.*checksum"):
        finish(download(NAME))
    assert parts(cache) == []
    assert cached_snapshot(NAME) is None


@pytest.mark.parametrize(("change", "reason"), [
    (lambda content: content + b"more", "longer"), (lambda content: content[:100], "shorter")])
def test_content_of_another_size_is_deleted(
    hub: FakeHub, cache: Path, change: Callable[[bytes], bytes], reason: str,
) -> None:
    listing = hub.listing()
    hub.listed = lambda _: listing
    hub.files[WEIGHTS] = change(hub.files[WEIGHTS])
    with pytest.raises(DownloadError, match=reason):
        finish(download(NAME))
    assert parts(cache) == []
    assert cached_snapshot(NAME) is None


@pytest.mark.parametrize(("where", "status", "code", "reason"), [
    (f"/api/models/{NAME}", 404, "RepoNotFound", "has no model"),
    (f"/api/models/{NAME}", 401, "RepoNotFound", "has no model"),
    (f"/api/models/{NAME}", 403, "", "conditions"),
    (f"/api/models/{NAME}", 503, "", "answers 503"),
    (f"/api/models/{NAME}", 400, "BadThing", "answers 400 BadThing"),
    (f"/{NAME}/resolve/{FIRST}/config.json", 401, "GatedRepo", "conditions"),
    (f"/{NAME}/resolve/{FIRST}/tokenizer.json", 404, "EntryNotFound", "does not have")])
def test_what_the_hub_refuses_is_told_plainly(
    hub: FakeHub, where: str, status: int, code: str, reason: str,
) -> None:
    hub.refusals[where] = (status, code)
    with pytest.raises(DownloadError, match=reason) as caught:
        finish(download(NAME))
    assert caught.value.what.count(".") == 1
    assert cached_snapshot(NAME) is None


def test_without_a_network_it_is_told_at_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeHub() as server:
        address = server.address
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    start = time.perf_counter()
    with pytest.raises(DownloadError, match="cannot be reached") as caught:
        finish(download(NAME))
    assert time.perf_counter() - start < 3
    assert "online" in caught.value.hint


@pytest.mark.parametrize("name", ["", "starter", "a/b/c", "../evil", "a/..", "/a", "a/", "a b/c", "a--b/c", "~/model",
                                  "a\\b", ".hidden/x", "a/b\n"])
def test_what_is_no_name_on_the_hub_is_refused(cache: Path, name: str) -> None:
    cache.mkdir()
    for work in (lambda: finish(download(name)), lambda: remove(name)):
        with pytest.raises(DownloadError, match="not the name"):
            work()
    assert list(cache.iterdir()) == []


# Leave to go online


def test_a_persons_wish_to_stay_offline_is_obeyed(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(online.STUDIOS_OWN)
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE is set.*unset"):
        finish(download(NAME))
    assert hub.log == []


@pytest.mark.parametrize(("before", "after", "own"), [(None, "1", "1"), ("", "1", "1"), ("1", "1", None),
                                                      ("0", "0", None)])
def test_the_studio_goes_offline_and_remembers_whose_wish_it_was(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str, own: str | None,
) -> None:
    for name, value in (("HF_HUB_OFFLINE", before), (online.STUDIOS_OWN, None)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    online.stay_offline()
    assert (os.environ["HF_HUB_OFFLINE"], os.environ.get(online.STUDIOS_OWN)) == (after, own)


def test_the_token_goes_to_the_hub_and_to_nobody_else(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    finish(download(NAME))
    told = {path.split("/")[1]: told for path, _, told in hub.log}
    assert told == {"api": "Bearer hf_secret", "some": "Bearer hf_secret", "cdn": ""}


# The disk


def test_a_disk_without_room_is_told_before_anything_is_written(
    hub: FakeHub, cache: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    hub.listed = lambda listing: listing | {"siblings": [
        line | ({"size": 5_000_000_000} if line["rfilename"] == WEIGHTS else {}) for line in listing["siblings"]]}
    with pytest.raises(DownloadError, match=r"5,000\.\d MB are to come, and 5,250\.\d MB are missing"):
        finish(download(NAME))
    assert hub.fetched == ["config.json"]
    assert parts(cache) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_up_is_told(hub: FakeHub, cache: Path) -> None:
    (repository(cache) / "blobs").mkdir(parents=True)
    etag = hashlib.sha256(hub.files[WEIGHTS]).hexdigest()
    (repository(cache) / "blobs" / f"{etag}.incomplete").symlink_to("/dev/full")
    with pytest.raises(DownloadError, match="disk is full") as caught:
        finish(download(NAME))
    assert caught.value.path == str(cache)
    assert cached_snapshot(NAME) is None


def test_a_cache_that_cannot_be_written_is_told(hub: FakeHub, cache: Path) -> None:
    cache.write_bytes(b"")
    with pytest.raises(DownloadError, match="cannot be changed"):
        finish(download(NAME))


# Taking it out


def test_a_removed_model_is_gone_and_its_bytes_are_counted(hub: FakeHub, cache: Path) -> None:
    finish(download(NAME))
    held = sum(path.stat().st_size for path in repository(cache).glob("blobs/*"))
    assert remove(NAME) == held + 40
    assert cached_snapshot(NAME) is None
    assert not repository(cache).exists()
    assert remove(NAME) == 0


def test_removing_takes_what_a_cancelled_download_left_and_no_other_model(hub: FakeHub, cache: Path) -> None:
    hub.hold = threading.Event()
    work = download(NAME)
    run_until(work, at_the_middle(hub))
    work.close()
    other = cache / "models--some--model2"
    other.mkdir()
    assert remove(NAME) > len(hub.files[WEIGHTS]) // 2
    assert not repository(cache).exists()
    assert other.is_dir()
