"""What the server answers is what the model says, in each of its languages; tritonclient, which is not ours, is served unchanged."""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tuneful import runtime

ROWS = [{"age": 30, "job": "nurse"}, {"age": 61.5, "job": "pilot"}, {"age": None, "job": None}]


def test_predict_says_what_the_model_says(server: Any, artifacts: dict[str, Path]):
    model = runtime.load(artifacts["table2"])  # the newest version answers
    status, headers, told = server.ask("POST", "/predict/people", {"rows": ROWS}, {"x-request-id": "mine-1"})
    assert (status, told["model"], told["version"], told["id"], headers["x-request-id"]) == (
        200,
        "people",
        "2",
        "mine-1",
        "mine-1",
    )
    wanted = model.probabilities(ROWS)
    for row, one in enumerate(told["predictions"]):
        np.testing.assert_allclose([one["probabilities"][label] for label in model.labels], wanted[row], rtol=1e-5)
        assert one["prediction"] == model.predict(ROWS)[row]
        assert one["confidence"] == pytest.approx(wanted[row].max(), rel=1e-5)


def test_an_older_version_can_be_asked(server: Any, artifacts: dict[str, Path]):
    told = server.ask("POST", "/predict/people/1", {"rows": ROWS})[2]
    wanted = runtime.load(artifacts["table"]).probabilities(ROWS)
    assert told["version"] == "1"
    assert told["predictions"][0]["confidence"] == pytest.approx(wanted[0].max(), rel=1e-5)


def test_an_uploaded_image_is_read_as_a_file_is(server: Any, artifacts: dict[str, Path], tmp_path: Path):
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 255, (40, 30, 3), dtype=np.uint8))
    picture.save(tmp_path / "pet.png")
    wanted = runtime.load(artifacts["image"]).probabilities([tmp_path / "pet.png"])
    part = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="../../../etc/pet.png"\r\n\r\n'
    body = part + (tmp_path / "pet.png").read_bytes() + b"\r\n--xyz--\r\n"
    status, _, told = server.ask("POST", "/predict/pets", body, {"content-type": "multipart/form-data; boundary=xyz"})
    assert status == 200
    np.testing.assert_allclose(sorted(told["predictions"][0]["probabilities"].values()), sorted(wanted[0]), rtol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_tritonclient_is_served_unchanged(server: Any, artifacts: dict[str, Path], binary: bool):
    http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("people")
        assert client.is_model_ready("people", "1")
        assert not client.is_model_ready("nobody")
        assert {one["name"] for one in client.get_model_repository_index()} == {"people", "pets"}
        metadata = client.get_model_metadata("people")
        assert [(one["name"], one["datatype"]) for one in metadata["inputs"]] == [("age", "FP64"), ("job", "BYTES")]
        assert metadata["versions"] == ["1", "2"]
        ages, jobs = np.array([30.0, 61.5]), np.array(["nurse", "pilot"], dtype=object)
        inputs = [http.InferInput("age", [2], "FP64"), http.InferInput("job", [2], "BYTES")]
        inputs[0].set_data_from_numpy(ages, binary_data=binary)
        inputs[1].set_data_from_numpy(jobs, binary_data=binary)
        outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in ("probabilities", "prediction")]
        got = client.infer("people", inputs, outputs=outputs, request_id="abc")
        model, rows = runtime.load(artifacts["table2"]), {"age": ages, "job": list(jobs)}
        np.testing.assert_allclose(got.as_numpy("probabilities"), model.probabilities(rows), rtol=1e-6)
        said = [one.decode() if isinstance(one, bytes) else one for one in got.as_numpy("prediction")]
        assert said == model.predict(rows).tolist()
        assert got.get_response()["id"] == "abc"
        everything = client.infer("people", inputs, request_compression_algorithm="gzip")  # all outputs, in bytes
        np.testing.assert_allclose(everything.as_numpy("probabilities"), model.probabilities(rows), rtol=1e-6)
    finally:
        client.close()


