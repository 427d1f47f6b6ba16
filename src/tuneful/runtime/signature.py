"""Who vouches for an artifact: an ed25519 signature over the bytes of its manifest, which holds the hash of every file.

    signature.json   {"format": 1, "algorithm": "ed25519", "public_key": base64 of 32 bytes, "signature": base64 of 64 bytes}

The public key inside says who claims to have signed, not that this is who they claim to be: give the key that you trust. Keys are
PEM files as `openssl genpkey -algorithm ed25519` writes them, so that openssl can check without us:

    openssl pkeyutl -verify -rawin -pubin -inkey KEY.pub -in manifest.json -sigfile SIGNATURE

Source: Bernstein et al., High-speed high-security signatures, 2012; RFC 8032 (the pure form, no prefix); RFC 8410 (PEM).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast

from tuneful.core.artifact import MANIFEST, SIGNATURE, Artifact
from tuneful.core.errors import ArtifactError, MissingError, StorageError

FORMAT = 1
_SIZES = {"public_key": 32, "signature": 64}
_MOST = 4096  # bytes of the file


def new_key(path: Path) -> Path:
    """Write a new secret key to `path`, readable by its owner alone, and the public one to `path`.pub, which is returned.

    Raises: StorageError when either exists or cannot be written.
    """
    keys, forms = _cryptography()
    secret = keys.Ed25519PrivateKey.generate()
    pem = secret.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    public = secret.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    beside = path.with_name(path.name + ".pub")
    for place, data, mode in ((path, pem, 0o600), (beside, public, 0o644)):
        try:
            with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(data)
        except OSError as error:
            why = "it exists, and is not overwritten" if isinstance(error, FileExistsError) else error.strerror
            raise StorageError(f"the key {place} cannot be written: {why}", "give another name") from None
    return beside


def sign(artifact: Artifact, key: Path) -> str:
    """Sign an artifact that was found whole, in the place of a signature that lies there, and return the key's fingerprint.

    key: a secret key. Raises ArtifactError when it is none, StorageError when the folder cannot be written.
    """
    keys, forms = _cryptography()
    secret = _read_key(key, "secret")
    if not isinstance(secret, keys.Ed25519PrivateKey):
        raise ArtifactError(f"{key} is no secret ed25519 key", "`tuneful seal --new-key NAME` makes one")
    public = secret.public_key().public_bytes(forms.Encoding.Raw, forms.PublicFormat.Raw)
    told = {
        "format": FORMAT, "algorithm": "ed25519", "public_key": base64.b64encode(public).decode(),
        "signature": base64.b64encode(secret.sign(_manifest(artifact.folder))).decode(),
    }  # fmt: skip
    aside = artifact.folder.parent / f".{artifact.folder.name}.{SIGNATURE}.part"
    try:
        aside.write_text(json.dumps(told, indent=1) + "\n", encoding="ascii")
        aside.replace(artifact.folder / SIGNATURE)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StorageError(
            f"{artifact.folder / SIGNATURE} cannot be written: {error.strerror}", "see that the folder can be"
        ) from None
    return fingerprint(public)


def signed_by(artifact: Artifact, trusted: Path | None = None) -> str:
    """The fingerprint of the key that signed an artifact; "" where nobody did.

    trusted: a public key (or a secret one), which must be the one that signed. Raises ArtifactError when the signature is not that
    of the manifest, when it is damaged, or when another key or none signed although one is trusted.
    """
    folder = artifact.folder
    wanted = None if trusted is None else _public(trusted)
    if not os.path.lexists(folder / SIGNATURE):
        if wanted is not None:
            raise ArtifactError(
                f"{folder} is not signed; {trusted} was to have signed it", "ask who made it for a signed copy"
            )
        return ""
    public, signature = _read(folder / SIGNATURE)
    if wanted is not None and public != wanted:
        raise ArtifactError(
            f"{folder} was signed by {fingerprint(public)}; {trusted} is {fingerprint(wanted)}", "do not use it"
        )
    keys, _ = _cryptography()
    from cryptography.exceptions import InvalidSignature

    try:
        keys.Ed25519PublicKey.from_public_bytes(public).verify(signature, _manifest(folder))
    except (InvalidSignature, ValueError):
        raise ArtifactError(
            f"{folder / SIGNATURE} is no signature of {MANIFEST}: one of them was changed", "do not use it"
        ) from None
    return fingerprint(public)


def fingerprint(public: bytes) -> str:
    """A short name of a public key.

    >>> fingerprint(bytes(32))
    'ed25519:66687aadf862bd77'
    """
    return "ed25519:" + hashlib.sha256(public).hexdigest()[:16]


def _manifest(folder: Path) -> bytes:
    return (folder / MANIFEST).read_bytes()


def _read(path: Path) -> tuple[bytes, bytes]:
    """(public key, signature) of a file, checked for form."""
    why = "it is no plain file"
    try:
        if path.is_file() and not path.is_symlink():
            why = "it is not as `tuneful seal` writes it"
            with path.open("rb") as file:
                told = cast("dict[str, Any]", json.loads(file.read(_MOST)))
            parts = {name: base64.b64decode(told[name], validate=True) for name in _SIZES}
            if (
                told["format"] == FORMAT
                and told["algorithm"] == "ed25519"
                and all(len(parts[n]) == size for n, size in _SIZES.items())
            ):
                return parts["public_key"], parts["signature"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError, binascii.Error):
        pass
    raise ArtifactError(
        f"{path} cannot be read: {why}", "do not use it, or move it away if you trust the artifact without it"
    )


def _public(path: Path) -> bytes:
    keys, forms = _cryptography()
    key = _read_key(path, "public")
    if isinstance(key, keys.Ed25519PrivateKey):
        key = key.public_key()
    if not isinstance(key, keys.Ed25519PublicKey):
        raise ArtifactError(f"{path} is no ed25519 key", "give the .pub file of who signs")
    return key.public_bytes(forms.Encoding.Raw, forms.PublicFormat.Raw)


def _read_key(path: Path, what: str) -> Any:
    _, forms = _cryptography()
    try:
        data = path.read_bytes()[:65_536]
    except OSError as error:
        raise ArtifactError(
            f"the {what} key {path} cannot be read: {error.strerror}", "give the path of a PEM file"
        ) from None
    for load in (forms.load_pem_public_key, lambda pem: forms.load_pem_private_key(pem, None)):  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
        try:
            return load(data)
        except (ValueError, TypeError, _unsupported()):
            continue
    raise ArtifactError(f"{path} is no {what} key in PEM, or has a password", "`tuneful seal --new-key NAME` makes a pair")


def _unsupported() -> type[Exception]:
    from cryptography.exceptions import UnsupportedAlgorithm

    return UnsupportedAlgorithm


def _cryptography() -> tuple[Any, Any]:
    try:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingError("cryptography", "sign", "a signature") from None
    return ed25519, serialization


__all__ = ["fingerprint", "new_key", "sign", "signed_by"]
