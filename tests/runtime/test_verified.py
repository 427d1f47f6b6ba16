"""`tuneful verify` believes nothing: each paper of an artifact is held to the others, to openssl, and to CycloneDX's own schema."""

from __future__ import annotations

import base64
import io
import json
import pickle
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tuneful.cli.door import main
from tuneful.core.artifact import LAYOUTS, seal, unseal
from tuneful.core.errors import ArtifactError, RecipeError, StorageError
from tuneful.core.recipe import Recipe
from tuneful.pipeline.candidate import Candidate, Network, ends
from tuneful.pipeline.prepare import prepare
from tuneful.pipeline.sealing import Owner, again
from tuneful.pipeline.ship import ship
from tuneful.runtime.signature import new_key, sign, signed_by
from tuneful.runtime.tensorsfile import pickled
from tuneful.runtime.verified import verified

cryptography = pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact of a small table."""
    folder = tmp_path_factory.mktemp("verified")
    dice = np.random.default_rng(0)
    lines = ["size,town,price"]
    lines += [f"{dice.uniform(20, 200):.1f},{('Ulm', 'Bonn')[at % 2]},{dice.uniform(1, 9):.2f}" for at in range(120)]
    (folder / "houses.csv").write_text("\n".join(lines) + "\n")
    task = prepare(folder / "houses.csv", target="price")
    torch.manual_seed(0)
    front, back = ends(task)
    network = Network(front, nn.Linear(task.shape[0], 1), back)
    ship(task, Candidate(network, Recipe(), steps=1), {"task": task.summary(), "test": {}}, folder / "artifact")
    return folder / "artifact"


@pytest.fixture
def artifact(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "artifact"))


def failing(folder: Path, **more: Any) -> dict[str, str]:
    return {one.name: one.said for one in verified(folder, **more) if one.holds is False}


def changed(folder: Path, name: str, change: Callable[[Any], Any]) -> None:
    """The same artifact, sealed by a forger: all hashes fit."""
    old = unseal(folder)
    contents: dict[str, Any] = {each: old.raw(each) for each in old.names}
    contents[name] = change(old.read(name))
    seal(folder, contents, "0.1.0")


def test_a_fresh_artifact_holds_in_everything(artifact: Path):
    found = {one.name: one for one in verified(artifact)}
    assert failing(artifact) == {}
    assert found["signature"].holds is None
    assert found["licence"].holds is None
    assert found["inputs"].said == "agree with preprocessing.json: 2 columns"


def test_one_flipped_bit_ends_it(artifact: Path):
    data = bytearray((artifact / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (artifact / "weights.safetensors").write_bytes(data)
    assert list(failing(artifact)) == ["seal"]
    assert main(["verify", str(artifact)]) == 2


# Papers


def test_the_bill_of_materials_is_valid_by_the_published_schema(artifact: Path):
    pytest.importorskip("cyclonedx", reason="the schemas of CycloneDX come with cyclonedx-python-lib")
    jsonschema = pytest.importorskip("jsonschema_rs")
    told = unseal(artifact).read("sbom.json")
    room = files("cyclonedx.schema") / "_res"
    others = ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json", "cryptography-defs.SNAPSHOT.schema.json")
    resources = [(f"http://cyclonedx.org/schema/{name}", json.loads((room / name).read_text("utf-8"))) for name in others]
    registry = jsonschema.Registry(resources)
    schema = json.loads((room / "bom-1.6.SNAPSHOT.schema.json").read_text("utf-8"))
    check = jsonschema.validator_for(schema, registry=registry, validate_formats=True)
    assert [error.message for error in check.iter_errors(told)] == []
    assert not check.is_valid(told | {"components": [{"name": "x"}]})
    assert not check.is_valid(told | {"serialNumber": "7"})
    names = {one["name"]: one for one in told["components"]}
    assert names["numpy"]["scope"] == "required"
    assert names["torch"]["scope"] == "excluded"
    assert {"model.onnx", "card.md", "licence.txt"} <= names.keys()


def test_rows_are_valid_by_the_schema_of_inputs(artifact: Path):
    jsonschema = pytest.importorskip("jsonschema_rs")
    told = unseal(artifact).read("inputs.json")
    check = jsonschema.validator_for(told)
    assert check.is_valid({"size": 80.5, "town": "Ulm"})
    assert check.is_valid({"size": None, "town": None})
    assert not check.is_valid({"town": "Ulm"})
    assert not check.is_valid({"size": [1], "town": "Ulm"})
    seen = told["properties"]["size"]["x-seen"]
    assert 20 <= seen["minimum"] < 30
    assert 190 < seen["maximum"] <= 200
    assert sorted(told["properties"]["town"]["x-levels"]) == ["Bonn", "Ulm"]


def test_nothing_tells_of_the_machine(artifact: Path):
    import getpass
    import platform

    for name in unseal(artifact).names:
        data = (artifact / name).read_bytes()
        assert str(Path.cwd()).encode() not in data, name
        assert b"site-packages" not in data, name
        if len(platform.node()) > 4:
            assert platform.node().encode() not in data, name
    assert getpass.getuser().encode() not in (artifact / "environment.json").read_bytes()


@pytest.mark.parametrize(
    ("name", "change", "check", "said"),
    [
        ("sbom.json", lambda told: told | {"components": told["components"][1:]}, "materials", "differ about card.md"),
        ("card.md", lambda text: text.replace("## Factors", "## Facts"), "card", "no section Factors"),
        ("inputs.json", lambda told: told | {"required": []}, "inputs", "asks for something else"),
        ("weights.safetensors", lambda data: data[:-4], "weights", "bytes are there"),
        ("reference.json", lambda told: told | {"inputs": {}}, "reference", "not as `ship` writes it"),
        ("labels.json", lambda told: ["a", "b"], "materials", "differ about labels.json"),
        ("model.onnx", lambda data: data[:-9], "network", "onnx"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_paper_that_was_forged_along_with_its_hash(artifact: Path, name: str, change: Any, check: str, said: str):
    changed(artifact, name, change)
    assert said in failing(artifact)[check]


def test_words_of_the_owner_go_into_card_licence_and_bill(artifact: Path, tmp_path: Path):
    about = tmp_path / "about.toml"
    about.write_text('licence = "CC-BY-4.0"\ncontact = "models@example.org"\nrisks = "prices of *others* may follow it"\n')
    again(artifact, Owner.read(about))
    text = unseal(artifact).read("card.md")
    assert "- Licence: CC-BY-4.0." in text
    assert "- Questions and comments to: models@example.org." in text
    assert "prices of \\*others\\* may follow it." in text
    assert unseal(artifact).read("sbom.json")["metadata"]["component"]["licenses"] == [{"expression": "CC-BY-4.0"}]
    assert unseal(artifact).read("licence.txt").startswith("The owner of this model offers it under: CC-BY-4.0\n")
    assert failing(artifact) == {}
    about.write_text('license = "MIT"\n')
    with pytest.raises(RecipeError, match=r"about\.license.*did you mean about\.licence\?"):
        Owner.read(about)


def test_the_first_format_is_verified_as_far_as_it_goes(artifact: Path):
    manifest = json.loads((artifact / "manifest.json").read_text())
    kept = {name: entry for name, entry in manifest["files"].items() if name in LAYOUTS[1]}
    for name in manifest["files"].keys() - kept.keys():
        (artifact / name).unlink()
    (artifact / "manifest.json").write_text(json.dumps(manifest | {"format": 1, "files": kept}))
    assert failing(artifact) == {}
    assert {one.name for one in verified(artifact) if one.holds is None} == {
        "signature",
        "explanation",
        "inputs",
        "reference",
        "materials",
        "licence",
    }
    assert {*unseal(artifact).names} == {*LAYOUTS[1]}
    with pytest.raises(ArtifactError, match="format 1, which has no place for these words"):
        again(artifact, Owner())
    (artifact / "manifest.json").write_text(json.dumps(manifest | {"files": kept}))
    with pytest.raises(ArtifactError, match=r"lists no inputs\.json; every artifact has one"):
        unseal(artifact)


# Pickles


def test_a_pickle_is_found_wherever_it_hides(artifact: Path):
    for name, data in hidden().items():
        assert pickled(data), name
    for data in (b"plain text", b'{"a": 1}', archive({"data/weights/a": b"\x00" * 64}), np_bytes(np.arange(3))):
        assert pickled(data) == ""
    contents: dict[str, Any] = {name: unseal(artifact).raw(name) for name in unseal(artifact).names}
    seal(artifact, contents | {"extra.pt2": hidden()["torch"]}, "0.1.0")
    assert "data.pkl may not stand there" in failing(artifact)["no pickle"]
    seal(artifact, contents | {"extra.bin": b"anything"}, "0.1.0")
    assert "of a kind that no artifact has" in failing(artifact)["no pickle"]


def hidden() -> dict[str, bytes]:
    found = {f"protocol {at}": pickle.dumps(np.arange(3), protocol=at) for at in range(2, 6)}
    file = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, file)
    inner = archive({"x.pkl": b"."})
    return found | {
        "torch": file.getvalue(),
        "objects": np_bytes(np.array([{}], dtype=object)),
        "nested": archive({"a.zip": inner}),
    }


def archive(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as inside:
        for name, data in members.items():
            inside.writestr(name, data)
    return file.getvalue()


def np_bytes(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


# Signatures


@pytest.fixture
def key(tmp_path: Path) -> Path:
    new_key(tmp_path / "models.key")
    return tmp_path / "models.key"


def test_a_signature_is_one_to_openssl_too(artifact: Path, key: Path, tmp_path: Path):
    assert sign(unseal(artifact), key) == signed_by(unseal(artifact), key.with_name("models.key.pub"))
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    (tmp_path / "raw").write_bytes(base64.b64decode(json.loads((artifact / "signature.json").read_text())["signature"]))
    words = [openssl, "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", f"{key}.pub", "-sigfile", tmp_path / "raw", "-in"]
    assert (
        b"Verified Successfully"
        in subprocess.run([*words, artifact / "manifest.json"], capture_output=True, check=False).stdout
    )
    (tmp_path / "other").write_bytes((artifact / "manifest.json").read_bytes() + b" ")
    assert subprocess.run([*words, tmp_path / "other"], capture_output=True, check=False).returncode


def test_a_key_of_openssl_signs(artifact: Path, tmp_path: Path):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    subprocess.run([openssl, "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "k"], check=True)
    subprocess.run([openssl, "pkey", "-in", tmp_path / "k", "-pubout", "-out", tmp_path / "k.pub"], check=True)
    assert main(["seal", str(artifact), "--sign", str(tmp_path / "k")]) == 0
    assert main(["verify", str(artifact), "--key", str(tmp_path / "k.pub")]) == 0


def test_what_was_changed_after_signing_is_told(artifact: Path, key: Path, tmp_path: Path):
    assert "is not signed" in failing(artifact, trusted=key.with_name("models.key.pub"))["signature"]
    sign(unseal(artifact), key)
    assert failing(artifact, trusted=key.with_name("models.key.pub")) == {}
    new_key(tmp_path / "other.key")
    assert "was signed by ed25519:" in failing(artifact, trusted=tmp_path / "other.key.pub")["signature"]
    signature = (artifact / "signature.json").read_bytes()
    changed(artifact, "evidence.json", lambda told: told | {"headline": "better than anything"})
    (artifact / "signature.json").write_bytes(signature)
    assert "one of them was changed" in failing(artifact)["signature"]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 5000, '{"format": 1, "algorithm": "none", "public_key": "", "signature": ""}', "\0"]
)
def test_a_signature_that_is_none(artifact: Path, text: str):
    (artifact / "signature.json").write_text(text)
    assert "cannot be read" in failing(artifact)["signature"]


def test_a_signature_elsewhere_is_not_followed(artifact: Path, key: Path, tmp_path: Path):
    sign(unseal(artifact), key)
    (artifact / "signature.json").rename(tmp_path / "signature.json")
    (artifact / "signature.json").symlink_to(tmp_path / "signature.json")
    assert "it is no plain file" in failing(artifact)["signature"]


def test_keys_are_private_and_never_overwritten(key: Path, tmp_path: Path):
    assert key.stat().st_mode & 0o077 == 0
    with pytest.raises(StorageError, match=r"models\.key cannot be written: it exists, and is not overwritten"):
        new_key(key)
    with pytest.raises(ArtifactError, match="is no secret ed25519 key"):
        sign(unseal(seal(tmp_path / "a", dict.fromkeys(LAYOUTS[2], b"{}"), "0.1.0").folder), key.with_name("models.key.pub"))


def test_seal_asks_for_something_to_do(artifact: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["seal", str(artifact)]) == 2
    assert "there is nothing to do" in capsys.readouterr().err
    assert main(["seal"]) == 2
    assert "seal wants an artifact" in capsys.readouterr().err
