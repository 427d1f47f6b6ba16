"""An alarm goes out: JSON by POST to an address, or a line of JSON at the end of a file.

The address is http or https and nothing else; redirections are not followed; an answer is waited for SECONDS, TRIES times. That it could
not be told is told, and is no reason to forget the alarm.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tuneful.core.artifact import finite
from tuneful.core.errors import StorageError, TunefulError

SECONDS, TRIES, PAUSE = 10.0, 3, 0.5


def checked(address: str) -> str:
    """Raises TunefulError for an address that is none."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise TunefulError(
            f"the webhook is {address!r}; it must be an address of http or https", "such as https://example.org/alarms"
        )
    return address


def post(address: str, told: Mapping[str, Any]) -> str:
    """Send it; returns "" when it was taken, else what went wrong, in words."""
    data = json.dumps(finite(told)).encode()
    request = urllib.request.Request(
        checked(address), data, {"content-type": "application/json", "user-agent": "tuneful"}, method="POST"
    )
    opener = urllib.request.build_opener(_Still)
    why = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE * 2**attempt)
        try:
            with opener.open(request, timeout=SECONDS) as answer:
                answer.read(1 << 16)
                return ""
        except urllib.error.HTTPError as error:
            why = f"it answered {error.code}"
            error.close()
            if error.code < 500 and error.code != 429:
                return why
        except (OSError, ValueError) as error:
            why = str(getattr(error, "reason", "") or error) or type(error).__name__
    return why


def append(file: Path, told: Mapping[str, Any]) -> None:
    """One more line. Raises StorageError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as log:
            log.write(json.dumps(finite(told)) + "\n")
    except OSError as error:
        raise StorageError(f"{file} cannot be written: {error.strerror or error}", "give another place with --log") from None


class _Still(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **more: Any) -> None:
        return None


__all__ = ["append", "checked", "post"]
