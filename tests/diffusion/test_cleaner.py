"""A cleaner without training is the identity; one with weights is saved, found and used as it is."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from keepface.bench.settings import BenchSettings
from keepface.cli import app
from keepface.config import to_dict
from keepface.diffusion.cleaner import Cleaner, CleanerSettings, check_cleaner
from keepface.diffusion.family import Family
from keepface.engine.restorer import Restorer
from keepface.engine.result import FaceResult, Restoration, Similarity
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import restore_whole
from keepface.errors import RecipeError, WeightsError
from keepface.faces.align import template_face
from keepface.identity.embed import IdentityFeatures
from keepface.image.colour import wavelet_colour_fix
from keepface.image.files import Photo, write_photo
from keepface.methods.ridfr import RIDFR
from keepface.seeds import generator

from ..methods.ridfr_toy import opened
from ..toy import SIZE, low_squares, references

TINY = CleanerSettings(channels=(8, 16))
SETTINGS = RestoreSettings(steps=2, guidance=2.0, colour="none", clean=True)


def trained(seed: int = 0) -> Cleaner:
    """A cleaner whose last layer is not zero, as training would leave it."""
    cleaner = Cleaner.begin(TINY, SIZE, seed)
    weight = cleaner.network.conv_out.weight
    with torch.no_grad():
        weight.copy_(0.05 * torch.randn(weight.shape, generator=generator(seed, "opened")))
    return cleaner


@pytest.fixture(scope="module")
def cleaning_family(tiny_family_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny family with a cleaner and both methods' parts."""
    folder: Path = tmp_path_factory.mktemp("families") / "cleaning"
    folder.mkdir()
    for part in tiny_family_folder.iterdir():
        (folder / part.name).symlink_to(part)
    opened(Family.from_pretrained(tiny_family_folder)).save(folder)
    trained().save(folder)
    return folder


def person() -> list[IdentityFeatures]:
    made = references("a")
    return [IdentityFeatures(made.recogniser[0], made.image[0], template_face(SIZE), {})]


# ---- the network ----


@pytest.mark.parametrize("settings", [CleanerSettings(), TINY, CleanerSettings((8, 12, 16), layers=2, shrink=4)])
def test_an_untrained_cleaner_returns_every_picture_as_it_is(settings: CleanerSettings) -> None:
    low = torch.rand(2, 3, SIZE, SIZE, generator=generator(0, "any"))
    assert torch.equal(Cleaner.begin(settings, SIZE, seed=3).clean(low), low)


def test_the_compact_cleaner_has_between_one_and_two_million_weights() -> None:
    count = sum(parameter.numel() for parameter in Cleaner.begin(CleanerSettings(), 128, seed=0).parameters())
    assert 1_000_000 < count < 2_000_000


def test_a_seed_makes_the_same_cleaner_and_leaves_torchs_own_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, again, other = (Cleaner.begin(TINY, SIZE, seed).state_dict() for seed in (5, 5, 6))
    assert torch.equal(torch.rand(1), expected)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("settings", [CleanerSettings(()), CleanerSettings((8, 0)), replace(TINY, shrink=0)])
def test_sizes_of_no_network_are_refused(settings: CleanerSettings) -> None:
    with pytest.raises(RecipeError, match=r"\[method\]: no cleaner has channels = "):
        Cleaner.begin(settings, SIZE, seed=0)


def test_pictures_are_cleaned_one_by_one_within_their_range_and_of_any_size() -> None:
    cleaner, low = trained(), torch.rand(3, 3, 21, 38, generator=generator(1, "any"))
    together = cleaner.clean(low)
    assert together.shape == low.shape and float(together.min()) >= 0 and float(together.max()) <= 1
    for item in range(3):
        torch.testing.assert_close(cleaner.clean(low[item : item + 1])[0], together[item], atol=1e-5, rtol=0)
    assert float((together - low).abs().mean()) > 1e-3


