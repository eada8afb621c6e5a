from dataclasses import replace
from pathlib import Path

import pytest
import torch

from keepface.engine.choice import Choice, Knobs
from keepface.engine.matching import People
from keepface.engine.photo import looks_aligned, restore_photo
from keepface.engine.references import LeftOut, References, gather_references
from keepface.engine.settings import RestoreSettings
from keepface.errors import PhotoError, ReferencePhotoError, TooLargeError
from keepface.faces.align import align_ffhq, template_face
from keepface.image.colour import to_grey
from keepface.image.files import Photo, read_photo

from .plain_restorer import ANNA, BEN, KEPT, LIFT, SIZE, PlainRestorer, album, landscape, person

pytestmark = pytest.mark.shared
TRUSTING = RestoreSettings(same_person_floor=-1.0, harmonise=False)


def aligned(restorer: PlainRestorer, path: Path, size: int) -> Photo:
    photo = read_photo(path)
    face = restorer.embedder.detector.detect(photo.pixels)[0]
    return Photo(align_ffhq(photo.pixels, face.points, size).crop, source="square")


def test_the_one_face_is_restored_and_every_pixel_beyond_it_keeps_its_bits(restorer: PlainRestorer) -> None:
    photo = read_photo(album("photos/00.jpg"))
    result = restore_photo(restorer, photo, person(ANNA), TRUSTING)
    face = result.faces[0]
    assert face.restored and face.reason is None and face.method == "plain"
    changed = (result.image.pixels != photo.pixels).any(0)
    ys, xs = torch.nonzero(changed, as_tuple=True)
    left, top, right, bottom = face.box
    width = right - left
    assert changed.any() and not changed.all()
    assert xs.min() > left - width and xs.max() < right + width and ys.min() > top - width
    assert restorer.calls[0]["references"] == [2]


