"""What a Ray worker does for a search: starts a worker of ours, watches over it, and says how it ended. Imports neither torch nor Ray.

The worker is a process of its own, so that a crash in native code is known by its signal, and told from the death of the Ray worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

LOOK = 0.25  # seconds between two looks


def tended(told: dict[str, Any], device: str | None, patience: float, grace: float) -> dict[str, Any]:
    """Start a worker with what it is told, and wait until it has ended: {"code", "who", "how", "last"}.

    told: the folder of the run, or url, name and home of a study in a database; patience: seconds without a sign of life after which it is
    killed; grace: seconds in which it may save and end, where this task is cancelled.
    """
    place = Path(tempfile.mkdtemp(prefix="tuneful-ray-"))
    sign, log = place / "sign", place / "log"
    sign.touch()
    log.touch()
    words = [sys.executable, "-m", "tuneful.cli", "worker", "-", *(["--device", device] if device else [])]
    with log.open("ab") as out:
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=out, stderr=out, text=True)
    how = ""
    try:
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has died, which is seen at once
            process.stdin.write(json.dumps({**told, "sign": str(sign), "log": str(log)}) + "\n")
            process.stdin.flush()
        while process.poll() is None:
            time.sleep(LOOK)
            if time.time() - sign.stat().st_mtime > patience:
                how = f"showed no sign of life for {patience:g} s"
                process.kill()
                process.wait()
    except KeyboardInterrupt:  # how Ray cancels
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    code = int(process.returncode)
    if code < 0 and code not in (-signal.SIGKILL, -signal.SIGTERM):  # who is killed is not to blame
        how = f"crashed ({signal.Signals(-code).name})"
    return {"code": code, "who": f"{socket.gethostname()}-{process.pid}-", "how": how, "last": last(log), "by": os.getpid()}


def last(log: Path | None) -> str:
    """The last line that a worker has said."""
    with contextlib.suppress(OSError):
        if log is None:
            return "it said nothing"
        with log.open("rb") as file:
            lines = [line for line in file.read()[-4000:].decode("utf-8", "replace").splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error")]
        return (errors or lines or ["it said nothing"])[-1]
    return "it said nothing"


__all__ = ["last", "tended"]
