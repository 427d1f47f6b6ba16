"""The sealed folder: whole or refused, replaced in one step, never half-written."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tuneful.core.artifact import FORMAT, LAYOUT, MANIFEST, Artifact, seal, unseal
from tuneful.core.errors import ArtifactError, StorageError

FILES: dict[str, Any] = {
    "model.onnx": bytes(range(256)) * 40,
    "weights.safetensors": b"\x00weights",
    "recipe.json": {"epochs": 3},
    "preprocessing.json": {"kind": "regression"},
    "labels.json": ["猫", "dog"],
    "evidence.json": {"test": {"rmse": float("nan")}},
    "card.md": "# Card\n",
    "inputs.json": {"type": "object"},
    "environment.json": {}, "sbom.json": {},
    "licence.txt": "not known\n",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "artifact"
    seal(place, FILES, version="0.1.0")
    return place


def rewrite(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))


def entries(folder: Path) -> dict[str, Any]:
    return json.loads((folder / MANIFEST).read_text())["files"]


def test_gives_back_what_was_sealed(folder: Path):
    artifact = unseal(folder)
    assert artifact.read("model.onnx") == FILES["model.onnx"]
    assert artifact.read("labels.json") == ["猫", "dog"]
    assert artifact.read("card.md") == "# Card\n"
    assert artifact.manifest["format"] == FORMAT
    assert artifact.manifest["tuneful"] == "0.1.0"
    assert set(artifact.names) == set(LAYOUT)


def test_hashes_are_those_of_sha256sum(folder: Path):
    tool = shutil.which("sha256sum")
    if tool is None:
        pytest.skip("sha256sum is not installed")
    told = subprocess.run([tool, folder / "model.onnx"], capture_output=True, text=True, check=True).stdout.split()[0]
    assert entries(folder)["model.onnx"] == {"sha256": told, "bytes": 10240}


def test_numbers_that_are_not_finite_become_null(folder: Path):
    assert json.loads((folder / "evidence.json").read_text()) == {"test": {"rmse": None}}


def test_a_label_that_is_no_unicode_survives(tmp_path: Path):
    odd = os.fsdecode(b"caf\xe9")
    seal(tmp_path / "a", FILES | {"labels.json": [odd]}, version="1")
    assert unseal(tmp_path / "a").read("labels.json") == [odd]


def test_refuses_to_seal_without_every_file(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"weights\.safetensors is missing"):
        seal(tmp_path / "a", {k: v for k, v in FILES.items() if k != "weights.safetensors"}, version="1")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["../escape.txt", "/etc/escape", "a/b", ".hidden", MANIFEST, ""])
def test_refuses_to_seal_a_name_that_leads_elsewhere(tmp_path: Path, name: str):
    with pytest.raises(ArtifactError, match="is not a plain file name"):
        seal(tmp_path / "a", FILES | {name: b"x"}, version="1")


# What is damaged is refused, in a sentence


def test_a_path_that_is_not_there(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"nowhere does not exist; an artifact is a folder with a manifest\.json"):
        unseal(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder(folder: Path):
    with pytest.raises(ArtifactError, match=r"card\.md is a file; an artifact is a folder"):
        unseal(folder / "card.md")


def test_a_folder_that_is_no_artifact(tmp_path: Path):
    with pytest.raises(ArtifactError, match=r"has no manifest\.json; it is not an artifact"):
        unseal(tmp_path)


@pytest.mark.parametrize("name", LAYOUT)
def test_one_flipped_bit(folder: Path, name: str):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=rf"{name} was changed: its sha256 is \w+\.\.\., \w+\.\.\. was sealed"):
        unseal(folder)


def test_a_truncated_model(folder: Path):
    os.truncate(folder / "model.onnx", 10000)
    with pytest.raises(ArtifactError, match=r"model\.onnx has 10000 bytes; 10240 were sealed"):
        unseal(folder)


def test_a_missing_file(folder: Path):
    (folder / "labels.json").unlink()
    with pytest.raises(ArtifactError, match=r"labels\.json is missing; the manifest lists it"):
        unseal(folder)


def test_a_file_that_nobody_sealed(folder: Path):
    (folder / "extra.py").write_text("print('hello')")
    with pytest.raises(
        ArtifactError, match=r"extra\.py is not listed in manifest\.json; a sealed folder holds nothing else"
    ):
        unseal(folder)


def test_a_symbolic_link_even_to_the_same_bytes(folder: Path, tmp_path: Path):
    (folder / "card.md").rename(tmp_path / "card.md")
    (folder / "card.md").symlink_to(tmp_path / "card.md")
    with pytest.raises(ArtifactError, match=r"card\.md is a symbolic link; an artifact holds plain files only"):
        unseal(folder)


def test_a_folder_in_the_place_of_a_file(folder: Path):
    (folder / "card.md").unlink()
    (folder / "card.md").mkdir()
    with pytest.raises(ArtifactError, match=r"card\.md is not a file"):
        unseal(folder)


def test_a_named_pipe_does_not_block(folder: Path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    (folder / "card.md").unlink()
    os.mkfifo(folder / "card.md")
    with pytest.raises(ArtifactError, match=r"card\.md is not a file"):
        unseal(folder)


def test_a_newer_format(folder: Path):
    rewrite(folder, format=FORMAT + 1, tuneful="9.9")
    with pytest.raises(
        ArtifactError, match=rf"format {FORMAT + 1}, written by tuneful 9\.9; this tuneful reads formats up to {FORMAT}"
    ) as caught:
        unseal(folder)
    assert caught.value.hint == "pip install --upgrade tuneful"


@pytest.mark.parametrize("value", [0, -1, 1.0, "1", None, True])
def test_a_format_that_is_no_number(folder: Path, value: Any):
    rewrite(folder, format=value)
    with pytest.raises(ArtifactError, match="it must be a whole number from 1"):
        unseal(folder)


@pytest.mark.parametrize("text", ["", "{", "\x00\x00", "[" * 100_000, "9" * 10_000])
def test_a_manifest_that_is_not_json(folder: Path, text: str):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json is not JSON \("):
        unseal(folder)


def test_a_manifest_in_another_encoding(folder: Path):
    (folder / MANIFEST).write_bytes(b'{"format": 1, "tuneful": "\xff"}')
    with pytest.raises(ArtifactError, match=r"manifest\.json is not JSON \("):
        unseal(folder)


def test_a_manifest_without_end(folder: Path):
    os.truncate(folder / MANIFEST, 3 << 20)
    with pytest.raises(ArtifactError, match=r"manifest\.json has 3145728 bytes; it may have at most 1048576"):
        unseal(folder)


@pytest.mark.parametrize("text", ["[]", "3", '"x"', "null"])
def test_a_manifest_that_is_no_object(folder: Path, text: str):
    (folder / MANIFEST).write_text(text)
    with pytest.raises(ArtifactError, match="it must hold an object"):
        unseal(folder)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda files: {}, "files must be an object of 1 to 64 entries"),
        (lambda files: None, "files must be an object of 1 to 64 entries"),
        (lambda files: {f"f{i}": files["card.md"] for i in range(65)}, "files must be an object of 1 to 64 entries"),
        (lambda files: files | {"card.md": None}, r"the entry of card\.md must be an object"),
        (lambda files: files | {"card.md": {}}, r"card\.md has -1 bytes; it must have 0 to"),
        (lambda files: files | {"card.md": files["card.md"] | {"bytes": 1 << 40}}, r"card\.md has 1099511627776 bytes"),
        (lambda files: files | {"card.md": files["card.md"] | {"bytes": True}}, r"card\.md has True bytes"),
        (lambda files: files | {"card.md": files["card.md"] | {"sha256": "ab"}}, r"sha256 of card\.md is not 64 hex digits"),
        (lambda files: files | {"../../etc/passwd": files["card.md"]}, r"'\.\./\.\./etc/passwd' is not a plain file name"),
        (lambda files: files | {"/etc/passwd": files["card.md"]}, "'/etc/passwd' is not a plain file name"),
        (lambda files: files | {"a\\b": files["card.md"]}, "is not a plain file name"),
        (lambda files: files | {"a\nb": files["card.md"]}, "is not a plain file name"),
        (
            lambda files: {k: v for k, v in files.items() if k != "model.onnx"},
            r"lists no model\.onnx; every artifact has one",
        ),
    ],
)
def test_a_manifest_with_a_foreign_entry(folder: Path, change: Any, sentence: str):
    rewrite(folder, files=change(entries(folder)))
    with pytest.raises(ArtifactError, match=sentence):
        unseal(folder)


def test_json_inside_that_is_no_json_though_its_hash_fits(folder: Path):
    (folder / "recipe.json").write_bytes(b"{oops")
    entry = {"sha256": hashlib.sha256(b"{oops").hexdigest(), "bytes": 5}
    rewrite(folder, files=entries(folder) | {"recipe.json": entry})
    with pytest.raises(ArtifactError, match=r"recipe\.json is not JSON"):
        unseal(folder).read("recipe.json")


def test_a_change_after_opening_is_noticed_at_reading(folder: Path):
    artifact = unseal(folder)
    (folder / "labels.json").write_bytes((folder / "labels.json").read_bytes().replace(b"dog", b"cow"))
    with pytest.raises(ArtifactError, match=r"labels\.json was changed"):
        artifact.read("labels.json")


def test_a_name_that_was_never_sealed(folder: Path):
    with pytest.raises(ArtifactError, match=r"has no file \.\./x") as caught:
        unseal(folder).read("../x")
    assert "model.onnx" in caught.value.hint


# Replaced by something whole, or not at all


def state(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in sorted(folder.iterdir())}


def test_a_newer_artifact_takes_the_place_of_the_older(folder: Path):
    seal(folder, FILES | {"card.md": "# Second\n"}, version="0.2.0")
    assert unseal(folder).read("card.md") == "# Second\n"
    assert os.listdir(folder.parent) == [folder.name]


def test_replacing_works_where_nothing_can_be_exchanged(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tuneful.core.artifact._exchanged", lambda one, other: False)
    seal(folder, FILES | {"card.md": "# Second\n"}, version="0.2.0")
    assert unseal(folder).read("card.md") == "# Second\n"
    assert os.listdir(folder.parent) == [folder.name]


def test_a_damaged_artifact_may_be_replaced(folder: Path):
    (folder / MANIFEST).write_text("{")
    seal(folder, FILES, version="0.1.0")
    assert isinstance(unseal(folder), Artifact)


def test_other_peoples_files_are_never_overwritten(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("ten years of work")
    with pytest.raises(ArtifactError, match="exists and is no artifact; it will not be overwritten"):
        seal(tmp_path, FILES, version="1")
    with pytest.raises(ArtifactError, match="exists and is no artifact; it will not be overwritten"):
        seal(tmp_path / "thesis.tex", FILES, version="1")
    assert state(tmp_path) == {"thesis.tex": b"ten years of work"}


@pytest.mark.parametrize("call", range(1, len(LAYOUT) + 3))
def test_a_disk_that_fills_up_at_any_moment_leaves_the_old_one(folder: Path, monkeypatch: pytest.MonkeyPatch, call: int):
    before, calls, sync = state(folder), iter(range(1, 100)), os.fsync

    def full(descriptor: int) -> None:
        if next(calls) == call:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="cannot be written: the disk is full") as caught:
        seal(folder, FILES | {"card.md": "# Second\n"}, version="0.2.0")
    assert caught.value.hint == "free some space or give another folder; what was there before is untouched"
    assert state(folder) == before
    assert os.listdir(folder.parent) == [folder.name]


def test_a_rename_that_fails_brings_the_old_one_back(folder: Path, monkeypatch: pytest.MonkeyPatch):
    before, rename, calls = state(folder), os.rename, iter(range(1, 100))

    def failing(one: Any, other: Any) -> None:
        if next(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        rename(one, other)

    monkeypatch.setattr("tuneful.core.artifact._exchanged", lambda one, other: False)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(StorageError, match="cannot be written: Input/output error"):
        seal(folder, FILES, version="0.2.0")
    assert state(folder) == before
    assert os.listdir(folder.parent) == [folder.name]


def test_a_file_system_that_is_truly_full(tmp_path: Path):
    mount = tmp_path / "small"
    mount.mkdir()
    if (
        os.name != "posix"
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=96k", "none", mount], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("mounting a small tmpfs needs root on Linux")
    try:
        seal(mount / "artifact", FILES, version="1")
        before = state(mount / "artifact")
        with pytest.raises(StorageError, match=r"weights\.safetensors \(0\.1 MB\) cannot be written: the disk is full"):
            seal(mount / "artifact", FILES | {"weights.safetensors": bytes(100_000)}, version="2")
        assert state(mount / "artifact") == before
        assert os.listdir(mount) == ["artifact"]
    finally:
        subprocess.run(["umount", mount], check=True)


_LIMITED = """
import resource, signal, sys
from pathlib import Path
from tuneful.core.artifact import LAYOUT, seal
from tuneful.core.errors import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    seal(Path(sys.argv[1]), {name: b"{}" for name in LAYOUT} | {"model.onnx": bytes(10000)}, version="1")
except StorageError as error:
    print(error.message)
