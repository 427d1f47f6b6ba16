"""Fix the encoding: text that was read by the wrong table of letters is put right, marks and control characters go.

    "cafÃ©" -> "café";  a byte order mark or a control character -> nothing

Changed is only what a reversible round trip (UTF-8 read as Windows-1252 or Latin-1, and back) proves to be such text; see
`core.mojibake`, which does the same to what is predicted. Cells, texts and class names are mended, names of columns are not.

Source: RFC 3629 (UTF-8); the WHATWG Encoding Standard's index of windows-1252.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from tuneful.techniques.cleaners.cleaner import Mender


class FixEncoding(Mender):
    """Text that was read by the wrong table of letters is put right."""

    source: ClassVar[str] = "RFC 3629 (UTF-8); the WHATWG Encoding Standard's index of windows-1252"
    cost: ClassVar[str] = (
        "one look at every text, about a second for a million short ones, when training and when predicting"
    )
    serves: ClassVar[tuple[str, ...]] = ("table", "text", "sentence", "prose")

    kind: Literal["fix_encoding"] = "fix_encoding"
    mojibake: bool = True  # undo UTF-8 that was read as Windows-1252 or Latin-1, where it can be undone
    marks: bool = True  # take byte order marks out
    controls: bool = True  # take control characters out, but for tab and line ends

    def flags(self) -> Mapping[str, bool]:
        return {"mojibake": self.mojibake, "marks": self.marks, "controls": self.controls}
