import math

import pytest
import torch
from torch.nn import functional

from keepface.errors import WeightsError
from keepface.identity.image_encoder import INPUT_PX, POOLED_DIM, ImageEncoder, crop_box
from keepface.weights.store import load_strictly


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    return ImageEncoder.load()


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def grid() -> tuple[torch.Tensor, torch.Tensor]:
    y, x = torch.meshgrid(torch.linspace(-1, 1, INPUT_PX), torch.linspace(-1, 1, INPUT_PX), indexing="ij")
    return x, y


def orange_ball() -> torch.Tensor:
    x, y = grid()
    light = (1 - ((x + 0.25) ** 2 + (y + 0.3) ** 2)).clamp(0.1, 1)
    return torch.where(x**2 + y**2 < 0.5, light * torch.tensor([1.0, 0.55, 0.02]).view(3, 1, 1), torch.ones(()))


def clock() -> torch.Tensor:
    x, y = grid()
    radius = (x**2 + y**2).sqrt()
    ink = (radius > 0.8) & (radius < 0.88)
    for hour in range(12):
        angle = math.radians(30 * hour)
        ink |= (x - 0.68 * math.sin(angle)) ** 2 + (y + 0.68 * math.cos(angle)) ** 2 < 0.05**2
    for degrees, length, width in [(300, 0.4, 0.04), (60, 0.6, 0.03)]:
        angle = math.radians(degrees)
        along, across = x * math.sin(angle) - y * math.cos(angle), x * math.cos(angle) + y * math.sin(angle)
        ink |= (along > 0) & (along < length) & (across.abs() < width)
    return torch.where(ink, 0.1, 1.0).expand(3, -1, -1)


def traffic_light() -> torch.Tensor:
    x, y = grid()
    image = torch.tensor([0.5, 0.7, 0.95]).view(3, 1, 1).expand(3, INPUT_PX, INPUT_PX).clone()
    image[:, (x.abs() < 0.28) & (y.abs() < 0.85)] = 0.08
    for centre, colour in [(-0.55, (1.0, 0.1, 0.05)), (0.0, (0.25, 0.2, 0.05)), (0.55, (0.05, 0.25, 0.1))]:
        image[:, x**2 + (y - centre) ** 2 < 0.22**2] = torch.tensor(colour).view(3, 1)
    return image


def likelihoods(encoder: ImageEncoder, image: torch.Tensor) -> torch.Tensor:
    return functional.linear(encoder.pooled(image[None]), encoder._fc.weight, encoder._fc.bias)[0].softmax(0)


def likeliest(encoder: ImageEncoder, image: torch.Tensor) -> list[int]:
    return likelihoods(encoder, image).topk(3).indices.tolist()


def test_the_published_weights_fit_name_by_name(encoder: ImageEncoder) -> None:
    # 4.65 M with the classifier, as the authors of Lite0 print it
    assert sum(item.numel() for item in encoder.parameters()) == 4_652_008


def test_a_missing_or_an_unknown_name_is_refused(encoder: ImageEncoder) -> None:
    tensors = encoder.state_dict()
    tensors["_fc.wieght"] = tensors.pop("_fc.weight")
    with pytest.raises(WeightsError, match=r"missing: _fc\.weight.*unknown: _fc\.wieght"):
        load_strictly(ImageEncoder(), tensors, "here")


def test_the_network_is_frozen_and_stays_in_evaluation(encoder: ImageEncoder) -> None:
    assert not any(item.requires_grad for item in encoder.parameters())
    assert not any(module.training for module in encoder.train().modules())


def test_the_pooled_features_have_the_promised_width_and_range(encoder: ImageEncoder) -> None:
    pooled = encoder.pooled(picture(2, 3, INPUT_PX, INPUT_PX))
    assert pooled.shape == (2, POOLED_DIM)
    assert float(pooled.min()) >= 0 and float(pooled.max()) <= 6  # a mean of ReLU6


def test_the_tokens_are_the_places_whose_mean_is_the_pooled_features(encoder: ImageEncoder) -> None:
    image = picture(2, 3, INPUT_PX, INPUT_PX)
    tokens = encoder.tokens(image)
    assert tokens.shape == (2, 49, POOLED_DIM)
    assert torch.allclose(tokens.mean(1), encoder.pooled(image), atol=1e-5)
    assert torch.allclose(tokens[0, 1], encoder.feature_map(image)[0, :, 0, 1])  # row by row


def test_a_batch_is_embedded_as_its_items_are(encoder: ImageEncoder) -> None:
    images = picture(2, 3, 64, 64)
    assert torch.allclose(encoder.pooled(images)[1:], encoder.pooled(images[1:]), atol=1e-5)


