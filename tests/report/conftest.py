"""Fixtures for the report: the invented stories and the browser, from the two modules beside this file."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tuneful.report import Story


def _beside(name: str) -> ModuleType:
    """A module of this folder. Test folders are no packages, so it cannot be imported by name."""
    spec = importlib.util.spec_from_file_location(f"report_tests_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


STORIES: dict[str, Callable[[], Story]] = _beside("invented").STORIES


@pytest.fixture(params=sorted(STORIES))
def any_story(request: pytest.FixtureRequest) -> Story:
    return STORIES[request.param]()


@pytest.fixture
def stories() -> dict[str, Callable[[], Story]]:
    return STORIES


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next((found for name in names if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip(f"no Chromium is on PATH ({', '.join(names)}); `apt-get install chromium` brings one")
    opened = _beside("chromium").Browser(path, tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()
