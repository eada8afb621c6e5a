"""People with drawn pictures and made-up features for the store; the example photos and real networks for the rest."""

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.nn import functional

from keepface.faces.align import template_face
from keepface.identity.embed import IdentityFeatures
from keepface.identity.recogniser import CONDITIONING
from keepface.people.features import Networks, PhotoFeatures
from keepface.people.person import ReferencePhoto, new_key, today
from keepface.people.store import Library, NewPhoto, open_library

COST = 2**4  # of scrypt: weak and quick
PNG = (b"\x89PNG\r\n\x1a\n", b"\x00\x00\x00\rIHDR", b"\x00\x00\x00\x00IEND")  # too long to come up by chance
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def drawn_file(seed: int) -> bytes:
    """Make the bytes of a small PNG; they are not like those of another seed."""
    noise = torch.randint(0, 256, (24, 24, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
    out = io.BytesIO()
    Image.fromarray(noise.numpy()).save(out, "PNG")
    return out.getvalue()


def made_up_features(seed: int) -> PhotoFeatures:
    """Make features that no network made; those of different seeds are nearly at right angles."""
    rng = torch.Generator().manual_seed(seed)

    def unit(size: int) -> torch.Tensor:
        return functional.normalize(torch.randn(size, generator=rng), dim=0)

    provenance = {"recogniser": CONDITIONING, "recogniser_sha256": "0" * 64, "channels": "rgb"}
    features = IdentityFeatures(unit(128), unit(64), template_face(24), provenance, torch.ones(4, 8))
    return PhotoFeatures(features, unit(32), "nobody 0")


def new_photo(seed: int, link: str | None = None, year: int | None = None) -> NewPhoto:
    data = drawn_file(seed)
    record = ReferencePhoto(
        new_key(), hashlib.sha256(data).hexdigest(), f"drawn-{seed}.png", today(), year=year, link=link
    )
    return NewPhoto(record, None if link else data, made_up_features(seed))


def nobody_asks() -> str:
    raise AssertionError("no passphrase should be asked for")


def reopened(library: Library, passphrase: Callable[[], str] = nobody_asks) -> Library:
    return open_library(library.folder, passphrase)


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """An empty library without a lock."""
    return open_library(tmp_path / "library", nobody_asks).make()


@pytest.fixture(scope="session")
def networks() -> Networks:
    return Networks.load()
