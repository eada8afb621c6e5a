import numpy as np
import pytest
import torch

from keepface.degrade.camera import Camera, bayer, camera_noise, demosaic, develop, draw_camera, sensor_noise, unprocess

SILENT = Camera((0.1, 0.4, 0.3, 0.2), brightness=1.25, red=2.1, blue=1.7, shot=0.0, read=0.0)


def gains(camera: Camera) -> torch.Tensor:
    return camera.brightness * torch.tensor([camera.red, 1.0, camera.blue])[:, None, None]


def muted(seed: int, side: int = 16) -> torch.Tensor:
    """Colours that no camera clips."""
    return 0.3 + 0.35 * torch.rand(3, side, side, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("seed", range(5))
def test_developing_what_was_unprocessed_gives_the_picture_back(seed):
    camera = draw_camera(np.random.default_rng(seed))
    light = unprocess(muted(seed), camera)
    assert torch.allclose(develop(light * gains(camera), camera), muted(seed), atol=2e-5)


@pytest.mark.parametrize("seed", range(5))
def test_unprocessing_what_was_developed_gives_the_light_back(seed):
    camera = draw_camera(np.random.default_rng(seed))
    light = unprocess(muted(seed), camera)
    assert torch.allclose(unprocess(develop(light * gains(camera), camera), camera), light, atol=2e-5)


def test_tone_and_gamma_of_grey_are_the_published_curves():
    light = torch.full((3, 4, 4), 0.2)
    encoded = 0.2 ** (1 / 2.2)
    assert torch.allclose(develop(light, SILENT), torch.full((3, 4, 4), 3 * encoded**2 - 2 * encoded**3), atol=1e-5)


def test_white_and_black_stay_what_they_are():
    for level in (0.0, 1.0):
        image = torch.full((3, 8, 8), level)
        assert torch.allclose(camera_noise(image, SILENT, 0), image, atol=1e-4)


def test_noise_has_the_variance_of_shot_times_light_plus_read():
    for level in (0.0, 0.1, 0.6):
        light = torch.full((3, 160, 160), level)
        noise = sensor_noise(light, shot=0.012, read=3e-4, seed=4) - light
        assert noise.var().item() == pytest.approx(0.012 * level + 3e-4, rel=0.03)
        assert noise.mean().item() == pytest.approx(0, abs=1e-3)


def test_a_mosaic_has_one_colour_a_cell_and_twice_as_much_green():
    sites = bayer(torch.zeros(3, 6, 8))
    assert torch.equal(sites.sum(0), torch.ones(6, 8))
    assert sites.sum((1, 2)).tolist() == [12, 24, 12]
    assert sites[:, 0, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize(("height", "width"), [(9, 12), (8, 7)])
def test_a_mosaic_is_filled_exactly_where_colours_rise_evenly(height, width):
    y, x = torch.meshgrid(torch.arange(height) / 20, torch.arange(width) / 20, indexing="ij")
    image = torch.stack([x + y, 0.2 + x, 0.5 - 0.3 * y])
    sites = bayer(image)
    filled = demosaic(image * sites, sites)
    assert torch.allclose(filled[:, 1:-1, 1:-1], image[:, 1:-1, 1:-1], atol=1e-6)
    assert torch.allclose(filled * sites, image * sites, atol=1e-6)


def test_without_noise_an_even_picture_keeps_its_colour():
    image = torch.tensor([0.6, 0.45, 0.35])[:, None, None].expand(3, 11, 14).contiguous()
    assert torch.allclose(camera_noise(image, SILENT, 0), image, atol=2e-5)


def test_a_draw_fills_the_published_ranges():
    rng = np.random.default_rng(0)
    cameras = [draw_camera(rng) for _ in range(2000)]
    shots = np.log([camera.shot for camera in cameras])
    assert np.log(1e-4) <= shots.min() and shots.max() <= np.log(0.012)
    assert shots.mean() == pytest.approx((np.log(1e-4) + np.log(0.012)) / 2, abs=0.13)
    rest = np.log([camera.read for camera in cameras]) - 2.18 * shots - 1.20
    assert rest.mean() == pytest.approx(0, abs=0.03)
    assert rest.std() == pytest.approx(0.26, abs=0.02)
    dimming = np.array([1 / camera.brightness for camera in cameras])
    assert dimming.mean() == pytest.approx(0.8, abs=0.01) and dimming.std() == pytest.approx(0.1, abs=0.01)
    assert np.mean([camera.red for camera in cameras]) == pytest.approx(2.15, abs=0.02)
    assert np.mean([camera.blue for camera in cameras]) == pytest.approx(1.7, abs=0.02)
    assert all(sum(camera.mix) == pytest.approx(1) for camera in cameras)
