"""Keyed randomness: every random draw of a run is a function of (seed, what for, when), so there is no stream to save.

The order of the data is keyed by (seed, "order", epoch), augmentation by (seed, its kind, step), dropout by
(seed, "dropout", step), a weight by (seed, its name).
"""

from __future__ import annotations

import hashlib


def key(seed: int, purpose: str, *when: int) -> int:
    """A number in [0, 2^63): equal for equal arguments on every machine, unrelated for any others. Costs microseconds.

    >>> key(0, "order", 1) == key(0, "order", 1), key(0, "order", 1) == key(0, "order", 2)
    (True, False)
    """
    text = f"{seed}/{purpose}/{'/'.join(map(str, when))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
