"""The two sides of a look: what it was like before, and what has come now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import ArtifactError, DataError
from tuneful.runtime import answers, reference
from tuneful.runtime.features import Feature
from tuneful.runtime.load import Model
from tuneful.runtime.watch import columns
from tuneful.runtime.watch.columns import Columns, Key
from tuneful.runtime.watch.embedding import embedded
from tuneful.runtime.watch.estimated import judged
from tuneful.runtime.watch.recorder import counted
from tuneful.runtime.watch.samples import Floats
from tuneful.runtime.watch.store import Recorded


@dataclass(frozen=True)
class Before:
    """columns: to compare with; told [M, W] answers of validation examples, or None; judged: (confidence, 0 or 1 for right) of such, or
    None; what: in words; rows: names and values [M, D] of inputs row by row, where they are at hand (an artifact holds none); embedded: what
    the network makes of some of them (see `embedding`)."""

    columns: Columns
    told: Floats | None
    judged: tuple[Floats, Floats] | None
    what: str
    rows: tuple[list[Key], Floats] | None = None
    embedded: Floats | None = None

    @staticmethod
    def of_artifact(model: Model) -> Before:
        """What the artifact holds of it. Raises ArtifactError when it holds nothing."""
        found = reference.read(model.artifact)
        if found is None:
            raise ArtifactError(
                f"{model.artifact.folder} has no {reference.FILE}; it was shipped by an older tuneful, or without",
                "give what it was like: --reference DATA, or --reference 1000 for the first 1000 examples",
            )
        sample = cast("Mapping[str, Any]", found.get("answers") or {}).get("sample")
        told = np.array(sample["told"], dtype=np.float64) if sample and sample["told"] else None
        of = " and ".join(
            f"{found[part]['n']} examples of {found[part]['split']}" for part in ("inputs", "answers") if found.get(part)
        )
        return Before(
            columns.of_reference(found), told, judged(model.kind, model.labels, sample), f"the artifact's reference ({of})"
        )

    def but(self, now: Now, what: str) -> Before:
        """The same with columns and answers of what came at another time; how often answers were right stays."""
        keys = now.numbers()
        rows = (keys, now.rows(keys, slice(None))) if len(keys) > 1 else None
        return replace(self, columns=now.columns(), told=now.told, what=what, rows=rows, embedded=now.embedded)


@dataclass(frozen=True)
class Now:
    """Examples in the order in which they came. features: (key, values [N], levels); times [N] in UTC seconds, or None; told [N, W] or None;
    truth: of the examples at `at`; kind, labels: of the model."""

    kind: str
    labels: tuple[str, ...]
    features: list[tuple[Key, Floats, tuple[str, ...]]]
    times: Floats | None
    told: Floats | None
    what: str
    notes: tuple[str, ...] = ()
    rule: Mapping[str, Any] = field(default_factory=dict[str, Any])
    embedded: Floats | None = None

    def __len__(self) -> int:
        return len(self.features[0][1]) if self.features else 0

    @staticmethod
    def of_recorded(one: Recorded) -> Now:
        parts = [("inputs", column) for column in one.about["features"]] + [
            ("answers", column) for column in one.about["answers"]
        ]
        features = [
            ((part, str(column["name"])), one.counted[:, at], tuple(str(level) for level in column["levels"]))
            for at, (part, column) in enumerate(parts)
        ]
        dropped = [str(name) for name in one.about.get("dropped", ())]
        notes = (f"not recorded, and so not watched: {', '.join(dropped[:20])}",) if dropped else ()
        return Now(
            str(one.about["kind"]),
            tuple(one.about["labels"]),
            features,
            one.times,
            one.told,
            f"{one.name} {one.version}",
            notes,
        )

    @staticmethod
    def of_data(model: Model, pieces: Sequence[tuple[NDArray[Any], NDArray[Any]]], what: str) -> Now:
        """pieces: (encoded, told) of the examples, in order. Raises DataError when there are none."""
        if not pieces or not sum(len(x) for x, _ in pieces):
            raise DataError(f"{what} holds no examples")
        parts = [counted(model, x, told) for x, told in pieces]
        features: list[tuple[Key, Floats, tuple[str, ...]]] = []
        for side, name in enumerate(("inputs", "answers")):
            for at, first in enumerate(parts[0][side]):
                each: list[Feature] = [part[side][at] for part in parts]
                features.append(
                    ((name, first.name), np.concatenate([one.values.astype(np.float64) for one in each]), first.levels)
                )
        told = np.concatenate([told.reshape(len(told), -1) for _, told in pieces]).astype(np.float64)
        inner = None if model.kind in answers.TEXTS else embedded(model, np.concatenate([x for x, _ in pieces]))
        return Now(model.kind, tuple(model.labels), features, None, told, what, embedded=inner)

    def columns(self, part: slice = slice(None)) -> Columns:
        """What a stretch of it is like."""
        return {key: columns.column(values[part], levels) for key, values, levels in self.features}

    def values(self, key: Key) -> Floats | None:
        """One column's values."""
        return next((values for name, values, _ in self.features if name == key), None)

    def numbers(self) -> list[Key]:
        """The inputs that are numbers without gaps."""
        return [
            key
            for key, values, levels in self.features
            if key[0] == "inputs" and not levels and bool(np.isfinite(values).all())
        ]

    def rows(self, keys: Sequence[Key], part: slice) -> Floats:
        """Some columns of a stretch side by side, [N, D]. Raises KeyError for one that is not there."""
        known = {key: values for key, values, _ in self.features}
        return np.stack([known[key][part] for key in keys], axis=1)

    def first(self, count: int) -> tuple[Now, Now]:
        """(the first so many examples, the others). Raises DataError when there are no others."""
        if not 0 < count < len(self):
            raise DataError(
                f"{self.what} has {len(self)} examples; {count} of them cannot be what the others are compared with"
            )
        return self._part(slice(0, count)), self._part(slice(count, None))

    def _part(self, which: slice) -> Now:
        features = [(key, values[which], levels) for key, values, levels in self.features]
        cut = (None if side is None else side[which] for side in (self.times, self.told))
        times, told = cut
        return replace(self, features=features, times=times, told=told)


__all__ = ["Before", "Now"]
