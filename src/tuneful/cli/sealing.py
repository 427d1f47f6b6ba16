"""The commands for what is shipped: verify, and seal (words of the owner, a signature)."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tuneful.cli import runs
from tuneful.cli.work import AsJson, Home
from tuneful.core.errors import TunefulError

Which = Annotated[str, typer.Argument(metavar="RUN|ARTIFACT", help="an artifact, or a run that has one", show_default=False)]


def verify(
    artifact: Which,
    key: Annotated[Path | None, typer.Option("--key", metavar="KEY.pub", help="the public key that must have signed it")] = None,
    home: Home = None, as_json: AsJson = False,
) -> int:  # fmt: skip
    """Check everything about an artifact that can be checked without its data; the exit code is 2 when something fails.

    Hashes of all files, signature, weights, schema, statistics, card, bill of materials; no file may be a pickle, and the network
    is loaded and run once in a process of its own. Needs no torch.
    """
    folder = runs.artifact(artifact, runs.home(home))
    from tuneful.runtime.verified import verified

    found = verified(folder, key)
    bad = [one for one in found if one.holds is False]
    if as_json:
        print(json.dumps([vars(one) for one in found], indent=1))
    else:
        signs = {True: "ok", False: "FAILS", None: "-"}
        print("\n".join(f"{signs[one.holds]:<5}  {one.name:<9}  {one.said}" for one in found))
    if bad:
        print(f"{folder} cannot be trusted: {len(bad)} of {len(found)} checks fail", file=sys.stderr)
    return 2 if bad else 0


def seal(
    artifact: Annotated[str | None, typer.Argument(metavar="[RUN|ARTIFACT]", help="an artifact, or a run that has one",
                                                   show_default=False)] = None,
    about: Annotated[Path | None, typer.Option("--about", metavar="FILE", help="words of its owner: a TOML file with licence, "
                                               "contact, name, uses, users, out_of_scope, factors, collection, sensitive, risks, advice, citation")] = None,
    sign: Annotated[Path | None, typer.Option("--sign", metavar="KEY", help="sign it with this secret key")] = None,
    new_key: Annotated[Path | None, typer.Option("--new-key", metavar="KEY", help="make a key first: KEY and KEY.pub")] = None,
    home: Home = None,
) -> int:  # fmt: skip
    """Add to an artifact what only its owner can say, and sign it.

    The words go into card, licence and bill of materials, and all is sealed anew. The signature (ed25519) is one of the manifest,
    which holds the hash of every file; $TUNEFUL_SIGN_KEY has every new artifact signed when it is shipped.
    """
    if new_key is not None:
        from tuneful.runtime.signature import new_key as made

        print(made(new_key))
    if artifact is None:
        if about is None and sign is None and new_key is not None:
            return 0
        raise TunefulError("seal wants an artifact", "such as `tuneful seal runs/digits/artifact --sign models.key`")
    if about is None and sign is None:
        raise TunefulError("there is nothing to do", "give --about FILE, --sign KEY, or both")
    folder = runs.artifact(artifact, runs.home(home))
    if about is not None:
        from tuneful.pipeline.sealing import Owner, again

        again(folder, Owner.read(about))
    if sign is not None:
        from tuneful.core.artifact import unseal
        from tuneful.runtime.signature import sign as signed

        print(f"signed by {signed(unseal(folder), sign)}", file=sys.stderr)
    print(folder)
    return 0
