"""What simple models reach on the same parts: a trained model that does not beat them has learned little.

Everything is fitted on train alone; validation chooses the strength of a linear model and the temperature that turns
an SVM's distances into probabilities. The same arguments give the same probabilities on the same computer. What is told
are classes, several labels at once (each against the rest), or amounts.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmstudio.errors import TrainingError
from mmstudio.media import Modality
from mmstudio.progress import Progress, Work
from mmstudio.training import simple_features
from mmstudio.training.calibration import fit_temperature, softmax
from mmstudio.training.splits import TEST, TRAIN, VALIDATION, Parts

Labels = NDArray[np.int64]
Floats = NDArray[np.float64]
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
"""C of the linear models (of the ridge 1 / alpha), tried from the most held back on until one is worse on validation
(the next would be slower and worse still); 1 where there is no validation.
"""
NEIGHBOURS = 10
MOST_TERMS = 100_000
MOST_ROUNDS = 2000
UNSETTLED = "Fitting stopped before it had settled."
ON_VECTORS = ("most frequent class", "logistic regression", "linear SVM", "nearest neighbours")
ON_TEXTS = ("most frequent class", "logistic regression", "linear SVM")
ON_RAW = ("most frequent class", "linear SVM")
_SOURCES: dict[Modality, str] = {"text": "TF-IDF", "image": "pixels", "audio": "mel bands"}
FOR_AMOUNTS = {"most frequent class": "mean amount", "linear SVM": "ridge regression",
               "nearest neighbours": "nearest neighbours"}
FOR_LABELS = {"most frequent class": "frequency of each label"}
"""What stands in for a baseline where amounts or several labels are told; of amounts the others have no counterpart."""
LEAST = ("most frequent class", "mean amount", "frequency of each label")
"""Baselines that look at no feature."""
_TRIED = dict.fromkeys(("logistic regression", "linear SVM", "ridge regression"), STRENGTHS)


@dataclass(frozen=True)
class Baseline:
    """One simple model: probabilities ``(n, classes)`` or amounts ``(n, 1)`` float64 of the rows of train, validation
    and test in their order, the ``seconds`` that fitting and telling took, and a ``note`` on what was chosen or did not
    go as it should.
    """

    name: str
    train: Floats
    validation: Floats
    test: Floats
    seconds: float
    note: str = ""


@dataclass(frozen=True)
class _Examples:
    """Features of each part (dense or sparse rows), classes, labels or amounts, and how many classes there are (of
    amounts none).
    """

    features: tuple[Any, ...]
    labels: tuple[NDArray[Any], ...]
    classes: int
    source: str


def on_vectors(vectors: NDArray[np.floating], labels: NDArray[Any], parts: Parts, classes: int,
               names: Sequence[str] = ON_VECTORS, source: str = "") -> Work[list[Baseline]]:
    """Baselines of these ``names`` on ``vectors (n, dim)`` and ``parts (n,)`` with ``labels``: ``(n,)`` integers of
    0..classes-1, ``(n, classes)`` bool, or of no ``classes`` ``(n,)`` float amounts, for which ``FOR_AMOUNTS`` counts.

    Each step's ``fresh`` is the Baseline that it finished, or None. ``source`` goes before the names. Raises
    TrainingError where there is nothing to learn from, numbers are missing, or scikit-learn is.
    """
    given = np.asarray(vectors, np.float32)
    if given.ndim != 2 or not np.isfinite(given).all():
        raise TrainingError("Some vectors are not numbers.", hint="Encode the items again.")
    rows, told = _rows(len(given), labels, parts, classes)
    return (yield from _fitted(_Examples(tuple(given[part] for part in rows), told, classes, source), names))


def on_features(features: Any, labels: NDArray[Any], parts: Parts, classes: int, *modalities: Modality,
                ) -> Work[list[Baseline]]:
    """As ``on_vectors`` for what was ``described`` of a modality, or of several ``side_by_side``."""
    source = " + ".join(_SOURCES[modality] for modality in modalities)
    names = ON_TEXTS if modalities == ("text",) else ON_RAW
    if isinstance(features, np.ndarray):
        return (yield from on_vectors(features, labels, parts, classes, names, source))
    rows, told = _rows(features.shape[0], labels, parts, classes)
    return (yield from _fitted(_Examples(tuple(features[part] for part in rows), told, classes, source), names))


def described(modality: Modality, media: Iterable[Any], parts: Parts) -> Work[Any]:
    """Features without any model, ``(n, width)``: of texts TF-IDF of 1 and 2 words and of 3 to 5 letters, known from
    train alone, sparse; of RGB pictures colours and edges, of sounds mel bands. Media are read one at a time. Raises
    TrainingError.
    """
    if modality != "text":
        describe = simple_features.of_picture if modality == "image" else simple_features.of_sound
        return (yield from _each_described(media, describe, len(parts)))
    texts = list(media)
    train = [text for text, part in zip(texts, parts, strict=True) if part == TRAIN]
    if not any(text.strip() for text in train):
        raise TrainingError("The texts of train are all empty.", hint="Divide in another way, or take another column.")
    terms = _terms().fit(train)
    yield Progress(0, 0, "counted words")
    return terms.transform(texts)


def side_by_side(some: Sequence[tuple[Labels, Any]], parts: Parts) -> Any:
    """Features of several modalities as sparse ``(n, widths)``: of each the rows ``(k,)`` that have it and what was
    ``described`` of them ``(k, width)``; what is missing is zeros. Dense ones are standardised by train and divided by
    the root of their width, so that a modality weighs as much as another.
    """
    from scipy.sparse import csr_matrix, hstack

    blocks = []
    for rows, features in some:
        k, width = features.shape
        if isinstance(features, np.ndarray):
            train = features[np.asarray(parts)[rows] == TRAIN]
            spread = train.std(0)
            features = (features - train.mean(0)) / np.where(spread > 0, spread, 1) / np.sqrt(width)
        places = csr_matrix((np.ones(k), (rows, np.arange(k))), (len(parts), k))
        blocks.append(places @ csr_matrix(features))
    return hstack(blocks, format="csr")


def _each_described(items: Iterable[Any], describe: Callable[[Any], NDArray[np.float32]],
               n: int) -> Work[NDArray[np.float32]]:
    found = []
    for item in items:
        found.append(describe(item))
        if len(found) % 32 == 0:
            yield Progress(len(found), n, "describing")
    if len(found) != n:
        raise TrainingError(f"There are {len(found)} items and {n} parts.")
    return np.stack(found) if found else np.zeros((0, 1), np.float32)


def _rows(n: int, labels: NDArray[Any], parts: Parts, classes: int) -> tuple[list[Labels], tuple[NDArray[Any], ...]]:
    """Rows of train, validation and test with their labels, or TrainingError."""
    told = np.asarray(labels)
    kind, wide = ("iu", (n,)) if told.ndim == 1 and classes else ("b", (n, classes)) if classes else ("f", (n,))
    if told.shape != wide or np.shape(parts) != (n,) or told.dtype.kind not in kind:
        raise TrainingError("Each example needs one label and one part.")
    rows = [np.flatnonzero(np.asarray(parts) == part) for part in (TRAIN, VALIDATION, TEST)]
    if not len(rows[TRAIN]):
        raise TrainingError("No example is left for train.", hint="Divide in another way.")
    if kind == "iu" and (told.min() < 0 or told.max() >= classes):
        raise TrainingError(f"Labels are 0 to {classes - 1}.")
    if kind == "f" and not np.isfinite(told).all():
        raise TrainingError("Some amounts are not numbers.")
    told = told.astype({"iu": np.int64, "b": np.bool_, "f": np.float64}[kind])
    return rows, tuple(told[part] for part in rows)


def _fitted(examples: _Examples, names: Sequence[str]) -> Work[list[Baseline]]:
    """All baselines, a step for each fit; several labels are fitted one by one and told side by side."""
    found: list[Baseline] = []
    several = examples.labels[TRAIN].ndim == 2
    if not examples.classes:
        names = [FOR_AMOUNTS[name] for name in names if name in FOR_AMOUNTS]
    each = [replace(examples, labels=tuple(part[:, c].astype(np.int64) for part in examples.labels), classes=2)
            for c in range(examples.classes)] if several else [examples]
    tried = {name: _TRIED.get(name, (1.0,)) if len(examples.labels[VALIDATION]) else (1.0,) for name in names}
    done, total = 0, len(each) * sum(map(len, tried.values()))
    for name, strengths in tried.items():
        began, made = time.perf_counter(), list[Baseline]()
        for one in each:
            if made:
                yield Progress(done, total, f"fitting {name}")
            made.append((yield from _best(one, name, strengths, Progress(done, total, f"fitting {name}"))))
            done += len(strengths)
        title = FOR_LABELS.get(name, name) if several else name
        title = f"{examples.source} + {title}" if examples.source and title not in LEAST else title
        whole = _joined(made) if several else made[0]
        found.append(replace(whole, name=title, seconds=time.perf_counter() - began))
        yield Progress(done, total, f"fitted {title}", fresh=found[-1])
    return found


def _best(examples: _Examples, name: str, strengths: Sequence[float], so_far: Progress) -> Work[Baseline]:
    """The best on validation of all strengths until one is worse."""
    best = _one(examples, name, strengths[0])
    for place, strength in enumerate(strengths[1:], 1):
        yield replace(so_far, done=so_far.done + place)
        one = _one(examples, name, strength)
        gain = _quality(one, examples) - _quality(best, examples)
        if gain < 0:
            break
        best = one if gain > 0 else best
    return best


def _joined(made: Sequence[Baseline]) -> Baseline:
    """Baselines that each tell whether one label is there, as one of all labels."""
    train, validation, test = (np.stack([getattr(one, part)[:, 1] for one in made], 1)
                               for part in ("train", "validation", "test"))
    unsettled = any(UNSETTLED in one.note for one in made)
    return replace(made[0], train=train, validation=validation, test=test,
                   note=" ".join(["Each label against the rest.", *([UNSETTLED] if unsettled else [])]))


def _quality(one: Baseline, examples: _Examples) -> float:
    """How many examples of validation are told right; of amounts the squared error, negative."""
    wanted = examples.labels[VALIDATION]
    if not examples.classes:
        return -float(((one.validation[:, 0] - wanted) ** 2).sum())
    return float((one.validation.argmax(axis=1) == wanted).sum())


def _one(examples: _Examples, name: str, strength: float) -> Baseline:
    """One fit; ``seconds`` are the caller's."""
    train, labels, classes = examples.features[TRAIN], examples.labels[TRAIN], examples.classes
    counts, occurs = list(map(len, examples.labels)), np.unique(labels)
    if name in LEAST or (classes and len(occurs) < 2):
        same = np.bincount(labels, minlength=classes) / len(labels) if classes else np.array([labels.mean()])
        note = "" if name in LEAST else "Train has one class only."
        return Baseline(name, *_three(np.tile(same, (n, 1)) for n in counts), 0.0, note)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        model = _model(name, strength, len(labels), sparse=not isinstance(train, np.ndarray),
                       amounts=not classes).fit(train, labels)
        scores = [_scores(model, name, features, n, occurs) if classes else _amounts(model, features, n)
                  for features, n in zip(examples.features, counts, strict=True)]
    if name == "linear SVM":
        scores = _tempered(scores, examples.labels[VALIDATION], occurs)
    chosen = f"C = {strength:g}." if classes else f"alpha = {1 / strength:g}."
    notes = [chosen] if name in _TRIED else []
    if any("onverge" in str(one.message) for one in heard):
        notes.append(UNSETTLED)
    told = scores if not classes else [_of_all(given, occurs, classes) for given in scores]
    return Baseline(name, *_three(told), 0.0, " ".join(notes))


