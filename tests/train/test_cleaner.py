from pathlib import Path
from typing import Any

import pytest
import torch

from keepface.config import from_dict
from keepface.data.prepare import Pack, prepare
from keepface.diffusion.cleaner import Cleaner, CleanerSettings, keep_cleaner
from keepface.diffusion.family import Family, read_card
from keepface.diffusion.seal import SEAL, seal
from keepface.errors import RecipeError
from keepface.train.cleaner import CleanerTask
from keepface.train.fresh import fresh_family
from keepface.train.loop import train
from keepface.train.recipe import Recipe, read_recipe
from keepface.train.run import make_task, train_recipe

from ..toy import FAMILY, SIZE, ToyPeople, low_squares

RECIPE = Path(__file__).resolve().parents[2] / "recipes" / "compact" / "cleaner.toml"
OPTIM = {"steps": 2, "batch": 4, "lr": 2e-3}
RUN = {"validate_every": 100, "validate_items": 4}
SIZES = {"channels": [8, 16]}


def recipe(family: Path | str, **tables: Any) -> Recipe:
    found = {"init_from": str(family), "optim": OPTIM, "run": RUN, "method": SIZES, "batch": {"shift_px": 2}, **tables}
    return from_dict(Recipe, {"task": "cleaner", **found}, "test")


def start(family: Path | str, data: Path, **tables: Any) -> tuple[CleanerTask, Recipe]:
    made = recipe(family, **tables)
    task = make_task(made, Pack(data / "train"), Pack(data / "val"))
    assert isinstance(task, CleanerTask)
    return task, made


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_at_the_start_the_loss_is_the_distance_of_low_and_clean(tiny_family_folder: Path, toy_data: Path) -> None:
    task, _ = start(tiny_family_folder, toy_data)
    batch = task.batch(3, 4)
    assert torch.equal(task.batch(3, 4).low, batch.low) and not torch.equal(task.batch(4, 4).low, batch.low)
    with torch.no_grad():
        total = float(task.losses(batch)["total"])
    assert total == pytest.approx(float((batch.low - batch.clean).abs().mean()), rel=1e-5)
    numbers = task.validate(4).numbers
    assert numbers["psnr"] == pytest.approx(numbers["psnr_low"])


