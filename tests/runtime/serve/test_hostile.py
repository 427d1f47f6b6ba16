"""What strangers send: the server answers with a sentence, stays ready, and its memory stays bounded."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

GOOD = json.dumps({"rows": [{"age": 30, "job": "nurse"}]}).encode()


@contextlib.contextmanager
def wire(server: Any, *pieces: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as link:
        for piece in pieces:
            link.sendall(piece)
        yield link


def heard(link: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while piece := link.recv(65536):
            parts.append(piece)
    return b"".join(parts)


def head(path: str = "/predict/people", *more: str, close: bool = True) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: here",
        "Content-Type: application/json",
        *more,
        *(["Connection: close"] if close else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@pytest.fixture(autouse=True)
def _still_ready(server: Any) -> Iterator[None]:
    """After each of these the server is ready, answers, has not died, and has told no traceback to anyone."""
    yield
    assert server.ask("GET", "/v2/health/ready")[0] == 200
    assert server.ask("POST", "/predict/people", GOOD)[0] == 200
    log = server.log.read_text()
    assert '"event": "died"' not in log
    assert '"event": "failure"' not in log


BODIES = {
    "nested": (b"[" * 100_000 + b"]" * 100_000, "depth limit exceeded"),
    "nan": (b'{"rows": [{"age": NaN, "job": "x"}]}', "unexpected character"),
    "infinity": (b'{"rows": [{"age": -Infinity, "job": "x"}]}', "is not JSON"),
    "huge exponent": (b'{"rows": [{"age": 1e999, "job": "x"}]}', "number is infinity"),
    "5000 digits": (b'{"rows": [{"age": ' + b"9" * 5000 + b', "job": "x"}]}', "number is infinity"),
    "name twice": (b'{"rows": [{"age": 1, "age": 2, "job": "x"}]}', "the name 'age' occurs twice in one object"),
    "name twice behind a colon": (b'{"rows": [{"age": 1, "age": 2, "job": "a:b"}]}', "the name 'age' occurs twice"),
    "name twice far behind": (
        b'{"rows": [' + b'{"age": 1, "job": "x"},' * 90 + b'{"age": 1, "job": "x", "job": "y"}]}', "the name 'job' occurs twice",
    ),
    "half surrogate": (b'{"rows": [{"age": 1, "job": "\\ud800"}]}', "surrogate"),
    "no utf-8": (b'{"rows": [{"age": 1, "job": "\xff\xfe"}]}', "is not JSON"),
    "empty": (b"", "the body is empty"),
    "a number": (b"7", 'the request must be {"rows": [...]}'),
    "rows is a text": (b'{"rows": "all"}', 'the request must be {"rows": [...]}'),
    "a list as a cell": (b'{"rows": [{"age": [1], "job": "x"}]}', 'column "age" of example 1 is no single value'),
}  # fmt: skip


@pytest.mark.parametrize("name", BODIES)
def test_json_of_strangers_is_answered_with_a_sentence(server: Any, name: str):
    body, wanted = BODIES[name]
    status, _, told = server.ask("POST", "/predict/people", body)
    assert status == 400
    assert wanted in told["error"]


def test_a_colon_in_a_text_is_no_second_name(server: Any):
    assert server.ask("POST", "/predict/people", {"rows": [{"age": 1, "job": "a:b::c"}]})[0] == 200


def tensors(**change: Any) -> dict[str, Any]:
    age = {"name": "age", "shape": [1], "datatype": "FP64", "data": [30]}
    return {"inputs": [age | change, {"name": "job", "shape": [1], "datatype": "BYTES", "data": ["nurse"]}]}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (tensors(datatype="FP63"), "datatype is 'FP63'; it must be one of"),
        (tensors(datatype=None), "datatype is 'None'"),
        (tensors(shape=[2]), "1 numbers were sent; shape [2] has 2"),
        (tensors(shape=[-1]), "shape must be a list of 1 to 8 whole numbers from 0"),
        (tensors(shape=[10**18]), "shape must be a list"),
        (tensors(shape=[10_000_000, 10_000_000]), "has more than 50000000 elements"),
        (tensors(shape=[True]), "shape must be a list"),
        (tensors(shape=[1, 1, 1]), "has shape [1, 1, 1]; it must be [N]"),
        (tensors(name="aeg"), "this model has no input 'aeg'"),
        (tensors(name="job"), "input 'job' occurs twice"),
        (tensors(name=["age"]), "the name of an input is a list; it must be a text"),
        (tensors(data=["thirty"]), "data must be numbers of type FP64"),
        (tensors(data=[[1], [2, 3]]), "the lists in data differ in length"),
        (tensors(data={"0": 1}), "data is an object; it must be a list"),
        (tensors(data=None), "data is missing; it must be a list"),
        (tensors(datatype="INT8", data=[300]), "data does not fit into INT8"),
        (tensors(datatype="INT8", data=[1.5]), "data does not fit into INT8"),
        (tensors(shape=[2], data=[1, 2]), 'column "job" has 1 values and column "age" has 2'),
        (tensors(parameters={"binary_data_size": 8}), "binary_data_size is 8, and 0 bytes are left"),
        (tensors(parameters={"binary_data_size": -1}), "binary_data_size is -1"),
        ({"inputs": []}, "inputs must be a list of tensors"),
        ({"inputs": [7]}, "an input is a number; it must be an object"),
        ({"inputs": tensors()["inputs"][:1]}, "input 'job' is missing"),
        (tensors() | {"outputs": [{"name": "weights"}]}, "this model has no output 'weights'"),
        ([], "the request must be a JSON object"),
    ],
)
def test_tensors_that_do_not_fit_are_named(server: Any, body: Any, wanted: str):
    status, _, told = server.ask("POST", "/v2/models/people/infer", body)
    assert (status, wanted in told["error"]) == (400, True), told


@pytest.mark.parametrize("length", ["99999", "-1", "x", "1e3", "9" * 400])
def test_a_false_length_of_the_json_before_tensors_is_refused(server: Any, length: str):
    status, _, told = server.ask("POST", "/v2/models/people/infer", tensors(), {"inference-header-content-length": length})
    assert (status, "Inference-Header-Content-Length" in told["error"]) == (400, True)


def test_texts_in_bytes_whose_lengths_lie_are_refused(server: Any):
    for data in (
        b"\xff\xff\xff\xffnurse",
        b"\x01\x00",
        b"\x05\x00\x00\x00nurse\x00\x00\x00\x00",
        b"\x02\x00\x00\x00\xff\xfe",
    ):
        told = json.dumps(tensors() | {"inputs": [tensors()["inputs"][0], {
            "name": "job", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(data)}}]}).encode()  # fmt: skip
        status, _, said = server.ask(
            "POST", "/v2/models/people/infer", told + data, {"inference-header-content-length": str(len(told))}
        )
        assert (status, "input 'job'" in said["error"]) == (400, True), said


def test_a_body_over_the_limit_is_refused_before_it_is_sent(server: Any):
    with wire(server, head("/predict/people", "Content-Length: 5000000000")) as link:
        said = heard(link)
    assert said.startswith(b"HTTP/1.1 413")
    assert b"the body has 5000000000 bytes, and 1000000 are allowed" in said


def test_a_body_without_a_length_is_counted_as_it_comes(server: Any):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with wire(server, head("/predict/people", "Transfer-Encoding: chunked")) as link:
        with contextlib.suppress(OSError):
            for _ in range(100):
                link.sendall(chunk)
        said = heard(link)
    assert b"413" in said[:20] or said == b""  # the client that goes on sending may be cut off before it can read


def test_a_packed_bomb_is_unpacked_no_further_than_the_limit(server: Any):
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(b" " * 1_000_000) for _ in range(200)), packer.flush()])
    assert len(bomb) < 1_000_000
    status, _, told = server.ask("POST", "/predict/people", bomb, {"content-encoding": "gzip"})
    assert (status, told["error"]) == (413, "the body unpacks to more than the 1000000 bytes that are allowed")
    assert server.ask("POST", "/predict/people", bomb[:100], {"content-encoding": "gzip"})[0] == 400
    assert server.ask("POST", "/predict/people", GOOD, {"content-encoding": "br"})[0] == 415


def test_slow_headers_are_cut_off(server: Any):
    with wire(server, b"POST /predict/people HTTP/1.1\r\nHost: x\r\n") as link:
        begun = time.monotonic()
        said = heard(link)
        assert 1 < time.monotonic() - begun < 6
    assert said.startswith(b"HTTP/1.1 408")
    assert b"the headers did not arrive within 1.5 s" in said


def test_a_slow_body_is_cut_off(server: Any):
    with wire(server, head("/predict/people", "Content-Length: 100"), b'{"rows"') as link:
        said = heard(link)
    assert said.startswith(b"HTTP/1.1 408")
    assert b"the body did not arrive within 1.5 s" in said


def test_long_headers_are_refused(server: Any):
    with wire(server, head("/predict/people", "X-Long: " + "a" * 5000, "Content-Length: 0")) as link:
        assert heard(link).startswith(b"HTTP/1.1 431")
    with wire(server) as link:
        with contextlib.suppress(OSError):  # it may be cut off before all of it is sent
            link.sendall(b"GET /" + b"a" * 100_000)
        assert heard(link)[:12] in (b"HTTP/1.1 431", b"")


@pytest.mark.parametrize(
    "lines",
    [
        ["Content-Length: 40", "Transfer-Encoding: chunked"],
        ["Content-Length: 40", "Content-Length: 41"],
        ["Content-Length: 40", "Content-Length: 40"],
        ["Content-Length: +40"],
        ["Content-Length: 4 0"],
        ["Content-Length: -1"],
        ["Transfer-Encoding: chunked, identity"],
        ["Transfer-Encoding : chunked"],
        ["Transfer-Encoding: xchunked"],
        ["Content-Length: 99999999999999999999999"],
        ["Host: there", "Content-Length: 40"],
        ["X-Folded: a\r\n b", "Content-Length: 40"],
        ["No colon"],
    ],
)
def test_requests_that_two_servers_could_cut_in_two_ways_are_refused(server: Any, lines: list[str]):
    with wire(
        server, head("/predict/people", *lines) + GOOD.ljust(40) + b"GET /v2 HTTP/1.1\r\nHost: smuggled\r\n\r\n"
    ) as link:
        said = heard(link)
    assert said.startswith(b"HTTP/1.1 400"), said[:200]
    assert b"tuneful" not in said  # what was hidden behind it is not answered


def test_pipelined_requests_are_answered_in_their_order(server: Any):
    some = b"".join(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX-Request-ID: n%d\r\n\r\n" % n for n in range(20))
    with wire(server, some + b"GET /v2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") as link:
        said = heard(link)
    places = [said.index(b"x-request-id: n%d\r\n" % n) for n in range(20)]
    assert places == sorted(places)
    assert said.count(b"HTTP/1.1 200") == 21


def test_thousands_of_pipelined_requests_do_not_pile_up(server: Any):
    with wire(server) as link:
        with contextlib.suppress(OSError):
            link.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000)
            link.shutdown(socket.SHUT_WR)
        said = heard(link)
    assert said.count(b"HTTP/1.1 200") <= 20_000


PATHS = ["/v2/models/../../etc/passwd/infer", "/v2/models/%2e%2e%2f%2e%2e%2fetc/infer", "/predict/..%2f..%2fetc", "/predict/people/..%2f1",
         "/v2/models/people/versions/..%2f..%2f1/infer", "/v2/models/people%00/infer", "/predict/" + "a" * 3000, "/predict//etc/passwd"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_names_are_looked_up_and_never_opened(server: Any, path: str):
    status, _, told = server.ask("POST", path, GOOD)
    assert status == 404
    assert "passwd" not in told["error"] or "no model" in told["error"]


def test_more_connections_than_allowed_shut_nobody_out(server: Any):
    with contextlib.ExitStack() as open_ones:
        for _ in range(400):  # 200 are allowed
            open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=15))
        assert server.ask("POST", "/predict/people", GOOD)[0] == 200


def test_a_client_that_leaves_is_not_waited_for(server: Any):
    for _ in range(50):
        with wire(server, head("/predict/people", f"Content-Length: {len(GOOD)}", close=False), GOOD):
            pass
    with wire(server, head("/predict/people", "Content-Length: 5000", close=False), GOOD):
        pass


def bomb(width: int, height: int) -> bytes:
    """A PNG that says it is so large, in a few hundred bytes."""
    import struct

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10_000)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "status", "wanted"),
    [
        (bomb(60_000, 60_000), 400, "million pixels"),
        (bomb(2000, 2000), 413, "file 1 is 2000x2000, and 1000000 pixels are allowed"),
        (bomb(900, 900), 400, "cannot be read as an image"),
        (b"no picture", 400, "it is not in any known image format"),
        (b"", 400, "the file is empty"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 500, 400, "cannot be read as an image"),
    ],
)
def test_pictures_of_strangers(server: Any, data: bytes, status: int, wanted: str):
    body = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + data + b"\r\n--b--\r\n"
    got, _, told = server.ask("POST", "/predict/pets", body, {"content-type": "multipart/form-data; boundary=b"})
    assert (got, wanted in told["error"]) == (status, True), told
    assert "/tmp" not in json.dumps(told)


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data", 400),
        ("multipart/form-data; boundary=b", b"nothing", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\n\r\n" * 100 + b"--b--\r\n", 413),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n\r\n--b--\r\n", 400),
    ],
)
def test_uploads_that_are_none(server: Any, kind: str, body: bytes, status: int):
    got, _, told = server.ask("POST", "/predict/pets", body, {"content-type": kind})
    assert got == status, told


def test_other_methods_and_addresses_are_refused(server: Any):
    assert server.ask("DELETE", "/predict/people")[0] == 405
    assert server.ask("GET", "/v2/models/people/infer")[1]["allow"] == "POST"
    assert server.ask("GET", "/admin")[0] == 404
    with wire(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100) as link:  # TLS spoken to a plain port
        assert heard(link).startswith(b"HTTP/1.1 400")


def test_tokens_are_wanted_and_cannot_be_guessed(starting: Callable[..., Any], artifacts: dict[str, Path], tmp_path: Path):
    from tuneful.runtime.serve import tokens

    token = tokens.make(tmp_path / "tokens", "alice")
    assert token not in (tmp_path / "tokens").read_text()
    assert (tmp_path / "tokens").stat().st_mode & 0o077 == 0
    one = starting(f"people={artifacts['table']}", "--token-file", str(tmp_path / "tokens"))
    assert one.ask("GET", "/v2/health/ready")[0] == 200
    status, headers, told = one.ask("POST", "/predict", GOOD)
    assert (status, headers["www-authenticate"], told["error"]) == (401, "Bearer", "a token is wanted")
    right = {"authorization": f"Bearer {token}"}
    assert one.ask("POST", "/predict", GOOD, right)[0] == 200
    assert one.ask("POST", "/predict", GOOD, {"authorization": f"Basic {token}"})[0] == 401
    assert one.ask("GET", "/metrics")[0] == 401
    tried = [one.ask("POST", "/predict", GOOD, {"authorization": f"Bearer {token[:-1]}-{n}"})[0] for n in range(30)]
    assert tried.count(401) == tokens.GUESSES - 1  # one guess was the wrong scheme
    assert set(tried) == {401, 429}
    assert one.ask("POST", "/predict", GOOD, right)[1]["retry-after"] == "60"
    assert {line.get("who") for line in one.told("request") if line["status"] == 200 and "model" in line} == {"alice"}
    assert one.stop() == 0


def test_memory_stays_bounded_under_all_of_this(server: Any):
    def megabytes() -> float:
        workers = {line["process"] for line in server.told("ready")}
        lines = [line for pid in workers for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
        return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1000

    if not Path("/proc/self/status").exists():
        pytest.skip("there is no /proc to read the memory of a process from")
    for body, _ in BODIES.values():
        server.ask("POST", "/predict/people", body)
    before = megabytes()
    link = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    for _ in range(30):
        for body, _ in BODIES.values():
            link.request("POST", "/predict/people", body, {"content-type": "application/json"})
            link.getresponse().read()
    link.close()
    assert megabytes() < before + 20
