"""Public sets by name: found where they lie, fetched from a server of our own, taken up again, checked, and refused in a sentence."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tuneful.core.errors import DataError
from tuneful.techniques.sources import public as public_module
from tuneful.techniques.sources import read
from tuneful.techniques.sources.download import Remote, fetch
from tuneful.techniques.sources.public import SETS, Known, known

X = np.random.default_rng(0).integers(0, 256, (12, 4, 4), dtype=np.uint8)
Y = np.arange(12, dtype=np.uint8) % 3
WHOLE = np.random.default_rng(1).bytes(300_000)


class Server(http.server.ThreadingHTTPServer):
    """Files out of memory. breaks: how many more answers end in the middle; ranged: does it understand Range?"""

    files: dict[str, bytes]
    breaks = 0
    ranged = True
    seen: list[tuple[str, str]]

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # who asks may leave before the end


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.seen.append((name, self.headers.get("Range", "")))
        if name not in self.server.files:
            self.send_error(404)
            return
        body = self.server.files[name]
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-")) if self.server.ranged else 0
        self.send_response(206 if self.server.ranged else 200)
        if self.server.ranged:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        rest = body[start:]
        if self.server.breaks:
            self.server.breaks -= 1
            self.wfile.write(rest[: len(rest) // 2])
            self.wfile.flush()
            self.close_connection = True
            return
        self.wfile.write(rest)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server(("127.0.0.1", 0), Handler)
    one.files, one.seen = {}, []
    thread = threading.Thread(target=one.serve_forever, daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join()


def at(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def offered(server: Server, name: str, body: bytes, kind: str = "sha256") -> Remote:
    server.files[name] = body
    return Remote(at(server, name), len(body), f"{kind}:{hashlib.new(kind, body).hexdigest()}")


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes())


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_a_file_comes_whole_and_is_not_fetched_twice(server, tmp_path, kind):
    remote = offered(server, "a.bin", WHOLE, kind)
    assert fetch(remote, tmp_path / "new").read_bytes() == WHOLE
    fetch(remote, tmp_path / "new")
    assert len(server.seen) == 1
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    remote = offered(server, "a.bin", WHOLE)
    server.breaks = 2
    assert fetch(remote, tmp_path).read_bytes() == WHOLE
    assert [told for _, told in server.seen] == ["bytes=0-", "bytes=150000-", "bytes=225000-"]


def test_what_one_command_left_is_used_by_the_next(server, tmp_path):
    remote = offered(server, "a.bin", WHOLE)
    server.breaks = 1
    with pytest.raises(DataError, match=r"0\.1 MB of 0\.3 MB are here") as told:
        fetch(remote, tmp_path, tries=1)
    assert "goes on where it stopped" in told.value.hint
    assert fetch(remote, tmp_path).read_bytes() == WHOLE
    assert server.seen[-1] == ("a.bin", "bytes=150000-")


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    remote = offered(server, "a.bin", WHOLE)
    server.breaks, server.ranged = 1, False
    assert fetch(remote, tmp_path).read_bytes() == WHOLE


def test_a_wrong_hash_is_refused_and_nothing_is_left(server, tmp_path):
    remote = offered(server, "a.bin", WHOLE)
    server.files["a.bin"] = b"x" + WHOLE[1:]
    with pytest.raises(
        DataError, match=r"is not the file that is known: its sha256 is [0-9a-f]{64}; [0-9a-f]{64} is wanted"
    ):
        fetch(remote, tmp_path)
    assert not list(tmp_path.iterdir())


def test_more_than_the_size_is_neither_read_nor_kept(server, tmp_path):
    remote = offered(server, "a.bin", WHOLE)
    server.files["a.bin"] = WHOLE + bytes(50_000_000)
    with pytest.raises(DataError, match=r"it has \d+ bytes; 300000 are wanted"):
        fetch(remote, tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_server_and_no_file_are_told(server, tmp_path):
    remote = offered(server, "a.bin", WHOLE)
    with pytest.raises(DataError, match="HTTP 404"):
        fetch(Remote(at(server, "none.bin"), 5, remote.hash), tmp_path)
    with pytest.raises(DataError, match="could not be downloaded") as told:
        fetch(Remote("http://127.0.0.1:9/a.bin", 5, remote.hash), tmp_path)
    assert told.value.hint == "is there a network?"


@pytest.fixture
def small(server, monkeypatch, tmp_path) -> Server:
    """mnist and cifar10, small, on our server, and homes of their own for the data."""
    names = [remote.name for remote in SETS["mnist"].files]
    arrays = dict(zip(names, (X, Y, X[:6], Y[:6]), strict=True))
    files = tuple(offered(server, name, idx(array)) for name, array in arrays.items())
    packed = io.BytesIO()
    rows = np.concatenate([Y[:, None], np.resize(X, (12, 3072))], axis=1).astype(np.uint8).tobytes()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("cifar/data_batch_1.bin", "../../test_batch.bin"):
            member = tarfile.TarInfo(name)
            member.size = len(rows)
            archive.addfile(member, io.BytesIO(rows))
        link = tarfile.TarInfo("cifar/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    tar = offered(server, "cifar-10-python.tar.gz", packed.getvalue())
    monkeypatch.setattr(public_module, "SETS", {"mnist": Known(files, "a test"), "cifar10": Known((tar,), "a test")})
    monkeypatch.setenv("TUNEFUL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return server


def test_a_set_is_fetched_once_and_then_lies_in_tuneful_data(small, tmp_path):
    raw = read("mnist")
    np.testing.assert_array_equal(raw.parts["train"].x, X)
    np.testing.assert_array_equal(raw.parts["test"].y, Y[:6])
    assert raw.name == "mnist"
    assert "was downloaded into" in raw.findings[-1].what
    count = len(small.seen)
    assert not read("MNIST").findings
    assert len(small.seen) == count
    assert (tmp_path / "data" / "mnist").is_dir()


def test_no_name_in_an_archive_leads_out_of_the_folder(small, tmp_path):
    raw = read("cifar-10")
    assert {split: part.x.shape for split, part in raw.parts.items()} == {"train": (12, 3, 32, 32), "test": (12, 3, 32, 32)}
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["data_batch_1.bin", "test_batch.bin"]
    assert {path.parent.name for path in tmp_path.rglob("*.bin")} == {"cifar10"}


def test_a_set_is_read_in_the_layouts_of_other_loaders(small, tmp_path):
    raw = tmp_path / "data" / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (raw / name).write_bytes(gzip.decompress(small.files[f"{name}.gz"]))
    assert set(read("mnist").parts) == {"train"}
    (tmp_path / "data" / "cifar10").mkdir()
    np.savez(tmp_path / "data" / "cifar10" / "all.npz", x=X, y=Y)
    assert len(read("cifar10").parts["train"].y) == 12
    assert not small.seen


def test_a_folder_of_that_name_here_is_meant_first(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mnist").mkdir()
    np.savez("mnist/own.npz", x=X[:5], y=Y[:5])
    assert len(read("mnist").parts["train"].y) == 5
    assert not small.seen


def test_neither_here_nor_fetched_says_what_was_tried_and_where_files_belong(small, tmp_path):
    small.files.clear()
    with pytest.raises(
        DataError, match=r"mnist is not here and cannot be fetched: there is no folder .*data/mnist; .*HTTP 404"
    ) as told:
        read("mnist")
    assert str(tmp_path / "data" / "mnist") in told.value.hint
    assert "train-images-idx3-ubyte.gz" in told.value.hint


def test_names_are_known_in_their_spellings_and_guessed():
    assert known("Fashion_MNIST") == known("fashionmnist") == "fashion-mnist"
    assert known("CIFAR-100") == "cifar100"
    assert known("mnist2") == ""
    with pytest.raises(DataError, match="no file or folder") as told:
        read("minst")
    assert told.value.hint == "did you mean mnist?"
    assert len(read("iris").parts["train"].y) == 150
    assert set(read("breast-cancer").parts["train"].y) == {"benign", "malignant"}
