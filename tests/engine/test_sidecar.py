import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
import torch

from keepface.engine.provenance import Maker, Options
from keepface.engine.result import FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.engine.sidecar import (
    Machine,
    Sidecar,
    Sources,
    Written,
    check_maker,
    check_output,
    check_people,
    check_photo,
    describe,
    differences,
    in_order,
    read_sidecar,
    sidecar_path,
    sources_of,
)
from keepface.errors import HashMismatchError, KeepfaceError, PhotoError, RecipeError, ReferencePhotoError
from keepface.image.files import Photo

from .plain_restorer import Method


def files(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(path.name.encode())
    return paths


@pytest.fixture
def recipe(tmp_path: Path) -> Sidecar:
    photo, first, second = files(tmp_path, "old.jpg", "anna-1.jpg", "anna-2.jpg")
    face = FaceResult((1.0, 2.0, 9.0, 9.0), "restored", (), Similarity(0.1, 0.2, 0.3), 3, "plain", person="anna")
    result = Restoration(Photo(torch.zeros(3, 4, 4)), str(photo), (face,), 1.0, RestoreSettings())
    sources = sources_of(photo, [first, second], [1.0, 0.5])
    options = Options(RestoreSettings(steps=7, size=(40, 50), tile=True), seed=3, is_aligned=True, candidates=4)
    return describe(result, Method(), options, sources, Written("PNG", b"the bytes"))


def test_a_recipe_survives_its_file(recipe: Sidecar, tmp_path: Path) -> None:
    path = sidecar_path(tmp_path / "out.png")
    path.write_text(recipe.to_json())
    assert path.name == "out.png.keepface.json"
    again = read_sidecar(path)
    assert again.to_json() == recipe.to_json()
    assert again.options == recipe.options and again.machine == recipe.machine and again.sources == recipe.sources


def test_a_recipe_holds_hashes_and_no_names(recipe: Sidecar) -> None:
    text = recipe.to_json()
    assert "anna" not in text and "old.jpg" not in text
    data = json.loads(text)
    assert data["sources"]["photo_sha256"] == sha256(b"old.jpg").hexdigest()
    assert data["sources"]["references"][1] == {"sha256": sha256(b"anna-2.jpg").hexdigest(), "weight": 0.5}
    assert data["output_sha256"] == sha256(b"the bytes").hexdigest()
    assert data["faces"][0]["similarity"]["output_to_references"] == 0.2
    assert {"torch", "numpy", "pillow"} <= set(data["machine"]["packages"])


def test_a_recipe_changed_by_hand_or_no_recipe_is_refused(recipe: Sidecar, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for text, said in (
        (recipe.to_json().replace('"steps": 7', '"steps": 8'), "changed by hand"),
        (recipe.to_json().replace('"format": 1', '"format": 99'), "this version"),
        ("{", "is no recipe"),
        ("[]", "no recipe that"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=said):
            read_sidecar(path)
    with pytest.raises(RecipeError, match="can't be read"):
        read_sidecar(tmp_path / "missing.json")


def test_another_photo_is_refused(recipe: Sidecar, tmp_path: Path) -> None:
    check_photo(recipe, tmp_path / "old.jpg")
    with pytest.raises(PhotoError, match="is not the photo of this recipe"):
        check_photo(recipe, tmp_path / "anna-1.jpg")
    with pytest.raises(PhotoError, match="can't be read"):
        check_photo(recipe, tmp_path / "missing.jpg")


def test_references_are_found_by_their_hashes_whatever_their_order_and_names(recipe: Sidecar, tmp_path: Path) -> None:
    first, second = tmp_path / "x.jpg", tmp_path / "anna-2.jpg"
    (tmp_path / "anna-1.jpg").rename(first)
    assert in_order(recipe, [second, first]) == [first, second]
    with pytest.raises(ReferencePhotoError, match=sha256(b"anna-1.jpg").hexdigest()[:12]):
        in_order(recipe, [second])
    (third,) = files(tmp_path, "third.jpg")
    with pytest.raises(ReferencePhotoError, match="third.jpg"):
        in_order(recipe, [second, third, first])


def test_other_networks_are_refused(recipe: Sidecar) -> None:
    check_maker(recipe, recipe.maker)
    for other in (replace(recipe.maker, family_sha256="0" * 64), Maker("ridfr")):
        with pytest.raises(HashMismatchError, match="is not the recipe's"):
            check_maker(recipe, other)


def test_other_people_are_refused(recipe: Sidecar) -> None:
    check_people(recipe, ())
    with pytest.raises(ReferencePhotoError, match="library"):
        check_people(replace(recipe, sources=Sources("", (), ("0" * 64,))), ())


def test_other_bytes_are_refused_and_what_differs_is_named(recipe: Sidecar) -> None:
    check_output(recipe, b"the bytes", recipe.machine)
    older = {**recipe.machine.packages, "torch": "1.0"}
    then = replace(recipe, machine=replace(recipe.machine, threads=99, packages=older))
    assert {item.split()[0] for item in differences(then, recipe.machine)} == {"threads", "torch"}
    with pytest.raises(KeepfaceError, match="torch 1.0, "):
        check_output(then, b"others", recipe.machine)
    with pytest.raises(KeepfaceError, match="nothing that is known"):
        check_output(recipe, b"others", Machine.here())
