"""Names and words: what is exported exists, what is public is explained, examples in docstrings run."""

from __future__ import annotations

import ast
import doctest
import importlib
import tomllib

import tuneful


def test_the_face_offers_what_the_design_names():
    verbs = {"prepare", "train", "tune", "prove", "ship", "optimize"}
    nouns = {"Task", "Recipe", "Budget"}
    assert verbs | nouns <= set(tuneful.__all__)


def test_every_name_of_the_face_exists_and_is_listed():
    missing = [name for name in tuneful.__all__ if getattr(tuneful, name, None) is None]
    assert not missing
    assert set(tuneful.__all__) <= set(dir(tuneful))


def test_every_exported_name_exists(modules):
    missing = []
    for name in modules:
        loaded = importlib.import_module(name)
        missing += [f"{name}.{wanted}" for wanted in getattr(loaded, "__all__", []) if not hasattr(loaded, wanted)]
    assert missing == []


def test_every_module_says_what_it_is(sources):
    assert [str(source.at) for source in sources if len((ast.get_docstring(source.tree) or "").split()) < 3] == []


def test_every_public_name_of_the_core_is_explained(sources):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    bare = []
    for source in sources:
        if not source.name.startswith("tuneful.core"):
            continue
        public = [node for node in source.tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
        methods = [
            part
            for node in public
            if isinstance(node, ast.ClassDef)
            for part in node.body
            if isinstance(part, kinds) and not part.name.startswith("_")
        ]
        bare += [f"{source.at}:{node.lineno} {node.name}" for node in public + methods if not ast.get_docstring(node)]
    assert bare == []


def test_examples_in_docstrings_run(sources):
    told = [source for source in sources if ">>>" in source.text]
    assert told, "no module shows an example"
    for source in told:
        done = doctest.testmod(
            importlib.import_module(source.name), optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        )
        assert done.attempted > 0, f"{source.at}: there is a >>> outside of docstrings"
        assert done.failed == 0, f"{source.at}: {done.failed} of {done.attempted} examples fail (shown above)"


def test_one_version_is_told_everywhere(root):
    version = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert tuneful.__version__ == version
    assert f"\n## [{version}]" in (root / "CHANGELOG.md").read_text("utf-8")