"""


def test_a_limit_of_the_system_is_told_and_nothing_stays(tmp_path: Path):
    pytest.importorskip("resource", reason="this system has no file size limits")
    run = subprocess.run(
        [sys.executable, "-c", _LIMITED, tmp_path / "artifact"], capture_output=True, text=True, check=True, timeout=60
    )
    assert "model.onnx cannot be written: File too large" in run.stdout
    assert list(tmp_path.iterdir()) == []


_KILLED = """
import os, sys
from pathlib import Path
from tuneful.core import artifact
sync, calls = os.fsync, iter(range(100))
def dying(descriptor):
    if next(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
    sync(descriptor)
os.fsync = dying
artifact.seal(Path(sys.argv[1]), {name: b"{}" for name in artifact.LAYOUT}, version="2")
"""


@pytest.mark.parametrize("call", [0, 4, len(LAYOUT) + 1, len(LAYOUT) + 2])
def test_a_kill_leaves_an_artifact_that_is_whole(folder: Path, call: int):
    run = subprocess.run([sys.executable, "-c", _KILLED, folder, str(call)], capture_output=True, check=False, timeout=60)
    assert run.returncode == -9
    assert unseal(folder).manifest["tuneful"] == ("0.1.0" if call < len(LAYOUT) + 2 else "2")


def test_what_a_killed_process_left_is_removed_after_an_hour(folder: Path):
    old, young = folder.parent / ".artifact.sealing-00000000", folder.parent / ".artifact.sealing-11111111"
    for left in (old, young):
        left.mkdir()
        (left / "model.onnx").write_bytes(b"half")
    os.utime(old, (0, 0))
    seal(folder, FILES, version="2")
    assert not old.exists()
    assert young.exists()


def test_needs_only_the_standard_library():
    code = (
        "import sys; import tuneful.core.artifact; "
        "print(sorted({'numpy', 'pydantic', 'torch', 'optuna'} & {name.split('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
