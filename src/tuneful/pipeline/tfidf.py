"""A linear model of which tokens, and which pairs of neighbours, a text holds: logistic or ridge regression on TF-IDF.

    tf-idf(w) = (1 + log count in the text) (1 + log((1 + N) / (1 + texts that hold w)));  rows of length 1

Tokens are those that the network sees, cut at the same length; where it sees sets of n-grams, those of words. Pairs that occur in one text of train alone are left out.

Source: Wang & Manning, ACL 2012 (linear models on pairs of words are strong); scikit-learn's TfidfVectorizer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from tuneful.core.task import Kind, Split, Task
from tuneful.pipeline.metrics import Array

FEWEST = 500  # texts that are fitted to see how long it takes
_STEPS = 200


def tfidf(kind: Kind, train: Split, x: Array, seconds: float, seed: int, sets: int = 0) -> tuple[Array | None, Any, str]:
    """(predictions, the classes of their columns, a note) of a model fitted on train, with fewer texts where time is short.

    sets: see `analyzer`.

    None for the predictions, and why in the note, when not even a few fit into the time.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression, Ridge

    begin = time.perf_counter()
    order = np.random.default_rng(seed).permutation(len(train.y))
    vectorizer: Any = TfidfVectorizer(analyzer=analyzer(sets), sublinear_tf=True)

    def fit(rows: Any, steps: int) -> Any:
        vectorizer.min_df = 2 if len(rows) > 100 else 1
        matrix = vectorizer.fit_transform(train.x[rows])
        model: Any = Ridge(solver="lsqr") if kind == "regression" else LogisticRegression(max_iter=steps)
        return model.fit(matrix, train.y[rows])

    few = order[:FEWEST]
    fit(few, 30)
    took = time.perf_counter() - begin
    rows = order[: int(max(0.0, seconds - took) / (2 * took / len(few)))]
    if len(rows) < len(few):
        return (
            None,
            (),
            f"it needs about {2 * took:.2g} s for {len(few)} texts, and {max(0.0, seconds - took):.2g} s are left",
        )
    model = fit(rows, _STEPS)
    notes = [f"fitted on {len(rows)} of {len(order)} texts, for want of time"] if len(rows) < len(order) else []
    if kind == "regression":
        return model.predict(vectorizer.transform(x)).astype(np.float64), (), "; ".join(notes)
    if int(np.max(model.n_iter_)) >= _STEPS:
        notes.append(f"stopped after {_STEPS} steps, before it converged")
    return model.predict_proba(vectorizer.transform(x)), model.classes_, "; ".join(notes)


def analyzer(sets: int) -> Any:
    """What says which features a row has. sets: where rows are sets of n-grams, up to which number these are of words; else 0."""
    return partial(words, most=sets) if sets else grams


def words_of(task: Task) -> int:
    """Up to which number the n-grams of a task are of words; 0 where its texts are no sets."""
    return int(task.schema["groups"][0]) if task.schema.get("tokenizer", {}).get("kind") == "grams" else 0


def words(row: Array, most: int) -> list[int]:
    """The n-grams of words in a set; 0 fills up."""
    return row[(row != 0) & (row <= most)].tolist()


def grams(row: Array) -> Iterator[Any]:
    """The tokens of a row, each as a tuple of one, and its pairs of neighbours; 0 fills up."""
    ids: list[int] = row[row != 0].tolist()
    yield from zip(ids)
    yield from pairwise(ids)