def test_a_large_picture_is_cleaned_by_squares_however_many_at_once() -> None:
    cleaner, low = trained(), torch.rand(3, 45, 70, generator=generator(2, "any"))
    by_one, by_five = (cleaner.clean_large(low, SIZE, batch) for batch in (1, 5))
    assert by_one.shape == low.shape and not torch.equal(by_one, low)
    torch.testing.assert_close(by_one, by_five, atol=1e-5, rtol=0)
    square = low[:, :SIZE, :SIZE]
    torch.testing.assert_close(cleaner.clean_large(square, SIZE), cleaner.clean(square[None])[0], atol=1e-6, rtol=0)
    idle = Cleaner.begin(TINY, SIZE, 0)
    for part in (low, low[:, :10, :20]):
        torch.testing.assert_close(idle.clean_large(part, SIZE), part, atol=1e-6, rtol=0)


def test_a_saved_cleaner_is_loaded_with_the_same_weights(cleaning_family: Path) -> None:
    loaded = Cleaner.load(Family.from_pretrained(cleaning_family))
    for name, tensor in trained().state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor.half().float(), atol=0, rtol=0)
    assert loaded.shrink == TINY.shrink and not any(parameter.requires_grad for parameter in loaded.parameters())
    torch.testing.assert_close(loaded.clean(low_squares(2)), trained().clean(low_squares(2)), atol=2e-3, rtol=0)


def test_in_half_precision_the_picture_itself_is_not_rounded(cleaning_family: Path) -> None:
    family = Family.from_pretrained(cleaning_family, dtype=torch.bfloat16)
    cleaner, low = Cleaner.load(family), low_squares(1)
    exact = trained().clean(low)
    apart, added = (float((exact - other).abs().mean()) for other in (cleaner.clean(low), low))
    assert next(cleaner.parameters()).dtype == torch.bfloat16 and 0 < apart < 0.1 * added
    with torch.no_grad():
        cleaner.network.conv_out.weight.zero_()
        cleaner.network.conv_out.bias.zero_()
    assert torch.equal(cleaner.clean(low), low)


# ---- a family without one, or with another network in its place ----


def test_a_family_without_a_cleaner_says_what_to_type(tiny_family_folder: Path, tiny_restorer: Restorer) -> None:
    said = "has no cleaner; restore without --clean, or train one: keepface train recipes/compact/cleaner.toml --data"
    with pytest.raises(WeightsError, match=said):
        Cleaner.load(Family.from_pretrained(tiny_family_folder))
    with pytest.raises(WeightsError, match=said):
        tiny_restorer.restore_squares(low_squares(1), [[]], SETTINGS, [0])
    with pytest.raises(WeightsError, match=said):
        check_cleaner(None)


def test_the_commands_name_a_missing_cleaner_before_the_work(tiny_family_folder: Path, tmp_path: Path) -> None:
    photo = tmp_path / "old.png"
    write_photo(Photo(low_squares(1)[0]), photo)
    family = ("--family", str(tiny_family_folder), "--clean")
    result = CliRunner().invoke(app, ["restore", str(photo), "-o", str(tmp_path / "new.png"), *family])
    assert result.exit_code == 1 and f"{tiny_family_folder}: this family has no cleaner" in result.output
    assert not (tmp_path / "new.png").exists()
    report = tmp_path / "report"
    result = CliRunner().invoke(app, ["bench", "--data", str(tmp_path), "-o", str(report), *family])
    assert isinstance(result.exception, WeightsError) or "has no cleaner" in result.output
    assert not report.exists()


def test_a_network_that_is_no_cleaner_is_refused(tiny_family_folder: Path, tmp_path: Path) -> None:
    odd = trained().network
    family = replace(Family.from_pretrained(tiny_family_folder), folder=tmp_path)
    type(odd)(
        in_channels=4, out_channels=4, block_out_channels=(8,), down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",), norm_num_groups=8,
    ).save_pretrained(tmp_path / "cleaner")  # fmt: skip
    with pytest.raises(WeightsError, match="is no cleaner: its network has 4 channels in and 4 out"):
        Cleaner.load(family)


# ---- restoring ----


