"""Image files to arrays of one size: the same code for training and serving. Pillow is imported when a file is read.

Grey, RGB, RGBA, palette and 16-bit files are read; the orientation that a camera noted is obeyed; what is transparent lies on
white; 16 bits are cut to the upper 8; another size is resized (bilinear, averaging where it shrinks; the sides are stretched).
Only headers are looked at before an image is known to be of sane size, so that a small file cannot fill the memory.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tuneful.core.errors import DataError, MissingError

PIXEL_LIMIT = 64_000_000
"""No image with more pixels is decoded."""

_GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
_TURNED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112


class Header(NamedTuple):
    """What a file says of itself: sizes as they will be seen (turned by EXIF), Pillow's mode, and why it cannot be read."""

    height: int
    width: int
    mode: str
    trouble: str = ""

    @property
    def channels(self) -> int:
        """1 for grey, else 3."""
        return 1 if self.mode in _GREY else 3


def show_path(path: str | bytes | Path) -> str:
    """A path that can be printed anywhere: bytes that are no text and line breaks are escaped."""
    text = os.fsdecode(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def read_header(path: str | bytes | Path) -> Header:
    """Size and mode of an image without decoding it. Never raises for a bad file: `trouble` says what is wrong."""
    Image, failures = _pillow()
    try:
        if not os.path.isfile(path):
            return Header(0, 0, "", "it is no regular file")  # never wait on a pipe
        if os.path.getsize(path) == 0:
            return Header(0, 0, "", "the file is empty (0 bytes)")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large images; we refuse them below
            with Image.open(os.fspath(path)) as image:
                width, height = image.size
                mode = str(image.mode)
                turned = image.format in ("JPEG", "MPO", "TIFF", "WEBP") and image.getexif().get(_ORIENTATION) in _TURNED
    except Image.DecompressionBombError:
        return Header(0, 0, "", f"it has more than {PIXEL_LIMIT / 1e6:g} million pixels")
    except failures as error:
        return Header(0, 0, "", _why(error))
    if width * height > PIXEL_LIMIT:
        return Header(height, width, mode, f"it is {width}x{height}, more than {PIXEL_LIMIT / 1e6:g} million pixels")
    if mode == "F":
        return Header(height, width, mode, "its pixels are floating-point numbers of unknown range")
    return Header(width, height, mode) if turned else Header(height, width, mode)


def read_image(path: str | bytes | Path, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    """One image as [channels, height, width] uint8.

    Raises: DataError that names the file and what is wrong with it.
    """
    Image, failures = _pillow()
    header = read_header(path)
    if header.trouble:
        raise DataError(f"{show_path(path)} cannot be read as an image: {header.trouble}", "replace or remove the file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(os.fspath(path)) as image:
                return _fitted(image, channels, height, width)
    except failures as error:
        raise DataError(
            f"{show_path(path)} cannot be read as an image: {_why(error)}", "replace or remove the file"
        ) from None


def palette(classes: int) -> list[int]:
    """768 numbers, red, green and blue of each entry: black, then white of two classes and PASCAL VOC's colours of more; 255 is grey.

    VOC's: the bits of the class number, lowest first, dealt to the highest bits of red, green and blue in turn.
    """
    colours = np.zeros((256, 3), dtype=np.int64)
    numbers = np.arange(256)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (numbers >> (3 * bit + channel) & 1) << (7 - bit)
    if classes == 2:
        colours[1] = 255
    colours[255] = 128
    return [int(value) for value in colours.ravel()]


def write_mask(path: str | Path, mask: NDArray[Any], classes: int) -> None:
    """Class numbers [H, W] as a PNG file: palette entries are the numbers, their colours can be told apart; above 256 classes
    a grey picture of 16 bits. Raises DataError where it cannot be written."""
    from PIL import Image

    try:
        if classes <= 256:
            image = Image.fromarray(np.asarray(mask, dtype=np.uint8), "P")
            image.putpalette(palette(classes))
        else:
            image = Image.fromarray(np.asarray(mask, dtype=np.uint16))
        image.save(os.fspath(path), format="PNG")
    except OSError as error:
        raise DataError(f"the mask {show_path(path)} cannot be written: {error.strerror or error}") from None


def _fitted(image: Any, channels: int, height: int, width: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    if image.format == "JPEG":
        image.draft(None, (2 * width, 2 * height))  # let the decoder shrink what is far too large
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        image = Image.fromarray((deep >> 8 if deep.max(initial=0) > 255 else deep).clip(0, 255).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(image, dtype=np.uint8)
    return array[None] if channels == 1 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _pillow() -> tuple[Any, tuple[type[Exception], ...]]:
    """Pillow, and every kind of error that its decoders are known to raise for damaged files."""
    try:
        from PIL import Image
    except ImportError:
        missing = MissingError("pillow", "runtime", "reading image files")
        missing.hint = "pip install pillow"
        raise missing from None
    import struct
    import zlib

    return Image, (
        OSError,
        ValueError,
        SyntaxError,
        TypeError,
        KeyError,
        IndexError,
        EOFError,
        OverflowError,
        AttributeError,
        AssertionError,
        NotImplementedError,
        MemoryError,
        RuntimeError,
        struct.error,
        zlib.error,
    )


def _why(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not in any known image format"
    if isinstance(error, OSError) and error.errno:
        return error.strerror or str(error)
    text = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    return "it is truncated" if "truncated" in text.lower() else f"it is damaged ({text})"
