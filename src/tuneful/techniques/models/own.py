"""Own: the user's network, from a file, an installed package or a callable.

    model=net.py:Net width=64                          # a class or function that gives an nn.Module, and its argument
    model=own model.factory=mypackage.nets:small       # the long form; here of one that is importable
    Own.of(Net, width=64)                              # from Python

The factory is called with those of inputs=shape and outputs=number (and for tokens vocabulary=number) that its signature
names, and with the arguments.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Literal, Self

from pydantic import PrivateAttr, field_validator
from torch import nn

from tuneful.core.config import Auto, Settings, nearest, show
from tuneful.core.errors import ModelError
from tuneful.core.form import Form
from tuneful.techniques.interfaces import Model
from tuneful.techniques.models.arguments import takes


class Own(Model):
    """Your own nn.Module, trained and tuned like ours."""

    source: ClassVar[str] = "you"
    cost: ClassVar[str] = "what it costs; `tuneful check` counts it"
    hint: ClassVar[str] = "factory=file.py:Name or factory=package.module:Name"

    places: ClassVar[bool] = True
    stackable: ClassVar[str] = "your forward() may hold what vmap cannot batch"

    kind: Literal["own"] = "own"
    factory: str  # file.py:Name or package.module:Name of a class or function that gives an nn.Module
    arguments: Mapping[str, Any] = {}  # plain values that the factory is called with

    _callable: Callable[..., Any] | None = PrivateAttr(default=None)

    @field_validator("factory")
    @classmethod
    def _has_two_parts(cls, value: str) -> str:
        place, _, name = value.rpartition(":")
        if not place or not name:
            raise ValueError("it must be file.py:Name or package.module:Name")
        return value

    @classmethod
    def of(cls, factory: Callable[..., nn.Module], **arguments: Any) -> Self:
        """From a class or function itself.

        The object keeps the callable. Recipes in files keep only its module and name, so what shall be read back later, or by
        another process, must stand at the top of a module or script.
        """
        name = getattr(factory, "__qualname__", type(factory).__qualname__)
        own = cls(factory=f"{getattr(factory, '__module__', '__main__')}:{name}", arguments=arguments)
        own._callable = factory
        return own

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed; the callable goes along unless another factory is named."""
        new = super().replace(**changes)
        new._callable = None if "factory" in changes else self._callable
        return new

    def takes(self) -> dict[str, Any]:
        """The arguments that may be set, with their annotations (see `arguments.takes`); {} where there is no such factory: `build`
        says so."""
        try:
            return takes(self._callable or find(self.factory))
        except ModelError:
            return {}

    def build(self, form: Form) -> nn.Module:
        """What the factory makes. Raises ModelError, with the factory's own error as its cause, when there is no such file,
        module or name, the name cannot be called, the arguments do not fit, it raises, or it gives no nn.Module."""
        factory = self._callable or find(self.factory)
        wanted = _arguments(factory, self.factory, self.arguments, _offered(form))
        try:
            net = factory(**wanted)
        except Exception as error:  # the user's code may raise anything
            called = ", ".join(f"{name}={show(value)}" for name, value in wanted.items())
            raise ModelError(
                f"{self.factory} raised when it was called with ({called}): {type(error).__name__}: {error}",
                "call it with the same arguments in Python to see where",
            ) from error
        if not isinstance(net, nn.Module):
            raise ModelError(
                f"{self.factory} gave {type(net).__name__}; it must give an nn.Module", "return the network itself"
            )
        return net


def _offered(form: Form) -> dict[str, Any]:
    """What a factory may ask for by name."""
    offered: dict[str, Any] = {"inputs": form.shape, "outputs": form.outputs}
    return offered | {"vocabulary": form.vocabulary} if form.whole else offered


def with_callable(model: Settings | Auto, given: Settings | None) -> Settings | Auto:
    """A model as a file tells it, with the callable of the user's own object where both name the same factory."""
    if isinstance(model, Own) and isinstance(given, Own) and model.factory == given.factory:
        return given.replace(arguments=model.arguments)
    return model


