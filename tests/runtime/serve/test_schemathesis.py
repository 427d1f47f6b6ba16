"""Requests that nobody would think of: schemathesis makes them from the OpenAPI document, valid and invalid ones, and holds each answer
against what the document promises (status, content type, form of the body, method)."""

from __future__ import annotations

from typing import Any

import pytest

schemathesis: Any = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_every_answer_is_one_that_the_document_promises(server: Any, mode: str):
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_dict(server.ask("GET", "/openapi.json")[2])
    statuses: list[int] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        if mode == "NEGATIVE" and (operation.method == "get" or operation.path.endswith("/index")):
            continue  # nothing in these can be made wrong

        @settings(
            max_examples=30,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
        )
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode]))
        def ask(case: Any) -> None:
            got = case.call(base_url=f"http://127.0.0.1:{server.port}", timeout=20)
            statuses.append(got.status_code)
            case.validate_response(got, excluded_checks=_EXCLUDED)

        ask()
    assert len(statuses) > 60
    assert (200 in statuses) if mode == "POSITIVE" else (400 in statuses)
    assert max(statuses) < 500
    assert '"event": "failure"' not in server.log.read_text()


def _excluded() -> list[Any]:
    """What a schema cannot say: tensors must agree with their shapes, so a valid document may be a wrong request; and more columns than a
    model reads are no mistake."""
    from schemathesis.specs.openapi import checks

    return [checks.negative_data_rejection, checks.positive_data_acceptance]


_EXCLUDED = _excluded()
