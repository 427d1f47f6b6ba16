"""Help, examples, completion: what is shown is what works."""

from __future__ import annotations

import shlex

import pytest
import typer

from tuneful.cli import app, complete, mistakes
from tuneful.cli.call import Call
from tuneful.cli.examples import EXAMPLES


def parser():
    return typer.main.get_command(app)


def test_every_command_has_examples_and_every_example_a_command():
    assert set(EXAMPLES) == set(parser().commands)


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_is_understood_by_the_parser(line, tmp_path, monkeypatch):
    from tuneful.cli.words import sort
    from tuneful.pipeline.codec import decode
    from tuneful.pipeline.words import from_words

    monkeypatch.chdir(tmp_path)
    (tmp_path / "houses.toml").write_text('[data]\nsource = "digits"\n', encoding="utf-8")
    program, name, *words = shlex.split(line)
    assert program == "tuneful"
    mistakes.look(Call((name, *words), 0.0))
    command = parser().commands[name]
    with command.make_context(name, words, obj=Call((name, *words), 0.0)) as context:
        told = context.params
    if "words" in told and (name != "show" or told["augment"]):  # show alone names a run
        source, settings = sort(name, told["words"])
        mode = name if name in ("train", "tune", "optimize") else "tune"
        job = from_words(mode, source, settings, budget=told.get("budget"))
        decode(job.entries)
        assert job.source


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_help_names_the_words_and_shows_the_examples(name, tuneful):
    said = tuneful(name, "--help")
    assert said.code == 0
    assert said.out.startswith(f"Usage: tuneful {name} ")
    for line in EXAMPLES[name]:
        assert f"    {line}\n" in said.out


def test_a_bare_call_shows_help(tuneful):
    said = tuneful()
    assert said.code == 0
    assert said.out == tuneful("--help").out
    assert all(f"\n  {name} " in said.out for name in EXAMPLES)


def test_version(tuneful):
    from tuneful import __version__

    assert tuneful("--version").out == f"tuneful {__version__}\n"


def test_completion_knows_every_key_of_the_recipe_without_importing_the_techniques():
    from tuneful.pipeline.keys import ALIASES, FAMILIES, Keys
    from tuneful.pipeline.terms import Data

    known = complete.keys()
    keys = Keys()
    wanted = {key for key in keys.full if not key.endswith(".kind")}
    assert wanted - set(known) == set()
    assert (
        set(known) - wanted - set(keys.short) - set(Data.model_fields) - set(ALIASES) - {"proposer", "scheduler", "eta"}
        == set()
    )
    for family, table in FAMILIES.items():
        assert complete.techniques(family).keys() == table.keys()


def test_the_shell_is_offered_settings_and_values(process):
    code = """
import os, sys
os.environ.update(_TUNEFUL_COMPLETE="complete_bash", COMP_WORDS="tuneful train optimizer=adab", COMP_CWORD="2")
from tuneful.cli import main
try:
    main([])
finally:
    assert "torch" not in sys.modules and "pydantic" not in sys.modules
"""
    assert process(code=code).stdout.split() == ["optimizer=adabound"]
