"""The whole story: a server records, the world shifts, watch raises its alarm, labels come late and give the true accuracy."""

from __future__ import annotations

import csv
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import tuneful
from tuneful.runtime.watch import store

from .conftest import people

ENV = os.environ | {"PYTHONPATH": str(Path(tuneful.__file__).parents[1]), "OMP_NUM_THREADS": "1"}


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tuneful.cli", *words], capture_output=True, text=True, env=ENV, timeout=120
    )


@pytest.fixture(scope="module")
def told(artifact, tmp_path_factory):
    """(folder, answers [(id, row in the request, label, prediction)], the page of /metrics) of a server that was asked 300 quiet and 300 shifted rows."""
    root = tmp_path_factory.mktemp("story")
    with (root / "log").open("w") as log:
        serving = subprocess.Popen(
            [sys.executable, "-m", "tuneful.cli", "serve", f"people={artifact}", "--port", "0", "--record", str(root / "r.db")],
            stdout=subprocess.PIPE, stderr=log, text=True, env=ENV,
        )  # fmt: skip
    try:
        port = int(serving.stdout.readline().split()[2].rpartition(":")[2])
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        answers = []
        for seed, older in ((11, 0), (12, 9)):
            rows = people(300, seed, older)
            for at in range(0, 300, 2):
                asked = [{name: rows[name][k] for name in rows if name != "income"} for k in (at, at + 1)]
                headers = {"content-type": "application/json", "x-request-id": f"r-{seed}-{at}"}
                link.request("POST", "/predict", json.dumps({"rows": asked}), headers)
                said = json.loads(link.getresponse().read())
                answers += [
                    (said["id"], k, rows["income"][at + k - 1], said["predictions"][k - 1]["prediction"]) for k in (1, 2)
                ]
        until = time.monotonic() + 60
        while b"tuneful_drift_psi{" not in (page := _metrics(link)) and time.monotonic() < until:
            time.sleep(0.2)
        link.close()
    finally:
        serving.send_signal(signal.SIGTERM)
        serving.wait(30)
        serving.stdout.close()
    assert (root / "log").read_text().count("not recorded") == 0
    return root, answers, page.decode()


def _metrics(link: http.client.HTTPConnection) -> bytes:
    link.request("GET", "/metrics")
    return link.getresponse().read()


def test_every_answer_is_recorded_and_prometheus_sees_drift(told):
    root, answers, page = told
    (found,), _ = store.read(root / "r.db")
    assert list(zip(found.requests, found.rows.tolist())) == [(request, row) for request, row, _, _ in answers]
    assert 'tuneful_drift_psi{column="age",model="people",part="inputs",version="1"}' in page
    assert "tuneful_recorded_lost_total 0.0" in page


def test_watch_raises_the_alarm_tells_the_webhook_and_measures_what_the_labels_say(told):
    root, answers, _ = told
    with (root / "late.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "row", "label"])
        out.writerows((request, row, label) for request, row, label, _ in answers[::2])
    heard: list[dict] = []

    class Hook(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            heard.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    hook = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    try:
        done = command("watch", str(root / "r.db"), "--labels", str(root / "late.csv"), "--alarm", "0.01/1000", "--window", "100", "--log", str(root / "log.jsonl"),
                       "--webhook", f"http://127.0.0.1:{hook.server_port}/x", "-o", str(root / "w.html"), "--json")  # fmt: skip
    finally:
        hook.shutdown()
        hook.server_close()
    assert done.returncode == 4, done.stderr
    found = json.loads(done.stdout)
    assert min(one["at"] for one in found["alarms"]) >= 300
    assert "age" in {one["name"] for one in found["alarms"]}
    right = [label == said for _, _, label, said in answers[::2]]
    accuracy = found["labels"]["measures"]["accuracy"]
    theirs = stats.binomtest(sum(right), 300).proportion_ci(method="wilson")
    assert (accuracy["value"], accuracy["low"], accuracy["high"]) == pytest.approx((np.mean(right), theirs.low, theirs.high))
    assert heard[0]["headline"] == found["headline"] == json.loads((root / "log.jsonl").read_text())["headline"]
    page = (root / "w.html").read_text()
    assert found["headline"].split(":")[0] in page
    assert "<script src" not in page


def test_new_data_are_looked_at_as_a_whole(told, artifact):
    root, _, _ = told
    for name, older, code in (("quiet", 0, 0), ("older", 9, 4)):
        rows = people(400, 21, older)
        with (root / f"{name}.csv").open("w", newline="") as file:
            out = csv.writer(file)
            out.writerow(rows)
            out.writerows(zip(*rows.values(), strict=True))
        done = command(
            "watch", str(artifact), "--data", str(root / f"{name}.csv"), "--alarm", "0.001", "-o", str(root / "w.html")
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "true accuracy" in done.stdout
    against = command(
        "watch",
        str(artifact),
        "--data",
        str(root / "older.csv"),
        "--reference",
        str(root / "older.csv"),
        "-o",
        str(root / "w.html"),
    )
    assert against.returncode == 0, against.stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["{artifact}"], "one of the two: a record, or new data"),
        (["{artifact}", "--data", "x.csv", "--alarm", "often"], "the rate of false alarms is 'often'"),
        (["{root}/r.db", "--webhook", "file:///etc/passwd"], "it must be an address of http or https"),
        (["{root}/r.db", "--by", "astrology"], "no way astrology"),
        (["{root}/r.db", "--of", "cats"], "has nothing of cats"),
        (["{root}/log"], "is"),
        (["{root}/r.db", "--window", "soon"], "'soon' is no time"),
        (["{root}/r.db", "--test", "gut"], "no test 'gut'"),
        (["{root}/r.db", "--windows", "9/2"], "9 of 2 windows"),
    ],
)  # fmt: skip
def test_mistakes_are_answered_in_words(told, artifact, words, complaint):
    from tuneful.cli import main

    root, _, _ = told
    import contextlib
    import io

    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(["watch", *(word.format(artifact=artifact, root=root) for word in words), "-o", str(root / "w.html")])
    assert code == 2
    assert complaint in said.getvalue()
