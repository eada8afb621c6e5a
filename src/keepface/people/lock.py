"""Keep files under a passphrase: scrypt makes a key of it, which opens the library's own key; AES-256-GCM seals files.

    Percival, Josefsson 2016, "The scrypt password-based key derivation function", RFC 7914  [scrypt]
    McGrew, Viega 2004, "The Galois/Counter Mode of operation"; NIST SP 800-38D  [GCM]

Each file is sealed under a name of its own, so that one can't be put in another's place.
"""

import secrets
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from keepface.errors import KeepfaceError, MissingExtraError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

COST = 2**17  # ours: 128 MiB and a third of a second for one guess
BLOCK, LANES = 8, 1  # r and p of [scrypt]
MOST_COST = 2**18  # a foreign file may not ask for more
KEY_BYTES, SALT_BYTES, NONCE_BYTES = 32, 16, 12
SHORTEST = 8  # ours: characters of a passphrase
PASSPHRASE = "KEEPFACE_PASSPHRASE"  # environment variable read in place of asking
KEY_LABEL = "keepface library key"


@dataclass(frozen=True)
class LockSettings:
    """What stands in the open beside sealed files: how the passphrase becomes a key, and the sealed key."""

    salt: str  # hex
    cost: int  # N of [scrypt]
    sealed_key: str  # hex


@runtime_checkable
class Seal(Protocol):
    """What is done to bytes on their way to the disk and back."""

    def seal(self, data: bytes, label: str) -> bytes:
        """Make bytes for the disk of a file's content; `label` names the file."""
        ...

    def open(self, data: bytes, label: str) -> bytes:
        """Return the content that was sealed under `label`."""
        ...


class Unlocked:
    """Leave files as they are."""

    def seal(self, data: bytes, label: str) -> bytes:
        """Return the bytes given."""
        return data

    def open(self, data: bytes, label: str) -> bytes:
        """Return the bytes given."""
        return data


class Locked:
    """Seal files with a key of 32 bytes. [GCM]"""

    def __init__(self, key: bytes) -> None:
        self._cipher = _cipher(key)

    def seal(self, data: bytes, label: str) -> bytes:
        """Seal bytes under a fresh nonce, which goes before them."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, label.encode())

    def open(self, data: bytes, label: str) -> bytes:
        """Open what was sealed under the same label.

        Raises:
            KeepfaceError: the bytes were changed, belong to another file, or to another key.
        """
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], label.encode())
        except (InvalidTag, ValueError):
            raise KeepfaceError(
                f"{label}: is damaged, or was not sealed by this library; take it from a copy"
            ) from None


def new_lock(passphrase: str, cost: int = COST) -> tuple[LockSettings, Locked]:
    """Draw a key and seal it with a passphrase of at least 8 characters; `cost` is N of scrypt, a power of 2.

    Raises:
        KeepfaceError: the passphrase is too short.
        MissingExtraError: the package cryptography is not installed.
    """
    if len(passphrase) < SHORTEST:
        raise KeepfaceError(f"the passphrase has {len(passphrase)} characters; at least {SHORTEST} are needed")
    key, salt = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(SALT_BYTES)
    sealed = Locked(_stretched(passphrase, salt, cost)).seal(key, KEY_LABEL)
    return LockSettings(salt.hex(), cost, sealed.hex()), Locked(key)


def open_lock(settings: LockSettings, passphrase: str) -> Locked:
    """Open the key with the passphrase.

    Raises:
        KeepfaceError: the passphrase is wrong, or the settings are damaged.
        MissingExtraError: the package cryptography is not installed.
    """
    if not 2 <= settings.cost <= MOST_COST or settings.cost & (settings.cost - 1):
        raise KeepfaceError(f"the lock's cost is {settings.cost}; it must be a power of 2, at most {MOST_COST}")
    try:
        salt, sealed = bytes.fromhex(settings.salt), bytes.fromhex(settings.sealed_key)
    except ValueError:
        raise KeepfaceError("the lock is damaged: its salt or key is no hex text; take it from a copy") from None
    stretched = Locked(_stretched(passphrase, salt, settings.cost))
    try:
        return Locked(stretched.open(sealed, KEY_LABEL))
    except KeepfaceError:
        raise KeepfaceError(
            f"wrong passphrase; type it again, or set {PASSPHRASE} (a lost passphrase can't be recovered)"
        ) from None


def _stretched(passphrase: str, salt: bytes, cost: int) -> bytes:
    """Make a key of a passphrase. [scrypt]"""
    _needed()
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    text = unicodedata.normalize("NFKC", passphrase).encode("utf-8", "surrogatepass")
    return Scrypt(salt=salt, length=KEY_BYTES, n=cost, r=BLOCK, p=LANES).derive(text)


def _cipher(key: bytes) -> "AESGCM":
    _needed()
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _needed() -> None:
    try:
        import cryptography  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "a library under a passphrase needs the package cryptography; type: pip install 'keepface[lock]'"
        ) from None
