"""All photos of a person looked at: on the example photos, with the real networks."""

import hashlib
import io
from pathlib import Path

import pytest
from PIL import Image

from keepface.people.checkup import check_person
from keepface.people.features import Networks
from keepface.people.person import ReferencePhoto, new_key, today
from keepface.people.store import Library, NewPhoto

from .conftest import EXAMPLES, drawn_file


def added(data: bytes, name: str, link: Path | None = None) -> NewPhoto:
    record = ReferencePhoto(
        new_key(), hashlib.sha256(data).hexdigest(), name, today(), link=None if link is None else str(link)
    )
    return NewPhoto(record, None if link else data)


@pytest.fixture
def photos(tmp_path: Path) -> list[NewPhoto]:
    """Two good photos, the first again but smaller, one without a face, and one that is gone."""
    first, second = ((EXAMPLES / f"reference-{number}.jpg").read_bytes() for number in (1, 2))
    image, out = Image.open(io.BytesIO(first)), io.BytesIO()
    image.resize((image.width // 2, image.height // 2)).save(out, "PNG")
    gone = added(second[:-1], "gone.jpg", tmp_path / "gone.jpg")
    return [
        added(out.getvalue(), "small.png"),
        added(first, "1.jpg"),
        added(second, "2.jpg"),
        gone,
        added(drawn_file(1), "noise.png"),
    ]


def test_the_fit_photos_are_those_without_a_problem_the_one_with_most_detail_first(
    library: Library, networks: Networks, photos: list[NewPhoto]
) -> None:
    anna, heard = library.add("anna", photos), []
    checkup = check_person(library, anna, networks, lambda done, total: heard.append((done, total)))
    names = {finding.name: finding.problems for finding in checkup.diagnosis.photos}
    assert set(names) == {"small.png", "1.jpg", "2.jpg", "gone.jpg", "noise.png"}
    assert names["gone.jpg"] and names["noise.png"] and heard == [(1, 3), (2, 3), (3, 3)]
    fit = checkup.fit()
    assert {item.record.name for item in fit} == {name for name, problems in names.items() if not problems}
    detail = [min(item.fitness.size_px, 256) * (1 - item.fitness.blur) for item in fit]
    assert len(fit) == 2 and detail == sorted(detail, reverse=True)
    assert "is nearly the same picture as small.png" in names["1.jpg"][0]
