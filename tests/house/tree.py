"""Bring the tree in a README up to date: python tests/house/tree.py README.md ...

The tree is the code block whose first line is `src/tuneful/`. A caption that is there stays; a new file gets the first sentence
of its docstring. Without a README it prints the tree.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "src" / "tuneful"
BLOCK = re.compile(r"(```[a-z]*\n)(src/tuneful/\n.*?)(```)", re.DOTALL)
LINE = re.compile(r"^((?:[│ ] {3})*)[├└]── (\S+)(?: +(\S.*))?$")


def read(block: str) -> dict[str, str]:
    """The captions of a tree: path from src/tuneful (folders end in /) -> caption. Raises ValueError for a line that is none."""
    found: dict[str, str] = {}
    above: list[str] = []
    for line in block.splitlines()[1:]:
        part = LINE.match(line)
        if not part:
            raise ValueError(f"not a line of a tree: {line!r}")
        above[len(part[1]) // 4 :] = [part[2]]
        path = "".join(above)
        if path in found:
            raise ValueError(f"twice in the tree: {path}")
        found[path] = part[3] or ""
    return found


def real() -> dict[str, str]:
    """The tree as it is. A folder stands for its __init__.py; only the package's own is listed apart."""
    found: dict[str, str] = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE)
        inner = path.name == "__init__.py" and path.parent != PACKAGE
        said = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n\n")[0]
        sentence = re.split(r"(?<=[\w)`])[.;](?=\s|$)", " ".join(said.split()))[0]
        found[f"{name.parent.as_posix()}/" if inner else name.as_posix()] = sentence
    return found


def draw(captions: dict[str, str]) -> str:
    """The lines of the tree, files before folders in each folder, captions in one column a folder."""

    def level(folder: str, indent: str) -> list[str]:
        names = [path for path in captions if path.startswith(folder) and re.fullmatch(r"[^/]+/?", path[len(folder) :])]
        names.sort(key=lambda path: (path.endswith("/"), path[len(folder) :] != "__init__.py", path))
        width = max((len(path) - len(folder) for path in names), default=0)
        lines = []
        for path in names:
            last = path == names[-1]
            lines.append(f"{indent}{'└' if last else '├'}── {path[len(folder) :]:<{width}}  {captions[path]}".rstrip())
            if path.endswith("/"):
                lines += level(path, indent + ("    " if last else "│   "))
        return lines

    return "\n".join(["src/tuneful/", *level("", "")]) + "\n"


def main(readmes: list[str]) -> None:
    """Rewrite the tree of each README, or print it."""
    if not readmes:
        print(draw(real()), end="")
    for name in readmes:
        path = Path(name)
        text = path.read_text("utf-8")
        block = BLOCK.search(text)
        if not block:
            raise SystemExit(f"{name}: there is no code block that begins with src/tuneful/")
        kept = read(block[2])
        new = draw({where: kept.get(where) or said for where, said in real().items()})
        path.write_text(text[: block.start(2)] + new + text[block.end(2) :], "utf-8")
        print(f"{name}: {len(real())} lines; new: {', '.join(sorted(real().keys() - kept.keys())) or 'none'}; "
              f"gone: {', '.join(sorted(kept.keys() - real().keys())) or 'none'}")  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
