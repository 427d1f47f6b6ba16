"""A training in several processes: the command starts them, and is what each of them runs."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuneful.cli.call import Call
from tuneful.core.errors import RankError, TunefulError

if TYPE_CHECKING:
    from tuneful.pipeline.job import Job
    from tuneful.pipeline.ranks import Ranks

CODE, BEGAN = "TUNEFUL_EXIT_CODE", "TUNEFUL_BEGAN"  # see pipeline.distribute.launch
MEANT = (0, 2, 3, 130)  # exit codes that are no death of a process


@dataclass(frozen=True)
class Group:
    """devices, restarts, shard: as the options say."""

    devices: str | None
    restarts: int
    shard: bool = False

    def supervised(self, call: Call, job: Job, device: str | None) -> int | None:
        """The exit code of the processes that did the job; None where this process is to do it, or its part of it."""
        if self.restarts < 0:
            raise RankError(f"--restarts is {self.restarts}; it must be 0 or more", "such as --restarts 3")
        if self.devices is None and self.restarts:
            raise RankError(
                "--restarts is for several processes, and --devices is not given", "such as --devices auto --restarts 3"
            )
        if self.shard and self.devices is None and not several():
            raise RankError("--shard is for several processes, and --devices is not given", "such as --devices auto --shard")
        if self.devices is None or several():
            return None
        if job.mode != "train":
            raise RankError(
                f"--devices is for one training, and this run is of the command {job.mode}", "leave --devices out"
            )
        from tuneful.pipeline.distribute import devices, launch

        count = devices(self.devices, device)
        return launch(call.words, count, restarts=self.restarts, began=call.began) if count > 1 else None


def several() -> bool:
    """Is this process one of a group?"""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1 and "MASTER_ADDR" in os.environ


def joined(job: Job, device: str | None, shard: bool = False) -> tuple[Ranks, bool]:
    """The group of this process; and has it done its part, since it is not the one that leads? shard: see `Ranks`."""
    from tuneful.pipeline.ranks import ALONE, join

    if not several():
        return ALONE, False
    if job.mode != "train":
        raise RankError(
            f"{job.mode} works in one process; torchrun has started several", "train one recipe, or leave torchrun out"
        )
    ranks = join(device, shard=shard)
    if ranks.leads:
        return ranks, False
    from tuneful.pipeline.distribute import follow
    from tuneful.pipeline.limits import Halt, stopping_on_signals
    from tuneful.pipeline.prepare import prepare

    with stopping_on_signals(Halt()) as halt:  # whether it stops is for the leader to say
        try:
            task = prepare(job.source, **job.reading)
        except TunefulError as error:  # the leader reads the same data and says it, or says what it is told here
            ranks.leave(error.message)
            return ranks, True
        try:
            with contextlib.suppress(RankError):  # the leader says why; or has died, which its supervisor sees
                follow(task, ranks, halt=halt)
        except TunefulError as error:
            ranks.leave(error.message)
            raise
    return ranks, True


def again() -> bool:
    """Is this process begun anew, after the death of one of its group?"""
    return several() and int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def began(call: Call) -> float:
    """The moment from which the budget counts: that of the first command, where it started this process."""
    return min(float(os.environ.get(BEGAN, call.began)), time.monotonic()) if several() else call.began


def left(code: int) -> int:
    """The exit code of this process. Of a group, the leader leaves its code for the command that started it, and ends well where a
    code is no death."""
    place = os.environ.get(CODE)
    if place is None or not several() or code not in MEANT:
        return code
    if os.environ.get("RANK") == "0":
        Path(place).write_text(str(code), encoding="ascii")
        return 0
    return code


__all__ = ["Group", "again", "began", "joined", "left", "several"]
