import dataclasses

import pytest
import torch

from keepface.data.pools import Synthesiser
from keepface.data.prepare import Pack
from keepface.diffusion.sampler import SamplerSettings
from keepface.errors import RecipeError
from keepface.image.files import from_uint8
from keepface.methods.faceme import FaceMe
from keepface.methods.method import References
from keepface.train.synthesiser import MethodSynthesiser, SynthesisSettings, pose_picture

from ..toy import SIZE

SETTINGS = SynthesisSettings(steps=3, guidance=2.0, pose_strength=0.5)
NOISE_ALONE = dataclasses.replace(SETTINGS, pose_strength=0.0)


def led_by(pack: Pack, photo: int) -> list[References | None]:
    features = pack.features
    return [References.stack([(features["recogniser"][0, photo], features["image"][0, photo])])]


def test_from_noise_alone_it_is_the_method_without_its_controlnet(tiny_method: FaceMe, toy_pack: Pack) -> None:
    painter = MethodSynthesiser(tiny_method, toy_pack, NOISE_ALONE)
    assert isinstance(painter, Synthesiser)
    *_, last = tiny_method.synthesise(led_by(toy_pack, 4), SamplerSettings("unipc", 3), 2.0, [7])
    expected = tiny_method.family.decode(last.x_t)
    assert torch.equal(painter.synthesise([4], [9], [7]), expected)
    with torch.no_grad():
        for parameter in tiny_method.controlnet.parameters():
            parameter.zero_()
    assert torch.equal(painter.synthesise([4], [20], [7]), expected)  # nor does the pose matter


def test_with_a_pose_it_restores_the_coarse_pose_photo_as_the_targets_person(
    tiny_method: FaceMe, toy_pack: Pack
) -> None:
    painter = MethodSynthesiser(tiny_method, toy_pack, SETTINGS)
    coarse = pose_picture(from_uint8(toy_pack.square(9)), 0.5)[None]
    *_, last = tiny_method.restore(coarse, led_by(toy_pack, 4), SamplerSettings("unipc", 3), 2.0, [7])
    drawn = painter.synthesise([4], [9], [7])
    assert torch.equal(drawn, tiny_method.family.decode(last.x_t))
    assert not torch.equal(drawn, painter.synthesise([4], [20], [7]))
    assert not torch.equal(drawn, painter.synthesise([10], [9], [7]))
    assert not torch.equal(drawn, painter.synthesise([4], [9], [8]))


@pytest.mark.parametrize("settings", [SETTINGS, NOISE_ALONE])
def test_each_picture_is_the_one_it_would_be_alone(
    tiny_method: FaceMe, toy_pack: Pack, settings: SynthesisSettings
) -> None:
    painter = MethodSynthesiser(tiny_method, toy_pack, settings)
    together = painter.synthesise([4, 10], [9, 20], [7, 8])
    assert torch.allclose(together[1:], painter.synthesise([10], [20], [8]), atol=1e-5)


def test_without_a_guidance_the_familys_is_taken(tiny_method: FaceMe, toy_pack: Pack) -> None:
    card = tiny_method.family.card
    tiny_method.family.card = dataclasses.replace(card, guidance=2.0)
    default = MethodSynthesiser(tiny_method, toy_pack, dataclasses.replace(SETTINGS, guidance=None))
    told = MethodSynthesiser(tiny_method, toy_pack, SETTINGS)
    assert torch.equal(default.synthesise([4], [9], [7]), told.synthesise([4], [9], [7]))
    assert default.settings()["guidance"] == 2.0
    assert default.settings() == told.settings()


def test_at_full_strength_a_pose_photo_stays_as_it_is() -> None:
    square = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(pose_picture(square, 1.0), square)


def test_the_weaker_the_pose_the_less_of_the_photo_shows() -> None:
    generator = torch.Generator().manual_seed(0)
    square = torch.nn.functional.avg_pool2d(torch.rand(3, 130, 130, generator=generator), 3, 1)[:, :128, :128]
    details = [float((pose_picture(square, strength).diff(dim=2)).square().mean()) for strength in (0.1, 0.4, 0.7, 1.0)]
    assert details == sorted(details) and details[0] < 0.05 * details[-1]


def test_a_plain_picture_stays_plain_at_any_strength() -> None:
    plain = torch.full((3, 64, 64), 0.3)
    for strength in (0.01, 0.3, 0.9):
        assert torch.allclose(pose_picture(plain, strength), plain, atol=1e-5)


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_a_strength_out_of_range_is_refused(wrong: float) -> None:
    with pytest.raises(RecipeError, match="pose_strength"):
        SynthesisSettings(pose_strength=wrong)
