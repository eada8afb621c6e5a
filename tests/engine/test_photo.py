from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from keepface.engine.choice import Choice, Knobs
from keepface.engine.matching import People
from keepface.engine.photo import looks_aligned, restore_photo
from keepface.engine.references import LeftOut, References, gather_references
from keepface.engine.settings import RestoreSettings
from keepface.errors import PhotoError, ReferencePhotoError, TooLargeError
from keepface.faces.align import align_ffhq, template_face
from keepface.faces.tones import MIDDLE
from keepface.image.colour import to_grey
from keepface.image.files import Photo, read_photo
from keepface.image.size import resize
from keepface.seeds import generator

from .plain_restorer import ANNA, BEN, KEPT, LIFT, SIZE, PlainRestorer, album, landscape, person

pytestmark = pytest.mark.shared
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# The arithmetic in the model's place makes faces worse, so it is asked for.
TRUSTING = RestoreSettings(same_person_floor=-1.0, harmonise=False, keep_worse=True)
KEEPING = RestoreSettings(keep_worse=True)


def aligned(restorer: PlainRestorer, path: Path, size: int) -> Photo:
    photo = read_photo(path)
    face = restorer.embedder.detector.detect(photo.pixels)[0]
    return Photo(align_ffhq(photo.pixels, face.points, size).crop, source="square")


def test_the_one_face_is_restored_and_every_pixel_beyond_it_keeps_its_bits(restorer: PlainRestorer) -> None:
    photo = read_photo(album("photos/00.jpg"))
    result = restore_photo(restorer, photo, person(ANNA), TRUSTING)
    face = result.faces[0]
    assert face.restored and face.method == "plain" and all(reason.kept for reason in face.reasons)
    changed = (result.image.pixels != photo.pixels).any(0)
    ys, xs = torch.nonzero(changed, as_tuple=True)
    left, top, right, bottom = face.box
    width = right - left
    assert changed.any() and not changed.all()
    assert xs.min() > left - width and xs.max() < right + width and ys.min() > top - width
    assert restorer.calls[0]["references"] == [2]


def test_the_face_most_like_the_references_is_chosen_and_the_others_are_left_alone(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))  # three people side by side, the first of them BEN
    result = restore_photo(restorer, photo, person(BEN, 3), replace(KEEPING, harmonise=False))
    chosen = [face for face in result.faces if face.restored]
    assert len(result.faces) == 3 and len(chosen) == 1
    assert chosen[0].box[2] < photo.pixels.shape[2] / 3
    assert {face.reason for face in result.faces if not face.restored} == {"not this person"}
    right_half = photo.pixels.shape[2] // 2
    assert torch.equal(result.image.pixels[..., right_half:], photo.pixels[..., right_half:])
    assert chosen[0].similarity.input_to_references > max(
        face.similarity.input_to_references for face in result.faces if not face.restored
    )


def test_without_references_every_face_is_restored(restorer: PlainRestorer) -> None:
    result = restore_photo(restorer, album("photos/02.jpg"), (), KEEPING, seed=5)
    assert [face.restored for face in result.faces] == [True, True]
    (call,) = restorer.calls
    assert (call["references"], call["seeds"], call["weights"]) == ([0, 0], [5, 5], [[], []])
    assert result.faces[0].similarity.input_to_references is None
    assert -1 <= result.faces[0].similarity.output_to_input <= 1


def test_a_photo_without_a_face_comes_back_as_it_is(restorer: PlainRestorer, tmp_path: Path) -> None:
    photo = read_photo(landscape(tmp_path / "hill.png", 200, 200))
    result = restore_photo(restorer, photo, person(ANNA))
    assert [(face.box, face.restored, face.reason) for face in result.faces] == [(None, False, "no face")]
    assert torch.equal(result.image.pixels, photo.pixels) and not result.changed
    assert restorer.calls == []


def test_a_small_picture_without_a_face_is_not_taken_for_an_aligned_one(
    restorer: PlainRestorer, tmp_path: Path
) -> None:
    result = restore_photo(restorer, landscape(tmp_path / "hill.png", SIZE, SIZE))
    assert result.faces[0].reason == "no face" and not result.changed