def find(factory: str) -> Callable[..., Any]:
    """The callable that "file.py:Name" or "package.module:Name" names; dots in Name go into classes. Raises ModelError."""
    place, _, name = factory.rpartition(":")
    if "<" in name:
        raise ModelError(
            f"model.factory is {factory}, which was made inside a function and cannot be found again by its name",
            "move it to the top of a module or script",
        )
    found: Any = _from_file(Path(place).expanduser()) if place.endswith(".py") else _from_package(place)
    module = found
    for part in name.split("."):
        known = [n for n in vars(found) if not n.startswith("_")]
        if part not in known and not hasattr(found, part):
            guess = nearest(part, known)
            mine = [n for n in known if getattr(getattr(module, n, None), "__module__", None) == module.__name__]
            raise ModelError(
                f"{place} has nothing named {part}" + (f"; did you mean {guess}?" if guess else ""),
                f"it has {', '.join(mine[:10])}" if mine else "write the class or function in it first",
            )
        found = getattr(found, part)
    if not callable(found):
        raise ModelError(
            f"{factory} is {type(found).__name__}; it must be a class or function that gives an nn.Module",
            f"write def make(outputs): return {name}, and name that" if isinstance(found, nn.Module) else "",
        )
    if isinstance(found, nn.Module):
        raise ModelError(
            f"{factory} is a network that is made already; it must be the class, or a function that makes one",
            "every trial needs a network of its own",
        )
    return found


def _from_file(path: Path) -> ModuleType:
    """A file as a module. One version of it is read once a process; a changed file is read again."""
    if not path.is_file():
        there = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        guess = nearest(path.name, there)
        raise ModelError(
            f"model.factory names the file {path}, which does not exist" + (f"; did you mean {guess}?" if guess else ""),
            f"it is looked for from {Path.cwd()}" if not path.is_absolute() else "",
        )
    path = path.resolve()
    stamp = hashlib.blake2b(str(path).encode() + path.read_bytes(), digest_size=8).hexdigest()
    name = f"tuneful_own_{path.stem}_{stamp}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be read as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickling look themselves up there
    try:
        with _searching(path.parent):
            spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


def _from_package(place: str) -> ModuleType:
    """A module by its dotted name, looked for among the installed ones and in the working directory."""
    try:
        with _searching(Path.cwd()):
            return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise _failed(place, error) from error
        raise ModelError(
            f"model.factory names the module {place}, which is not found ({error})",
            "for a file write path/to/file.py:Name; a package must be installed or lie in the working directory",
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise _failed(place, error) from error


def _failed(place: str, error: Exception) -> ModelError:
    line = f" (line {error.lineno})" if isinstance(error, SyntaxError) else ""
    text = f"{place} could not be imported: {type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}{line}"
    return ModelError(text, "see that python can run it by itself")


@contextmanager
def _searching(folder: Path) -> Iterator[None]:
    """Modules beside the file are found while it is imported, as when Python runs it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        if str(folder) in sys.path:
            sys.path.remove(str(folder))


def _arguments(
    factory: Callable[..., Any], name: str, given: Mapping[str, Any], offered: Mapping[str, Any]
) -> dict[str, Any]:
    """The call's arguments: what was given, and what is offered where the signature names it. Raises ModelError."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # built in: it keeps its signature to itself
        return dict(given)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = [n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    call = {n: value for n, value in offered.items() if n in known} | dict(given)
    for unknown in (n for n in call if n not in known and not takes_any):
        guess = nearest(unknown, known)
        raise ModelError(
            f"{name} takes no argument named {unknown}" + (f"; did you mean {guess}?" if guess else ""),
            f"it takes {', '.join(known)}" if known else "it takes no arguments",
        )
    missing = [n for n in known if parameters[n].default is inspect.Parameter.empty and n not in call]
    if missing:
        raise ModelError(
            f"{name} needs {' and '.join(missing)}, which model.arguments does not give",
            f"write model.arguments.{missing[0]}=VALUE; inputs (the shape) and outputs (the number) are given by themselves",
        )
    return call
