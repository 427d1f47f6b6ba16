"""Bad input: whatever lies in a file, every reader answers with a task, a counted finding or one sentence.

Never a traceback, never a hang, never more than twice the memory of what the file honestly holds. The long version
(`make test-all`) tries twenty times as many damages.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import warnings
import wave
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tuneful.core.errors import DataError, TunefulError
from tuneful.core.task import Task
from tuneful.pipeline.prepare import prepare
from tuneful.techniques.sources import read

SECONDS = 20  # a reader that takes longer for a few kilobytes hangs
N = 24
X = np.random.default_rng(0).integers(0, 256, (N, 6, 6), dtype=np.uint8)
Y = np.arange(N, dtype=np.uint8) % 3
FEW = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
MANY = settings(FEW, max_examples=500)


@contextlib.contextmanager
def soon(seconds: int = SECONDS) -> Iterator[None]:
    """Raises when what is inside takes longer."""

    def over(number: int, frame: object) -> None:
        raise AssertionError(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def answered(source: object, **options: object) -> Task | TunefulError:
    """A task, or an error of ours in one sentence that can be printed; anything else fails."""
    with soon():
        try:
            return prepare(source, **options)
        except TunefulError as error:
            found = error
    assert found.message
    assert "\n" not in found.message.strip(), found.message
    assert len(found.message) < 1000, found.message
    found.message.encode("utf-8")
    assert "Traceback" not in str(found)
    return found


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def png(array: np.ndarray, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(array).save(out, form)
    return out.getvalue()


def sound(i: int, form: str = "wav") -> bytes:
    samples = (np.sin(np.arange(800) * (i + 1) / 20) * 9000).astype("<i2")
    out = io.BytesIO()
    if form == "flac":
        import soundfile

        soundfile.write(out, samples, 8000, format="FLAC")
    else:
        with wave.open(out, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(8000)
            file.writeframes(samples.tobytes())
    return out.getvalue()


def table(by: str) -> bytes:
    rows = [f"{i}{by}{i * 0.5}{by}w{i % 4}{by}{'yes' if y else 'no'}" for i, y in enumerate(Y)]
    return "\n".join([by.join(("a", "b", "c", "target")), *rows, ""]).encode()


def parquet() -> bytes:
    out = io.BytesIO()
    pl.DataFrame({"a": list(range(N)), "b": [f"w{i % 4}" for i in range(N)], "target": [f"c{y}" for y in Y]}).write_parquet(
        out
    )
    return out.getvalue()


def npz(pack: Callable[..., None] = np.savez) -> bytes:
    out = io.BytesIO()
    pack(out, x=X, y=Y)
    return out.getvalue()


def ts() -> bytes:
    lines = [",".join(map(str, x.ravel()[:8])) + f":{y}" for x, y in zip(X, Y)]
    return ("# made\n@univariate true\n@classLabel true 0 1 2\n@data\n" + "\n".join(lines) + "\n").encode()


def pickled() -> bytes:
    import pickle

    return pickle.dumps({b"data": np.resize(X, (N, 3072)), b"labels": [int(y) for y in Y]}, protocol=2)


def words(y: int, i: int) -> str:
    return f"{('good', 'bad', 'fair')[y]} thing number {i} of many, {'really' * (i % 3)}"


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def classes(make: Callable[[int], bytes], suffix: str) -> dict[str, bytes]:
    return {f"c{y}/{i:02}.{suffix}": make(i) for i, y in enumerate(Y)}


FORMS: dict[str, Callable[[], tuple[dict[str, bytes], str, str]]] = {
    # files, the one that is damaged, what is given ("" is the folder)
    "idx": lambda: ({"train-images-idx3-ubyte": idx(X), "train-labels-idx1-ubyte": idx(Y)}, "train-images-idx3-ubyte", ""),
    "idx labels, gz": lambda: (
        {"train-images-idx3-ubyte": idx(X), "train-labels-idx1-ubyte.gz": gzip.compress(idx(Y), mtime=0)},
        "train-labels-idx1-ubyte.gz", "",
    ),
    "npz": lambda: ({"a.npz": npz()}, "a.npz", "a.npz"),
    "npz, packed": lambda: ({"a.npz": npz(np.savez_compressed)}, "a.npz", "a.npz"),
    "csv": lambda: ({"a.csv": table(",")}, "a.csv", "a.csv"),
    "tsv, gz": lambda: ({"a.tsv.gz": gzip.compress(table("\t"), mtime=0)}, "a.tsv.gz", "a.tsv.gz"),
    "parquet": lambda: ({"a.parquet": parquet()}, "a.parquet", "a.parquet"),
    "cifar, binary": lambda: (
        {"data_batch_1.bin": np.concatenate([Y[:, None], np.resize(X, (N, 3072))], axis=1).astype("u1").tobytes()}, "data_batch_1.bin", "",
    ),
    "cifar, python": lambda: ({"data_batch_1": pickled()}, "data_batch_1", ""),
    "ts": lambda: ({"S_TRAIN.ts": ts()}, "S_TRAIN.ts", ""),
    "list": lambda: (
        {f"{i:02}.png": png(x) for i, x in enumerate(X)}
        | {"list.csv": ("file,label\n" + "\n".join(f"{i:02}.png,c{y}" for i, y in enumerate(Y))).encode()}, "list.csv", "list.csv",
    ),
    "png": lambda: (classes(lambda i: png(X[i]), "png"), "c0/00.png", ""),
    "jpeg": lambda: (classes(lambda i: png(X[i], "JPEG"), "jpg"), "c0/00.jpg", ""),
    "gif": lambda: (classes(lambda i: png(X[i], "GIF"), "gif"), "c0/00.gif", ""),
    "tiff": lambda: (classes(lambda i: png(X[i], "TIFF"), "tif"), "c0/00.tif", ""),
    "wav": lambda: (classes(sound, "wav"), "c0/00.wav", ""),
    "flac": lambda: (classes(lambda i: sound(i, "flac"), "flac"), "c0/00.flac", ""),
    "jsonl": lambda: (
        {"a.jsonl": "\n".join(json.dumps({"text": words(int(y), i), "label": f"c{y}"}) for i, y in enumerate(Y)).encode()},
        "a.jsonl", "a.jsonl",
    ),
    "texts": lambda: (classes(lambda i: words(int(Y[i]), i).encode(), "txt"), "c0/00.txt", ""),
    "conll": lambda: (
        {"train.conll": "\n\n".join(f"some{i}\tO\nword\tB-X\nhere\tI-X" for i in range(N)).encode() + b"\n"}, "train.conll", "",
    ),
    "prose": lambda: ({"a.txt": " ".join(words(i % 3, i) for i in range(200)).encode()}, "a.txt", "a.txt"),
}  # fmt: skip

DAMAGES = st.lists(
    st.one_of(
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("flip"), st.floats(0, 1), st.integers(0, 7)),
        st.tuples(st.just("head"), st.floats(0, 0.02), st.integers(0, 255)),
        st.tuples(st.just("put"), st.floats(0, 1), st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\n", b'"', b",", b"\xed\xa0\x80", b"1e999"])),
        st.tuples(st.just("drop"), st.floats(0, 1), st.integers(1, 64)),
    ),
    min_size=1, max_size=4,
)  # fmt: skip


def damaged(content: bytes, damages: list[tuple[str, float, object]]) -> bytes:
    found = bytearray(content)
    for kind, where, how in damages:
        at = min(int(where * len(found)), max(0, len(found) - 1))
        if kind == "cut":
            del found[at:]
        elif kind == "put":
            found[at:at] = how  # type: ignore[call-overload]
        elif kind == "drop":
            del found[at : at + int(how)]  # type: ignore[call-overload]
        elif found:
            found[at] = found[at] ^ (1 << int(how)) if kind == "flip" else int(how)  # type: ignore[call-overload]
    return bytes(found)


def tried(form: str, folder: Path, count: settings) -> None:
    files, victim, source = FORMS[form]()
    laid(folder, files)

    @count
    @given(DAMAGES)
    def any_damage(damages: list[tuple[str, float, object]]) -> None:
        (folder / victim).write_bytes(damaged(files[victim], damages))
        answered(folder / source if source else folder)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        any_damage()


@pytest.mark.parametrize("form", FORMS)
def test_what_is_whole_is_read(form, tmp_path):
    files, _, source = FORMS[form]()
    assert isinstance(answered(laid(tmp_path, files) / source), Task)


@pytest.mark.parametrize("form", FORMS)
def test_no_damage_is_worse_than_a_sentence(form, tmp_path):
    tried(form, tmp_path, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_no_damage_is_worse_than_a_sentence_many_times(form, tmp_path):
    tried(form, tmp_path, MANY)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_file_and_one_of_zeros_are_told(form, tmp_path):
    files, victim, source = FORMS[form]()
    for content in (b"", b"\0" * 5000, b"\xff" * 5000):
        laid(tmp_path, files | {victim: content})
        answered(tmp_path / source)


# What a file promises


PROMISES = {
    "idx": lambda: {"train-images-idx3-ubyte": bytes([0, 0, 8, 3]) + struct.pack(">3I", *[2**32 - 1] * 3) + bytes(100),
                    "train-labels-idx1-ubyte": idx(Y)},
    "idx of nothing": lambda: {"train-images-idx3-ubyte": bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1),
                               "train-labels-idx1-ubyte": idx(Y[:0])},
    "npz": lambda: {"a.npz": promised({"x.npy": (10**6, 10**6), "y.npy": (10**6,)})},
    "npz below zero": lambda: {"a.npz": promised({"x.npy": (-5, 2), "y.npy": (-5,)})},
    "png": lambda: classes(lambda i: large_png(60_000), "png"),
    "png, a bomb": lambda: {**classes(lambda i: png(X[i]), "png"), "c0/00.png": large_png(20_000)},
    "wav": lambda: {**classes(sound, "wav"), "c0/00.wav": sound(0)[:40] + struct.pack("<I", 2**32 - 1) + sound(0)[44:]},
}  # fmt: skip


def promised(shapes: dict[str, tuple[int, ...]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, shape in shapes.items():
            head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
            head += " " * (64 - (10 + len(head) + 1) % 64) + "\n"
            archive.writestr(name, b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bytes(64))
    return out.getvalue()


def large_png(side: int) -> bytes:
    """An image of zeros with so many pixels a side in a file of a few kilobytes (its rows are not all there)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(min(side * (side + 1), 20_000_000)), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("name", PROMISES)
