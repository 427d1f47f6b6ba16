"""Workers on a Ray cluster: Ray starts them where it has room, and they meet in the study as all workers do.

    crew = RayCrew(4, halt, storage=None)
    for beat in crew.search(study, folder, clock, epochs): ...

The cluster is the one of $RAY_ADDRESS, or without it one of this machine alone, which is started and ends with the process. Each
worker takes one CPU, or one GPU where the cluster has any. A study in PostgreSQL is joined from all machines, which see the data under the
same path; one in a file is joined from this machine alone. What a dead worker was at goes on elsewhere, and another is started.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuneful.core.errors import MissingError, StudyError
from tuneful.pipeline import workers
from tuneful.pipeline.carrying import cores
from tuneful.pipeline.job import Job
from tuneful.pipeline.limits import Halt
from tuneful.pipeline.tending import tended
from tuneful.pipeline.workers import GRACE, LIVES, Crew


@dataclass
class Hand:
    """A worker on the cluster. task: Ray's handle of it, None until it is told where to work."""

    number: int
    task: Any = None


class RayCrew(Crew):
    """count: workers, or "auto": as many as the cluster has room for; storage: the database of the study, None where it is a file.

    Raises StudyError where there is no cluster to be had; MissingError without ray.
    """

    workers: list[Any]

    def __init__(self, count: int | str, halt: Halt, *, storage: str | None = None, device: str | None = None,
                 patience: float = 900.0) -> None:  # fmt: skip
        self.ray, self.storage = _connected(), storage
        room = self.ray.cluster_resources() if storage is not None else _here(self.ray)
        gpus = int(room.get("GPU", 0)) if device is None or device.startswith("cuda") else 0
        self.needs = {"num_gpus": 1, "num_cpus": 0} if gpus else {"num_cpus": 1}
        most = gpus or int(room.get("CPU", 0))
        if most < 1:
            raise StudyError(
                "the Ray cluster has no CPU that a worker could take", "start a node with `ray start --num-cpus N`"
            )
        super().__init__(most if count == "auto" else int(count), halt, device=device, patience=patience)
        waits = max(0, self.count - most)
        self.said = f"{self.count} workers on the Ray cluster at {self._address()}" + (
            f", of which {waits} wait for room" if waits else ""
        )

    def again(self) -> RayCrew:
        """Another crew like this one, for a search that goes on."""
        return RayCrew(self.count, self.halt, storage=self.storage, device=self.device, patience=self.patience)

    def _address(self) -> str:
        return str(self.ray.get_runtime_context().gcs_address)

    def _started(self) -> Any:
        self._begun += 1
        return Hand(self._begun)

    def _sent(self, worker: Any) -> None:
        told: dict[str, Any] = {"folder": str(self.folder.resolve())}
        where: dict[str, Any] = {}
        if self.storage is not None:
            told = {"url": self.storage, "name": self.study.name, "home": str(Path.home() / ".tuneful")}
        else:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            node = self.ray.get_runtime_context().get_node_id()
            where = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}
        task = self.ray.remote(tended).options(max_retries=0, name=f"tuneful-worker-{worker.number}", **self.needs, **where)
        worker.task = task.remote(told, self.device, self.patience, GRACE)

    def _watch(self) -> None:
        ready, _ = self.ray.wait([one.task for one in self.workers], num_returns=len(self.workers), timeout=0)
        for worker in [one for one in self.workers if one.task in ready]:
            self.workers.remove(worker)
            found = self._found(worker)
            if found["code"] == 0:
                continue
            if found["code"] > 0:  # a mistake that every worker would meet
                raise StudyError(f"a worker on the cluster ended: {found['last']}", "the same command goes on")
            if found["how"]:
                self._blame(str(found["who"]), str(found["how"]))
            self._deaths += 1
            if self._deaths >= LIVES:
                raise StudyError(
                    f"{LIVES} workers on the cluster have died one after the other; the last said: {found['last']}",
                    "the same command goes on",
                )
            another = self._started()
            self.workers.append(another)
            self._sent(another)

    def _found(self, worker: Any) -> dict[str, Any]:
        """How it ended; a Ray worker that died says nothing, and what it ran is nobody's."""
        from ray.exceptions import RayError

        try:
            return dict(self.ray.get(worker.task))
        except RayError as error:
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            self.notes.append(f"a worker of Ray died: {said}")
            return {"code": -1, "how": "", "who": "", "last": said}

    def dismiss(self) -> None:
        """Ask the workers to save and end; what is left after a while is killed."""
        told = [one for one in self.workers if one.task is not None]
        for worker in told:
            with contextlib.suppress(Exception):  # it may have ended meanwhile, or the cluster may be gone
                self.ray.cancel(worker.task, force=False)
        if told:
            with contextlib.suppress(Exception):
                _, left = self.ray.wait([one.task for one in told], num_returns=len(told), timeout=GRACE)
                for task in left:
                    self.ray.cancel(task, force=True)
        self.workers.clear()


def crewed(job: Job, own: bool, halt: Halt, device: str | None) -> Crew | None:
    """The workers that a job asks for, on their way; None where this process searches alone. own: is the network a Python object?

    Raises StudyError where there can be no others, or no cluster.
    """
    if job.how.on == "here":
        asked = workers.count(job.how.workers, job, own)
        return Crew(asked, halt, device=device) if asked > 1 else None
    if job.mode == "train":
        raise StudyError("train is one trial, which one process trains; --on ray is for a search", "leave --on out")
    workers.count(2, job, own)
    return RayCrew(job.how.workers, halt, storage=job.how.storage, device=device)


def _connected() -> Any:
    """Ray, connected to a cluster. Raises MissingError and StudyError."""
    try:
        import ray
    except ImportError:
        raise MissingError("ray", "ray", "a search on a cluster (--on ray)") from None
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS")
    begun = {} if address else {"num_cpus": cores(), "include_dashboard": False}
    try:
        ray.init(address=address, log_to_driver=False, configure_logging=False, **begun)
    except (ConnectionError, TimeoutError, ValueError, RuntimeError) as error:
        if address is None:
            raise
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise StudyError(
            f"there is no Ray cluster at {address} ($RAY_ADDRESS): {said}",
            "start one with `ray start --head`, or unset RAY_ADDRESS, and one is started on this machine",
        ) from error
    return ray


def _here(ray: Any) -> dict[str, float]:
    """What this machine has of the cluster."""
    node = ray.get_runtime_context().get_node_id()
    return next((dict(one["Resources"]) for one in ray.nodes() if one["NodeID"] == node and one["Alive"]), {})


__all__ = ["RayCrew", "crewed"]
