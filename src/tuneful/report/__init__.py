"""Pictures: self-contained HTML reports. Reads core only; no torch, no charting package, no network.

    report.write("runs/digits/report.html", Story(title="digits", evidence=..., trials=..., task=...))

In the order of the page: story.py what is told; page.py the order; proof.py how good; mistakes.py where it errs; search.py,
parallel.py, importance.py how it was found; record.py the rest. Below them charts.py, axis.py, words.py, markup.py.
"""

from __future__ import annotations

from tuneful.report.page import render, write
from tuneful.report.story import Story

__all__ = ["Story", "render", "write"]
