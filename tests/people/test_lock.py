import hashlib

import pytest

pytest.importorskip("cryptography")

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keepface.errors import KeepfaceError
from keepface.people.lock import BLOCK, KEY_LABEL, LANES, Locked, LockSettings, new_lock, open_lock

from .conftest import COST

PASSPHRASE = "correct horse"


def test_what_was_sealed_opens_with_the_passphrase_alone() -> None:
    settings, seal = new_lock(PASSPHRASE, COST)
    sealed = seal.seal(b"anna", "a/person.json")
    assert b"anna" not in sealed
    assert open_lock(settings, PASSPHRASE).open(sealed, "a/person.json") == b"anna"


def test_a_wrong_passphrase_is_told_in_so_many_words() -> None:
    settings, _ = new_lock(PASSPHRASE, COST)
    with pytest.raises(KeepfaceError, match="wrong passphrase.*KEEPFACE_PASSPHRASE"):
        open_lock(settings, PASSPHRASE + " ")


def test_the_key_is_what_scrypt_and_aes_of_other_makers_find() -> None:
    settings, seal = new_lock(PASSPHRASE, COST)
    stretched = hashlib.scrypt(
        PASSPHRASE.encode(), salt=bytes.fromhex(settings.salt), n=settings.cost, r=BLOCK, p=LANES, dklen=32
    )
    sealed_key = bytes.fromhex(settings.sealed_key)
    key = AESGCM(stretched).decrypt(sealed_key[:12], sealed_key[12:], KEY_LABEL.encode())
    assert Locked(key).open(seal.seal(b"x", "name"), "name") == b"x"


def test_a_file_can_neither_be_changed_nor_put_in_anothers_place() -> None:
    _, seal = new_lock(PASSPHRASE, COST)
    sealed = seal.seal(b"anna", "a")
    changed = bytes([*sealed[:-1], sealed[-1] ^ 1])
    for data, label in ((sealed, "b"), (changed, "a"), (sealed[:5], "a"), (b"", "a")):
        with pytest.raises(KeepfaceError, match="is damaged, or was not sealed by this library"):
            seal.open(data, label)


def test_the_same_content_never_looks_the_same_twice() -> None:
    _, seal = new_lock(PASSPHRASE, COST)
    assert len({seal.seal(b"anna", "a") for _ in range(50)}) == 50


def test_a_short_passphrase_and_a_lock_that_asks_too_much_are_refused() -> None:
    with pytest.raises(KeepfaceError, match="7 characters; at least 8"):
        new_lock("1234567", COST)
    for cost in (2**30, 3, 0, -2):
        with pytest.raises(KeepfaceError, match="must be a power of 2"):
            open_lock(LockSettings("00" * 16, cost, "00" * 60), PASSPHRASE)
