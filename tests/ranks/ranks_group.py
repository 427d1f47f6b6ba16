"""A group of processes for the tests: runs `python FILE ...` N times, as torchrun would, without its supervisor."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def environment(rank: int, world: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    return {
        **os.environ, "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1",
    }  # fmt: skip


def start(file: Path, world: int, *words: str) -> list[subprocess.Popen[str]]:
    """The processes of a group, begun."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [
        subprocess.Popen(
            [sys.executable, str(file), *words],
            env=environment(rank, world, port),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for rank in range(world)
    ]


def together(file: Path, world: int, *words: str, seconds: float = 240.0) -> list[str]:
    """What each of them printed, when all have ended well."""
    found = start(file, world, *words)
    try:
        said = [one.communicate(timeout=seconds)[0] for one in found]
    finally:
        for one in found:
            one.kill()
    codes = [one.returncode for one in found]
    assert codes == [0] * world, f"exit codes {codes}: " + "\n".join(said)
    return said
