"""Content Credentials: the statement of provenance signed with the user's own certificate, as the last step of all.

    Coalition for Content Provenance and Authenticity, "C2PA Technical Specification" 2.x  [C2PA]

The photo as it was is named as the parent. No thumbnail, no name and no reference goes in, and nothing is asked of the
network: there is no trusted time unless the user's certificate brings it.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keepface.engine.provenance import SOURCE_TYPE, TOOL, Maker, Options
from keepface.errors import KeepfaceError, MissingExtraError, PhotoError
from keepface.image.endings import FORMATS, MIME
from keepface.image.files import write_bytes

ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
OWN_LABEL = "io.keepface.restoration"
SETTINGS = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"remote_manifest_fetch": False}}


@dataclass(frozen=True)
class Certificate:
    """The user's certificate chain (own one first) and private key, as PEM files."""

    chain: Path
    key: Path
    algorithm: str = "es256"

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise KeepfaceError(f"signing algorithm {self.algorithm!r} is unknown; use one of {', '.join(ALGORITHMS)}")


def sign(output: Path, original: Path, certificate: Certificate, maker: Maker, options: Options) -> None:
    """Sign a written result in place, with the photo it was made of as its parent; the file is replaced whole.

    Raises:
        MissingExtraError: c2pa-python is not installed.
        KeepfaceError: the certificate or key can't be read, or is refused by the library; the result stays unsigned.
    """
    c2pa = _library()
    chain, key = (_read(path) for path in (certificate.chain, certificate.key))
    data, mime = output.read_bytes(), MIME[FORMATS[output.suffix.lower()]]
    parent = MIME.get(FORMATS.get(original.suffix.lower(), ""), "")
    signed = io.BytesIO()
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(SETTINGS))
        info = c2pa.C2paSignerInfo(certificate.algorithm, chain, key, None)
        with c2pa.Signer.from_info(info) as signer, c2pa.Builder(_manifest(mime, maker, options), context) as builder:
            if parent:
                builder.set_intent(c2pa.C2paBuilderIntent.EDIT)
                named = json.dumps({"title": "photo before restoration", "relationship": "parentOf"})
                builder.add_ingredient(named, parent, io.BytesIO(original.read_bytes()))
            builder.sign(signer, mime, io.BytesIO(data), signed)
    except (c2pa.C2paError, ValueError) as error:
        raise KeepfaceError(f"{output}: not signed: {error}; the file itself is complete") from None
    write_bytes(signed.getvalue(), output, force=True)


def read_credentials(path: Path) -> dict[str, Any]:
    """Return the manifest store of a signed file as plain data, with the library's own verdict as "validation_state".

    Raises:
        MissingExtraError: c2pa-python is not installed.
        PhotoError: the file has no credentials, or they can't be read.
    """
    c2pa = _library()
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(SETTINGS))
        data = io.BytesIO(path.read_bytes())
        with c2pa.Reader(MIME[FORMATS[path.suffix.lower()]], data, context=context) as reader:
            found: dict[str, Any] = json.loads(reader.json())
            return found | {"validation_state": reader.get_validation_state()}
    except (c2pa.C2paError, OSError, ValueError) as error:
        raise PhotoError(f"{path}: has no content credentials that can be read: {error}") from None


def _manifest(mime: str, maker: Maker, options: Options) -> str:
    """Write what is signed: that a picture was edited by a trained model, which one, and by what options. [C2PA]"""
    agent = {"name": TOOL, "version": maker.version}
    edited = {"action": "c2pa.edited", "digitalSourceType": SOURCE_TYPE, "softwareAgent": agent}
    own = {"method": maker.method, "family": maker.family, "options_sha256": options.sha256}
    own |= {"family_sha256": maker.family_sha256, "method_sha256": maker.method_sha256}
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [edited]}},
        {"label": OWN_LABEL, "data": {name: value for name, value in own.items() if value is not None}},
    ]
    return json.dumps({"claim_generator_info": [agent], "format": mime, "assertions": assertions})


def _library() -> Any:
    try:
        import c2pa
    except ImportError:
        raise MissingExtraError("signing is done by c2pa-python: pip install 'keepface[c2pa]'") from None
    return c2pa


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise KeepfaceError(f"{path}: can't be read: {error.strerror or error}") from None
