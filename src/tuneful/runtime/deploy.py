"""Files to run a served model elsewhere: a Docker context without torch, a systemd unit, manifests for Kubernetes and KServe.

The Docker context holds tuneful's own source and the artifact, so nothing of ours has to be fetched; requirements.txt pins what serving
needs to the versions of this environment. The manifests expect the image under a name that `--image` gives. All of them run without
root, ask /v2/health for life and readiness, and give a stopping server time to answer what it was asked.

Source: docs of Docker (Dockerfile reference), systemd.exec(5) and systemd.service(5), Kubernetes (Deployment v1, Service v1), KServe
(InferenceService v1beta1, custom predictor).
"""

from __future__ import annotations

import contextlib
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from tuneful.core.artifact import unseal
from tuneful.core.errors import MissingError, StorageError, TunefulError

NEEDS = (
    "numpy",
    "onnxruntime",
    "pillow",
    "typer",
    "uvicorn",
    "httptools",
    "uvloop",
    "orjson",
    "python-multipart",
    "prometheus-client",
)
"""Distributions that serving imports; torch and what it brings are none of them."""

_STOP = 75  # seconds for the last answers: those of the default limits, and the drain
_DNS = re.compile(r"[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,250}")


def files(kind: str, name: str, image: str) -> Mapping[str, str]:
    """{path: text} of one kind of deployment. Raises TunefulError for a kind, a name or an image that cannot be."""
    if kind not in KINDS:
        raise TunefulError(f"there is no deployment {kind!r}", f"known are {', '.join(KINDS)}")
    if not _DNS.fullmatch(name):
        raise TunefulError(
            f"the name {name!r} cannot stand in a manifest", "lower-case letters, digits and -, such as --name digits"
        )
    if not _IMAGE.fullmatch(image):
        raise TunefulError(f"the image {image!r} is no name of one", "such as --image registry.example.org/digits:1")
    return KINDS[kind](name, image)


def write(kind: str, artifact: Path, folder: Path, name: str, image: str = "") -> list[Path]:
    """Write the files of a deployment into a folder, which must be new or empty; returns them.

    Raises: TunefulError, ArtifactError for a damaged artifact, StorageError when the folder is full or holds something.
    """
    made = files(kind, name, image or f"{name}:1")
    unseal(artifact)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} exists and is not empty; nothing in it is overwritten", "give a new folder with -o")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in made.items():
            (folder / path).write_text(text, "utf-8")
        if kind == "docker":
            shutil.copytree(artifact, folder / "artifact")
            shutil.copytree(
                Path(__file__).parents[1], folder / "tuneful", ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
            )
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}", "give another folder with -o") from None
    return sorted(folder / path for path in made)


def requirements() -> str:
    """What a served model needs, to the digit. Raises MissingError."""
    try:
        return "".join(f"{name}=={metadata.version(name)}\n" for name in NEEDS)
    except metadata.PackageNotFoundError as error:
        raise MissingError(str(error.name), "serve", "a Docker context") from None


def weight(names: Sequence[str] = NEEDS) -> int:
    """Bytes of distributions and of all that they ask for, as they lie in this environment: what an image holds beside its base."""
    found, left, total = set[str](), [*names], 0
    while left:
        name = re.sub(r"[-_.]+", "-", left.pop()).lower()
        if name in found:
            continue
        found.add(name)
        try:
            told = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # asked for on another system only
            continue
        for file in told.files or ():
            with contextlib.suppress(OSError):
                total += Path(str(file.locate())).stat().st_size
        left += [re.split(r"[^A-Za-z0-9._-]", one)[0] for one in told.requires or () if "extra ==" not in one]
    return total


def _docker(name: str, image: str) -> Mapping[str, str]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {
        "requirements.txt": requirements(),
        ".dockerignore": "**/__pycache__\n",
        "Dockerfile": f"""\
# docker build -t {image} .   &&   docker run --rm -p 8080:8080 {image}
FROM python:{python}-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/app OMP_NUM_THREADS=1
COPY requirements.txt /app/
RUN pip install --no-cache-dir -r /app/requirements.txt && useradd --system --uid 10001 --no-create-home served
COPY tuneful /app/tuneful
COPY artifact /app/artifact
USER 10001
WORKDIR /app
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["python", "-c", \
"import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/v2/health/ready', timeout=2)"]
CMD ["python", "-m", "tuneful.cli", "serve", "{name}=/app/artifact", "--host", "0.0.0.0", "--port", "8080", "--log", "errors"]
""",
    }


