"""scikit-learn's handwritten digits: 1797 grey images of 8x8 with values 0..16, embedded in that package."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np

from tuneful.techniques.sources.raw import Arrays, Raw, Source


class Digits(Source):
    kind: Literal["digits"] = "digits"
    source: ClassVar[str] = "Alpaydin & Kaynak, UCI Machine Learning Repository, 1998; the copy in scikit-learn"
    cost: ClassVar[str] = "0.1 MB, embedded; nothing is downloaded"

    def accepts(self, given: object) -> bool:
        return given == "digits" if isinstance(given, str) else False

    def read(self, given: object) -> Raw:
        from sklearn.datasets import load_digits

        found: Any = load_digits()
        x = np.asarray(found["images"]).astype(np.uint8)[:, None]
        return Raw(
            {"train": Arrays(x, np.asarray(found["target"]))}, "scikit-learn's digits, 1797 grey images of 8x8", "digits"
        )
