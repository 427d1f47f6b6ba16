"""The page in a real browser: a row and an image are asked, the answer is the server's, and nothing comes from elsewhere."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


class Address:
    """What the browser opens, in the place of a file."""

    def __init__(self, address: str) -> None:
        self.address = address

    def resolve(self) -> Address:
        return self

    def as_uri(self) -> str:
        return self.address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is on PATH; `apt-get install chromium` brings one")
    spec = importlib.util.spec_from_file_location(
        "chromium_of_the_report", Path(__file__).parents[2] / "report" / "chromium.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    opened = module.Browser(path, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


WAIT = "(async () => { while (!document.getElementById('model').options.length) await new Promise(r => setTimeout(r, 20)); return 1 })()"
PICTURE = """(async () => {
    const canvas = Object.assign(document.createElement('canvas'), {width: 8, height: 8});
    file = new File([await new Promise(r => canvas.toBlob(r))], 'pet.png');
    await ask();
    return document.getElementById('said').textContent;
})()"""


def test_a_row_and_an_image_are_asked(server: Any, browser: Any):
    browser.open(Address(f"{server.address}/"), 800)
    browser.value(WAIT)
    said = browser.value("ask().then(() => document.getElementById('said').textContent)")
    example = server.ask("GET", "/models")[2]["models"][0]["example"]
    assert said == server.ask("POST", "/predict/people", example)[2]["predictions"][0]["prediction"]
    assert browser.value("document.querySelectorAll('.bar').length") == 2
    browser.value("document.getElementById('model').selectedIndex = 1; show()")
    assert browser.value(PICTURE) in ("cat", "dog")
    assert all(one.startswith((server.address, "blob:", "data:")) for one in browser.requests())
    assert not [one for one in browser.complaints() if '"level": "verbose"' not in one]


def test_a_wrong_value_is_told_where_the_answer_would_stand(server: Any, browser: Any):
    browser.open(Address(f"{server.address}/"), 400)
    browser.value(WAIT)
    browser.value("document.getElementById('c-age').value = 'old'")
    told = browser.value("ask().then(() => document.getElementById('said').textContent)")
    assert told.startswith("column \"age\" holds 'old' in row 1; it must be a number")
    assert browser.value("document.documentElement.scrollWidth") <= 400
