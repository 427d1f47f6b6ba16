"""What tests of several folders need."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of a database that lives as long as the tests."""
    if not BINARIES:
        pytest.skip("PostgreSQL is not installed")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # outside pytest's folders, which only their owner may enter
    own, words = folder / "data", []
    if os.geteuid() == 0:  # PostgreSQL does not run for root
        if shutil.which("runuser") is None:
            pytest.skip("PostgreSQL does not run for root, and there is no runuser")
        words = ["runuser", "-u", "nobody", "--"]
        folder.chmod(0o777)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C", "HOME": str(folder)}

    def run(name: str, *more: str) -> None:
        done = subprocess.run(
            [*words, str(BINARIES[0] / name), *more], env=environment, capture_output=True, text=True, cwd="/"
        )
        assert done.returncode == 0, done.stderr + done.stdout

    run("initdb", "-D", str(own), "-U", "tuneful", "--auth=trust", "--no-sync", "-E", "UTF8")
    run("pg_ctl", "-D", str(own), "-w", "-l", str(folder / "log"), "-o", f"-c listen_addresses='' -k {folder} -F", "start")
    yield f"postgresql+psycopg://tuneful@/postgres?host={folder}"
    leader = int((own / "postmaster.pid").read_text().split()[0])
    os.kill(leader, signal.SIGQUIT)  # at once, whatever is connected
    shutil.rmtree(folder, ignore_errors=True)
