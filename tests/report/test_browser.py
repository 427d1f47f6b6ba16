"""The report as a browser shows it: no complaint, no request, no sideways scrolling, readable without script and in print."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tuneful import report
from tuneful.report import Story

if TYPE_CHECKING:
    Browser = Any  # tests/report/chromium.py
    Stories = dict[str, Callable[[], Story]]


@pytest.mark.parametrize("width", [1280, 375])
def test_fits_its_window_asks_for_nothing_and_raises_no_complaint(
    browser: Browser, any_story: Story, tmp_path: Path, width: int
):
    page = report.write(tmp_path / "report.html", any_story)
    browser.open(page, width, dark=width == 375)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value("document.querySelectorAll('h1').length") == 1
    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []


def test_nothing_sticks_out_of_the_page_on_a_phone(browser: Browser, stories: Stories, tmp_path: Path):
    browser.open(report.write(tmp_path / "report.html", stories["study"]()), 375)
    sticking = browser.value(
        "[...document.querySelectorAll('p,h1,h2,h3,figcaption,.card,.plot,.stack,dl,pre,.box')]"
        ".filter(e => { const b = e.getBoundingClientRect(); return b.width && (b.right > 376 || b.left < -1) && !e.closest('.box table') && !e.matches('.unseen') })"
        ".map(e => e.className + ': ' + e.textContent.slice(0, 40))"
    )
    assert sticking == []
    smallest = browser.value(
        "Math.min(...[...document.querySelectorAll('.plot span, td, th, p, dd, figcaption')].filter(e => e.getBoundingClientRect().width > 2)"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)))"
    )
    assert smallest >= 11  # px


def test_can_be_read_without_script(browser: Browser, stories: Stories, tmp_path: Path):
    browser.open(report.write(tmp_path / "report.html", stories["study"]()), 1280, script=False)
    root = browser.ask("DOM.getDocument")["root"]["nodeId"]
    for what, least in ((".card .value", 7), (".trials tbody tr", 40), (".plot svg path", 60), (".matrix td", 100)):
        found = browser.ask("DOM.querySelectorAll", {"nodeId": root, "selector": what})["nodeIds"]
        assert len(found) >= least, what
    words = browser.ask("Accessibility.getFullAXTree")["nodes"]
    told = " ".join(str(node.get("name", {}).get("value", "")) for node in words)
    assert "tuneful optimize digits --budget 60s" in told
    assert "Trial 5 reached accuracy" in told


def test_sorts_by_number_and_keeps_what_is_missing_last(browser: Browser, stories: Stories, tmp_path: Path):
    browser.open(report.write(tmp_path / "report.html", stories["study"]()), 1280)
    column = "[...document.querySelectorAll('.trials tbody tr')].map(r => r.cells[{k}].dataset.v ?? null).map(v => v === null ? null : Number(v))"
    press = "[...document.querySelectorAll('.trials thead button')].find(b => b.textContent === '{name}').click()"
    names = browser.value("[...document.querySelectorAll('.trials thead th')].map(h => h.textContent)")
    for name in ("optimizer.lr", "optimizer.beta1", "time"):
        k = str(names.index(name))
        browser.value(press.replace("{name}", name))
        up = browser.value(column.replace("{k}", k))
        known = [v for v in up if v is not None]
        assert known == sorted(known)
        assert up == known + [None] * (len(up) - len(known))
        browser.value(press.replace("{name}", name))
        down = [v for v in browser.value(column.replace("{k}", k)) if v is not None]
        assert down == sorted(known, reverse=True)


def test_pointing_at_a_curve_tells_which_trial_it_is(browser: Browser, stories: Stories, tmp_path: Path):
    browser.open(report.write(tmp_path / "report.html", stories["study"]()), 1280)
    browser.value("document.querySelector('.curves .area').scrollIntoView({block: 'center', behavior: 'instant'})")
    place = browser.value(
        "(() => { const p = document.querySelector('.curve.lead'), b = p.closest('svg').getBoundingClientRect();"
        "const n = p.getAttribute('d').match(/\\d+/g).map(Number).slice(-2);"
        "return [b.left + n[0] / 2000 * b.width, b.top + n[1] / 1000 * b.height] })()"
    )
    browser.ask("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": place[0], "y": place[1]})
    assert browser.value("document.querySelector('.tip').hidden") is False
    told = browser.value("document.querySelector('.tip').textContent")
    assert told.startswith("trial 5")
    assert "optimizer.lr: " in told
    assert browser.value("[...document.querySelectorAll('.on')].map(e => e.dataset.t).every(t => t === '5')")
    assert browser.complaints() == []


def test_a_foreign_script_would_not_run(browser: Browser, stories: Stories, tmp_path: Path):
    page = report.write(tmp_path / "report.html", stories["study"]())
    broken = page.read_text(encoding="utf-8").replace(
        "<main>", "<main><script>document.title='taken'</script><img src='http://127.0.0.1:9/x'>"
    )
    page.write_text(broken, encoding="utf-8")
    browser.open(page, 1280)
    assert browser.value("document.title") != "taken"
    assert len(browser.complaints()) >= 2  # the script and the picture were refused, and the console says so


def test_prints_on_a_few_pages_with_everything_open(browser: Browser, stories: Stories, tmp_path: Path):
    browser.open(report.write(tmp_path / "report.html", stories["study"]()), 1280)
    printed = browser.printed()
    assert printed.startswith(b"%PDF")
    pages = len(re.findall(rb"/Type\s*/Page\b", printed))
    assert 3 <= pages <= 12
