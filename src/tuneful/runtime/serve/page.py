"""The two pages for people: one asks a model, one lists the requests. Each is one file; nothing is fetched from elsewhere.

The policy lets only the very script and style run that were shipped, by their hashes, so that nothing else ever runs there.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from collections.abc import Mapping
from importlib import resources
from typing import Any, cast


@functools.cache
def asking() -> tuple[bytes, bytes]:
    """(the page that asks, its Content-Security-Policy)."""
    text = (resources.files("tuneful.runtime.serve") / "page.html").read_text("utf-8")
    return text.encode(), _policy(text)


def listing(document: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """(the requests of an OpenAPI document as a page, its policy)."""
    parts: list[str] = []
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            parts.append(f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(told['summary'])}</p>")
            content = cast("dict[str, Any]", told.get("requestBody", {}).get("content", {}))
            for kind, body in content.items():
                shown = json.dumps(body["example"], indent=1, ensure_ascii=False) if "example" in body else "file=@PATH"
                shown = shown if len(shown) < 3000 else shown[:3000] + "\n…"
                parts.append(
                    f"<details{' open' if len(shown) < 1500 else ''}><summary>{html.escape(kind)}</summary><pre>{html.escape(shown)}</pre></details>"
                )
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}h2{font-size:1.05rem;margin:1.6rem 0 0}p{margin:.2rem 0}pre{overflow:auto;background:#8882;padding:.8rem;border-radius:.4rem}:root{color-scheme:light dark}"
    text = (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>tuneful: requests</title><style>{style}</style></head><body><h1>Requests</h1><p><a href=\"/openapi.json\">openapi.json</a> "
            f'says the same for programs; <a href="/">the page</a> asks for people.</p>{"".join(parts)}</body></html>')  # fmt: skip
    return text.encode(), _policy(text)


def _policy(text: str) -> bytes:
    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        return (
            " ".join("'sha256-" + base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() + "'" for one in found)
            or "'none'"
        )

    return (f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; connect-src 'self'; img-src blob: data:; "
            f"media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'").encode()  # fmt: skip


__all__ = ["asking", "listing"]
