import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import torch
from diffusers import DDPMScheduler

from keepface.diffusion.family import CARD, Family, bundled_families, locate
from keepface.diffusion.sampler import make_scheduler
from keepface.errors import WeightsError

from ..toy import low_squares


def tensors(family: Family) -> dict[str, torch.Tensor]:
    unet = {f"unet.{name}": tensor for name, tensor in family.unet.state_dict().items()}
    vae = {f"vae.{name}": tensor for name, tensor in family.vae.state_dict().items()}
    return unet | vae | {"prompt.tokens": family.prompt.tokens, "prompt.pooled": family.prompt.pooled}


def test_a_family_comes_back_as_it_was_saved_within_half_precision(tiny_family_folder: Path, tmp_path: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    with torch.no_grad():
        for parameter in family.unet.parameters():
            parameter.mul_(1.0001)  # no longer exact in half precision
    family.save_pretrained(tmp_path / "again")
    again = Family.from_pretrained(tmp_path / "again")
    assert again.card == family.card and again.folder == tmp_path / "again"
    assert dict(again.scheduler.config) == dict(family.scheduler.config)
    before, after = tensors(family), tensors(again)
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, rtol=1e-3, atol=1e-4, msg=name)


def test_saving_leaves_the_networks_and_the_global_random_state_alone(tiny_family_folder: Path, tmp_path: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    before, state = {name: tensor.clone() for name, tensor in tensors(family).items()}, torch.get_rng_state()
    family.save_pretrained(tmp_path / "family")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(family).items())
    assert family.dtype == torch.float32


def test_loaded_networks_are_frozen_and_evaluate(tiny_family_folder: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    for network in (family.unet, family.vae):
        assert not network.training
        assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_key_that_the_scheduler_config_leaves_open_is_still_open_after_saving(
    tiny_family_folder: Path, tmp_path: Path
) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    family.scheduler = DDPMScheduler(beta_schedule="scaled_linear", clip_sample=False)
    family.save_pretrained(tmp_path / "family")
    config = dict(Family.from_pretrained(tmp_path / "family").scheduler.config)
    assert make_scheduler(config, "unipc", 20, torch.device("cpu")).config.timestep_spacing == "linspace"
    assert make_scheduler(config, "ddpm", 20, torch.device("cpu")).config.timestep_spacing == "leading"


def test_the_time_ids_are_the_detail_the_corner_and_the_side(tiny_family_folder: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    added = family.added_conditions(torch.tensor([32.0, 20.0]))
    assert added["time_ids"].tolist() == [[32, 32, 0, 0, 32, 32], [20, 20, 0, 0, 32, 32]]
    assert torch.equal(added["text_embeds"], torch.stack([family.prompt.pooled] * 2))


def test_the_latents_shape_is_what_the_autoencoder_makes(tiny_family_folder: Path) -> None:
    family = Family.from_pretrained(tiny_family_folder)
    assert family.latent_shape == (4, 4, 4)
    assert tuple(family.encode(low_squares(2)).shape) == (2, 4, 4, 4)
    assert family.decode(torch.zeros(2, 4, 4, 4)).shape == (2, 3, 32, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pictures_come_back_in_full_precision_whatever_the_networks_have(
    tiny_family_folder: Path, dtype: torch.dtype
) -> None:
    family = Family.from_pretrained(tiny_family_folder, dtype=dtype)
    assert family.dtype == dtype and family.prompt.tokens.dtype == dtype
    latent = family.encode(low_squares(1))
    assert latent.dtype == dtype and family.decode(latent).dtype == torch.float32


# ---- what can't be loaded ----


def delete_a_tensor(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    kept = safetensors.torch.load_file(path)
    del kept["conv_in.weight"]
    safetensors.torch.save_file(kept, path, {"format": "pt"})


def add_a_tensor(folder: Path) -> None:
    path = next((folder / "vae").glob("*.safetensors"))
    safetensors.torch.save_file(safetensors.torch.load_file(path) | {"surplus": torch.zeros(2)}, path, {"format": "pt"})


def cut_off(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1000])


def only_a_pickle(folder: Path) -> None:
    path = next((folder / "unet").glob("*.safetensors"))
    torch.save(safetensors.torch.load_file(path), folder / "unet" / "diffusion_pytorch_model.bin")
    path.unlink()


def change_json(name: str, **changes: object) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(data | changes))

    return damage


def change_scale(folder: Path) -> None:
    change_json(CARD, latent_scale={"mean": [0.0], "std": [1.0]})(folder)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "unet gone": (lambda folder: shutil.rmtree(folder / "unet"), "unet: can't be loaded as UNet2DConditionModel"),
    "unet cut off": (cut_off, "unet: can't be loaded as UNet2DConditionModel"),
    "tensor missing": (delete_a_tensor, "unet: not the weights of its config: 1 missing, first conv_in.weight"),
    "tensor too many": (add_a_tensor, "vae: not the weights of its config: 1 unknown, first surplus"),
    "only a pickle": (only_a_pickle, "unet: can't be loaded as UNet2DConditionModel"),
    "other widths": (change_json("unet/config.json", cross_attention_dim=24), "unet: can't be loaded"),
    "no autoencoder's class": (change_json("vae/config.json", _class_name="Sequential"), "'Sequential' is not among"),
    "vae gone": (lambda folder: shutil.rmtree(folder / "vae"), "not a diffusers autoencoder's config"),
    "scheduler gone": (lambda folder: shutil.rmtree(folder / "scheduler"), "can't be loaded as DDPMScheduler"),
    "prompt gone": (lambda folder: shutil.rmtree(folder / "prompt"), "there is no such file of weights"),
    "card no JSON": (lambda folder: (folder / CARD).write_text("{"), "not a family's card"),
    "card a list": (lambda folder: (folder / CARD).write_text("[1]"), "holds a list, not an object"),
    "card in another script": (lambda folder: (folder / CARD).write_bytes(b"\xff\xfe{"), "not a family's card"),
    "card of another kind": (change_json(CARD, colour="red"), "unknown key 'colour'"),
    "scale of other latents": (change_scale, "latent_scale.mean has 1 values, the UNet takes 4"),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.filterwarnings("ignore")
def test_a_damaged_or_foreign_folder_is_named_with_its_reason(
    name: str, tiny_family_folder: Path, tmp_path: Path
) -> None:
    damage, reason = DAMAGES[name]
    folder = tmp_path / "family"
    shutil.copytree(tiny_family_folder, folder)
    damage(folder)
    with pytest.raises(WeightsError) as caught:
        Family.from_pretrained(folder)
    assert str(folder) in str(caught.value) and reason in str(caught.value)


def test_a_folder_without_a_card_and_an_unknown_name_are_no_families(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="this folder is no family; it has no keepface.json"):
        locate(tmp_path)
    with pytest.raises(WeightsError, match="family 'compcat' is unknown; bundled: "):
        locate("compcat")


def test_every_bundled_family_is_found_by_its_name() -> None:
    assert all(locate(name).name == name for name in bundled_families())


def test_a_hub_id_without_a_network_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="family 'somebody/family': no such folder, and the hub says: "):
        Family.from_pretrained("somebody/family")


def test_a_saved_family_does_not_say_where_it_was_loaded_from(tiny_family_folder: Path, tmp_path: Path) -> None:
    Family.from_pretrained(tiny_family_folder).save_pretrained(tmp_path / "again")
    for part in ("unet", "vae"):
        assert str(tiny_family_folder) not in (tmp_path / "again" / part / "config.json").read_text()
