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


class RowWriter:
    """store: as `storage.connect` gives it."""

    def __init__(self, store: BaseStorage) -> None:
        self.store = store
        self._engine: Any = None
        self._tables: dict[str, Any] = {}
        backend: Any = getattr(store, "_backend", store)
        engine = getattr(backend, "engine", None)
        if engine is None or engine.dialect.name not in DIALECTS or backend.get_current_version() != SCHEMA:
            return
        from optuna.storages._rdb import models
        from sqlalchemy.dialects import postgresql, sqlite

        self._engine = engine
        self._insert: Any = {"sqlite": sqlite, "postgresql": postgresql}[engine.dialect.name].insert
        named = {
            "trials": models.TrialModel, "params": models.TrialParamModel, "user": models.TrialUserAttributeModel,
            "system": models.TrialSystemAttributeModel, "values": models.TrialValueModel, "points": models.TrialIntermediateValueModel,
        }  # fmt: skip
        self._tables = {name: model.__table__ for name, model in named.items()}

    def create(self, study: int, trial: FrozenTrial) -> int:
        """A new trial under its number, which nobody else gives meanwhile; its id in the storage."""
        if self._engine is None:
            return self.store.create_new_trial(study, trial)
        from optuna.distributions import distribution_to_json

        tables = self._tables
        with self._engine.begin() as connection:
            made = connection.execute(
                tables["trials"].insert(),
                {
                    "number": trial.number, "study_id": study, "state": trial.state, "datetime_start": trial.datetime_start,
                    "datetime_complete": trial.datetime_complete,
                },
            )  # fmt: skip
            number = int(made.inserted_primary_key[0])
            params = [
                {
                    "trial_id": number, "param_name": name, "distribution_json": distribution_to_json(kind),
                    "param_value": kind.to_internal_repr(trial.params[name]),
                }
                for name, kind in trial.distributions.items()
            ]  # fmt: skip
            for table, rows in (
                ("params", params),
                ("user", _attributes(number, trial.user_attrs)),
                ("system", _attributes(number, trial.system_attrs)),
            ):
                if rows:
                    connection.execute(tables[table].insert(), rows)
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
        trials = self._tables["trials"].c
        with self._engine.begin() as connection:
            found = connection.execute(trials.state.table.select().where(trials.trial_id == trial)).one()
            if found.state.is_finished():
                return
            if attributes:
                self._upsert(connection, "user", ("trial_id", "key"), _attributes(trial, attributes))
            if point is not None:
                stored, kind = _stored(point[1])
                row = {"trial_id": trial, "step": point[0], "intermediate_value": stored, "intermediate_value_type": kind}
                self._upsert(connection, "points", ("trial_id", "step"), [row])
            if value is not None:
                stored, kind = _stored(value)
                row = {"trial_id": trial, "objective": 0, "value": stored, "value_type": kind}
                self._upsert(connection, "values", ("trial_id", "objective"), [row])
            if state is not None:
                change = {"state": state} | ({"datetime_complete": datetime.now()} if state.is_finished() else {})
                connection.execute(self._tables["trials"].update().where(trials.trial_id == trial).values(**change))

    def _upsert(self, connection: Any, name: str, keys: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        statement = self._insert(self._tables[name])
        change = {key: statement.excluded[key] for key in rows[0] if key not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=change), rows)

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


def _attributes(trial: int, told: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"trial_id": trial, "key": name, "value_json": json.dumps(one)} for name, one in told.items()]


def _stored(value: float) -> tuple[float | None, str]:
    """A value as Optuna keeps it, which a database may not do with one that is not finite."""
    if math.isnan(value):
        return None, "NAN"
    if math.isinf(value):
        return None, "INF_POS" if value > 0 else "INF_NEG"
    return value, "FINITE"


__all__ = ["RowWriter"]
