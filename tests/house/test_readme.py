"""The READMEs show the house as it is: each file with a caption, in both languages, and the same commands."""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from types import ModuleType

import pytest

READMES = ["README.md", "README.zh-CN.md"]


@pytest.fixture(scope="module")
def tree(root) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tree", root / "tests" / "house" / "tree.py")
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.mark.parametrize("name", READMES)
def test_the_tree_is_the_real_one_and_every_file_has_a_caption(name, root, tree, modules):
    block = tree.BLOCK.search((root / name).read_text("utf-8"))
    assert block, f"{name} has no code block that begins with src/tuneful/ (`make tree` fills one)"
    told = tree.read(block[2])
    # From the modules that were found, not from the script that draws the tree.
    files = {
        m.replace(".", "/").partition("/")[2] + ("/" if path.name == "__init__.py" else ".py") for m, path in modules.items()
    }
    there = {"__init__.py" if path == "/" else path for path in files}
    assert there - told.keys() == set(), "the tree lacks them: run `make tree`"
    assert told.keys() - there == set(), "the tree shows what is gone: run `make tree`"
    assert [path for path, caption in told.items() if not caption] == []


def test_both_languages_say_the_same(root):
    english, chinese = ((root / name).read_text("utf-8") for name in READMES)
    assert any("CJK" in unicodedata.name(letter, "") for letter in chinese)
    for what, form in {
        "headings": r"^#+ ",
        "links": r"(?<=\]\()[^)#]+(?=\))",
        "commands": r"^(?:\$ )?(?:make|tuneful|pip) [^#\n]*",
    }.items():
        one, other = (re.findall(form, text, re.MULTILINE) for text in (english, chinese))
        one, other = ([word.strip() for word in found if word not in READMES] for found in (one, other))
        assert one == other, f"the READMEs differ in their {what}"


def test_make_targets_and_files_that_the_readme_names_exist(root):
    text = (root / "README.md").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)`", text)) | set(re.findall(r"^make ([a-z-]+)", text, re.MULTILINE)) <= targets
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]
    assert [link for link in links if not (root / link).exists()] == []
    assert "make demo" in text
