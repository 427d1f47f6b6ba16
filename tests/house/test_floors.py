"""Who may import whom. The contracts stand in pyproject.toml; here they are held, and held to be complete."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest


@pytest.fixture(scope="module")
def contracts(root: Path) -> list[dict[str, Any]]:
    return tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("tuneful", include_external_packages=True, exclude_type_checking_imports=False, cache_dir=None)


def layers(contract: dict[str, Any]) -> list[str]:
    return [name.strip(" ()") for layer in contract["layers"] for name in layer.replace(":", "|").split("|")]


def test_every_contract_is_kept(root):
    code = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("room", ["tuneful", "tuneful.pipeline", "tuneful.techniques"])
def test_every_file_of_a_room_has_its_place_in_the_order(room, contracts, modules):
    (contract,) = [c for c in contracts if c.get("containers") == [room]]
    there = {name for name in modules if name.rpartition(".")[0] == room}
    assert {f"{room}.{name}" for name in layers(contract)} == there


def test_no_module_waits_for_itself_even_for_type_checkers(graph):
    ours = {m for m in graph.modules if m.split(".")[0] == "tuneful"}
    waits = {m: graph.find_modules_directly_imported_by(m) & ours for m in ours}
    try:
        tuple(TopologicalSorter(waits).static_order())
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_no_module_takes_private_names_of_another(sources):
    reached = [
        f"{source.at}:{node.lineno} takes {alias.name} from {node.module}"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tuneful")
        for alias in node.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    ]
    assert reached == []
