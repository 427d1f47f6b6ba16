"""Text that was read by the wrong table of letters, put right: the one code that training and serving share.

    "cafÃ©" -> "café"     UTF-8 that was read as Windows-1252 or Latin-1, also more than once
    "don\\x92t" -> "don’t"  Windows-1252 that was read as Latin-1
    byte order marks, and control characters but tab and line ends, go

The first is undone only where it can be: every letter of the text must have a byte in Windows-1252 (or Latin-1, where that has
none), and the bytes must be UTF-8 to the last one. Text that is right hardly ever passes: a letter with an accent would have to
be followed by just so many signs of the upper half. Where it passes all the same ("PRÉ…" could be "PRɅ"), what comes out are
letters that nobody writes; such a change is refused.

Source: RFC 3629 (UTF-8); the WHATWG Encoding Standard's index of windows-1252.
"""

from __future__ import annotations

import re

_BYTES = {bytes([code]).decode("cp1252", "ignore") or chr(code): code for code in range(256)}
_LATER = {code: letter for letter, code in _BYTES.items() if 0x80 <= code < 0xA0}  # C1 controls as Windows-1252 has them
_CONTROLS = dict.fromkeys([*range(9), 11, 12, *range(14, 32), *range(127, 160), 0xFFFE, 0xFFFF])
_PLAIN = re.compile(r"[\t\n\r\x20-\x7e]*")
_RARE = ((0x180, 0x370), (0x530, 0x5D0), (0x700, 0x800))  # what two signs by chance become: phonetics, accents, Syriac, NKo
_CHANCE = 2  # so many rare letters may be chance


def mended(text: str, mojibake: bool = True, marks: bool = True, controls: bool = True) -> str:
    """The text as it was meant.

    >>> mended("Ã¼ber cafÃ© â€” so"), mended("Ü, ß, …: fine")
    ('über café — so', 'Ü, ß, …: fine')
    """
    if _PLAIN.fullmatch(text):
        return text
    while True:  # what is taken out may bring letters together; every change makes the text shorter, or names a control
        once = _undone(text) if mojibake else text
        once = once.replace("\ufeff", "") if marks else once
        once = once.translate(_CONTROLS) if controls else once
        if once == text:
            return text
        text = once


def _undone(text: str) -> str:
    """Wrong readings taken back, one after the other, and controls that stand for letters replaced."""
    while (once := _back(text)) != text:
        text = once
    return text.translate(_LATER)


def _back(text: str) -> str:
    """One wrong reading taken back; the text itself where there was none."""
    if text.isascii():
        return text
    out = bytearray()
    for letter in text:
        code = _BYTES.get(letter, ord(letter))  # Latin-1 has a letter at each of the 5 places that Windows-1252 leaves empty
        if code > 255:
            return text
        out.append(code)
    try:
        found = out.decode("utf-8")
    except UnicodeDecodeError:
        return text
    gained = [ord(letter) for letter in found if ord(letter) > 127]
    rare = sum(any(low <= code < high for low, high in _RARE) for code in gained)
    return text if rare == len(gained) <= _CHANCE else found


__all__ = ["mended"]
