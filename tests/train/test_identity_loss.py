from pathlib import Path

import pytest
import torch

from keepface.data.prepare import Pack
from keepface.errors import RecipeError
from keepface.methods.faceme import FaceMe
from keepface.methods.method import TrainBatch
from keepface.train.identity_loss import ITEMS, LAST_T, IdentityLoss
from keepface.train.method_task import MethodTask
from keepface.train.recipe import Recipe

from ..toy import low_squares

pytest.importorskip("onnx", reason="onnx is not installed; pip install 'keepface[train]'")


def batch(t: list[int], has: list[bool]) -> TrainBatch:
    clean, nothing = low_squares(len(t)), torch.zeros(len(t), 1, 1)
    return TrainBatch(
        clean=clean,
        low=clean,
        recogniser=nothing,
        image=nothing,
        has_reference=torch.tensor(has)[:, None],
        detail_px=torch.full((len(t),), 32.0),
        eps=torch.zeros(len(t), 4, 4, 4),
        t=torch.tensor(t),
    )


def test_it_is_nothing_for_the_truth_and_its_weight_times_more_for_others(tiny_method: FaceMe) -> None:
    family = tiny_method.family
    x_0 = torch.randn(2, *family.latent_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        drawn = batch([5, 6], [True, True])
        as_truth = TrainBatch(**(vars(drawn) | {"clean": family.decode(x_0)}))
        assert float(IdentityLoss(family, 1.0)(x_0, as_truth)) == pytest.approx(0, abs=1e-5)
        once, twice = (float(IdentityLoss(family, weight)(x_0, drawn)) for weight in (1.0, 2.0))
    assert 0 < once <= 2
    assert twice == pytest.approx(2 * once, rel=1e-4)


def test_only_items_with_references_and_little_noise_are_asked(tiny_method: FaceMe) -> None:
    count = ITEMS + 4
    t, has = [10] * count, [True] * count
    t[1], has[2] = LAST_T, False
    x_0 = torch.randn(count, *tiny_method.family.latent_shape).requires_grad_()
    IdentityLoss(tiny_method.family, 1.0)(x_0, batch(t, has)).backward()
    is_asked = (x_0.grad.abs().amax((1, 2, 3)) > 0).tolist()
    assert is_asked == [True, False, False, *[True] * (ITEMS - 1), False, False]
    nobody = IdentityLoss(tiny_method.family, 1.0)(x_0, batch([999] * count, has))
    assert float(nobody.detach()) == 0


def test_a_recipe_asks_for_it_by_name(tiny_method: FaceMe, toy_data: Path) -> None:
    packs = Pack(toy_data / "train"), Pack(toy_data / "val")
    with pytest.raises(RecipeError, match=r"\[loss\]: unknown key 'identty'"):
        MethodTask(tiny_method, *packs, Recipe(task="faceme", phase="joint", loss={"identty": 0.1}))
    task = MethodTask(tiny_method, *packs, Recipe(task="faceme", phase="joint", loss={"identity": 0.1}))
    losses = task.losses(task.batch(0, 4))
    assert set(losses) == {"total", "denoising", "picture"}
    assert float(losses["total"].detach()) == pytest.approx(
        float(losses["denoising"].detach()) + float(losses["picture"].detach()), rel=1e-5
    )