def test_a_header_that_promises_too_much_is_told(name, tmp_path):
    found = answered(laid(tmp_path, PROMISES[name]()))
    if isinstance(found, Task):
        assert any(f.severity == "warning" and "left out" in f.what for f in found.findings) or name == "wav"


CHILD = """
import resource, sys, warnings
from tuneful.core.errors import TunefulError
from tuneful.pipeline.prepare import prepare
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
try:
    prepare(sys.argv[1])
    said = "read"
except TunefulError as error:
    said = error.message.splitlines()[0]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, said)
"""


def bombs() -> dict[str, dict[str, bytes]]:
    """Small files that unpack to half a gigabyte, which none of them honestly needs."""
    size = 500_000_000
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        for _ in range(size // 10_000_000):
            file.write(bytes(10_000_000))
    zeros = packed.getvalue()
    return {
        "gzip of a table": {"a.csv.gz": zeros},
        "gzip of idx": {"train-images-idx3-ubyte.gz": gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 2, 2)) + zeros,
                        "train-labels-idx1-ubyte": idx(Y)},
        "gzip of series": {"S_TRAIN.ts.gz": gzip.compress(ts()) + zeros},
        "png": {**classes(lambda i: png(X[i]), "png"), "c0/00.png": large_png(20_000)},
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gzip of a table", "gzip of idx", "gzip of series", "png"])
def test_a_bomb_takes_no_more_than_twice_what_it_unpacks_to(name, tmp_path):
    laid(tmp_path, bombs()[name])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout.split()[0])
    assert grown < (1200 if name != "png" else 200), done.stdout


