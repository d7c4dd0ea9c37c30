"""What simple models reach on the same parts: a trained model that does not beat them has learned little.

Everything is fitted on train alone; validation chooses the strength of a linear model and the temperature that turns
an SVM's distances into probabilities. The same arguments give the same probabilities on the same computer.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image

from mmstudio import paths
from mmstudio.errors import TrainingError
from mmstudio.media import AudioClip
from mmstudio.progress import Progress, Work
from mmstudio.training import runs, simple_features
from mmstudio.training.calibration import fit_temperature, softmax
from mmstudio.training.examples import Examples
from mmstudio.training.metrics import accuracy
from mmstudio.training.splits import TEST, TRAIN, VALIDATION, Parts

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""C of the linear models, tried from the most held back on until one is worse on validation (the next would be slower
and worse still); 1 where there is no validation.
"""
NEIGHBOURS = 10
MOST_TERMS = 100_000
MOST_ROUNDS = 2000
ON_VECTORS = ("most frequent class", "logistic regression", "linear SVM", "nearest neighbours")
ON_TEXTS = ("most frequent class", "logistic regression", "linear SVM")
ON_RAW = ("most frequent class", "linear SVM")
_TRIED = {"logistic regression": STRENGTHS, "linear SVM": STRENGTHS}


@dataclass(frozen=True)
class Baseline:
    """One simple model: probabilities ``(n, classes)`` float64 of the validation and test rows in their order, the
    ``seconds`` that fitting and telling took, and a ``note`` on what was chosen or did not go as it should.
    """

    name: str
    validation: Floats
    test: Floats
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class _Examples:
    """Features of each part (dense or sparse rows), labels, and how many classes there are."""

    features: tuple[Any, Any, Any]
    labels: tuple[Labels, Labels, Labels]
    classes: int
    source: str


def beside(folder: Path) -> Work[dict[str, float]]:
    """The accuracy of each baseline on the vectors of a run that is done, on the part that its results are of; kept in
    ``results.json``. Several modalities are one after another, with zeros for what is missing. Raises TrainingError.
    """
    run = runs.look(folder)
    if run.job.task != "classification" or not run.results:
        raise TrainingError("Baselines tell classes apart, beside a run that is done.")
    examples = Examples.load(folder / "examples")
    vectors, labels = np.asarray(examples.vectors).reshape(len(examples), -1), np.asarray(examples.targets)
    made = yield from on_vectors(vectors, labels.astype(np.int64), np.asarray(examples.parts), len(run.job.classes))
    told = {}
    for baseline in made:
        part, shares = (TEST, baseline.test) if run.results["of"] == "test" else (VALIDATION, baseline.validation)
        if len(shares):
            told[baseline.name] = accuracy(labels[examples.rows(part)], shares)
    paths.write_atomically(folder / "results.json", json.dumps({**run.results, "baselines": told}).encode())
    return told


def on_vectors(vectors: NDArray[np.floating], labels: Labels, parts: Parts, classes: int,
               names: Sequence[str] = ON_VECTORS, source: str = "") -> Work[list[Baseline]]:
    """Baselines of these ``names`` on ``vectors (n, dim)`` with ``labels (n,)`` of 0..classes-1 and ``parts (n,)``.

    Each step's ``fresh`` is the Baseline that it finished, or None. ``source`` goes before the names. Raises
    TrainingError where there is nothing to learn from, numbers are missing, or scikit-learn is.
    """
    given = np.asarray(vectors, np.float32)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise TrainingError("Some vectors are not numbers.", hint="Encode the items again.")
    rows = _rows(len(given), labels, parts, classes)
    told = tuple(np.asarray(labels, np.int64)[part] for part in rows)
    features = tuple(given[part] for part in rows)
    return (yield from _fitted(_Examples(features, told, classes, source), names))  # type: ignore[arg-type]