@pytest.mark.parametrize("size", [96, SIZE])
def test_a_small_aligned_square_is_restored_whole_at_the_size_of_the_family(restorer: PlainRestorer, size: int) -> None:
    result = restore_photo(restorer, aligned(restorer, person(ANNA)[0], size), person(ANNA, 3)[1:], KEEPING)
    assert tuple(result.image.pixels.shape) == (3, SIZE, SIZE)
    assert result.faces[0].restored
    assert 0 < result.faces[0].box[0] < result.faces[0].box[2] < size


def test_an_aligned_square_larger_than_the_family_keeps_its_size_unless_asked(restorer: PlainRestorer) -> None:
    square = aligned(restorer, person(ANNA)[0], 2 * SIZE)
    assert restore_photo(restorer, square, (), KEEPING).image.pixels.shape[-1] == 2 * SIZE
    assert restore_photo(restorer, square, (), KEEPING, is_aligned=True).image.pixels.shape[-1] == SIZE


def test_said_to_be_aligned_a_square_needs_no_detected_face(restorer: PlainRestorer) -> None:
    grey = Photo(torch.full((3, 64, 64), 0.5))
    result = restore_photo(restorer, grey, (), KEEPING, is_aligned=True)
    assert result.faces[0].restored
    assert result.faces[0].box == pytest.approx(template_face(64).box)
    flat = 0.5 - (MIDDLE - MIDDLE * KEPT - LIFT) / 8  # one tone alone is stretched eight times around the middle
    assert result.image.pixels[1].mean() == pytest.approx(flat, abs=1e-3)


def test_said_to_be_aligned_a_photo_must_be_square(restorer: PlainRestorer) -> None:
    with pytest.raises(PhotoError, match=r"40 x 30.*leave out --aligned"):
        restore_photo(restorer, Photo(torch.zeros(3, 30, 40)), is_aligned=True)


def test_a_stranger_is_left_alone_until_asked_for_and_it_is_said(restorer: PlainRestorer) -> None:
    photo = degraded(read_photo(person(BEN)[0]))
    result = restore_photo(restorer, photo, person(ANNA, 3), KEEPING)
    face = result.faces[0]
    assert not result.changed and restorer.calls == [] and face.same_person_probability < 0.2
    assert face.reason.startswith("left as it was: hardly the person of the references (probability 0.")
    asked = restore_photo(restorer, photo, person(ANNA, 3), replace(KEEPING, choice=Choice(only=("1",))))
    assert asked.faces[0].restored and restorer.calls[0]["references"] == [3]


def test_strict_refuses_references_of_somebody_else(restorer: PlainRestorer) -> None:
    with pytest.raises(ReferencePhotoError, match="hardly the person of the references"):
        restore_photo(restorer, person(BEN)[0], person(ANNA, 3), RestoreSettings(strict=True))


