"""The door: one function per command, which parses, calls one function of the pipeline and prints. Heavy imports inside.

door.py the way in and out (errors, exit codes); app.py which commands there are; mistakes.py wrong lines answered with right
ones; words.py `DATA key=value ...`; work.py, look.py, doctor.py, plan.py, use.py, exporting.py, sealing.py, verify.py, about.py the commands; progress.py and summary.py what is seen.
"""

from __future__ import annotations

from tuneful.cli.app import app
from tuneful.cli.door import main

__all__ = ["app", "main"]
