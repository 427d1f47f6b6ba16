"""Habits of the code: small files, no grab bags, nothing pickled, nothing that is true of one machine only."""

from __future__ import annotations

import ast
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tuneful.cli import probe

GRAB_BAGS = {"utils", "util", "helpers", "helper", "common", "misc", "tools"}
PICKLERS = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
# Joined here so that this file does not hold them itself.
REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"), ("download", "pytorch", "org"),
        ("debian", "org"), ("anaconda", "org"), ("crates", "io"), ("proxy", "golang", "org"), ("maven", "org"),
    ]
]  # fmt: skip


def test_no_file_is_longer_than_four_hundred_lines(texts):
    long = {str(at): text.count("\n") for at, text in texts.items() if at.suffix == ".py" and text.count("\n") > 400}
    assert long == {}


def test_no_file_is_a_grab_bag(tracked):
    assert [str(path) for path in tracked if path.suffix == ".py" and path.stem.strip("_") in GRAB_BAGS] == []


def calls(tree: ast.AST) -> list[tuple[str, ast.Call]]:
    return [(ast.unparse(node.func), node) for node in ast.walk(tree) if isinstance(node, ast.Call)]


def says(call: ast.Call, word: str, value: object) -> bool:
    return any(k.arg == word and isinstance(k.value, ast.Constant) and k.value.value is value for k in call.keywords)


def risks(tree: ast.AST) -> list[str]:
    """What in this syntax could run code that a file brings, as 'line: what'."""
    found = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        found += [f"{node.lineno}: imports {name}" for name in names if name.split(".")[0] in PICKLERS]
    for name, call in calls(tree):
        if name == "torch.load" and not says(call, "weights_only", True):
            found.append(f"{call.lineno}: torch.load without weights_only=True")
        if name == "torch.save":
            found.append(f"{call.lineno}: torch.save writes a pickle")
        if name.split(".")[-1] == "load" and any(k.arg == "allow_pickle" for k in call.keywords):
            found += [] if says(call, "allow_pickle", False) else [f"{call.lineno}: allow_pickle is not False"]
        if name in {"yaml.load", "yaml.full_load", "yaml.unsafe_load", "eval", "exec"}:
            found.append(f"{call.lineno}: {name}")
        if any(k.arg == "shell" for k in call.keywords) and not says(call, "shell", False):
            found.append(f"{call.lineno}: {name} through a shell")
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(p)",
        "torch.load(p, weights_only=False)",
        "torch.save(x, p)",
        "np.load(p, allow_pickle=True)",
        "yaml.load(t)",
        "eval(t)",
        "subprocess.run(c, shell=True)",
    ],
)
def test_the_search_for_risks_finds(code):
    assert risks(ast.parse(code))


def test_nothing_that_a_file_brings_is_run(sources):
    assert [f"{source.at}:{risk}" for source in sources for risk in risks(source.tree)] == []


def test_nothing_is_true_of_one_machine_only(texts):
    # A path is one when no word stands before it: "/work" is, "and/work" is not.
    place = re.compile(r"(?<![\w.)\]}*-])/(?:work|root|home/\w+|Users/\w+|tmp)(?:/|\b)")
    found = [
        f"{at}:{number}: {line.strip()[:90]}"
        for at, text in texts.items()
        if at.parts[0] != "tests"
        for number, line in enumerate(text.splitlines(), 1)
        if place.search(line)
    ]
    assert found == []


def test_no_file_names_the_host_of_a_registry(texts):
    assert [f"{at}: {host}" for at, text in texts.items() for host in REGISTRIES if host in text] == []


def test_every_text_ends_with_one_newline_and_has_unix_lines(texts):
    assert [str(at) for at, text in texts.items() if text and (not text.endswith("\n") or text.endswith("\n\n"))] == []
    assert [str(at) for at, text in texts.items() if "\r\n" in text] == []


