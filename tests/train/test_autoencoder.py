from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.config import from_dict
from keepface.data.prepare import Pack
from keepface.diffusion.family import Family
from keepface.image.files import from_uint8
from keepface.train.autoencoder import AutoencoderTask, gradient_loss
from keepface.train.loop import train
from keepface.train.recipe import Recipe
from keepface.train.run import make_task

OPTIM = {"steps": 3, "batch": 4, "lr": 3e-3}
RUN = {"validate_every": 100, "validate_items": 4}


def start(folder: Path, data: Path, **loss: float) -> tuple[AutoencoderTask, Recipe]:
    tables: dict[str, Any] = {"init_from": str(folder), "optim": OPTIM, "run": RUN, "loss": loss}
    made = from_dict(Recipe, {"task": "autoencoder", **tables}, "test")
    task = make_task(made, Pack(data / "train"), Pack(data / "val"))
    assert isinstance(task, AutoencoderTask)
    return task, made


def encoder_of(family: Family) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in family.vae.state_dict().items() if name.startswith("encoder.")}


def test_a_batch_carries_its_noise_so_its_losses_are_the_same_twice(tiny_family_folder: Path, toy_data: Path) -> None:
    task, _ = start(tiny_family_folder, toy_data, latent_noise=0.5)
    first, second = task.batch(0, 3), task.batch(1, 3)
    assert first.noise.shape == (3, 4, 4, 4)
    with torch.no_grad():
        totals = [float(task.losses(batch)["total"]) for batch in (first, second, first)]
    assert totals[0] == totals[2] != totals[1]
    assert torch.equal(task.batch(0, 3).clean, first.clean) and torch.equal(task.batch(0, 3).noise, first.noise)


def test_the_total_is_the_weighted_sum_of_the_losses(tiny_family_folder: Path, toy_data: Path) -> None:
    weights = {"l1": 2.0, "gradient": 0.25, "perceptual": 0.5, "latent_power": 0.1}
    task, _ = start(tiny_family_folder, toy_data, **weights)
    with torch.no_grad():
        found = task.losses(task.batch(0, 2))
    expected = sum(weight * float(found[name]) for name, weight in weights.items())
    assert float(found["total"]) == pytest.approx(expected, rel=1e-5)


def test_differences_of_a_shifted_picture_are_those_of_the_picture() -> None:
    ramp = torch.arange(4.0).expand(1, 3, 4, 4)
    assert float(gradient_loss(ramp, ramp + 5)) == 0.0
    assert float(gradient_loss(3 * ramp, ramp)) == 2.0


def test_training_the_decoder_alone_keeps_encoder_scale_and_what_methods_learned(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    before = Family.from_pretrained(tiny_family_folder)
    task, made = start(tiny_family_folder, toy_data, decoder_only=1.0)
    task.losses(task.batch(0, 2))["total"].backward()
    assert all(parameter.grad is None for parameter in task.family.vae.encoder.parameters())
    after = Family.from_pretrained(train(task, made, tmp_path))
    assert all(torch.equal(tensor, encoder_of(after)[name]) for name, tensor in encoder_of(before).items())
    assert after.card.latent_scale == before.card.latent_scale
    changed = [
        name
        for name, tensor in before.vae.state_dict().items()
        if not torch.equal(tensor, after.vae.state_dict()[name])
    ]
    assert changed and all(name.startswith("decoder.") for name in changed)
    own, carried = (
        sorted(path.name for path in (folder / "faceme").rglob("*"))
        for folder in (tiny_family_folder, tmp_path / "family")
    )
    assert own == carried and len(own) > 2


def test_after_training_the_latents_of_the_pack_are_centred_and_of_unit_power(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    task, made = start(tiny_family_folder, toy_data)
    family = Family.from_pretrained(train(task, made, tmp_path))
    pack = Pack(toy_data / "train")
    latent = family.encode(torch.stack([from_uint8(pack.square(i)) for i in range(len(pack))]))
    torch.testing.assert_close(latent.mean((0, 2, 3)), torch.zeros(4), atol=0.02, rtol=0)
    assert float(latent.square().mean()) == pytest.approx(1, abs=0.02)
    assert not (tmp_path / "family" / "faceme").exists()  # what methods learned was on other latents


@pytest.mark.parametrize("items", [2, 6, 50])
def test_validation_takes_as_many_squares_as_there_are_at_most(
    tiny_family_folder: Path, toy_data: Path, items: int
) -> None:
    task, _ = start(tiny_family_folder, toy_data)
    found = task.validate(items)
    assert found.grid.shape == (3, 64, 32 * min(items, 6)) and 0 < found.numbers["psnr"] < 60
