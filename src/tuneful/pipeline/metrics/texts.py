"""Metrics of texts that were written: BLEU, chrF, bits per token. Sums over sentences, so that resampling takes whole ones.

    BLEU    100 BP (p_1 p_2 p_3 p_4)^(1/4);   p_n: share of the n-grams written that are wanted, each as often as it is wanted;
            BP = min(1, exp(1 - wanted / written)), lengths in words
    chrF    100 (1 + 4) P R / (4 P + R);      P, R: precision and recall of runs of n letters, means over n = 1..6, blanks left out
    bits per token, token accuracy            as for any sequence (see `places`), of the wanted tokens, each told by those before it

BLEU is counted as sacrebleu does by default, and its signature is told with the number: one reference, capitals count, words as
mteval-v13a parts them (or letters, where the wanted texts are written without blanks), an n-gram order without any match counts as
1/2, 1/4 ... of a match (smoothing "exp").  A test holds both measures to sacrebleu's own.

Answers p are [N, 3 + L]: bits, tokens and right tokens of the wanted text, then the letters of the written one; targets y are the
letters of the wanted texts, [N, U] uint32 (see `runtime.letters`).

Source: Papineni et al., ACL 2002; Post, WMT 2018, arXiv:1804.08771 (the signature); smoothing: Chen & Cherry, WMT 2014, method 3;
chrF: Popović, WMT 2015.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuneful.pipeline.metrics import places
from tuneful.runtime.letters import texts_of

Array = NDArray[Any]
Floats = NDArray[np.float64]
ORDERS, RUNS = 4, 6  # the longest n-gram of BLEU, and of chrF
FACTS = 3  # what stands before the letters of an answer
VERSION = "tuneful:1"  # of our counting; sacrebleu's own version stands here where the number is its
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_CHUNK = 5  # letters between two blanks, on average, from which such text is written without blanks


def rows(name: str, p: Array, y: Array) -> Floats:
    """Numbers [N, k] per sentence, whose means `finish` turns into the metric."""
    if name not in ("bleu", "chrf"):
        return np.stack([p[:, 2] if name == "token_accuracy" else p[:, 0], p[:, 1]], axis=1).astype(np.float64)
    written, wanted = texts_of(p[:, FACTS:]), texts_of(y)
    if name == "chrf":
        return np.array([_runs(a, b) for a, b in zip(written, wanted, strict=True)], dtype=np.float64)
    part = parted_by(wanted)
    found = [_grams(words(a, part), words(b, part)) for a, b in zip(written, wanted, strict=True)]
    # The last column is the same in all rows: smoothing wants sums, and a mean times N is one.
    return np.array([[*row, len(found)] for row in found], dtype=np.float64)


def finish(name: str, means: Floats) -> Floats:
    """Means of rows [..., k] to the metric [...]."""
    if name == "bleu":
        return _bleu(means)
    return _chrf(means) if name == "chrf" else places.finish(name, means)


def signature(wanted: Sequence[str], version: str = VERSION) -> str:
    """What must be known to compare a BLEU with another, in sacrebleu's form."""
    return f"nrefs:1|case:mixed|eff:no|tok:{parted_by(wanted)}|smooth:exp|version:{version}"


def parted_by(wanted: Sequence[str]) -> str:
    """ "char" where the wanted texts are written without blanks, else "13a"."""
    letters, chunks = sum(map(len, wanted)), sum(len(text.split()) for text in wanted)
    unspaced = sum(len(_UNSPACED.findall(text)) for text in wanted)
    return "char" if unspaced > 0.3 * letters and letters > _CHUNK * max(1, chunks) else "13a"


def words(text: str, part: str) -> list[str]:
    """A text in its words.

    >>> words("It's 1,000.5 (or so), he said.", "13a")
    ["It's", '1,000.5', '(', 'or', 'so', ')', ',', 'he', 'said', '.']
    """
    if part == "char":
        return [letter for letter in text if not letter.isspace()]
    text = text.replace("<skipped>", "")
    for name, sign in (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">")):
        text = text.replace(name, sign)
    text = f" {text} "
    for pattern, parted in _MTEVAL:
        text = pattern.sub(parted, text)
    return text.split()


_MTEVAL = (  # the rules of the script mteval-v13a, one after the other
    (re.compile(r"([!-&(-+:-@\[-`{-~/])"), r" \1 "),  # signs stand alone, but for ' , - and .
    (re.compile(r"([^0-9])([.,])"), r"\1 \2 "),  # full stops and commas do unless a digit stands before them
    (re.compile(r"([.,])([^0-9])"), r" \1 \2"),  # or behind them
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),  # and a dash does after a digit
)


def _grams(written: list[str], wanted: list[str]) -> list[int]:
    """Matches of 1 to 4 words, how many there are, and both lengths."""
    right: list[int] = []
    there: list[int] = []
    for n in range(1, ORDERS + 1):
        ours, theirs = (Counter(zip(*(side[at:] for at in range(n)))) for side in (written, wanted))
        right.append(sum((ours & theirs).values()))
        there.append(sum(ours.values()))
    return [*right, *there, len(written), len(wanted)]


def _bleu(means: Floats) -> Floats:
    n = means[..., -1]
    right, there = means[..., :ORDERS], means[..., ORDERS : 2 * ORDERS]
    written, wanted = means[..., 2 * ORDERS], means[..., 2 * ORDERS + 1]
    missed = np.cumsum(right <= 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(right > 0, right / there, 0.5**missed / (there * n[..., None]))
        brevity = np.where(written < wanted, np.exp(1 - wanted / written), 1.0)
        found = 100 * brevity * np.exp(np.log(share).mean(axis=-1))
    return np.where((right[..., 0] <= 0) | (there <= 0).any(axis=-1) | (written <= 0), 0.0, found)


def _runs(written: str, wanted: str) -> list[int]:
    """For n = 1..6 how many runs of n letters are written, wanted, and both."""
    found: list[int] = []
    ours, theirs = ("".join(text.split()) for text in (written, wanted))
    for n in range(1, RUNS + 1):
        a, b = (Counter(side[at : at + n] for at in range(len(side) - n + 1)) for side in (ours, theirs))
        found += [sum(a.values()) if b else 0, sum(b.values()), sum((a & b).values())]
    return found


def _chrf(means: Floats) -> Floats:
    ours, theirs, both = means[..., 0::3], means[..., 1::3], means[..., 2::3]
    there = (ours > 0) & (theirs > 0)
    count = there.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = (np.where(there, both / side, 0.0).sum(axis=-1) / count for side in (ours, theirs))
        found = 100 * 5 * precision * recall / (4 * precision + recall)
    return np.where((count > 0) & (precision + recall > 0), found, 0.0)
