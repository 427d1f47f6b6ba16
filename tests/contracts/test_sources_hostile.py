"""Bad input: whatever lies in a file, every reader answers with a task, a counted finding or one sentence.

Never a traceback, never a hang, never more than twice the memory of what the file honestly holds. The long version
(`make test-all`) tries twenty times as many damages.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hostile_cases import FORMS, PROMISES, N, X, Y, bombs, classes, laid, masked, png
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuneful.core.errors import DataError, TunefulError
from tuneful.core.task import Task
from tuneful.pipeline.lazy import Lazy
from tuneful.pipeline.prepare import prepare
from tuneful.techniques.sources import read
from tuneful.techniques.sources.raw import MEMORY

SECONDS = 20  # a reader that takes longer for a few kilobytes hangs
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


@pytest.mark.parametrize("form", ["npy", "npy labels", "npz", "npz, packed", "wav", "flac", "mask", "image with a mask"])
def test_no_damage_is_worse_than_a_sentence_where_data_stays_in_files(form, tmp_path, monkeypatch):
    monkeypatch.setenv(MEMORY, "1000")  # bytes
    files, _, source = FORMS[form]()
    found = answered(laid(tmp_path, files) / source)
    assert isinstance(found, Task)
    assert isinstance(found.train.x, Lazy)
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


@pytest.mark.parametrize("name", PROMISES)
def test_a_header_that_promises_too_much_is_told(name, tmp_path):
    found = answered(laid(tmp_path, PROMISES[name]()))
    if isinstance(found, Task):
        assert any(f.severity == "warning" and "left out" in f.what for f in found.findings) or name == "wav"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"{", b"z"), (b"{", b" {"), (b"'shape'", b"'shape"), (b"(24, 6, 6)", b"(" * 90), (b"(24, 6, 6)", b"(24L, 6L, 6L)"), (b"'|u1'", b"{}"),
     (b"'|u1'", b"'\0'"), (b"'descr'", b"3"), (b", }", b", }\n  'x"), (b" \n", b" " * 20_000 + b"\n")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["x.npy", "a.npz"])
def test_a_header_of_numpy_that_is_no_header_is_told(name, old, new, tmp_path):
    """numpy's reader answers some of these with an error of Python's tokenizer, and others with a warning."""
    files = FORMS["npy"]()[0]
    whole = files["x.npy"]
    length = int.from_bytes(whole[8:10], "little")
    text = whole[10 : 10 + length].replace(old, new, 1)
    files["x.npy"] = whole[:8] + len(text).to_bytes(2, "little") + text + whole[10 + length :]
    if name == "a.npz":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        files = {"a.npz": out.getvalue()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = answered(laid(tmp_path, files))
    if isinstance(found, Task):  # what Python 2 wrote, and what may stand at the head of a line
        assert new in (b" {", b"(24L, 6L, 6L)")
    else:
        assert "header" in found.message


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


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["gzip of a table", "gzip of idx", "gzip of series", "png", "flac", "flac below the limit", "npz", "masks"]
)
def test_a_bomb_takes_no_more_than_twice_what_it_unpacks_to(name, tmp_path):
    laid(tmp_path, bombs()[name])
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    grown = int(done.stdout.split()[0])
    most = 1200 if name.startswith("gzip") else 600 if name == "masks" else 200  # four masks of 62 MB are open at once
    assert grown < most, done.stdout


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


def test_masks_with_odd_names_and_without_a_picture_are_told(tmp_path):
    laid(tmp_path, masked())
    for i, odd in enumerate((b"new\nline\xff%d", b"%d\n\xfe")):
        for folder in (b"/images/", b"/masks/"):
            with open(os.fsencode(tmp_path) + folder + odd % i + b".png", "wb") as file:
                file.write(png(255 * (X[i] > 128).astype(np.uint8)))
    (tmp_path / "masks" / "alone\n.png").write_bytes(png(X[0]))
    os.mkfifo(tmp_path / "masks" / "pipe.png")
    os.mkfifo(tmp_path / "images" / "pipe.png")
    (tmp_path / "masks" / "05.png").unlink()
    (tmp_path / "masks" / "05.png").symlink_to("05.png")
    (tmp_path / "masks" / "06.png").write_bytes(png(np.kron(X[6], np.ones((3, 5), np.uint8)) // 128 * 255))
    task = answered(tmp_path)
    assert isinstance(task, Task)
    assert len(task.train) + len(task.valid) + len(task.test) == N + 2 - 1
    said = [str(finding) for finding in task.findings]
    assert not any("\n" in one for one in said)
    assert any(
        "masks have no image and are not used: 1 of" in one.replace("in masks ", "") and "alone\\n" in one for one in said
    )
    assert any(
        "cannot be read and are left out: 2 of 27" in one and "pipe.png: it is no regular file" in one for one in said
    )
    assert any("masks are of another size than their images" in one and "1 of" in one for one in said)


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
        hidden = laid(Path(place) / "hidden", masked())
        given += [str(hidden / "masks"), str(hidden)]
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