def test_among_several_strangers_nobody_is_restored(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/02.png"))
    result = restore_photo(restorer, photo, person(ANNA, 3), RestoreSettings(same_person_floor=0.5))
    assert sorted(face.reasons[0].code for face in result.faces) == ["not_this_person", "unlike"]
    assert torch.equal(result.image.pixels, photo.pixels)


def test_a_face_too_blurred_to_tell_is_led_by_the_references_given(restorer: PlainRestorer) -> None:
    square = aligned(restorer, person(BEN)[0], SIZE)
    tiny = torch.nn.functional.interpolate(square.pixels[None], 10, mode="area")
    lost = Photo(torch.nn.functional.interpolate(tiny, SIZE, mode="bicubic")[0].clamp(0, 1))
    result = restore_photo(restorer, lost, person(ANNA, 3), is_aligned=True)
    assert restorer.calls[0]["references"] == [3] and result.faces[0].reasons[0].code == "led_on_your_word"
    assert result.faces[0].same_person_probability is None


@pytest.mark.parametrize("is_aligned", [True, False])
def test_a_grey_photo_stays_grey_unless_told_otherwise(restorer: PlainRestorer, is_aligned: bool) -> None:
    colour = aligned(restorer, person(ANNA)[0], SIZE)
    grey = replace(colour, pixels=to_grey(colour.pixels), is_grey=True)
    kept = restore_photo(restorer, grey, (), KEEPING, is_aligned=is_aligned).image.pixels
    free = restore_photo(restorer, grey, (), replace(KEEPING, keep_grey=False), is_aligned=is_aligned).image.pixels
    assert torch.equal(kept[0], kept[1]) and torch.equal(kept[1], kept[2])
    assert not torch.equal(free[0], free[1])


def test_more_faces_than_the_limit_are_refused_with_the_way_to_raise_it(restorer: PlainRestorer) -> None:
    with pytest.raises(TooLargeError, match=r"has 3 faces; the limit is 2: raise it with --max-faces 3"):
        restore_photo(restorer, album("clean/03.png"), settings=RestoreSettings(max_faces=2))


def test_weights_and_progress_reach_the_restorer(restorer: PlainRestorer) -> None:
    steps: list[tuple[int, int]] = []
    references = gather_references(restorer, person(ANNA), [1.0, 0.25])
    settings = replace(TRUSTING, steps=3)
    restore_photo(
        restorer, album("photos/00.jpg"), references, settings, progress=lambda done, total: steps.append((done, total))
    )
    assert restorer.calls[0]["weights"] == [[1.0, 0.25]]
    assert steps == [(3, 3)]


def test_only_a_face_in_its_place_looks_aligned() -> None:
    face = template_face(100)
    assert looks_aligned(face, 100)
    assert not looks_aligned(face.scaled(0.6), 100)
    assert not looks_aligned(replace(face, points=face.points + 12.0), 100)


def test_a_face_has_its_own_knobs_and_is_the_same_in_whatever_batch(restorer: PlainRestorer) -> None:
    photo = album("photos/02.jpg")
    own = replace(KEEPING, fidelity=0.0, choice=Choice(knobs=(Knobs("2", fidelity=0.4, identity=0.5),)))
    result = restore_photo(restorer, photo, (), own)
    assert [call["settings"] for call in restorer.calls] == [(0.0, 1.0), (0.4, 0.5)]
    assert all(face.restored for face in result.faces)
    plain = restore_photo(restorer, photo, (), KEEPING)
    assert torch.equal(result.image.pixels, plain.image.pixels)  # the arithmetic here knows no knobs


def test_of_faces_that_are_skipped_every_bit_stays(restorer: PlainRestorer) -> None:
    photo = read_photo(album("photos/02.jpg"))
    result = restore_photo(restorer, photo, (), RestoreSettings(choice=Choice(skip=("1", "2"))))
    assert torch.equal(result.image.pixels, photo.pixels) and not result.changed
    assert {face.reason for face in result.faces} == {"skipped, as asked"}
    small = restore_photo(restorer, photo, (), RestoreSettings(choice=Choice(min_face=200.0)))
    assert not small.changed and all("200 px are asked for" in str(face.reason) for face in small.faces)


def test_harmony_is_a_setting_and_comes_from_the_seed(restorer: PlainRestorer) -> None:
    photo = read_photo(album("photos/02.jpg"))
    on, again, other = (restore_photo(restorer, photo, (), KEEPING, seed=seed).image.pixels for seed in (1, 1, 2))
    off = restore_photo(restorer, photo, (), replace(KEEPING, harmonise=False), seed=1).image.pixels
    assert torch.equal(on, again) and not torch.equal(on, off)
    assert on.shape == other.shape


class Forgetful(PlainRestorer):
    """Draws a grey square in the place of every face."""

    def restore_squares(self, low: torch.Tensor, *others: object) -> torch.Tensor:
        return torch.full_like(low, 0.5)


def degraded(photo: Photo, sigma: float = 0.06) -> Photo:
    """Make a photo noisy, and a little blurred."""
    soft = cv2.GaussianBlur(photo.pixels.permute(1, 2, 0).numpy(), (0, 0), 1.0)
    noise = sigma * torch.randn(photo.pixels.shape, generator=generator(0, "noise"))
    return replace(photo, pixels=(torch.from_numpy(soft).permute(2, 0, 1) + noise).clamp(0, 1))


def calmer(low: torch.Tensor) -> torch.Tensor:
    """Take noise out as a median does, which keeps edges."""
    pictures = [cv2.medianBlur((item.permute(1, 2, 0).numpy() * 255).astype(np.uint8), 3) for item in low]
    return torch.stack([torch.from_numpy(item.astype(np.float32) / 255).permute(2, 0, 1) for item in pictures])


def test_what_may_not_stay_gives_way_to_the_denoised_face_and_that_to_the_photo(restorer: PlainRestorer) -> None:
    photo = degraded(read_photo(album("photos/00.jpg")))
    drawing, settings = Forgetful(restorer.embedder, restorer.judge), replace(TRUSTING, keep_worse=False)
    alone = restore_photo(drawing, photo, person(ANNA), settings)
    assert alone.faces[0].outcome == "unchanged" and torch.equal(alone.image.pixels, photo.pixels)
    assert "lost" in {reason.code for reason in alone.faces[0].reasons} and alone.faces[0].quality is None
    drawing.cleaned = calmer
    denoised = restore_photo(drawing, photo, (), settings).faces[0]
    assert denoised.outcome == "denoised" and denoised.reason.startswith("denoised: restored, it would ")
    assert denoised.quality.noise_after < 0.7 * denoised.quality.noise_before
    drawing.cleaned = lambda low: 1 - low  # a cleaner that makes a stranger too
    both = restore_photo(drawing, photo, (), settings)
    assert not both.changed and {reason.way for reason in both.faces[0].reasons} == {"restored", "denoised"}
    kept = restore_photo(drawing, photo, (), TRUSTING).faces[0]
    assert kept.outcome == "restored" and "keep the old face" in kept.reason


def test_a_sharp_face_is_left_alone_at_every_size_before_anything_is_computed(restorer: PlainRestorer) -> None:
    sharp = read_photo(EXAMPLES / "reference-1.jpg")
    for side in (500, 330, 200, 140):
        width = round(side * sharp.pixels.shape[2] / sharp.pixels.shape[1])
        photo = replace(sharp, pixels=resize(sharp.pixels, (side, width), "bicubic").clamp(0, 1))
        result = restore_photo(restorer, photo, [EXAMPLES / "reference-2.jpg"])
        assert result.faces[0].reasons[0].code in ("holds_more", "sharp"), side
        assert torch.equal(result.image.pixels, photo.pixels)
    assert restorer.calls == []
    large = resize(resize(sharp.pixels, (90, 84), "bicubic"), (500, 466), "bicubic").clamp(0, 1)
    restore_photo(restorer, replace(sharp, pixels=large))
    assert len(restorer.calls) == 1  # its pixels are many, its detail is not


def test_flat_tones_reach_the_networks_stretched_and_come_back_as_they_were(restorer: PlainRestorer) -> None:
    photo = read_photo(album("photos/02.jpg"))
    flat = replace(photo, pixels=0.55 + 0.2 * photo.pixels)
    seen: list[torch.Tensor] = []

    class Same(PlainRestorer):
        def restore_squares(self, low: torch.Tensor, *others: object) -> torch.Tensor:
            seen.append(low)
            return low

    result = restore_photo(Same(restorer.embedder, restorer.judge), flat, (), TRUSTING)
    luma = [square.mean(0) for square in seen[0]]
    assert all(float(item.quantile(0.98) - item.quantile(0.02)) > 0.35 for item in luma)
    assert (result.image.pixels - flat.pixels).abs().mean() < 0.004 and result.faces[0].quality.lighter < 0.01


def test_the_references_that_were_left_out_are_those_of_who_leads_in_this_photo(restorer: PlainRestorer) -> None:
    left_out = {name: LeftOut(f"{name}.jpg", "no face") for name in (ANNA, BEN, "lfw-3794")}
    people = People(
        tuple(
            References(gather_references(restorer, person(name, 3)).kept, (item,), name)
            for name, item in left_out.items()
        )
    )
    restored = restore_photo(restorer, read_photo(album("clean/03.png")), people, KEEPING)
    there = {face.person for face in restored.faces} - {None}
    assert BEN in there and ANNA not in there
    assert set(restored.left_out) == {left_out[name] for name in there}
