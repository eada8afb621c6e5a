from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional

from keepface.faces.align import template_face
from keepface.faces.face import Face
from keepface.identity.compare import cosine
from keepface.identity.recogniser import CONDITIONING, JUDGE, RECOGNISERS, Recogniser, SFace


@pytest.fixture(scope="module", params=list(RECOGNISERS))
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    return RECOGNISERS[request.param]()


def smooth_picture(size: int = 128, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(1, 3, 9, 9, generator=torch.Generator().manual_seed(seed))
    return functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)[0].clamp(0, 1)


def shifted(face: Face, x: float, y: float) -> Face:
    left, top, right, bottom = face.box
    return Face((left + x, top + y, right + x, bottom + y), face.points + [x, y], face.score)


def test_embeddings_are_unit_vectors_of_the_promised_width(recogniser: Recogniser) -> None:
    for seed in range(2):
        embedding = recogniser.embed(smooth_picture(seed=seed), template_face(128))
        assert embedding.shape == (recogniser.dim,)
        assert embedding.dtype == torch.float32
        assert float(embedding.norm()) == pytest.approx(1, abs=1e-5)


def test_the_name_in_the_table_is_the_recognisers_own(recogniser: Recogniser) -> None:
    assert RECOGNISERS[recogniser.name] is type(recogniser)


def test_no_result_is_judged_by_the_net_it_was_led_by() -> None:
    assert CONDITIONING != JUDGE
    assert {CONDITIONING, JUDGE} <= set(RECOGNISERS)


def test_a_face_is_the_same_wherever_it_lies_in_the_picture(recogniser: Recogniser) -> None:
    picture = smooth_picture()
    wide = torch.zeros(3, 200, 230)
    wide[:, 31:159, 57:185] = picture
    there = recogniser.embed(wide, shifted(template_face(128), 57, 31))
    assert float(cosine(there, recogniser.embed(picture, template_face(128)))) > 0.999


@pytest.mark.parametrize("factor", [2.0, 5.0])
def test_a_face_is_the_same_in_an_enlarged_picture(recogniser: Recogniser, factor: float) -> None:
    picture = smooth_picture()
    large = functional.interpolate(picture[None], scale_factor=factor, mode="bilinear")[0]
    there = recogniser.embed(large, template_face(128).scaled(factor))
    assert float(cosine(there, recogniser.embed(picture, template_face(128)))) > 0.97


def test_switching_the_channels_is_feeding_the_picture_in_the_other_order() -> None:
    picture, face = smooth_picture(), template_face(128)
    plain, switched = SFace(), SFace(swap_channels=True)
    assert torch.allclose(switched.embed(picture, face), plain.embed(picture.flip(0), face), atol=1e-6)
    assert float(cosine(switched.embed(picture, face), plain.embed(picture, face))) < 0.99


def test_threads_share_one_recogniser(recogniser: Recogniser) -> None:
    pictures, face = [smooth_picture(seed=seed) for seed in range(6)], template_face(128)
    alone = [recogniser.embed(picture, face) for picture in pictures]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda picture: recogniser.embed(picture, face), pictures))
    assert torch.allclose(torch.stack(together), torch.stack(alone), atol=1e-6)


@pytest.mark.shared
def test_a_mirrored_face_is_nearer_to_itself_than_to_anybody_else(
    recogniser: Recogniser, people: list[list[torch.Tensor]]
) -> None:
    face = template_face(people[0][0].shape[-1])
    neutral = torch.stack([recogniser.embed(photos[0], face) for photos in people])
    mirrored = torch.stack([recogniser.embed(photos[0].flip(-1), face) for photos in people])
    likeness = mirrored @ neutral.T
    own, others = likeness.diagonal(), likeness - 2 * torch.eye(len(people))
    assert (own > others.max(1).values).all()
    assert float(own.min()) > 0.6


@pytest.mark.shared
def test_a_smile_does_not_make_another_person(recogniser: Recogniser, people: list[list[torch.Tensor]]) -> None:
    face = template_face(people[0][0].shape[-1])
    neutral, smiling = (torch.stack([recogniser.embed(photos[i], face) for photos in people]) for i in (0, 1))
    likeness = neutral @ smiling.T
    off_diagonal = likeness[~torch.eye(len(people), dtype=torch.bool)]
    assert float(likeness.diagonal().min()) > float(off_diagonal.max())


@pytest.mark.shared
def test_the_right_channel_order_knows_a_smiling_face_better(people: list[list[torch.Tensor]]) -> None:
    face = template_face(people[0][0].shape[-1])

    def margin(net: SFace) -> float:
        a, b = (torch.stack([net.embed(photos[i], face) for photos in people]) for i in (0, 1))
        likeness = a @ b.T
        return float(likeness.diagonal().mean() - likeness[~torch.eye(len(people), dtype=torch.bool)].mean())

    assert margin(SFace()) > margin(SFace(swap_channels=True))