def test_training_brings_low_squares_nearer_to_the_clean_ones(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    optim = {"steps": 30, "batch": 8, "lr": 3e-3}
    task, made = start(tiny_family_folder, toy_data, optim=optim, batch={"degradations": ["light"]})
    fixed = task.batch(999, 16)
    before = float((fixed.low - fixed.clean).abs().mean())
    family = Family.from_pretrained(train(task, made, tmp_path))
    after = float((Cleaner.load(family).clean(fixed.low) - fixed.clean).abs().mean())
    assert after < 0.93 * before
    assert float(task.losses(fixed)["total"].detach()) == pytest.approx(
        after, rel=0.02
    )  # but for the saved weights' rounding


def test_only_the_cleaner_is_trained(tiny_family_folder: Path, toy_data: Path) -> None:
    task, _ = start(tiny_family_folder, toy_data)
    task.losses(task.batch(0, 2))["total"].backward()
    assert all(parameter.requires_grad for parameter in task.networks.parameters())
    for network in (task.family.unet, task.family.vae):
        assert all(parameter.grad is None and not parameter.requires_grad for parameter in network.parameters())


def test_the_exported_family_keeps_every_other_part_byte_for_byte(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    start_family = tmp_path / "sealed"
    Family.from_pretrained(tiny_family_folder).save_pretrained(start_family)
    for name, text in (("faceme/part.safetensors", "one"), ("ridfr/content/config.json", "two"), ("cleaner/x", "old")):
        (start_family / name).parent.mkdir(parents=True, exist_ok=True)
        (start_family / name).write_text(text)
    seal(start_family)
    task, made = start(start_family, toy_data)
    folder = train(task, made, tmp_path / "run")
    before, after = contents(start_family), contents(folder)
    own = {"keepface.json", SEAL, "cleaner/x"}
    assert {name: after.get(name) for name in before.keys() - own} == {
        name: before[name] for name in before.keys() - own
    }
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"cleaner"} and SEAL not in after
    assert read_card(folder).history == (*read_card(start_family).history, "cleaner: 2 steps of 4, seed 0")
    Cleaner.load(Family.from_pretrained(folder))


def test_a_family_that_has_no_folder_is_written_whole(toy_data: Path, tmp_path: Path) -> None:
    family = fresh_family(FAMILY, seed=0)
    task = CleanerTask(family, Pack(toy_data / "train"), Pack(toy_data / "val"), recipe(""))
    task.export(tmp_path / "family")
    loaded = Family.from_pretrained(tmp_path / "family")
    assert torch.equal(Cleaner.load(loaded).clean(low_squares(1)), low_squares(1))


def test_a_run_that_stopped_ends_with_the_weights_of_one_that_did_not(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    lines = ['task = "cleaner"', f'init_from = "{tiny_family_folder}"', "[optim]", "steps = 3", "batch = 2"]
    lines += ["[run]", "save_every = 1", "validate_items = 2", "[batch]", "shift_px = 2"]
    path.write_text("\n".join([*lines, "[method]", "channels = [8, 16]"]))

    def stop(step: int, steps: int, loss: float) -> None:
        if step == 2:
            raise KeyboardInterrupt

    whole = train_recipe(path, toy_data, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_recipe(path, toy_data, tmp_path / "stopped", progress=stop)
    seen: list[int] = []
    again = train_recipe(tmp_path / "stopped", toy_data, progress=lambda step, steps, loss: seen.append(step))
    assert seen == [3] and contents(whole) == contents(again)


def test_a_recipe_may_go_on_from_the_cleaner_that_the_family_has(
    tiny_family_folder: Path, toy_data: Path, tmp_path: Path
) -> None:
    task, made = start(tiny_family_folder, toy_data)
    first = train(task, made, tmp_path)
    saved = Cleaner.load(Family.from_pretrained(first)).state_dict()
    going_on, _ = start(first, toy_data, goes_on=True, method={})
    anew, _ = start(first, toy_data)
    assert all(torch.equal(saved[name], tensor) for name, tensor in going_on.networks.state_dict().items()
               if name.startswith("network."))  # fmt: skip
    assert not anew.networks.state_dict()["network.conv_out.weight"].any()


def test_packs_without_features_will_do(tiny_family_folder: Path, tmp_path: Path) -> None:
    for name in ("train", "val"):
        prepare(ToyPeople(2, 2), tmp_path / name, SIZE)
    task, _ = start(tiny_family_folder, tmp_path)
    assert torch.isfinite(task.losses(task.batch(0, 3))["total"])


def test_what_a_cleaner_has_no_use_for_is_refused(tiny_family_folder: Path, toy_data: Path) -> None:
    with pytest.raises(RecipeError, match="task 'cleaner' has one loss"):
        start(tiny_family_folder, toy_data, loss={"l1": 1.0})
    with pytest.raises(RecipeError, match=r"\[method\]: unknown key 'width'"):
        start(tiny_family_folder, toy_data, method={"width": 8})


def test_the_compact_recipe_is_read_and_names_known_degradations() -> None:
    found = read_recipe(RECIPE)
    assert (found.task, found.optim.batch) == ("cleaner", 16) and len(found.batch.pairs().degradations) == 2


def test_a_family_made_of_one_with_a_cleaner_keeps_it(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    Cleaner.begin(CleanerSettings((8, 16)), 16, seed=0).save(old)
    keep_cleaner(old, new)
    assert contents(new) == contents(old) and contents(new)
    keep_cleaner(None, tmp_path / "none")
    keep_cleaner(new / "nothing", tmp_path / "none")
    assert not (tmp_path / "none").exists()