def test_the_face_most_like_the_references_is_chosen_and_the_others_are_left_alone(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/03.png"))  # three people side by side, the first of them BEN
    result = restore_photo(restorer, photo, person(BEN, 3), RestoreSettings(harmonise=False))
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
    result = restore_photo(restorer, album("photos/02.jpg"), seed=5)
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
    result = restore_photo(restorer, aligned(restorer, person(ANNA)[0], size), person(ANNA, 3)[1:])
    assert tuple(result.image.pixels.shape) == (3, SIZE, SIZE)
    assert result.faces[0].restored
    assert 0 < result.faces[0].box[0] < result.faces[0].box[2] < size


def test_an_aligned_square_larger_than_the_family_keeps_its_size_unless_asked(restorer: PlainRestorer) -> None:
    square = aligned(restorer, person(ANNA)[0], 2 * SIZE)
    assert restore_photo(restorer, square).image.pixels.shape[-1] == 2 * SIZE
    assert restore_photo(restorer, square, is_aligned=True).image.pixels.shape[-1] == SIZE


def test_said_to_be_aligned_a_square_needs_no_detected_face(restorer: PlainRestorer) -> None:
    grey = Photo(torch.full((3, 64, 64), 0.5))
    result = restore_photo(restorer, grey, is_aligned=True)
    assert result.faces[0].restored
    assert result.faces[0].box == pytest.approx(template_face(64).box)
    assert result.image.pixels[1].mean() == pytest.approx(0.5 * KEPT + LIFT, abs=1e-3)


def test_said_to_be_aligned_a_photo_must_be_square(restorer: PlainRestorer) -> None:
    with pytest.raises(PhotoError, match=r"40 x 30.*leave out --aligned"):
        restore_photo(restorer, Photo(torch.zeros(3, 30, 40)), is_aligned=True)


def test_references_of_somebody_else_do_not_lead_and_it_is_said(restorer: PlainRestorer) -> None:
    result = restore_photo(restorer, person(BEN)[0], person(ANNA, 3))
    face = result.faces[0]
    assert face.restored and restorer.calls[0]["references"] == [0]
    assert face.reason.startswith("restored without references: the references do not look like this person")


def test_strict_refuses_references_of_somebody_else(restorer: PlainRestorer) -> None:
    with pytest.raises(ReferencePhotoError, match="do not look like this person"):
        restore_photo(restorer, person(BEN)[0], person(ANNA, 3), RestoreSettings(strict=True))


def test_among_several_strangers_nobody_is_restored(restorer: PlainRestorer) -> None:
    photo = read_photo(album("clean/02.png"))
    result = restore_photo(restorer, photo, person(ANNA, 3), RestoreSettings(same_person_floor=0.5))
    assert {face.reason for face in result.faces} == {"not this person"}
    assert torch.equal(result.image.pixels, photo.pixels)


def test_a_face_too_blurred_to_tell_is_led_by_the_references_given(restorer: PlainRestorer) -> None:
    square = aligned(restorer, person(BEN)[0], SIZE)
    tiny = torch.nn.functional.interpolate(square.pixels[None], 10, mode="area")
    lost = Photo(torch.nn.functional.interpolate(tiny, SIZE, mode="bicubic")[0].clamp(0, 1))
    result = restore_photo(restorer, lost, person(ANNA, 3), is_aligned=True)
    assert restorer.calls[0]["references"] == [3] and result.faces[0].reason is None


@pytest.mark.parametrize("is_aligned", [True, False])
def test_a_grey_photo_stays_grey_unless_told_otherwise(restorer: PlainRestorer, is_aligned: bool) -> None:
    colour = aligned(restorer, person(ANNA)[0], SIZE)
    grey = replace(colour, pixels=to_grey(colour.pixels), is_grey=True)
    kept = restore_photo(restorer, grey, is_aligned=is_aligned).image.pixels
    free = restore_photo(restorer, grey, (), RestoreSettings(keep_grey=False), is_aligned=is_aligned).image.pixels
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
    own = RestoreSettings(fidelity=0.0, choice=Choice(knobs=(Knobs("2", fidelity=0.4, identity=0.5),)))
    result = restore_photo(restorer, photo, (), own)
    assert [call["settings"] for call in restorer.calls] == [(0.0, 1.0), (0.4, 0.5)]
    assert all(face.restored for face in result.faces)
    plain = restore_photo(restorer, photo)
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
    on, again, other = (restore_photo(restorer, photo, (), seed=seed).image.pixels for seed in (1, 1, 2))
    off = restore_photo(restorer, photo, (), RestoreSettings(harmonise=False), seed=1).image.pixels
    assert torch.equal(on, again) and not torch.equal(on, off)
    assert on.shape == other.shape


class Forgetful(PlainRestorer):
    """Draws a grey square in the place of every face."""

    def restore_squares(self, low: torch.Tensor, *others: object) -> torch.Tensor:
        return torch.full_like(low, 0.5)


def test_a_face_that_would_become_a_stranger_is_cleaned_instead_where_there_is_a_cleaner(
    restorer: PlainRestorer,
) -> None:
    photo = read_photo(album("photos/00.jpg"))
    drawing = Forgetful(restorer.embedder, restorer.judge)
    alone = restore_photo(drawing, photo, person(ANNA), TRUSTING)
    assert not alone.faces[0].restored and torch.equal(alone.image.pixels, photo.pixels)
    drawing.cleaned = lambda low: (low + 0.02).clamp(0, 1)  # a little lighter, and the same person still
    cleaned = restore_photo(drawing, photo, person(ANNA), replace(TRUSTING, harmonise=False))
    face = cleaned.faces[0]
    assert (
        face.restored
        and face.is_only_cleaned
        and face.reason is not None
        and face.reason.startswith("only cleaned: drawn anew it would")
    )
    assert face.similarity.output_to_references == pytest.approx(face.similarity.input_to_references, abs=0.05)
    assert 0.01 < (cleaned.image.pixels - photo.pixels).max() < 0.06  # 0.02, and what drawing it twice over changes
    drawing.cleaned = lambda low: 1 - low  # a cleaner that makes a stranger too
    assert not restore_photo(drawing, photo, person(ANNA), TRUSTING).changed


def test_the_references_that_were_left_out_are_those_of_who_leads_in_this_photo(restorer: PlainRestorer) -> None:
    left_out = {name: LeftOut(f"{name}.jpg", "no face") for name in (ANNA, BEN, "lfw-3794")}
    people = People(
        tuple(
            References(gather_references(restorer, person(name, 3)).kept, (item,), name)
            for name, item in left_out.items()
        )
    )
    restored = restore_photo(restorer, read_photo(album("clean/03.png")), people, RestoreSettings())
    there = {face.person for face in restored.faces} - {None}
    assert BEN in there and ANNA not in there
    assert set(restored.left_out) == {left_out[name] for name in there}