# Names and places


def test_names_in_archives_lead_nowhere(tmp_path):
    """.npz is read in memory, so a name is only a name; tar files are unpacked by `public`, whose test is beside this one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, array in (("../../x.npy", X), ("/y.npy", Y)):
            one = io.BytesIO()
            np.save(one, array)
            archive.writestr(name, one.getvalue())
    laid(tmp_path, {"in/a.npz": out.getvalue()})
    answered(tmp_path / "in" / "a.npz")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a.npz"]


def test_a_list_that_names_files_elsewhere_is_refused(tmp_path):
    laid(tmp_path, {"out.png": png(X[0]), "in/a.png": png(X[0])})
    for name in ("../out.png", str(tmp_path / "out.png")):
        (tmp_path / "in" / "list.csv").write_text(f"file,label\na.png,u\n{name},v\n")
        with pytest.raises(DataError, match="which does not lie below"):
            read(tmp_path / "in" / "list.csv")


def test_folders_a_hundred_deep_end(tmp_path):
    laid(tmp_path, classes(lambda i: png(X[i]), "png"))
    deep = tmp_path / "c0"
    for _ in range(100):
        deep /= "d"
    deep.mkdir(parents=True)
    (deep / "1.png").write_bytes(png(X[0]))
    assert isinstance(answered(tmp_path), Task)
    assert isinstance(answered(tmp_path / "c0" / "d"), TunefulError)


def test_names_with_line_breaks_and_odd_bytes_are_read_and_printable(tmp_path):
    laid(tmp_path, classes(lambda i: png(X[i]), "png"))
    for i in range(6):
        folder = os.fsencode(tmp_path) + b"/new\nline\xff"
        os.makedirs(folder, exist_ok=True)
        with open(folder + b"/%d\n\xfe.png" % i, "wb") as file:
            file.write(png(255 - X[i]) if i else b"\x89PNG nothing")
    task = answered(tmp_path)
    assert isinstance(task, Task)
    assert "new\\nline\\xff" in task.labels
    for finding in task.findings:
        str(finding).encode("utf-8")
        assert "\n" not in str(finding)


def test_pipes_and_links_to_nowhere_are_not_waited_for(tmp_path):
    laid(tmp_path, classes(lambda i: png(X[i]), "png"))
    os.mkfifo(tmp_path / "c0" / "pipe.png")
    os.mkfifo(tmp_path / "c1" / "pipe")
    (tmp_path / "c0" / "gone.png").symlink_to("nowhere")
    assert isinstance(answered(tmp_path), Task)
    for name in ("a.csv", "train-images-idx3-ubyte", "a.npz", "data_batch_1", "S.ts", "a.jsonl", "a.txt"):
        folder = tmp_path / f"of {name}"
        folder.mkdir()
        os.mkfifo(folder / name)
        assert isinstance(answered(folder), TunefulError)
        assert isinstance(answered(folder / name), TunefulError)


UNREADABLE = """
import os, sys
from tuneful.core.errors import TunefulError
from tuneful.pipeline.prepare import prepare
victims, sources = sys.argv[1::2], sys.argv[2::2]
for source in sources:
    prepare(source)  # as root, so that everything is imported: nobody may not read this installation
