"""The restorer over a tiny family: real networks, random weights; what it restores to is noise, how it does is not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from keepface.diffusion.family import Family, FamilyCard, OwnSampling, read_card, write_card
from keepface.diffusion.sampler import SamplerSettings
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError, WeightsError
from keepface.faces.align import template_face
from keepface.identity.embed import IdentityFeatures
from keepface.image.files import to_uint8
from keepface.methods import sampling_of
from keepface.methods.faceme import FaceMe
from keepface.methods.method import Sampling

from ..methods.ridfr_toy import opened
from ..methods.ridfr_toy import people as people_with_tokens
from ..toy import SIZE, low_squares, references

SETTINGS = RestoreSettings(steps=3, guidance=2.0, colour="none")


def people(*names: str) -> list[IdentityFeatures]:
    if not names:
        return []
    made = references(*names)
    return [
        IdentityFeatures(recogniser, image, template_face(SIZE), {})
        for recogniser, image in zip(made.recogniser, made.image, strict=True)
    ]


def restore(
    restorer: Restorer, settings: RestoreSettings = SETTINGS, weights: list[list[float]] | None = None
) -> Tensor:
    return restorer.restore_squares(low_squares(2), [people("a", "b"), []], settings, [5, 6], weights)


def test_squares_come_back_in_their_size_and_range_with_progress(tiny_restorer: Restorer) -> None:
    seen: list[tuple[int, int]] = []
    low = low_squares(1)
    out = tiny_restorer.restore_squares(
        low, [[]], SETTINGS, [0], progress=lambda step, steps: seen.append((step, steps))
    )
    assert tiny_restorer.size == SIZE and out.shape == low.shape and out.dtype == torch.float32
    assert 0 <= float(out.min()) < float(out.max()) <= 1
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("sampler", ["unipc", "ddim", "ddpm"])
def test_a_square_is_restored_the_same_alone_and_in_a_batch(tiny_restorer: Restorer, sampler: str) -> None:
    settings = RestoreSettings(steps=3, sampler=sampler, guidance=2.0)
    low, who = low_squares(3), [people("a"), people("b", "c"), []]
    batch = tiny_restorer.restore_squares(low, who, settings, [1, 2, 3])
    for item in range(3):
        alone = tiny_restorer.restore_squares(low[item : item + 1], who[item : item + 1], settings, [item + 1])
        assert abs(to_uint8(batch[item]).astype(int) - to_uint8(alone[0]).astype(int)).max() <= 1


def test_identity_zero_and_weights_of_zero_are_no_references(tiny_restorer: Restorer) -> None:
    plain = tiny_restorer.restore_squares(low_squares(2), [[], []], SETTINGS, [5, 6])
    assert torch.equal(restore(tiny_restorer, RestoreSettings(steps=3, colour="none", identity=0.0)), plain)
    assert torch.equal(restore(tiny_restorer, weights=[[0.0, 0.0], []]), plain)
    assert not torch.equal(restore(tiny_restorer)[0], plain[0])


def test_sampling_starts_from_what_guided_makes_where_that_is_asked_for(tiny_restorer: Restorer) -> None:
    low, who = low_squares(1), [[]]
    gentle = RestoreSettings(steps=3, colour="none", temperature=0.1, guidance=1.0)
    plain = tiny_restorer.restore_squares(low, who, gentle, [5])
    led = tiny_restorer.restore_squares(low, who, replace(gentle, structure="guided"), [5])
    assert led.shape == low.shape and not torch.equal(led, plain)
    one_pass = Restorer.from_pretrained(device="cpu")
    with pytest.raises(RecipeError, match="structure"):
        one_pass.restore_squares(
            torch.zeros(1, 3, one_pass.size, one_pass.size), who, replace(gentle, structure="guided"), [5]
        )


def test_the_colour_fix_gives_the_low_pictures_mean_colours_back(tiny_restorer: Restorer) -> None:
    low = low_squares(2).mean((2, 3))
    apart = [
        float((restore(tiny_restorer, RestoreSettings(steps=3, colour=colour)).mean((2, 3)) - low).abs().max())
        for colour in ("none", "wavelet", "adain")
    ]
    assert max(apart[1:]) < 0.05 < apart[0]


def test_a_folder_is_loaded_in_the_precision_asked_for(tiny_family_folder: Path, tiny_restorer: Restorer) -> None:
    half = Restorer.from_pretrained(tiny_family_folder, device="cpu", dtype="bf16")
    assert half.method.family.dtype == torch.bfloat16
    apart = (restore(half) - restore(tiny_restorer)).abs()
    assert 0 < float(apart.mean()) < 0.03


def test_unknown_methods_and_families_are_named(tiny_family_folder: Path) -> None:
    with pytest.raises(RecipeError, match="method 'facemi' is unknown; use one of guided, faceme"):
        Restorer.from_pretrained(tiny_family_folder, method="facemi")
    with pytest.raises(WeightsError, match="family 'nothing' is unknown"):
        Restorer.from_pretrained("nothing")


# ---- another method ----


def test_a_method_samples_as_it_was_published_where_nothing_is_asked_for(
    tiny_family_folder: Path, tiny_restorer: Restorer
) -> None:
    calls: list[tuple[SamplerSettings, float]] = []
    method = opened(Family.from_pretrained(tiny_family_folder))
    restorer = Restorer(method, tiny_restorer.embedder, tiny_restorer.judge)
    restore_as_is = method.restore

    def restore(low: Tensor, who: Any, settings: SamplerSettings, guidance: float, seeds: Any) -> Any:
        calls.append((settings, guidance))
        return restore_as_is(low, who, settings, guidance, seeds)

    method.restore = restore  # type: ignore[method-assign]
    who = IdentityFeatures(*features_of("a"), template_face(SIZE), {}, people_with_tokens("a").tokens[0])
    low = low_squares(2)
    for settings in (RestoreSettings(steps=2), RestoreSettings(steps=2, guidance=2.0, temperature=0.5)):
        out = restorer.restore_squares(low, [[who], []], settings, [0, 1])
        assert out.shape == low.shape
    assert calls == [
        (SamplerSettings("unipc", 2, "noise", 1.0), 1.0),
        (SamplerSettings("unipc", 2, "noise", 0.5), 2.0),
    ]


def test_what_a_call_leaves_open_the_card_says_of_the_method_else_the_method_else_the_card(
    tiny_family_folder: Path, tmp_path: Path
) -> None:
    card = replace(read_card(tiny_family_folder), steps=7, guidance=4.0, temperature=0.6, fidelity=0.2)
    own = replace(card, by_method={"ridfr": OwnSampling(steps=5, guidance=2.0, fidelity=0.0)})
    write_card(own, tmp_path)
    own = read_card(tmp_path)
    assert sampling_of(own, "faceme") == Sampling("low", 7, 4.0, 0.6, 0.2)
    assert sampling_of(own, "ridfr") == Sampling("noise", 5, 2.0, 0.6, 0.0)
    assert sampling_of(card, "ridfr") == Sampling("noise", 7, 1.0, 0.6, 0.2)  # nobody is exaggerated [RIDFR, Eq. 3]
    assert sampling_of(card, "pfstorer").guidance == 1.0
    published = FamilyCard("sd15", 512, card.latent_scale)
    assert sampling_of(published, "ridfr") == Sampling("noise", 20, 1.0, 1.0, 0.0)  # UniPC 20 [RIDFR, Sec. 4.1]


def test_steps_are_those_asked_for_else_the_familys(tiny_family_folder: Path, tiny_restorer: Restorer) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    family.card = replace(family.card, steps=7)
    ridfr = Restorer(opened(family), tiny_restorer.embedder, tiny_restorer.judge)
    faceme = Restorer(FaceMe.load(family), tiny_restorer.embedder, tiny_restorer.judge)
    assert faceme.steps(RestoreSettings()) == 7 and faceme.steps(RestoreSettings(steps=3)) == 3
    assert ridfr.steps(RestoreSettings()) == 7
    assert faceme.steps(RestoreSettings(sampler="ddpm")) == 50  # [FaceMe, Implementation Details]
    assert faceme.steps(RestoreSettings(sampler="ddim", steps=9)) == 9


def test_a_family_without_the_methods_weights_says_what_to_type(tiny_family_folder: Path) -> None:
    with pytest.raises(WeightsError, match="family 'tiny' has no ridfr weights; train them: keepface train"):
        Restorer.from_pretrained(tiny_family_folder, method="ridfr", device="cpu")


def features_of(name: str) -> tuple[Tensor, Tensor]:
    found = people_with_tokens(name)
    return found.recogniser[0], found.image[0]