def test_decisions_are_numbered_once_and_without_gaps(root):
    names = sorted(path.name for path in (root / "docs" / "decisions").iterdir())
    assert [name for name in names if not re.fullmatch(r"\d{4}-[a-z0-9]+(-[a-z0-9]+)*\.md", name)] == []
    assert [int(name[:4]) for name in names] == list(range(len(names)))
    headings = re.findall(r"^## .*$", (root / "docs/decisions" / names[0]).read_text("utf-8"), re.MULTILINE)
    for name in names:
        text = (root / "docs/decisions" / name).read_text("utf-8")
        assert text.startswith(f"# {name[:4]}: "), f"{name}: the first line is not its number and title"
        assert re.findall(r"^## .*$", text, re.MULTILINE) == headings, f"{name}: its headings are not those of the template"
        assert re.search(r"^Date: (YYYY-MM-DD|\d{4}-\d\d-\d\d)$", text, re.MULTILINE), f"{name}: it has no date"


def test_the_log_stands_newest_first(root):
    text = re.sub(
        r"^    .*$", "", (root / "LOG.md").read_text("utf-8"), flags=re.MULTILINE
    )  # the form of an entry is indented
    heads = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert [head for head in heads if not re.match(r"\d{4}-\d\d-\d\d  \S", head)] == []
    assert heads == sorted(heads, key=lambda head: head[:10], reverse=True)


def pins(root: Path) -> dict[str, str]:
    lines = [line for line in (root / "constraints.txt").read_text("utf-8").splitlines() if line and line[0] != "#"]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    names = Counter(normal(line) for line in lines)
    assert [name for name, times in names.items() if times > 1] == []
    return {normal(line): line.partition("==")[2] for line in lines}


def normal(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", requirement)[0]).lower()


def test_all_that_make_installs_is_pinned(root):
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *extras["dev"], *extras["test"], *project["build-system"]["requires"]]
    pinned = pins(root)
    assert [name for name in map(normal, wanted) if name != "tuneful" and name not in pinned] == []
    assert pinned["torch"] == "2.13.0"


def test_what_is_imported_is_asked_for_and_the_reverse(root, sources):
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {normal(name) for name in project["dependencies"]}
    owners = {module: {normal(name) for name in names} for module, names in packages_distributions().items()}
    own = {*sys.stdlib_module_names, "tuneful"}
    imported = {module for source in sources for module in modules_of(source.tree)} - own
    extras = project["optional-dependencies"]
    offered = {normal(name) for extra, names in extras.items() if extra not in ("test", "dev", "all") for name in names}
    known = asked | offered
    assert {module for module in imported if not owners.get(module, {normal(module)}) & known} == set(), (
        "imported, not asked for"
    )
    assert offered <= {normal(name) for name in probe.OPTIONAL}, "`tuneful env` looks for others"
    # torch's exporter loads onnxscript by itself
    used = {name for module in imported for name in owners.get(module, set())} | {"onnxscript"}
    assert asked - used == set(), "asked for, imported nowhere"
    assert {normal(name) for name in probe.NEEDED} == asked, "`tuneful env` looks at others"


def modules_of(tree: ast.AST) -> set[str]:
    """The first names of all modules that this syntax imports from elsewhere."""
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in found}


def test_ci_runs_the_checks_and_the_tests(root):
    script = root / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert "set -euo pipefail" in script.read_text("utf-8")
    assert "\nmake check test\n" in script.read_text("utf-8")


def test_make_has_what_the_readme_promises(root):
    text = (root / "Makefile").read_text("utf-8")
    for target in ("demo", "test", "test-all", "check", "bench"):
        assert re.search(rf"^{target}: \$\(STAMP\) ## \S", text, re.MULTILINE), (
            f"make {target} does not see to .venv, or has no help"
        )


@pytest.mark.slow
def test_the_names_of_cases_are_the_same_in_every_process(root):
    """A case named by numbers drawn at random, or by an address, stops the tests in several processes."""
    said = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-p",
        "no:cacheprovider",
        "tests/contracts",
        "tests/core",
    ]
    found = [
        subprocess.run(said, cwd=root, capture_output=True, text=True, env={**os.environ, "PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]
    one, two = ([line for line in run.stdout.splitlines() if "::" in line] for run in found)
    assert len(one) > 1000, found[0].stderr[-500:]
    assert [line[:200] for line in set(one) ^ set(two)] == []
    assert [line[:80] for line in one if len(line) > 400] == [], "name these cases by ids="