for victim in victims:
    os.chmod(victim, 0)
os.setgid(65534); os.setuid(65534)
for source in sources:
    try:
        print("read", *[f"{f} {f.examples}" for f in prepare(source).findings])
    except TunefulError as error:
        print(error.message.replace("\\n", " "))
"""


def test_what_may_not_be_read_is_told():
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody, who may not read")
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        given: list[str] = []
        for form in FORMS:
            files, victim, source = FORMS[form]()
            folder = laid(Path(place) / form.replace(" ", "").replace(",", ""), files)
            given += [str(folder / victim), str(folder / source)]
        locked = laid(Path(place) / "locked", classes(lambda i: png(X[i]), "png"))
        given += [str(locked / "c1"), str(locked)]
        done = subprocess.run(
            [sys.executable, "-c", UNREADABLE, *given], capture_output=True, text=True, timeout=120, check=False
        )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(given) // 2
    for line, path in zip(lines, given[1::2]):
        assert (
            "ermission denied" in line or "is of no kind that can be read" in line or "nothing that can be read" in line
        ), (path, line)


def test_a_tar_or_zip_is_no_data_and_says_so(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("../x")
        archive.addfile(member)
    assert isinstance(answered(tmp_path / "a.tar"), TunefulError)


@pytest.mark.parametrize("source", [5, 1.5, None, b"\0", "\0", "a" * 5000, object(), [], (), {}, {"train": None}, [[]], ({}, {}),
                                    (np.zeros(0), np.zeros(0)), (np.zeros((3, 0)), np.zeros(3)), {"x": np.zeros(3)},
                                    (np.zeros((4, 2), dtype="datetime64[s]"), np.zeros(4)), (np.zeros((4, 2), complex), np.zeros(4)),
                                    (np.array([object()] * 4), np.zeros(4)), (np.full((6, 2), np.nan), np.arange(6) % 2)])  # fmt: skip
def test_what_is_no_data_is_refused(source):
    assert isinstance(answered(source), TunefulError)
