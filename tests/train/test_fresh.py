from typing import Any

import pytest
import torch

from keepface.errors import RecipeError
from keepface.train.fresh import fresh_family

from ..toy import FAMILY


def changed(**values: Any) -> dict[str, Any]:
    return FAMILY | values


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        fresh_family(table, 0)
    return str(caught.value)


def test_a_seed_makes_the_same_family_and_leaves_the_global_random_state_alone() -> None:
    state = torch.get_rng_state()
    first, again, other = (fresh_family(FAMILY, seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    weights = [family.unet.state_dict()["conv_in.weight"] for family in (first, again, other)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    assert torch.equal(first.prompt.tokens, again.prompt.tokens)


def test_a_fresh_family_predicts_velocity_on_stable_diffusions_schedule_without_clipping() -> None:
    config = fresh_family(FAMILY, 0).scheduler.config
    assert (config.prediction_type, config.beta_schedule, config.clip_sample) == (
        "v_prediction",
        "scaled_linear",
        False,
    )


def test_sizes_that_do_not_go_together_are_named() -> None:
    assert "vae_class 'VAE' is not one of AutoencoderKL" in refusal(changed(vae_class="VAE"))
    assert "unknown key 'colour'" in refusal(changed(colour=1))
    assert "diffusers refuses these sizes" in refusal(changed(unet=FAMILY["unet"] | {"layers": 2}))
    wider = FAMILY["unet"] | {"in_channels": 8, "out_channels": 8}
    assert "the autoencoder's latents have 4 channels; unet.in_channels is 8" in refusal(changed(unet=wider))
    assert "the autoencoder takes no squares of 36 px" in refusal(changed(resolution=36))
