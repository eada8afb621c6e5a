"""The networks that lead a family: which the card names, where they are, and that the judge is never one of them."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import CLIPVisionModelWithProjection

from keepface.diffusion.family import Family, Quirks
from keepface.errors import WeightsError
from keepface.faces.align import align_arcface, template_face
from keepface.identity.arcface import ArcFace
from keepface.identity.clip import ClipVision, empty_tower, write_tower
from keepface.identity.conditioning import load_image_network, load_recogniser, sha256_of
from keepface.identity.image_encoder import ImageEncoder
from keepface.identity.recogniser import SFace

TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "patch_size": 56,
    "image_size": 224,
    "projection_dim": 8,
    "hidden_act": "quick_gelu",
}


def tower_tensors() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    shapes = {name: tensor.shape for name, tensor in empty_tower(TOWER).state_dict().items()}
    return {name: (0.3 * torch.randn(shape, generator=rng)).half().float() for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A family's own networks: a tiny tower, and as a recogniser the means of red, green and blue."""
    out: Path = tmp_path_factory.mktemp("family")
    write_tower(tower_tensors(), TOWER, out / "image_encoder")
    (out / "recogniser").mkdir()
    node = helper.make_node("Conv", ["input.1", "weights"], ["maps"], kernel_shape=[112, 112])
    flat = helper.make_node("Flatten", ["maps"], ["683"], axis=1)
    weights = np.zeros((3, 3, 112, 112), np.float32)
    weights[np.arange(3), np.arange(3)] = 1 / 112**2
    graph = helper.make_graph(
        [node, flat],
        "means",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, 112, 112])],
        [helper.make_tensor_value_info("683", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    for name in ("glintr100.onnx", "w600k_r50.onnx"):
        onnx.save(model, str(out / "recogniser" / name))
    return out


def led_by(family: Family, folder: Path | None, recogniser: str, encoder: str, quirks: Quirks) -> Family:
    card = replace(family.card, recogniser=recogniser, image_encoder=encoder, quirks=quirks)
    return replace(family, card=card, folder=folder)


@pytest.fixture(scope="module")
def plain(tiny_family_folder: Path) -> Family:
    return Family.from_pretrained(tiny_family_folder)


def test_without_a_family_or_by_its_card_the_packages_own_networks_lead(plain: Family) -> None:
    for family in (None, plain):
        assert isinstance(load_recogniser(family), SFace) and isinstance(load_image_network(family), ImageEncoder)


def test_a_card_names_networks_of_the_familys_folder_and_whether_channels_are_swapped(
    plain: Family, folder: Path
) -> None:
    for name, encoder in (("antelopev2", "photomaker-clip"), ("buffalo_l", "clip-h")):
        for swapped in (False, True):
            family = led_by(plain, folder, name, encoder, Quirks(swaps_channels=swapped))
            recogniser, tower = load_recogniser(family), load_image_network(family)
            assert isinstance(recogniser, ArcFace) and isinstance(tower, ClipVision)
            assert (recogniser.name, recogniser.dim, recogniser.swap_channels, tower.name) == (
                name,
                3,
                swapped,
                encoder,
            )
            assert len(sha256_of(recogniser)) == len(sha256_of(tower)) == 64


def test_the_judge_never_leads(plain: Family, folder: Path) -> None:
    with pytest.raises(WeightsError, match="facenet judges results, so it can't lead a model"):
        load_recogniser(led_by(plain, folder, "facenet", "clip-h", Quirks()))


@pytest.mark.parametrize("where", [True, False])
def test_an_unknown_network_or_one_without_a_folder_is_named_with_those_there_are(
    where: bool, plain: Family, folder: Path
) -> None:
    family = led_by(plain, folder if where else None, "arcface" if where else "antelopev2", "vgg", Quirks())
    with pytest.raises(WeightsError, match="leads this family; it is not one of sface, antelopev2, buffalo_l"):
        load_recogniser(family)
    with pytest.raises(
        WeightsError, match="'vgg' leads this family; it is not one of efficientnet-lite0, photomaker-c"
    ):
        load_image_network(family)


def test_a_missing_or_damaged_recogniser_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="glintr100.onnx: the recogniser that leads this family is not there"):
        ArcFace("antelopev2", tmp_path)
    (tmp_path / "glintr100.onnx").write_bytes(b"no network")
    with pytest.raises(WeightsError, match="glintr100.onnx: can't be read as a recogniser"):
        ArcFace("antelopev2", tmp_path)


def test_a_recogniser_sees_the_aligned_face_from_minus_one_to_one_in_the_order_asked_for(folder: Path) -> None:
    image = torch.zeros(3, 128, 128)
    image[0], image[1] = 1.0, 0.5  # orange
    face = template_face(128)
    plain, swapped = (ArcFace("antelopev2", folder / "recogniser", swap).embed(image, face) for swap in (False, True))
    crop = (align_arcface(image, face.points, sampling="bilinear") * 255).round()
    wanted = (crop.mean((1, 2)) - 127.5) / 127.5
    wanted = wanted / wanted.norm()
    torch.testing.assert_close(plain, wanted, atol=1e-4, rtol=0)
    torch.testing.assert_close(swapped, wanted.flip(0), atol=1e-4, rtol=0)
    assert cv2.dnn is not None and float(plain[0]) > 0 > float(plain[2])


def test_a_tower_gives_what_transformers_own_gives_for_normalised_pictures(folder: Path) -> None:
    own = CLIPVisionModelWithProjection(empty_tower(TOWER).config).eval()
    own.load_state_dict(tower_tensors())
    image = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    with torch.no_grad():
        found = own.vision_model((image - mean) / std, output_hidden_states=True)
    tower = ClipVision("clip-h", folder / "image_encoder")
    torch.testing.assert_close(tower.pooled(image), found.pooler_output, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(tower.tokens(image), found.hidden_states[-2], atol=1e-5, rtol=1e-4)
    pooled, tokens = tower.describe(image[0], image[1])
    torch.testing.assert_close(pooled, found.pooler_output[0], atol=1e-5, rtol=1e-4)
    assert tokens is not None
    torch.testing.assert_close(tokens, found.hidden_states[-2][1], atol=1e-5, rtol=1e-4)
    assert (
        tower.pooled_dim == 32 and ClipVision("photomaker-clip", folder / "image_encoder").describe(*image)[1] is None
    )


@pytest.mark.parametrize("damage", ["missing", "unknown"])
def test_a_tower_of_another_layout_is_refused(damage: str, tmp_path: Path) -> None:
    tensors = tower_tensors()
    if damage == "missing":
        del tensors["visual_projection.weight"]
    else:
        tensors["visual_projection.bias"] = torch.zeros(8)
    with pytest.raises(WeightsError, match=f"not for CLIP's image tower: 1 {damage}: visual_projection"):
        write_tower(tensors, TOWER, tmp_path)
    with pytest.raises(WeightsError, match="config.json: is no image network's config"):
        ClipVision("clip-h", tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(TOWER))
    with pytest.raises(WeightsError, match="model.safetensors: there is no such file"):
        ClipVision("clip-h", tmp_path)
