"""Deployment files: what they name exists, their parts agree, and the lines of the Dockerfile serve without torch."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tuneful.core.errors import StorageError, TunefulError
from tuneful.runtime import deploy


def documents(kind: str) -> list[dict[str, Any]]:
    (text,) = deploy.files(kind, "people", "example.org/people:1").values()
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize("kind", ["kubernetes", "kserve"])
def test_a_container_asks_addresses_that_the_server_answers(server: Any, kind: str):
    told = documents(kind)[0]
    spec = told["spec"]["template"]["spec"] if kind == "kubernetes" else told["spec"]["predictor"]
    (container,) = spec["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert server.ask("GET", asked["path"])[0] == 200
        assert asked["port"] == container["ports"][0]["containerPort"]
    assert container["args"][container["args"].index("--port") + 1] == str(container["ports"][0]["containerPort"])
    assert {one["name"] for one in container["volumeMounts"]} == {one["name"] for one in spec["volumes"]}
    assert container["securityContext"]["runAsNonRoot"]
    assert container["image"] == "example.org/people:1"


VERSIONS = ("1.27", "1.32", "1.37")  # of Kubernetes: an old one that is still met, and today's


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_own_schemas_take_the_manifests(version: str):
    for document in documents("kubernetes"):
        kubernetes_validate.validate(document, version, strict=True)
    predictor = documents("kserve")[0]["spec"]["predictor"]  # is a PodSpec, and more
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "people"}, "spec": predictor}
    kubernetes_validate.validate(pod, version, strict=True)
    predictor["containers"][0]["readinessProbe"]["periodSecond"] = 2  # the schemas do refuse what they do not know
    with pytest.raises(kubernetes_validate.ValidationError, match="periodSecond"):
        kubernetes_validate.validate(pod, version, strict=True)


@pytest.mark.slow
def test_kserves_own_models_know_every_field_of_its_manifest(tmp_path: Path):
    """KServe's package is read, not installed: it wants other versions of half of what is here."""
    words = [
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--retries",
        "0",
        "-d",
        str(tmp_path),
        "kserve>=0.15",
    ]
    if (
        got := subprocess.run([sys.executable, "-m", "pip", *words], capture_output=True, text=True, timeout=120)
    ).returncode:
        pytest.skip(f"no package index can be reached ({got.stderr.strip()[-100:]})")
    (wheel,) = tmp_path.glob("kserve-*.whl")

    def names(module: str) -> dict[str, str]:
        """{name in a document: type} of one of its models."""
        with zipfile.ZipFile(wheel) as archive:
            tree = ast.parse(archive.read(f"kserve/models/{module}.py"))
        found = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.walk(tree) if isinstance(node, ast.Assign)
                 and isinstance(node.targets[0], ast.Name) and node.targets[0].id in ("openapi_types", "attribute_map")}  # fmt: skip
        return {found["attribute_map"][name]: kind for name, kind in found["openapi_types"].items()}

    told = documents("kserve")[0]
    assert told["apiVersion"] == "serving.kserve.io/v1beta1"
    assert told.keys() <= names("v1beta1_inference_service").keys()
    spec, predictor = names("v1beta1_inference_service_spec"), names("v1beta1_predictor_spec")
    assert told["spec"].keys() <= spec.keys()
    assert spec["predictor"] == "V1beta1PredictorSpec"
    assert told["spec"]["predictor"].keys() <= predictor.keys()
    assert predictor["containers"] == "list[V1Container]"


def test_the_service_finds_the_pods():
    deployment, service = documents("kubernetes")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels == service["spec"]["selector"]
    port = deployment["spec"]["template"]["spec"]["containers"][0]["ports"][0]["name"]
    assert service["spec"]["ports"][0]["targetPort"] == port


def test_systemd_takes_the_unit(tmp_path: Path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    (text,) = deploy.files("systemd", "people", "x").values()
    unit = tmp_path / "tuneful-people.service"
    unit.write_text(text.replace("/opt/tuneful/bin/python", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert "tuneful-people" not in done.stderr, done.stderr


def test_what_cannot_be_is_told(artifacts: dict[str, Path], tmp_path: Path):
    with pytest.raises(TunefulError, match="there is no deployment 'heroku'"):
        deploy.files("heroku", "people", "x")
    with pytest.raises(TunefulError, match="cannot stand in a manifest"):
        deploy.files("docker", "People: 1\n", "x")
    with pytest.raises(TunefulError, match="is no name of one"):
        deploy.files("kserve", "people", "x\n  privileged: true")
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(StorageError, match="is not empty"):
        deploy.write("docker", artifacts["table"], tmp_path, "people")
    assert (tmp_path / "mine").read_text() == "kept"


def ready(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/health/ready", timeout=2).close()
            return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)


@pytest.mark.slow
def test_the_lines_of_the_dockerfile_serve_in_a_clean_environment(
    artifacts: dict[str, Path], tmp_path: Path, starting: Callable[..., Any]
):
    """Docker itself is not asked: the same requirements in a clean environment, the same tree, the same command."""
    context = tmp_path / "context"
    deploy.write("docker", artifacts["table"], context, "people")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [
        python,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--retries",
        "0",
        "-r",
        context / "requirements.txt",
    ]
    if (got := subprocess.run(install, capture_output=True, text=True, timeout=300)).returncode:
        pytest.skip(f"no package index can be reached ({got.stderr.strip()[-100:]})")
    assert subprocess.run([python, "-c", "import torch"], capture_output=True, timeout=60).returncode != 0
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    there = sum(
        file.stat().st_size for file in site.rglob("*") if file.is_file() and "pip" not in file.relative_to(site).parts[0]
    )
    assert 0.8 < deploy.weight() / there < 1.25  # what is told of the image
    line = next(line for line in (context / "Dockerfile").read_text().splitlines() if line.startswith("CMD "))
    words = [word.replace("/app/", f"{context}/") for word in json.loads(line[4:])][1:]
    words[words.index("--port") + 1] = "18437"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(context), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([python, *words], env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd=tmp_path)
    try:
        ready(18437, process)
        body = json.dumps({"rows": [{"age": 30, "job": "nurse"}]}).encode()
        asked = urllib.request.Request("http://127.0.0.1:18437/predict", body, {"content-type": "application/json"})
        with urllib.request.urlopen(asked, timeout=10) as got:
            assert json.load(got)["model"] == "people"
    finally:
        process.terminate()
        assert process.wait(30) == 0