def test_images_go_through_tritonclient_too(server: Any, artifacts: dict[str, Path]):
    http = pytest.importorskip("tritonclient.http", reason="tritonclient[http] is not installed")
    x = np.random.default_rng(2).integers(0, 255, (3, 3, 8, 8), dtype=np.uint8)
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    try:
        one = http.InferInput("x", [3, 3, 8, 8], "UINT8")
        one.set_data_from_numpy(x)
        got = client.infer("pets", [one]).as_numpy("probabilities")
        np.testing.assert_allclose(got, runtime.load(artifacts["image"]).probabilities(x), rtol=1e-6)
        wrong = http.InferInput("x", [3, 8, 8], "UINT8")
        wrong.set_data_from_numpy(x[0])
        with pytest.raises(Exception, match=r"the images have shape \[3, 8, 8\]"):
            client.infer("pets", [wrong])
    finally:
        client.close()


def test_every_example_of_the_documents_is_answered(server: Any):
    document = server.ask("GET", "/openapi.json")[2]
    assert document["openapi"].startswith("3.1")
    asked = 0
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
            status, _, _ = server.ask(method.upper(), path, content.get("example"))
            assert status == 200, path
            asked += "example" in content
    assert asked == 4


def test_metrics_count_what_was_asked(server: Any):
    server.ask("POST", "/predict/people", {"rows": ROWS})
    text = server.ask("GET", "/metrics")[2].decode()
    assert 'tuneful_request_seconds_count{model="people",route="predict",version="2"}' in text
    assert "tuneful_batch_examples_bucket" in text


def test_a_request_is_told_once_in_the_log_and_its_content_never(server: Any):
    server.ask("POST", "/predict/people", {"rows": [{"age": 30, "job": "secret-agent"}]}, {"x-request-id": "told-once"})
    server.ask("GET", "/v2", headers={"x-request-id": "told-after"})
    until = time.monotonic() + 60
    while "told-after" not in server.log.read_text() and time.monotonic() < until:  # a line is written after its answer
        time.sleep(0.02)
    mine = [line for line in server.told("request") if line["id"] == "told-once"]
    assert len(mine) == 1
    assert (mine[0]["status"], mine[0]["model"], mine[0]["examples"]) == (200, "people", 1)
    assert "secret-agent" not in server.log.read_text()


def test_a_mask_is_sent_as_a_picture_of_the_size_of_the_file():
    from tuneful.runtime.serve.served import Served

    class Segmenter:
        labels = ("ground", "cell")

    served = Served.__new__(Served)
    served.model = Segmenter()  # type: ignore[assignment]
    p = np.zeros((4, 4, 2), np.float32)
    p[:, :1, 1], p[:, 1:, 0] = 1.0, 1.0
    told = served._mask(p.argmax(-1).astype(np.uint8), p, None)
    assert told["prediction"] == {"ground": 0.75, "cell": 0.25}
    import base64

    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(told["mask"].partition(",")[2]))))
    assert (seen == p.argmax(-1)).all()


def test_what_is_wrong_is_said_in_a_sentence(server: Any):
    def wrong(path: str, body: Any, status: int = 400) -> str:
        got, _, told = server.ask("POST", path, body)
        assert got == status, told
        assert "Traceback" not in json.dumps(told)
        return told["error"]

    assert (
        wrong("/predict/people", {"rows": [{"agee": 3, "job": "x"}]})
        == 'example 1 has no column "age"; did you mean it by "agee"?'
    )
    assert (
        wrong("/predict/people", {"rows": [{"age": "old", "job": "x"}]})
        == "column \"age\" holds 'old' in row 1; it must be a number"
    )
    assert wrong("/predict/people", {"rows": [[1, 2]]}) == "example 1 is no object; it must be {column: value}"
    assert wrong("/predict/people", {"rows": []}) == "the request holds no example"
    assert (
        wrong("/predict/people", {"rows": [ROWS[0]] * 101}, 413) == "101 examples were sent, and 100 may be in one request"
    )
    assert wrong("/predict/nobody", {"rows": ROWS}, 404) == "there is no model 'nobody'"
    assert wrong("/predict/people/9", {"rows": ROWS}, 404) == "people has no version '9'"
    assert wrong("/predict", {"rows": ROWS}, 404) == "several models are served; say which"
    assert "images have shape" in wrong("/predict/pets", {"rows": [[[1, 2], [3, 4]]]})
