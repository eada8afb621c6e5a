"""A person that the method has learned leads: squares and tiles, with references and without, and nobody else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from keepface.engine.matching import People
from keepface.engine.references import Reference, References
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import restore_any
from keepface.errors import RecipeError, WeightsError
from keepface.image.files import Photo
from keepface.methods.pfstorer import PFStorer

from ..methods.pfstorer_toy import open_gamma, photos_of, save_opened
from ..toy import SIZE, low_squares
from .test_restorer import people

SHORT = RestoreSettings(steps=2, sampler="ddim", colour="none", tile=False)


def restorer_of(method: PFStorer, other: Restorer) -> Restorer:
    return Restorer(method, other.embedder, other.judge)


@pytest.fixture(scope="module")
def family_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family with PFStorer's base, and beside it the file of one person."""
    folder: Path = tmp_path_factory.mktemp("families")
    method = save_opened(folder / "led")
    method.begin_person(photos_of(0), "personal", seed=0)
    open_gamma(method)
    method.save_adapter(folder / "anna.safetensors", {}, torch.float32)
    return folder


@pytest.fixture(scope="module")
def base(family_folder: Path) -> Restorer:
    return Restorer.from_pretrained(family_folder / "led", "pfstorer", "cpu")


@pytest.fixture(scope="module")
def led(family_folder: Path) -> Restorer:
    return Restorer.from_pretrained(
        family_folder / "led", "pfstorer", "cpu", adapter=family_folder / "anna.safetensors"
    )


def square(restorer: Restorer, who: Any = (), settings: RestoreSettings = SHORT, weights: Any = None) -> Tensor:
    return restorer.restore_squares(low_squares(1), [list(who)], settings, [3], weights and [weights])


def test_the_person_leads_with_and_without_references_whose_features_and_weights_do_not_matter(
    base: Restorer, led: Restorer
) -> None:
    nobody, anna = square(base), square(led)
    assert float((anna - nobody).abs().max()) > 1e-3
    for who, weights in ((people("a"), None), (people("b", "c"), [0.1, 0.0])):
        assert torch.equal(square(led, who, weights=weights), anna)


def test_identity_scales_the_person_down_to_nobody(base: Restorer, led: Restorer) -> None:
    one_step, nobody = replace(SHORT, steps=1), square(base, settings=replace(SHORT, steps=1))
    away = [float((square(led, (), replace(one_step, identity=share)) - nobody).norm()) for share in (0.0, 0.3, 1.0)]
    assert away[0] == 0 and 0 < away[1] < away[2]


def test_the_person_leads_every_tile(base: Restorer, led: Restorer) -> None:
    low = torch.cat([low_squares(1)[0], low_squares(2)[1], low_squares(3)[2]], dim=2)
    nobody, anna = (restorer.restore_tiles(low, [], SHORT, 0).pixels for restorer in (base, led))
    assert all(float(part.max()) > 1e-3 for part in (anna - nobody).abs().split(SIZE, dim=2))
    assert torch.equal(led.restore_tiles(low, people("a"), SHORT, 0).pixels, anna)


def test_where_references_chose_a_face_the_others_are_nobodys(base: Restorer, led: Restorer) -> None:
    choosing = led.for_chosen_faces()
    assert torch.equal(square(choosing), square(base)) and torch.equal(square(choosing, people("a")), square(led))
    assert choosing.for_chosen_faces() is choosing is led.for_chosen_faces()
    assert base.for_chosen_faces().method is base.method


def test_a_photo_without_references_is_led_and_one_whose_references_fit_nobody_is_left_alone(
    base: Restorer, led: Restorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The photo is said to be a face square, and the floor is out of reach: the references can't be this person's."""
    photo, settings = Photo(low_squares(1)[0]), replace(SHORT, same_person_floor=1.0, keep_worse=True)
    judged = led.judge.embed(photo.pixels, people("a")[0].face)
    given = References((Reference("a.jpg", people("a")[0], judged, 1.0),))
    nobody = restore_any(base, photo, (), settings, is_aligned=True).image.pixels
    anna = restore_any(led, photo, (), settings, is_aligned=True).image.pixels
    doubtful = restore_any(led, photo, given, settings, is_aligned=True)
    assert doubtful.faces[0].reasons[0].code == "unlike"
    assert torch.equal(doubtful.image.pixels, photo.pixels) and not torch.equal(anna, nobody)


def test_people_are_not_told_apart_by_one_who_was_learned(led: Restorer) -> None:
    judged = led.judge.embed(low_squares(1)[0], people("a")[0].face)
    known = People((References((Reference("a.jpg", people("a")[0], judged, 1.0),), (), "anna"),))
    with pytest.raises(RecipeError, match="'pfstorer' is led by one person it has learned, .* leave out --people"):
        restore_any(led, Photo(low_squares(1)[0]), known, SHORT)


def test_adapters_come_as_files_and_as_bytes_and_strange_ones_are_refused(
    family_folder: Path, base: Restorer, led: Restorer, tiny_restorer: Restorer
) -> None:
    path = family_folder / "anna.safetensors"
    other = Restorer.from_pretrained(family_folder / "led", "pfstorer", "cpu", adapter=path.read_bytes())
    assert torch.equal(square(other), square(led))
    for damaged in (path.read_bytes()[:-9], b"", path.read_bytes()[:-1] + b"\x01"):
        with pytest.raises(WeightsError, match="damaged"):
            other.load_adapter(damaged)
    with pytest.raises(WeightsError, match="there is no such file"):
        other.load_adapter(family_folder / "ben.safetensors")
    assert torch.equal(square(other), square(led))  # whoever was loaded stays
    with pytest.raises(RecipeError, match="'faceme' is led by references, not by adapters: --method pfstorer"):
        tiny_restorer.load_adapter(path)