def _three(parts: Iterable[Floats]) -> tuple[Floats, Floats, Floats]:
    train, validation, test = parts
    return train, validation, test


def _of_all(shares: Floats, occurs: Labels, classes: int) -> Floats:
    """``(n, classes)`` of shares of those that occur."""
    whole = np.zeros((len(shares), classes))
    whole[:, occurs] = shares
    return whole


def _model(name: str, strength: float, n: int, sparse: bool, amounts: bool) -> Any:
    """An estimator of scikit-learn that is not fitted yet; dense features are standardised for the linear ones."""
    try:
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC
    except ImportError as error:
        raise _missing() from error
    if name == "nearest neighbours":
        kind = KNeighborsRegressor if amounts else KNeighborsClassifier
        return kind(min(NEIGHBOURS, n), metric="cosine", algorithm="brute")
    if name == "ridge regression":
        model: Any = Ridge(alpha=1 / strength)
    elif name == "logistic regression":
        model = LogisticRegression(C=strength, max_iter=MOST_ROUNDS)
    elif name == "linear SVM":
        model = LinearSVC(C=strength, dual="auto", max_iter=MOST_ROUNDS, random_state=0)
    else:
        raise TrainingError(f"There is no baseline “{name}”.", hint=f"There are {', '.join(ON_VECTORS)}.")
    return model if sparse else make_pipeline(StandardScaler(), model)


def _amounts(model: Any, features: Any, n: int) -> Floats:
    """``(n, 1)``"""
    return np.asarray(model.predict(features), np.float64)[:, None] if n else np.zeros((0, 1))


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
    """Softmax of each part's logits at the temperature that suits validation."""
    known = np.isin(validation, occurs)
    told = np.searchsorted(occurs, validation[known])
    temperature = fit_temperature(told, logits[VALIDATION][known]) if known.any() else 1.0
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
