import dataclasses
import io
from collections.abc import Sequence

import pytest
import torch
from PIL import Image, ImageFilter

from keepface.faces.judge import Fitness
from keepface.identity.embed import IdentityFeatures
from keepface.image.files import photo_from_bytes
from keepface.people.doctor import ANOTHER_PERSON, Examined, advice, diagnose, examine, is_same_picture
from keepface.people.features import Networks

from .conftest import EXAMPLES, made_up_features, new_photo

ORIGINAL = EXAMPLES / "reference-1.jpg"
BEST = Fitness(size_px=400.0, blur=0.4, yaw_deg=0.0, roll_deg=0.0, problems=())


def features_of(vector: Sequence[float]) -> IdentityFeatures:
    unit = torch.nn.functional.normalize(torch.tensor(vector, dtype=torch.float32), dim=0)
    return dataclasses.replace(made_up_features(0).features, recogniser=unit)


def drawn(
    number: int,
    yaw_deg: float = 0.0,
    size_px: float = 400.0,
    blur: float = 0.4,
    who: Sequence[float] = (1, 0),
    year: int | None = None,
    is_grey: bool = False,
) -> Examined:
    """Make a photo with known measures; those of different numbers do not look alike."""
    look = torch.nn.functional.normalize(torch.eye(8)[number], dim=0)
    fitness = dataclasses.replace(BEST, yaw_deg=yaw_deg, size_px=size_px, blur=blur)
    return Examined(new_photo(number, year=year).record, features_of(who), fitness, look, is_grey)


def turned() -> list[Examined]:
    """Make a set in which nothing is missing."""
    return [drawn(0), drawn(1, yaw_deg=-25.0), drawn(2, yaw_deg=25.0)]


def example(networks: Networks, change: str = "none") -> Examined:
    image = Image.open(ORIGINAL).convert("RGB")
    width, height = image.size
    changed = {
        "none": image,
        "smaller": image.resize((width // 2, height // 2), Image.Resampling.LANCZOS),
        "grey": image.convert("L").convert("RGB"),
        "cropped": image.crop((width // 20, height // 20, width - width // 25, height)),
        "blurred": image.filter(ImageFilter.GaussianBlur(width / 50)),
    }[change]
    out = io.BytesIO()
    changed.save(out, "JPEG", quality=60)
    photo = photo_from_bytes(out.getvalue(), change)
    return examine(new_photo(1).record, photo, networks.embed(photo))


@pytest.mark.parametrize("change", ["smaller", "grey", "cropped"])
def test_a_copy_of_a_photo_is_found_out(networks: Networks, change: str) -> None:
    assert is_same_picture(example(networks), example(networks, change))


def test_another_photo_of_the_same_person_is_no_copy(networks: Networks) -> None:
    photo = photo_from_bytes((EXAMPLES / "reference-2.jpg").read_bytes(), "2")
    other = examine(new_photo(2).record, photo, networks.embed(photo))
    assert not is_same_picture(example(networks), other)
    diagnosis = diagnose([example(networks), other])
    assert diagnosis.is_well and all((finding.likeness or 0) > 0.5 for finding in diagnosis.photos)


def test_a_blurred_photo_is_named_with_its_measure(networks: Networks) -> None:
    (finding,) = diagnose([example(networks, "blurred")]).photos
    assert [problem.split(":")[0] for problem in finding.problems] == ["blurred"]
    assert finding.likeness is None


def test_a_photo_of_somebody_else_is_found_by_leaving_it_out() -> None:
    photos = [drawn(0), drawn(1), drawn(2, who=(0, 1)), drawn(3, who=(0.6, 0.8))]
    findings = diagnose(photos).photos
    # cosines of the third to the others: 0, 0, 0.8; of the first: 1, 0, 0.6
    assert findings[2].likeness == pytest.approx(0.8 / 3, abs=1e-3)
    assert findings[0].likeness == pytest.approx(1.6 / 3, abs=1e-3)
    assert diagnose(photos[:3]).photos[2].problems == (ANOTHER_PERSON,)
    sure = dataclasses.replace(photos[2], record=dataclasses.replace(photos[2].record, is_sure=True))
    assert diagnose([*photos[:2], sure]).is_well


def test_two_photos_that_disagree_are_both_named() -> None:
    findings = diagnose([drawn(0), drawn(1, who=(0, 1))]).photos
    assert [finding.problems for finding in findings] == [(ANOTHER_PERSON,)] * 2


def test_the_second_of_two_copies_is_named_with_the_first() -> None:
    twin = dataclasses.replace(drawn(1), look=drawn(0).look)
    first, second = diagnose([drawn(0), twin]).photos
    assert first.problems == () and second.problems == ("is nearly the same picture as drawn-0.png",)


def test_a_photo_that_gave_nothing_is_told_with_its_reason() -> None:
    (finding,) = diagnose([], [(new_photo(1).record, "there is no such file")]).photos
    assert finding.problems == ("there is no such file",) and finding.size_px is None


@pytest.mark.parametrize(
    ("photos", "said"),
    [
        ([], "no photo is fit to be a reference"),
        ([drawn(0)], "only 1 photo is fit to be used: add 2 more; 3 to 5 are best"),
        ([drawn(n) for n in range(3)], "all are frontal: add one turned to the left or the right"),
        ([*turned()[:2], drawn(3)], "none is turned to the right of the picture: add one"),
        ([*turned()[1:], drawn(3, yaw_deg=20.0)], "none is frontal: add one that looks into the camera"),
        ([dataclasses.replace(item, is_grey=True) for item in turned()], "all are black and white: add one in colour"),
        ([drawn(n, size_px=100.0 + n) for n in range(3)], "the largest face is 102 px wide: add a photo in which"),
        ([drawn(n, blur=0.6) for n in range(3)], "none is really sharp: add one that is"),
        ([drawn(n, year=1987) for n in range(3)], "all are from 1987: add one from the time of the photos"),
    ],
)
def test_what_is_missing_is_said_in_plain_words(photos: list[Examined], said: str) -> None:
    assert [line for line in advice(photos) if line.startswith(said)] != []


def test_a_good_set_wants_nothing_and_what_was_not_looked_at_is_said() -> None:
    diagnosis = diagnose(turned())
    assert diagnosis.is_well and diagnosis.add_next == ()
    assert any("sunglasses" in line for line in diagnosis.not_checked)
