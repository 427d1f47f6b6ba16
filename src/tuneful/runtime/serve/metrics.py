"""Numbers for Prometheus, of all processes of the server together.

    tuneful_request_seconds{model, version, route}   histogram: from the headers to the answer
    tuneful_batch_examples{model, version}           histogram: how many went through a model together
    tuneful_queue_examples{model, version}           gauge: how many wait
    tuneful_requests_in_flight                       gauge
    tuneful_refused_total{kind, status}              counter: what was refused, and why
    tuneful_shadow_total{model, agrees}              counter: does the shadow say the same?
    tuneful_drift_psi{model, version, part, column}  gauge: how far the newest 1000 recorded examples are from the reference
    tuneful_drift_p{model, version, part, column}    gauge: the chance of that without any drift, corrected for the number of columns
    tuneful_recorded_lost_total                      counter: examples that were not recorded, for want of room or disk

Several processes write into files of one folder (PROMETHEUS_MULTIPROC_DIR), which each of them adds up when it is asked.
"""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_EXAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)


class Metrics:
    """One of them a process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        named: dict[str, Any] = {"registry": self.registry}
        self.seconds = Histogram("tuneful_request_seconds", "from the headers to the answer", ["model", "version", "route"],
                                 buckets=_SECONDS, **named)  # fmt: skip
        self.batch = Histogram(
            "tuneful_batch_examples", "examples in one batch", ["model", "version"], buckets=_EXAMPLES, **named
        )
        self.queue = Gauge(
            "tuneful_queue_examples", "examples that wait", ["model", "version"], multiprocess_mode="livesum", **named
        )
        self.flying = Gauge(
            "tuneful_requests_in_flight", "requests without an answer yet", multiprocess_mode="livesum", **named
        )
        self.refused = Counter("tuneful_refused", "requests that were refused", ["kind", "status"], **named)
        drift = ["model", "version", "part", "column"]
        self.drift_psi = Gauge(
            "tuneful_drift_psi",
            "PSI of the newest examples against the reference",
            drift,
            multiprocess_mode="livemax",
            **named,
        )
        self.drift_p = Gauge(
            "tuneful_drift_p", "chance of such a PSI without drift", drift, multiprocess_mode="livemin", **named
        )
        self.lost = Counter("tuneful_recorded_lost", "examples that were not recorded", **named)
        self.shadow = Counter("tuneful_shadow", "answers of a shadow", ["model", "agrees"], **named)

    def drifts(self, name: str, version: str, key: tuple[str, str], psi: float, p: float) -> None:
        """What `watch.live` tells of one column."""
        self.drift_psi.labels(name, version, *key).set(psi)
        self.drift_p.labels(name, version, *key).set(p)

    def page(self) -> bytes:
        """All of them as Prometheus reads them."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # pyright: ignore[reportUnknownMemberType]
        return generate_latest(registry)


__all__ = ["Metrics"]