def _systemd(name: str, image: str) -> Mapping[str, str]:
    return {
        f"tuneful-{name}.service": f"""\
# The artifact in /srv/tuneful/{name}, tuneful in /opt/tuneful; then
# systemctl enable --now tuneful-{name}; `systemctl reload tuneful-{name}` takes a new artifact without losing a request.
[Unit]
Description=tuneful serves {name}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart=/opt/tuneful/bin/python -m tuneful.cli serve {name}=/srv/tuneful/{name} --host 127.0.0.1 --port 8080 --log errors
ExecReload=/bin/kill -HUP $MAINPID
KillMode=mixed
TimeoutStopSec={_STOP}
Restart=on-failure
RestartSec=1
Environment=OMP_NUM_THREADS=1
LimitNOFILE=65536
MemoryMax=2G
DynamicUser=yes
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
CapabilityBoundingSet=
LockPersonality=yes

[Install]
WantedBy=multi-user.target
"""
    }


_CONTAINER = """\
image: {image}
args: ["python", "-m", "tuneful.cli", "serve", "{name}=/app/artifact", "--host", "0.0.0.0", "--port", "8080", "--log", "errors", "--drain", "5"]
ports:
  - name: {port}
    containerPort: 8080
    protocol: TCP
startupProbe:
  httpGet: {{path: /v2/health/ready, port: 8080}}
  periodSeconds: 2
  failureThreshold: 60
readinessProbe:
  httpGet: {{path: /v2/health/ready, port: 8080}}
  periodSeconds: 2
  failureThreshold: 1
livenessProbe:
  httpGet: {{path: /v2/health/live, port: 8080}}
  periodSeconds: 10
resources:
  requests: {{cpu: "1", memory: 512Mi}}
  limits: {{memory: 2Gi}}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {{drop: [ALL]}}
volumeMounts:
  - {{name: scratch, mountPath: /scratch}}
env:
  - {{name: TMPDIR, value: /scratch}}
"""


def _container(name: str, image: str, port: str, called: str, indent: int) -> str:
    """One container as an item of a YAML list."""
    lines = [f"name: {called}", *_CONTAINER.format(name=name, image=image, port=port).splitlines()]
    return "\n".join(" " * indent + ("- " if at == 0 else "  ") + line for at, line in enumerate(lines))


def _kubernetes(name: str, image: str) -> Mapping[str, str]:
    return {
        f"{name}.yaml": f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: {name}, app.kubernetes.io/managed-by: tuneful}}
spec:
  replicas: 2
  selector:
    matchLabels: {{app.kubernetes.io/name: {name}}}
  strategy:
    rollingUpdate: {{maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {{app.kubernetes.io/name: {name}}}
      annotations: {{prometheus.io/scrape: "true", prometheus.io/port: "8080", prometheus.io/path: /metrics}}
    spec:
      terminationGracePeriodSeconds: {_STOP}
      automountServiceAccountToken: false
      containers:
{_container(name, image, "http", "model", 8)}
      volumes:
        - name: scratch
          emptyDir: {{}}
---
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector: {{app.kubernetes.io/name: {name}}}
  ports:
    - {{name: http, port: 80, targetPort: http}}
"""
    }


def _kserve(name: str, image: str) -> Mapping[str, str]:
    return {
        f"{name}.yaml": f"""\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    terminationGracePeriodSeconds: {_STOP}
    automountServiceAccountToken: false
    containers:
{_container(name, image, "http1", "kserve-container", 6)}
    volumes:
      - name: scratch
        emptyDir: {{}}
"""
    }


KINDS: Mapping[str, Callable[[str, str], Mapping[str, str]]] = {
    "docker": _docker, "systemd": _systemd, "kubernetes": _kubernetes, "kserve": _kserve,
}  # fmt: skip

__all__ = ["KINDS", "NEEDS", "files", "requirements", "weight", "write"]
