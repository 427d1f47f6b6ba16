"""What lasts: versions are exchanged, processes die, the server stops, and no accepted request is lost."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BODY = json.dumps({"rows": [{"age": 30, "job": "nurse"}]})


class Asking(threading.Thread):
    """Asks over one connection until it is told to stop, or the server closes the connection with an answer."""

    def __init__(self, port: int, path: str = "/predict/people") -> None:
        super().__init__()
        self.port, self.path, self.over = port, path, threading.Event()
        self.answers: Counter[str] = Counter()
        self.lost: list[str] = []
        self.closed = False
        self.start()

    def run(self) -> None:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.over.is_set():
            try:
                link.request("POST", self.path, BODY, {"content-type": "application/json"})
                got = link.getresponse()
                told = json.loads(got.read())
                self.answers[str(told.get("version", got.status))] += 1
                if got.getheader("connection") == "close":
                    self.closed = True
                    link.close()
                    return  # it said that it stops
            except Exception as error:
                self.lost.append(f"{type(error).__name__}: {error}")
                return
        link.close()

    def stop(self) -> None:
        self.over.set()
        self.join(30)


def plan(path: Path, artifacts: dict[str, Path], more: str) -> None:
    path.write_text(f'[people]\nversions = {{ 1 = "{artifacts["table"]}", 2 = "{artifacts["table2"]}" }}\n{more}\n')


def test_versions_are_exchanged_and_rolled_back_without_a_lost_request(
    starting: Callable[..., Any], artifacts: dict[str, Path], tmp_path: Path
):
    models = tmp_path / "models.toml"
    plan(models, artifacts, 'serve = "1"')
    one = starting("--models", str(models), "--processes", "2")
    one.told("ready", 30, count=2)
    asking = [Asking(one.port) for _ in range(4)]
    for at, version in enumerate(("2", "1", "2"), 1):
        plan(models, artifacts, f'serve = "{version}"')
        one.process.send_signal(signal.SIGHUP)
        one.told("reloaded", count=2 * at)
        assert {one.ask("POST", "/predict/people", json.loads(BODY))[2]["version"] for _ in range(5)} == {version}
    models.write_text("[people]\nversions = { 1 = 'nowhere' }")
    one.process.send_signal(signal.SIGHUP)
    assert "it is not an artifact" in one.told("not reloaded", count=2)[0]["error"]
    assert one.ask("POST", "/predict/people", json.loads(BODY))[2]["version"] == "2"
    for each in asking:
        each.stop()
    assert [each.lost for each in asking] == [[]] * 4
    assert set(sum((each.answers for each in asking), Counter())) == {"1", "2"}
    assert one.stop() == 0


def test_a_canary_gets_its_share_and_a_shadow_is_not_heard(
    starting: Callable[..., Any], artifacts: dict[str, Path], tmp_path: Path
):
    models = tmp_path / "models.toml"
    plan(models, artifacts, 'serve = "1"\ncanary = { version = "2", share = 0.25 }\nshadow = { version = "2", share = 1.0 }')
    one = starting("--models", str(models), "--log", "none")
    asking = Asking(one.port)
    until = time.monotonic() + 60
    while sum(asking.answers.values()) < 1000 and time.monotonic() < until:
        time.sleep(0.05)
    asking.stop()
    count = sum(asking.answers.values())
    assert count >= 1000
    assert abs(asking.answers["2"] / count - 0.25) < 5 * (0.25 * 0.75 / count) ** 0.5
    text = one.ask("GET", "/metrics")[2].decode()
    compared = sum(float(line.split()[1]) for line in text.splitlines() if line.startswith("tuneful_shadow_total"))
    assert asking.answers["1"] * 0.5 <= compared <= asking.answers["1"]
    assert one.stop() == 0


def test_stopping_answers_what_was_asked_and_says_that_it_stops(starting: Callable[..., Any], artifacts: dict[str, Path]):
    one = starting(f"people={artifacts['table']}", "--processes", "2", "--log", "none")
    asking = [Asking(one.port) for _ in range(6)]
    time.sleep(0.5)
    assert one.stop() == 0
    for each in asking:
        each.join(20)
    assert [each.lost for each in asking] == [[]] * 6
    assert all(each.answers["1"] > 10 and each.closed for each in asking)


def test_a_process_that_dies_is_replaced(starting: Callable[..., Any], artifacts: dict[str, Path]):
    """As a model would that takes onnxruntime with it."""
    one = starting(f"people={artifacts['table']}")
    (first,) = one.told("ready")
    os.kill(first["process"], signal.SIGSEGV)
    second = one.told("ready", 30, count=2)[1]
    assert second["process"] != first["process"]
    assert one.told("died")[0]["code"] == -signal.SIGSEGV
    assert one.ask("POST", "/predict", json.loads(BODY))[0] == 200
    assert one.stop() == 0


def test_ten_thousand_silent_connections_shut_nobody_out(starting: Callable[..., Any], artifacts: dict[str, Path]):
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 12_000:
        pytest.skip(f"this machine allows {hard} open files a process")
    one = starting(f"people={artifacts['table']}", "--limits", "connections=500")
    # they are held by another process, whose many descriptors trouble nobody here
    holder = (
        "import resource,socket,sys;resource.setrlimit(resource.RLIMIT_NOFILE,(12000,12000));"
        f"held=[socket.create_connection(('127.0.0.1',{one.port}),timeout=30) for _ in range(10000)];print('held',flush=True);sys.stdin.read()"
    )
    import sys

    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        begun = time.monotonic()
        assert one.ask("POST", "/predict", json.loads(BODY))[0] == 200
        assert time.monotonic() - begun < 5
        process.communicate("")
    assert one.stop() == 0


def test_tls_is_spoken(starting: Callable[..., Any], artifacts: dict[str, Path], tmp_path: Path):
    import shutil
    import ssl
    import urllib.request

    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert), "-subj", "/CN=localhost",
             "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    subprocess.run(["openssl", *words], check=True, capture_output=True)
    one = starting(f"people={artifacts['table']}", "--tls-cert", str(cert), "--tls-key", str(key))
    assert one.address.startswith("https://")
    with urllib.request.urlopen(
        f"{one.address}/v2/health/ready", context=ssl.create_default_context(cafile=str(cert)), timeout=10
    ) as got:
        assert json.load(got) == {"ready": True}
    assert one.stop() == 0


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ([], "give artifacts, or a file with --models"),
        (["nowhere=/no/such/folder"], "/no/such/folder"),
        (["{table}", "--limits", "rows=0"], "the limit rows is 0; it must be above 0"),
        (["{table}", "--limits", "row=5"], "there is no limit 'row'"),
        (["{table}", "--tls-cert", "a.pem"], "TLS needs a certificate and its key"),
        (["a/b={table}"], "the name 'a/b' cannot stand in an address"),
        (["{table}", "--log", "loud"], "--log is 'loud'; it must be all, errors or none"),
        (["{table}", "--processes", "0"], "processes is 0; it must be at least 1"),
    ],
)
def test_mistakes_on_the_command_line_are_told(
    starting: Callable[..., Any], artifacts: dict[str, Path], words: list[str], wanted: str
):
    with pytest.raises(RuntimeError) as told:
        starting(*[word.replace("{table}", str(artifacts["table"])) for word in words])
    assert wanted in str(told.value)
    assert "Traceback" not in str(told.value)
