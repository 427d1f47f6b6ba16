"""What the server tells: one JSON object a line on standard error. Numbers and names only; never what was sent to a model."""

from __future__ import annotations

import json
import os
import time
import traceback
from typing import Any

LEVELS = ("all", "errors", "none")


class Journal:
    """level: "all" requests, those that failed ("errors"), or none; what happens to the server itself is always told. to: a file descriptor."""

    def __init__(self, level: str = "all", to: int = 2) -> None:
        self.level, self._to = level, to

    def request(self, facts: dict[str, Any]) -> None:
        """One answer."""
        if self.level == "all" or (self.level == "errors" and facts["status"] >= 500):
            self.tell("request", facts)

    def tell(self, event: str, facts: dict[str, Any]) -> None:
        line = json.dumps({"time": round(time.time(), 3), "event": event, **facts}, default=str)
        try:
            os.write(self._to, line.encode() + b"\n")  # in one piece: several processes write into one file or pipe
        except OSError:
            self.level = "none"  # nobody reads; the server goes on

    def failure(self, request: str, error: BaseException) -> None:
        """Something that is our fault or the model's: here, and nowhere else, its traceback is written."""
        lines = "".join(traceback.format_exception(error)).strip()
        self.tell("failure", {"id": request, "error": f"{type(error).__name__}: {error}"[:500], "traceback": lines[-2500:]})


__all__ = ["LEVELS", "Journal"]
