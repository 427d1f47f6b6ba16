"""Small whole files of every kind that is read, and files that promise too much: what `test_sources_hostile` damages."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import wave
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image

N = 24
X = np.random.default_rng(0).integers(0, 256, (N, 6, 6), dtype=np.uint8)
Y = np.arange(N, dtype=np.uint8) % 3


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


def npy(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def ts() -> bytes:
    lines = [",".join(map(str, x.ravel()[:8])) + f":{y}" for x, y in zip(X, Y)]
    return ("# made\n@univariate true\n@classLabel true 0 1 2\n@data\n" + "\n".join(lines) + "\n").encode()


def pickled() -> bytes:
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


def masked(suffix: str = "png", form: str = "PNG") -> dict[str, bytes]:
    """Images, and masks of black and white."""
    masks = (X > 128).astype(np.uint8) * 255
    return {f"images/{i:02}.png": png(x) for i, x in enumerate(X)} | {
        f"masks/{i:02}.{suffix}": png(mask, form) for i, mask in enumerate(masks)
    }


def named(numbers: range) -> bytes:
    return "".join(f"{i:02}.png\n" for i in numbers).encode()


FORMS: dict[str, Callable[[], tuple[dict[str, bytes], str, str]]] = {
    # files, the one that is damaged, what is given ("" is the folder)
    "idx": lambda: ({"train-images-idx3-ubyte": idx(X), "train-labels-idx1-ubyte": idx(Y)}, "train-images-idx3-ubyte", ""),
    "idx labels, gz": lambda: (
        {"train-images-idx3-ubyte": idx(X), "train-labels-idx1-ubyte.gz": gzip.compress(idx(Y), mtime=0)},
        "train-labels-idx1-ubyte.gz", "",
    ),
    "npz": lambda: ({"a.npz": npz()}, "a.npz", "a.npz"),
    "npz, packed": lambda: ({"a.npz": npz(np.savez_compressed)}, "a.npz", "a.npz"),
    "npy": lambda: ({"x.npy": npy(X), "y.npy": npy(Y)}, "x.npy", ""),
    "npy labels": lambda: ({"x.npy": npy(X), "y.npy": npy(Y)}, "y.npy", ""),
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
    "mask": lambda: (masked(), "masks/00.png", ""),
    "mask, jpeg": lambda: (masked("jpg", "JPEG"), "masks/00.jpg", ""),
    "image with a mask": lambda: (masked(), "images/00.png", ""),
    "names of masks": lambda: (masked() | {"classes.txt": b"a\nb\n"}, "classes.txt", ""),
    "splits of masks": lambda: (masked() | {"train.txt": named(range(16)), "test.txt": named(range(16, N))}, "train.txt", ""),
    "list of masks": lambda: (
        masked() | {"list.csv": "\n".join(["image,mask", *(f"images/{i:02}.png,masks/{i:02}.png" for i in range(N))]).encode()},
        "list.csv", "list.csv",
    ),
    "prose": lambda: ({"a.txt": " ".join(words(i % 3, i) for i in range(200)).encode()}, "a.txt", "a.txt"),
}  # fmt: skip

PROMISES = {
    "idx": lambda: {"train-images-idx3-ubyte": bytes([0, 0, 8, 3]) + struct.pack(">3I", *[2**32 - 1] * 3) + bytes(100),
                    "train-labels-idx1-ubyte": idx(Y)},
    "idx of nothing": lambda: {"train-images-idx3-ubyte": bytes([0, 0, 8, 3]) + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1),
                               "train-labels-idx1-ubyte": idx(Y[:0])},
    "npz": lambda: {"a.npz": promised({"x.npy": (10**6, 10**6), "y.npy": (10**6,)})},
    "npy": lambda: {"x.npy": head_of((10**6, 10**6)) + bytes(64), "y.npy": npy(Y)},
    "npy below zero": lambda: {"x.npy": head_of((-1, -8)) + bytes(64), "y.npy": npy(Y)},
    "npz below zero": lambda: {"a.npz": promised({"x.npy": (-5, 2), "y.npy": (-5,)})},
    "png": lambda: classes(lambda i: large_png(60_000), "png"),
    "png, a bomb": lambda: {**classes(lambda i: png(X[i]), "png"), "c0/00.png": large_png(20_000)},
    "masks": lambda: {**masked(), **{f"masks/{i:02}.png": large_png(60_000) for i in range(N)}},
    "mask, a bomb": lambda: {**masked(), "masks/00.png": large_png(20_000)},
    "image with a mask, a bomb": lambda: {**masked(), "images/00.png": large_png(20_000)},
    "mask, cut": lambda: {**masked(), "masks/00.png": large_png(7_000)},
    "wav": lambda: {**classes(sound, "wav"), "c0/00.wav": sound(0)[:40] + struct.pack("<I", 2**32 - 1) + sound(0)[44:]},
}  # fmt: skip


def promised(shapes: dict[str, tuple[int, ...]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, shape in shapes.items():
            archive.writestr(name, head_of(shape) + bytes(64))
    return out.getvalue()


def head_of(shape: tuple[int, ...], dtype: str = "<f8") -> bytes:
    """What an .npy file of this shape begins with."""
    head = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (64 - (10 + len(head) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode()


def large_png(side: int, most: int = 20_000_000) -> bytes:
    """An image of zeros with so many pixels a side in a file of a few kilobytes (of its rows `most` bytes are there)."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = zlib.compress(bytes(min(side * (side + 1), most)), 9)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


def silence(samples: int) -> bytes:
    """A FLAC file of so many samples of nothing; a megabyte holds some hundred million."""
    import soundfile

    out = io.BytesIO()
    with soundfile.SoundFile(out, "w", 8000, 1, "PCM_16", format="FLAC") as file:
        for _ in range(samples // 10_000_000):
            file.write(np.zeros(10_000_000, np.int16))
    return out.getvalue()


def zipped(members: dict[str, tuple[bytes, int]]) -> bytes:
    """An .npz archive of packed members, each some bytes and then so many zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, (head, zeros) in members.items():
            with archive.open(name, "w") as file:
                file.write(head)
                for _ in range(zeros // 10_000_000):
                    file.write(bytes(10_000_000))
    return out.getvalue()


def bombs() -> dict[str, dict[str, bytes]]:
    """Small files that unpack to half a gigabyte, which none of them honestly needs."""
    size = 500_000_000
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=9, mtime=0) as file:
        for _ in range(size // 10_000_000):
            file.write(bytes(10_000_000))
    zeros, whole = packed.getvalue(), large_png(7_900, 70_000_000)
    return {
        "gzip of a table": {"a.csv.gz": zeros},
        "gzip of idx": {"train-images-idx3-ubyte.gz": gzip.compress(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 2, 2)) + zeros,
                        "train-labels-idx1-ubyte": idx(Y)},
        "gzip of series": {"S_TRAIN.ts.gz": gzip.compress(ts()) + zeros},
        "png": {**classes(lambda i: png(X[i]), "png"), "c0/00.png": large_png(20_000)},
        "masks": {**masked(), **{f"masks/{i:02}.png": whole for i in range(N)}},
        "flac": {**classes(lambda i: sound(i, "flac"), "flac"), "c0/00.flac": silence(size // 2)},
        "flac below the limit": {**classes(lambda i: sound(i, "flac"), "flac"), "c0/00.flac": silence(110_000_000)},
        "npz": {"a.npz": zipped({"x.npy": (head_of((N, 6, 6), "|u1"), size), "y.npy": (npy(Y), 0)})},
    }  # fmt: skip