def on_texts(texts: Sequence[str], labels: Labels, parts: Parts, classes: int) -> Work[list[Baseline]]:
    """As ``on_vectors`` for texts: TF-IDF of 1 and 2 words and of 3 to 5 letters, known from train alone."""
    rows = _rows(len(texts), labels, parts, classes)
    train, validation, test = ([texts[i] for i in part.tolist()] for part in rows)
    if not any(text.strip() for text in train):
        raise TrainingError("The texts of train are all empty.", hint="Divide in another way, or take another column.")
    terms = _terms()
    features = (terms.fit_transform(train), *(terms.transform(part) if part else None for part in (validation, test)))
    yield Progress(0, 0, "counted words")
    told = tuple(np.asarray(labels, np.int64)[part] for part in rows)
    return (yield from _fitted(_Examples(features, told, classes, "TF-IDF"), ON_TEXTS))  # type: ignore[arg-type]


def on_pictures(pictures: Iterable[Image], labels: Labels, parts: Parts, classes: int) -> Work[list[Baseline]]:
    """As ``on_vectors`` for colours and edges of RGB pictures, which are read one at a time."""
    features = yield from _described(pictures, simple_features.of_picture, len(parts))
    return (yield from on_vectors(features, labels, parts, classes, ON_RAW, "pixels"))


def on_sounds(clips: Iterable[AudioClip], labels: Labels, parts: Parts, classes: int) -> Work[list[Baseline]]:
    """As ``on_vectors`` for the mel bands of sounds, which are read one at a time."""
    features = yield from _described(clips, simple_features.of_sound, len(parts))
    return (yield from on_vectors(features, labels, parts, classes, ON_RAW, "mel bands"))


def _described(items: Iterable[Any], describe: Callable[[Any], NDArray[np.float32]],
               n: int) -> Work[NDArray[np.float32]]:
    found = []
    for item in items:
        found.append(describe(item))
        if len(found) % 32 == 0:
            yield Progress(len(found), n, "describing")
    if len(found) != n:
        raise TrainingError(f"There are {len(found)} items and {n} parts.")
    return np.stack(found) if found else np.zeros((0, 1), np.float32)


def _rows(n: int, labels: Labels, parts: Parts, classes: int) -> list[Labels]:
    """Rows of train, validation and test, or TrainingError."""
    told = np.asarray(labels)
    if told.shape != (n,) or np.shape(parts) != (n,) or not np.issubdtype(told.dtype, np.integer):
        raise TrainingError("Each example needs one label and one part.")
    rows = [np.flatnonzero(np.asarray(parts) == part) for part in (TRAIN, VALIDATION, TEST)]
    if not len(rows[TRAIN]):
        raise TrainingError("No example is left for train.", hint="Divide in another way.")
    if told.min() < 0 or told.max() >= classes:
        raise TrainingError(f"Labels are 0 to {classes - 1}.")
    return rows


def _fitted(examples: _Examples, names: Sequence[str]) -> Work[list[Baseline]]:
    """All baselines, a step for each fit."""
    found: list[Baseline] = []
    tried = {name: _TRIED.get(name, (1.0,)) if len(examples.labels[VALIDATION]) else (1.0,) for name in names}
    done, total = 0, sum(map(len, tried.values()))
    for name, strengths in tried.items():
        began, best = time.perf_counter(), _one(examples, name, strengths[0])
        for place, strength in enumerate(strengths[1:], 1):
            yield Progress(done + place, total, f"fitting {name}")
            one = _one(examples, name, strength)
            gain = _right(one, examples) - _right(best, examples)
            if gain < 0:
                break
            best = one if gain > 0 else best
        done += len(strengths)
        title = f"{examples.source} + {name}" if examples.source and name != ON_RAW[0] else name
        found.append(replace(best, name=title, seconds=time.perf_counter() - began))
        yield Progress(done, total, f"fitted {title}", fresh=found[-1])
    return found


def _right(one: Baseline, examples: _Examples) -> int:
    """How many examples of validation are told right."""
    return int((one.validation.argmax(axis=1) == examples.labels[VALIDATION]).sum())