@pytest.mark.parametrize("colour", ["none", "wavelet"])
def test_a_cleaned_restore_is_the_restore_of_squares_cleaned_by_hand(cleaning_family: Path, colour: str) -> None:
    restorer = Restorer.from_pretrained(cleaning_family, device="cpu")
    low, who = low_squares(2), [person(), []]
    found = restorer.restore_squares(low, who, replace(SETTINGS, colour=colour), [5, 6])
    plain = replace(SETTINGS, clean=False)
    by_hand = restorer.restore_squares(restorer.cleaner.clean(low), who, plain, [5, 6])
    if colour == "wavelet":
        by_hand = wavelet_colour_fix(by_hand, low).clamp(0, 1)  # of the picture as it came
    assert torch.equal(found, by_hand)
    assert not torch.equal(found, restorer.restore_squares(low, who, replace(plain, colour=colour), [5, 6]))


def test_a_family_that_learned_from_cleaned_pictures_is_shown_such_unless_told_otherwise(cleaning_family: Path) -> None:
    restorer = Restorer.from_pretrained(cleaning_family, device="cpu")
    low, family = low_squares(1), restorer.method.family
    cleaned, raw = (restorer.restore_squares(low, [[]], replace(SETTINGS, clean=it), [5]) for it in (True, False))
    left_open = replace(SETTINGS, clean=None)
    assert torch.equal(restorer.restore_squares(low, [[]], left_open, [5]), raw)
    family.card = replace(family.card, cleaned=("faceme",))
    assert torch.equal(restorer.restore_squares(low, [[]], left_open, [5]), cleaned)
    family.card = replace(family.card, cleaned=("ridfr",))
    assert torch.equal(restorer.restore_squares(low, [[]], left_open, [5]), raw)


def test_tiles_are_cut_from_the_cleaned_picture_where_that_is_asked_for(cleaning_family: Path) -> None:
    restorer = Restorer.from_pretrained(cleaning_family, device="cpu")
    family = restorer.method.family
    family.card = replace(family.card, cleaned=("faceme",))
    low, plain = torch.rand(3, 40, 48, generator=generator(3, "any")), replace(SETTINGS, clean=False)
    found = restorer.restore_tiles(low, person(), SETTINGS, 7).pixels
    by_hand = restorer.restore_tiles(restorer.cleaner.clean_large(low, SIZE), person(), plain, 7).pixels
    assert torch.equal(found, by_hand)
    as_it_came = restorer.restore_tiles(low, person(), plain, 7).pixels
    assert not torch.equal(found, as_it_came)
    left_open = replace(SETTINGS, clean=None)
    assert torch.equal(restorer.restore_tiles(low, person(), left_open, 7).pixels, as_it_came)
    assert not restore_whole(restorer, Photo(low), (), left_open).cleaned


def test_every_method_can_be_shown_cleaned_squares(cleaning_family: Path, tiny_restorer: Restorer) -> None:
    method = RIDFR.load(Family.from_pretrained(cleaning_family))
    restorer = Restorer(method, tiny_restorer.embedder, tiny_restorer.judge)
    low = low_squares(1)
    pictures: list[Tensor] = [
        restorer.restore_squares(low, [[]], replace(SETTINGS, clean=clean), [1]) for clean in (True, False)
    ]
    assert pictures[0].shape == low.shape and not torch.equal(*pictures)


def test_results_say_that_a_photo_was_cleaned() -> None:
    def row(clean: bool, restored: bool) -> dict[str, object]:
        face = FaceResult((0.0, 0.0, 4.0, 4.0), "restored" if restored else "unchanged", (), Similarity(), 0, "plain")
        image, settings = Photo(torch.zeros(3, 4, 4)), RestoreSettings()
        return Restoration(image, "old.jpg", (face,), 1.0, settings, cleaned=clean).to_json("new.png")

    assert row(clean=True, restored=True)["cleaned"] is True
    assert "cleaned" not in row(clean=False, restored=True) and "cleaned" not in row(clean=True, restored=False)


def test_the_settings_that_a_bench_keeps_tell_cleaned_from_not() -> None:
    kept = [to_dict(BenchSettings(restore=RestoreSettings(clean=clean)))["restore"] for clean in (True, False)]
    assert [json.loads(json.dumps(item))["clean"] for item in kept] == [True, False]
