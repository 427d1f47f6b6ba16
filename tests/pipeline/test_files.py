"""Recipe files: what is wrong is told with file:line, full key, value, reason and the nearest known, all at once."""

from __future__ import annotations

import json
import re

import pytest

from tuneful.core.errors import RecipeError
from tuneful.core.recipe import Recipe
from tuneful.pipeline import defaults, files
from tuneful.pipeline.codec import decode

TOML = """\
epochs = 5
batch_sise = 32

[optimizer]
kind = "adm"

[model]
kind = "convnet"
width = -4
deptt = 2

[regularizers.dropout]
rate = 1.5

[augments]
crop = 2
"""

YAML = """\
epochs: 5
batch_sise: 32
optimizer:
  kind: adm
model:
  kind: convnet
  width: -4
  deptt: 2
regularizers:
  dropout:
    rate: 1.5
augments:
  crop: 2
"""


@pytest.mark.parametrize(
    ("name", "text", "lines"), [("r.toml", TOML, (2, 5, 9, 10, 13)), ("r.yaml", YAML, (2, 4, 7, 8, 11))]
)
def test_all_errors_of_a_file_with_their_lines(tmp_path, stripes, name, text, lines):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        decode(files.read(path), stripes)
    told = sorted(str(caught.value).splitlines()[:-1], key=lambda line: int(re.search(r":(\d+): ", line)[1]))
    assert told == [
        f"{path}:{lines[0]}: batch_sise is not a setting; did you mean batch_size?",
        f"{path}:{lines[1]}: optimizer is 'adm'; it must be one of sgd, momentum, nesterov, adam, adamw, adabound, lion, muon and 22 others; did you mean adam?",
        f"{path}:{lines[2]}: model.width is -4; it must be a whole number >= 1",
        f"{path}:{lines[3]}: model.deptt is not a setting; did you mean model.depth?",
        f"{path}:{lines[4]}: regularizers.dropout.rate is 1.5; it must be in [0, 1)",
    ]


def test_a_resolved_recipe_written_with_its_reasons_reads_back_equal(tmp_path, stripes, flowers, houses):
    for task in (stripes, flowers, houses):
        recipe = defaults.resolve(Recipe(), task)
        path = tmp_path / f"{task.name}.toml"
        path.write_text(files.write(recipe, data={"source": "x", "missing": ["n/a"]}, heading="two\nlines"))
        entries = [entry for entry in files.read(path) if not entry.key.startswith("data.")]
        again, space = decode(entries, task)
        assert again.id == recipe.id
        assert len(space) == 0
        assert "# auto: " in path.read_text()


def test_a_recipe_that_travels_leaves_to_each_machine_what_auto_saw_of_this_one(tmp_path, stripes):
    path = tmp_path / "r.toml"
    recipe = defaults.resolve(Recipe(), stripes)
    path.write_text(files.write(recipe, travels=True))
    (line,) = [line for line in path.read_text().splitlines() if line.startswith("threads")]
    assert re.fullmatch(rf'threads = "auto" +# auto: {recipe.threads} here, as a step is .*', line)
    again = decode(files.read(path), stripes)[0]
    assert again.threads == "auto"
    assert defaults.resolve(again, stripes).id == recipe.id
    own = defaults.resolve(Recipe(threads=3), stripes)
    assert "\nthreads = 3 " in files.write(own, travels=True)


def test_ranges_survive_a_file(tmp_path, stripes):
    words = {
        "optimizer": "sgd,adam",
        "lr": "1e-4..1e-1",
        "beta1": "0.8..0.99",
        "width": "8,16",
        "batch_size": "16..64",
        "crop": "1..3",
    }
    from tuneful.pipeline.codec import from_mapping

    recipe, space = from_mapping(words, stripes)
    path = tmp_path / "r.toml"
    path.write_text(files.write(recipe, space))
    again = decode(files.read(path), stripes)[1]
    assert again.as_data() == space.as_data()


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("r.toml", b"lr = 1e-4..1e-1\n", r"r.toml:1: it cannot be read as TOML .*\n  hint: text values need quotes"),
        ("r.toml", b"a = 1\n\nb = = 2\n", r"r.toml:3: it cannot be read as TOML"),
        ("r.yaml", b"a: [1\nb: 2\n", r"r.yaml:2: it cannot be read as YAML"),
        ("r.yaml", b"- 1\n- 2\n", r"holds list; a recipe is a table of settings"),
        ("r.yaml", b"a: !!python/object/apply:os.system [ls]\n", r"it cannot be read as YAML"),
        ("r.toml", b"\xff\xfe\x00", r"is not UTF-8 text \(byte 0\)"),
        ("r.toml", b"#" * 1_000_001, r"has 1000001 bytes; a recipe has at most 1000000"),
    ],
)
def test_what_is_no_recipe_file_is_told(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=sentence):
        files.read(path)


def test_a_missing_file_says_what_writes_one(tmp_path):
    with pytest.raises(RecipeError, match=r"there is no recipe file .*none.toml\n  hint: `tuneful init DATA` writes one"):
        files.read(tmp_path / "none.toml")


def test_the_schema_is_json_and_knows_every_key_of_a_written_recipe(stripes):
    schema = json.loads(json.dumps(files.schema()))
    recipe = defaults.resolve(Recipe(), stripes).as_data()
    assert set(recipe) - {"reasons"} <= set(schema["properties"])
    kinds = [part for part in schema["properties"]["optimizer"]["anyOf"] if part.get("type") == "object"]
    adamw = next(kind for kind in kinds if kind["properties"]["kind"]["const"] == "adamw")
    assert adamw["properties"]["lr"]["anyOf"][0] == {"default": 0.001, "exclusiveMinimum": 0, "type": "number"}
    assert adamw["properties"]["lr"]["description"]
