"""Starts the ranks of a training and watches over them: torch's elastic agent, as torchrun has it.

    code = launch(["train", "digits", "--devices", "2"], 2, restarts=3)

Each rank is the same command again, which finds itself in a group by its environment. When one of them dies, the agent ends the
others, and up to `restarts` times begins all of them anew; the same command goes on from the last state, so nothing is done twice.
What rank 0 has told the user and its exit code come back in a file: an agent would take a mistake in a recipe for a death.

Source: torch.distributed.elastic (TorchElastic, PyTorch 1.9 and later).
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tuneful.core.errors import RankError
from tuneful.pipeline.carrying import cores

CODE = "TUNEFUL_EXIT_CODE"  # in the environment of the ranks: the file in which rank 0 leaves its exit code
BEGAN = "TUNEFUL_BEGAN"  # the moment from which the budget counts
GRACE = 30  # seconds in which ranks may save and end before they are killed


def devices(asked: str, device: str | None = None) -> int:
    """How many processes `--devices` asks for, one a GPU, or one a core where there is none. Raises RankError with a way out."""
    gpus = 0 if device == "cpu" else torch.cuda.device_count()
    there, what = (gpus, "GPU") if gpus else (cores(), "core")
    several = f"{there} {what}{'s' if there != 1 else ''}"
    if asked == "auto":
        return max(1, there)
    if not asked.isdecimal() or int(asked) < 1:
        raise RankError(f"--devices is {asked}; it must be a whole number from 1 on, or auto", f"this machine has {several}")
    if int(asked) > there:
        raise RankError(
            f"--devices is {asked}; this machine has {several} for this process",
            f"such as --devices {there}, or --devices auto",
        )
    return int(asked)


def launch(words: Sequence[str], count: int, *, restarts: int = 0, began: float | None = None) -> int:
    """Run the command of these words in so many ranks, and return its exit code.

    restarts: how often all ranks are begun anew when one has died. Raises RankError when one has died for good.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in list(logging.root.manager.loggerDict):
        if name.startswith(("torch.distributed.elastic", "torch.distributed.launcher")):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # what happens is said below, in words
    with tempfile.TemporaryDirectory(prefix="tuneful-") as folder:
        left = Path(folder) / "code"
        os.environ[CODE], os.environ[BEGAN] = str(left), repr(time.monotonic() if began is None else began)
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=count, run_id=f"tuneful-{os.getpid()}", rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0", local_addr="127.0.0.1", max_restarts=restarts, monitor_interval=0.1, start_method="spawn",
        )  # fmt: skip
        try:
            elastic_launch(config, sys.executable)("-m", "tuneful.cli", *words)
        except SignalException as asked:
            return int(left.read_text()) if left.exists() else 128 + int(asked.sigval)
        except ChildFailedError as error:
            died = _died(error, count, restarts)
            if not left.exists():
                raise died from None
            print(f"note: {died.message}", file=sys.stderr)  # rank 0 has said what became of the run
            return int(left.read_text())
        finally:
            del os.environ[CODE], os.environ[BEGAN]
        return int(left.read_text()) if left.exists() else 0


def _died(error: Any, count: int, restarts: int) -> RankError:
    """The end of a rank, in words."""
    rank, first = error.get_first_failure()
    code = int(first.exitcode)
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    again = f", after {restarts} restarts" if restarts else ""
    return RankError(
        f"rank {rank} of {count} {how}{again}; what was saved before is whole",
        "the same command goes on from it; --restarts 3 would do so by itself",
    )


__all__ = ["devices", "launch"]