@pytest.mark.parametrize("size", [64, 100])
def test_the_stages_are_halved_one_after_the_other(encoder: ImageEncoder, size: int) -> None:
    shapes = [tuple(stage.shape[1:]) for stage in encoder.stages(picture(1, 3, size, size))]
    sides = [-(-size // stride) for stride in (2, 4, 8, 16)]
    assert shapes == [(width, side, side) for width, side in zip((16, 24, 40, 112), sides, strict=True)]


def test_drawn_things_are_named_rightly(encoder: ImageEncoder) -> None:
    """The names are right only if the input's range, the padding and every layer are."""
    assert set(likeliest(encoder, clock())[:2]) == {409, 892}  # ImageNet's analog clock and wall clock
    assert likeliest(encoder, traffic_light())[0] == 920
    assert likeliest(encoder, orange_ball())[0] == 722  # a table tennis ball


def test_colours_are_read_in_the_order_red_green_blue(encoder: ImageEncoder) -> None:
    for image, name in [(traffic_light(), 920), (orange_ball(), 722)]:
        right, swapped = (float(likelihoods(encoder, item)[name]) for item in (image, image.flip(0)))
        assert right > 1.5 * swapped


def test_gradients_reach_the_picture(encoder: ImageEncoder) -> None:
    image = picture(1, 3, 32, 32).requires_grad_()
    encoder.stages(image)[-1].square().mean().backward()
    assert image.grad is not None and float(image.grad.abs().max()) > 0


def test_the_crop_of_a_224_px_box_is_those_pixels() -> None:
    image = picture(3, 300, 320)
    crop = crop_box(image, (20.0, 30.0, 20.0 + INPUT_PX, 30.0 + INPUT_PX))
    assert torch.allclose(crop, image[:, 30 : 30 + INPUT_PX, 20 : 20 + INPUT_PX], atol=1e-6)


def test_the_crop_of_a_box_keeps_its_colour_at_any_size_and_shape() -> None:
    image = torch.full((3, 90, 70), 0.4)
    for box in [(10.2, 9.7, 40.1, 60.4), (5.0, 5.0, 6.0, 6.0), (0.0, 0.0, 70.0, 20.0)]:
        crop = crop_box(image, box)
        assert crop.shape == (3, INPUT_PX, INPUT_PX)
        assert torch.allclose(crop, image.new_tensor(0.4), atol=1e-5)


def test_a_long_box_loses_its_ends_and_keeps_its_middle() -> None:
    image = torch.zeros(3, INPUT_PX, 3 * INPUT_PX)
    image[:, :, INPUT_PX : 2 * INPUT_PX] = 1
    crop = crop_box(image, (0.0, 0.0, 3.0 * INPUT_PX, float(INPUT_PX)))
    assert float(crop.min()) == 1


@pytest.mark.parametrize(
    ("short", "long", "resized"),  # the long side in CLIP's processor: int(224 * long / short)
    [(100, 133, 297), (100, 131, 293), (97, 180, 415), (150, 151, 225), (60, 60, 224), (60, 120, 448), (300, 401, 299)],
)
@pytest.mark.parametrize("is_tall", [False, True])
def test_a_box_is_resized_and_cut_as_clips_processor_does(short: int, long: int, resized: int, is_tall: bool) -> None:
    """On a ramp a pixel's value says where in the photo its centre lies."""
    ramp = (torch.arange(long) / long).expand(3, short, long)
    wide, tall = (short, long) if is_tall else (long, short)
    crop = crop_box(ramp.transpose(1, 2) if is_tall else ramp, (0.0, 0.0, float(wide), float(tall)))
    found = crop[0, :, 112] if is_tall else crop[0, 112]
    pixel = torch.arange(INPUT_PX) + (resized - INPUT_PX) // 2 + 0.5
    wanted = (pixel * long / resized - 0.5) / long
    inside = slice(16, -16)  # the filter's rim
    torch.testing.assert_close(found[inside], wanted[inside], atol=2e-4, rtol=0)


@pytest.mark.parametrize(
    ("box", "black"),
    [
        ((-50.0, 0.0, 50.0, 100.0), (slice(None), slice(0, 110))),  # the left half lies outside
        ((50.0, 0.0, 150.0, 100.0), (slice(None), slice(115, None))),
        ((0.0, -50.0, 100.0, 50.0), (slice(0, 110), slice(None))),
        ((0.0, 50.0, 100.0, 150.0), (slice(115, None), slice(None))),
        ((200.0, 200.0, 260.0, 260.0), (slice(None), slice(None))),
        ((-90.0, -90.0, -30.0, -30.0), (slice(None), slice(None))),
    ],
)
def test_what_lies_outside_the_picture_is_black(
    box: tuple[float, float, float, float], black: tuple[slice, slice]
) -> None:
    crop = crop_box(torch.ones(3, 100, 100), box)
    assert float(crop[0][black].abs().max()) < 1e-3
    whole = black == (slice(None), slice(None))
    assert float(crop.max()) == pytest.approx(0.0 if whole else 1.0, abs=1e-4)
