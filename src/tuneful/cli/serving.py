"""The command `serve`: artifacts over HTTP. Needs no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneful.cli import runs
from tuneful.cli.work import Home
from tuneful.core.errors import TunefulError


def serve(
    artifacts: Annotated[list[str] | None, typer.Argument(metavar="[[NAME=]RUN|ARTIFACT]...", show_default=False,
                         help="a run or an artifact, each under a name; the same name again is a newer version")] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="of the only model; that of its run when left out")] = None,
    models: Annotated[Path | None, typer.Option("--models", metavar="FILE", help="a TOML file with versions, canary and shadow, read again on SIGHUP")] = None,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="0.0.0.0 lets other machines in")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="NUMBER", help="0 takes a free one")] = 8080,
    processes: Annotated[int, typer.Option("--processes", metavar="N", help="processes that serve; one a core")] = 1,
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="CPU threads of one model in one process")] = 1,
    limits: Annotated[str, typer.Option("--limits", metavar="NAME=VALUE,...", help="such as body=32MB,rows=1000,queue=500,target_ms=20")] = "",
    token_file: Annotated[Path | None, typer.Option("--token-file", metavar="FILE", help="hashes of tokens, of which one is wanted from then on")] = None,
    new_token: Annotated[str | None, typer.Option("--new-token", metavar="NAME", help="add a token to --token-file, print it, and end")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="FILE", help="certificate chain (PEM)")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="FILE", help="its key (PEM)")] = None,
    log: Annotated[str, typer.Option("--log", metavar="all|errors|none", help="which requests are told on standard error, as JSON")] = "all",
    drain: Annotated[float, typer.Option("--drain", metavar="SECONDS", help="from SIGTERM to the end of silent connections")] = 1.0,
    record: Annotated[Path | None, typer.Option("--record", metavar="FILE", help="record predictions there (SQLite), for `tuneful watch`")] = None,
    on: Annotated[str, typer.Option("--on", metavar="here|ray", help="ray: on the cluster at $RAY_ADDRESS, --processes replicas of it")] = "here",
    recording: Annotated[str, typer.Option("--recording", metavar="NAME=VALUE,...", help="share=0.1,size=100MB,days=90,drop=name+mail*,inputs=no")] = "",
    home: Home = None,
) -> int:  # fmt: skip
    """Serve models over HTTP: the Open Inference Protocol, /predict for people, and a page to try them on.

    SIGHUP reads --models and every changed artifact again, without losing a request; SIGTERM ends after the last answer.
    """
    from tuneful.runtime.serve import tokens

    if new_token is not None:
        if token_file is None:
            raise TunefulError("--new-token needs the file that it is added to", "--token-file tokens.txt")
        print(tokens.make(token_file, new_token))
        print(f"its hash is in {token_file}; the token itself is nowhere kept", file=sys.stderr)
        return 0
    if bool(artifacts) == bool(models):
        raise TunefulError("give artifacts, or a file with --models", "such as `tuneful serve runs/digits/artifact`")
    if log not in ("all", "errors", "none"):
        raise TunefulError(f"--log is {log!r}; it must be all, errors or none")
    if token_file is not None:
        tokens.read(token_file)
    if host not in ("127.0.0.1", "::1", "localhost") and token_file is None:
        print("note: everyone who reaches this address may ask; --token-file FILE changes that", file=sys.stderr)
    if recording and record is None:
        raise TunefulError("--recording says how to record, and nothing is recorded", "--record FILE")
    if on not in ("here", "ray"):
        raise TunefulError(f"--on is {on!r}; it must be here or ray")
    from tuneful import __version__
    from tuneful.runtime.serve import Limits, Settings, run

    root = runs.home(home)
    words = tuple(_whole(word, root) for word in artifacts or ())
    settings = Settings(words, models, name, host, port, processes, threads, token_file, tls_cert, tls_key, log, drain, Limits.of(limits),
                        __version__, record, recording)  # fmt: skip
    if on == "ray":
        from tuneful.runtime.serve.clustered import run_on_ray as run
    return run(
        settings,
        lambda address: print(
            f"serving on {address}  (a page to try it, /docs, /v2, /predict, /metrics); Ctrl-C ends", flush=True
        ),
    )


def _whole(word: str, root: Path) -> str:
    """[NAME=]RUN or [NAME=]ARTIFACT as [NAME=]PATH."""
    name, equals, path = word.rpartition("=")
    return f"{name}{equals}{runs.artifact(path, root).resolve()}"
