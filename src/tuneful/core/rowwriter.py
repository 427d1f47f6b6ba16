"""Writes trials into the tables of Optuna's storage, each change in one transaction.

Optuna's own methods make a transaction of every attribute, by way of its object-relational mapper: some milliseconds a call, a dozen calls a
trial. Here what belongs together is written together, by plain statements on the same tables (Optuna 5, schema v3.2.0.a). Where the tables or the
database are others, Optuna's methods are called instead.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial, TrialState

SCHEMA = "v3.2.0.a"
DIALECTS = ("sqlite", "postgresql")
ENDED = ("COMPLETE", "PRUNED", "FAIL")  # states of Optuna's in which nothing changes any more
ROWS = {  # what is written of a trial: the table, its columns, and those of which a trial has no two alike
    "params": ("trial_params", "trial_id, param_name, param_value, distribution_json", "trial_id, param_name"),
    "user": ("trial_user_attributes", "trial_id, key, value_json", "trial_id, key"),
    "system": ("trial_system_attributes", "trial_id, key, value_json", "trial_id, key"),
    "values": ("trial_values", "trial_id, objective, value, value_type", "trial_id, objective"),
    "points": (
        "trial_intermediate_values",
        "trial_id, step, intermediate_value, intermediate_value_type",
        "trial_id, step",
    ),
}


class RowWriter:
    """store: as `storage.connect` gives it."""

    def __init__(self, store: BaseStorage) -> None:
        self.store = store
        self._engine: Any = None
        backend: Any = getattr(store, "_backend", store)
        engine = getattr(backend, "engine", None)
        if engine is None or engine.dialect.name not in DIALECTS or backend.get_current_version() != SCHEMA:
            return
        self._engine = engine
        self._postgres = engine.dialect.name == "postgresql"
        mark = "%s" if self._postgres else "?"
        self._sql = {name: _upsert(table, columns, keys, mark) for name, (table, columns, keys) in ROWS.items()}
        self._born = (
            f"INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) VALUES ({', '.join([mark] * 5)})"
            + (" RETURNING trial_id" if self._postgres else "")
        )
        self._asked = f"SELECT state FROM trials WHERE trial_id = {mark}"
        self._ended = f"UPDATE trials SET state = {mark}, datetime_complete = {mark} WHERE trial_id = {mark}"

    def create(self, study: int, trial: FrozenTrial) -> int:
        """A new trial under its number, which nobody else gives meanwhile; its id in the storage."""
        if self._engine is None:
            return self.store.create_new_trial(study, trial)
        from optuna.distributions import distribution_to_json

        row = (
            trial.number,
            study,
            trial.state.name,
            self._moment(trial.datetime_start),
            self._moment(trial.datetime_complete),
        )
        with self._engine.begin() as connection:
            made = connection.exec_driver_sql(self._born, row)
            number = int(made.scalar_one() if self._postgres else made.lastrowid)
            params = [
                (number, name, kind.to_internal_repr(trial.params[name]), distribution_to_json(kind))
                for name, kind in trial.distributions.items()
            ]
            for name, rows in (
                ("params", params),
                ("user", _attributes(number, trial.user_attrs)),
                ("system", _attributes(number, trial.system_attrs)),
            ):
                if rows:
                    connection.exec_driver_sql(self._sql[name], rows)
        return number

    def put(
        self,
        trial: int,
        attributes: Mapping[str, Any],
        point: tuple[int, float] | None = None,
        state: TrialState | None = None,
        value: float | None = None,
    ) -> None:
        """Change a trial that has not ended: attributes, the value at a step, its state, its value. One that has ended stays as it is."""
        if self._engine is None:
            self._slowly(trial, attributes, point, state, value)
            return
        with self._engine.begin() as connection:
            if connection.exec_driver_sql(self._asked, (trial,)).scalar_one() in ENDED:
                return
            if attributes:
                connection.exec_driver_sql(self._sql["user"], _attributes(trial, attributes))
            if point is not None:
                connection.exec_driver_sql(self._sql["points"], (trial, point[0], *_stored(point[1])))
            if value is not None:
                connection.exec_driver_sql(self._sql["values"], (trial, 0, *_stored(value)))
            if state is not None:
                moment = self._moment(datetime.now()) if state.is_finished() else None
                connection.exec_driver_sql(self._ended, (state.name, moment, trial))

    def _moment(self, moment: datetime | None) -> Any:
        """A time as the database keeps it: SQLite as text, which SQLAlchemy reads in this form."""
        return moment if moment is None or self._postgres else moment.isoformat(" ", "microseconds")

    def _slowly(
        self, trial: int, attributes: Mapping[str, Any], point: tuple[int, float] | None, state: Any, value: float | None
    ) -> None:
        from contextlib import suppress

        from optuna.exceptions import UpdateFinishedTrialError

        with suppress(UpdateFinishedTrialError):
            for name, one in attributes.items():
                self.store.set_trial_user_attr(trial, name, one)
            if point is not None:
                self.store.set_trial_intermediate_value(trial, *point)
            if state is not None:
                self.store.set_trial_state_values(trial, state, None if value is None else [value])


def _upsert(table: str, columns: str, keys: str, mark: str) -> str:
    """A statement that writes a row, over an older one with the same keys."""
    names, kept = columns.split(", "), keys.split(", ")
    change = ", ".join(f"{name} = excluded.{name}" for name in names if name not in kept)
    return f"INSERT INTO {table} ({columns}) VALUES ({', '.join([mark] * len(names))}) ON CONFLICT ({keys}) DO UPDATE SET {change}"


def _attributes(trial: int, told: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    return [(trial, name, json.dumps(one)) for name, one in told.items()]


def _stored(value: float) -> tuple[float | None, str]:
    """A value as Optuna keeps it, which a database may not do with one that is not finite."""
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"


__all__ = ["RowWriter"]