def _one(examples: _Examples, name: str, strength: float) -> Baseline:
    """One fit; ``seconds`` are the caller's."""
    train, labels, classes = examples.features[TRAIN], examples.labels[TRAIN], examples.classes
    occurs = np.unique(labels)
    if name == ON_VECTORS[0] or len(occurs) < 2:
        shares = np.bincount(labels, minlength=classes) / len(labels)
        note = "" if name == ON_VECTORS[0] else "Train has one class only."
        validation, test = (np.tile(shares, (len(examples.labels[part]), 1)) for part in (VALIDATION, TEST))
        return Baseline(name, validation, test, 0.0, note)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = _model(name, strength, len(labels), sparse=not isinstance(train, np.ndarray)).fit(train, labels)
        scores = [_scores(model, name, examples.features[part], len(examples.labels[part]), occurs)
                  for part in (VALIDATION, TEST)]
    if name == "linear SVM":
        scores = _tempered(scores, examples.labels[VALIDATION], occurs)
    spread = []
    for given in scores:
        whole = np.zeros((len(given), classes))
        whole[:, occurs] = given
        spread.append(whole)
    notes = [f"C = {strength:g}."] if name in _TRIED else []
    if any("onverge" in str(one.message) for one in heard):
        notes.append("Fitting stopped before it had settled.")
    return Baseline(name, spread[0], spread[1], 0.0, " ".join(notes))


def _model(name: str, strength: float, n: int, sparse: bool) -> Any:
    """An estimator of scikit-learn that is not fitted yet; dense features are standardised for the linear ones."""
    try:
        from sklearn.linear_model import LogisticRegression
        from sklearn.neighbors import KNeighborsClassifier
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise _missing() from error
    if name == "nearest neighbours":
        return KNeighborsClassifier(min(NEIGHBOURS, n), metric="cosine", algorithm="brute")
    if name == "logistic regression":
        model = LogisticRegression(C=strength, max_iter=MOST_ROUNDS)
    elif name == "linear SVM":
        model = LinearSVC(C=strength, dual="auto", max_iter=MOST_ROUNDS, random_state=0)
    else:
        raise TrainingError(f"There is no baseline “{name}”.", hint=f"There are {', '.join(ON_VECTORS)}.")
    return model if sparse else make_pipeline(StandardScaler(), model)


def _scores(model: Any, name: str, features: Any, n: int, occurs: Labels) -> Floats:
    """``(n, k)`` of the classes that occur in train: logits of an SVM, else probabilities."""
    if not n:
        return np.zeros((0, len(occurs)))
    if name == "linear SVM":
        distance = np.asarray(model.decision_function(features), np.float64)
        return np.stack([np.zeros(n), distance], axis=1) if distance.ndim == 1 else distance
    shares = np.asarray(model.predict_proba(features), np.float64)
    if name == "nearest neighbours":
        # As if one more neighbour were of every class in equal shares: no class is impossible.
        k = model.n_neighbors
        shares = (k * shares + 1 / len(occurs)) / (k + 1)
    return shares


def _tempered(logits: Sequence[Floats], validation: Labels, occurs: Labels) -> list[Floats]:
    """Softmax of validation and test logits at the temperature that suits validation."""
    known = np.isin(validation, occurs)
    temperature = fit_temperature(np.searchsorted(occurs, validation[known]), logits[0][known]) if known.any() else 1.0
    return [softmax(given, temperature) if len(given) else given for given in logits]


def _terms() -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.pipeline import FeatureUnion
    except ImportError as error:
        raise _missing() from error
    # Signs are words too: a text of emoji alone is not empty.
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]", max_features=MOST_TERMS)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), max_features=MOST_TERMS)
    return FeatureUnion([("words", words), ("letters", letters)])


def _missing() -> TrainingError:
    return TrainingError("Baselines need scikit-learn, which is not installed.", hint="Install scikit-learn.")
