from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from keepface.engine.candidates import Drawing, restore_candidates, seeds_of, with_evidence
from keepface.engine.photo import restore_photo
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError
from keepface.image.files import Photo, read_photo

from ..toy import SIZE, draw_face
from .plain_restorer import ANNA, PlainRestorer, album, landscape, person

TRUSTING = RestoreSettings(same_person_floor=-1.0, keep_worse=True)
FEW = RestoreSettings(steps=2, temperature=1.0, keep_worse=True)


class Wavering(PlainRestorer):
    """The plain restorer, and an eighth of a grain that the seed alone decides."""

    def restore_squares(
        self, low: Tensor, references: Sequence, settings: RestoreSettings, seeds: Sequence[int], *more
    ):
        grain = [torch.randn(low.shape[1:], generator=torch.Generator().manual_seed(seed % 2**31)) for seed in seeds]
        return super().restore_squares(low, references, settings, seeds, *more) + 0.05 * torch.stack(grain)


def toy_photo() -> Photo:
    return Photo(draw_face(0, 0, SIZE), source="drawn")


def test_the_first_seed_is_the_calls_own_and_more_of_them_keep_the_earlier_ones() -> None:
    assert seeds_of(7, 1) == [7]
    assert seeds_of(7, 5)[:3] == seeds_of(7, 3)
    assert len(set(seeds_of(7, 64))) == 64


def test_one_candidate_is_what_one_seed_gives_bit_for_bit(tiny_restorer: Restorer) -> None:
    alone = restore_photo(tiny_restorer, toy_photo(), (), FEW, seed=3, is_aligned=True)
    one = restore_candidates(tiny_restorer, toy_photo(), (), FEW, Drawing(1, 3, True))
    assert torch.equal(one.best.image.pixels, alone.image.pixels)
    assert one.best.faces[0].seed == 3


def test_each_candidate_is_what_its_seed_gives_alone_and_the_best_score_is_pasted(tiny_restorer: Restorer) -> None:
    found = restore_candidates(tiny_restorer, toy_photo(), (), FEW, Drawing(3, 3, True))
    (face,) = found.faces
    assert sorted(item.seed for item in face.table) == sorted(seeds_of(3, 3))
    assert [item.score for item in face.table] == sorted((item.score for item in face.table), reverse=True)
    for rank, item in enumerate(face.table):
        alone = restore_photo(tiny_restorer, toy_photo(), (), FEW, seed=item.seed, is_aligned=True)
        assert torch.allclose(found.picture(tiny_restorer, [rank]).image.pixels, alone.image.pixels, atol=2e-3)
    assert torch.equal(found.best.image.pixels, found.picture(tiny_restorer, [0]).image.pixels)
    assert [item.chosen for item in found.best.faces[0].candidates] == [True, False, False]
    assert found.best.faces[0].seed == face.table[0].seed
    assert [item["seed"] for item in found.best.to_json()["faces"][0]["candidates"]] == [i.seed for i in face.table]


def test_ranks_that_there_are_not_are_refused(tiny_restorer: Restorer) -> None:
    found = restore_candidates(tiny_restorer, toy_photo(), (), FEW, Drawing(2, 0, True))
    for ranks in ([2], [-1], [], [0, 0]):
        with pytest.raises(RecipeError, match="0 to 1"):
            found.picture(tiny_restorer, ranks)


@pytest.mark.parametrize("settings", [RestoreSettings(tile=True), RestoreSettings(scale=2.0)])
def test_tiles_have_no_candidates(tiny_restorer: Restorer, settings: RestoreSettings) -> None:
    with pytest.raises(RecipeError, match="tiles"):
        restore_candidates(tiny_restorer, toy_photo(), (), settings)


@pytest.mark.parametrize("count", [0, 65])
def test_a_count_out_of_range_is_refused(tiny_restorer: Restorer, count: int) -> None:
    with pytest.raises(RecipeError, match="1 to 64"):
        restore_candidates(tiny_restorer, toy_photo(), (), FEW, Drawing(count, 0, True))


@pytest.mark.shared
def test_a_photo_without_a_face_has_no_candidates_and_is_all_its_own(restorer: PlainRestorer, tmp_path: Path) -> None:
    found = restore_candidates(restorer, landscape(tmp_path / "field.png"))
    result = with_evidence(restorer, found)
    assert found.faces == () and not result.changed
    assert result.evidence is not None and result.evidence.faces == ()
    assert torch.equal(result.evidence.maps[0], torch.ones(90, 120))


@pytest.mark.shared
def test_likeness_is_told_by_two_recognisers_and_a_restorer_deaf_to_seeds_invents_nothing(
    restorer: PlainRestorer,
) -> None:
    photo = read_photo(album("photos/00.jpg"))
    found = restore_candidates(restorer, photo, person(ANNA), TRUSTING, Drawing(2))
    for item in found.faces[0].table:
        assert item.identity is not None and item.judged is not None and item.identity != item.judged
    evidence = with_evidence(restorer, found).evidence
    assert evidence is not None and evidence.draws == 2
    (shares,) = evidence.faces
    assert shares.invented == 0 and shares.references > 0.5  # led squares are darker than others, everywhere
    assert shares.photo + shares.references == pytest.approx(1)
    changed = (found.best.image.pixels != photo.pixels).any(0)
    rows, columns = changed.any(1).nonzero()[:, 0], changed.any(0).nonzero()[:, 0]
    beyond = torch.ones_like(changed)  # a pixel under the square may keep its value by chance
    beyond[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = False
    assert beyond.any() and bool((evidence.maps[0][beyond] == 1).all())


@pytest.mark.shared
def test_without_references_nothing_comes_from_them_and_what_the_seed_decides_is_invented(
    restorer: PlainRestorer,
) -> None:
    wavering = Wavering(restorer.embedder, restorer.judge)
    found = restore_candidates(wavering, read_photo(album("photos/00.jpg")), (), TRUSTING, Drawing(1))
    result = with_evidence(wavering, found)
    assert result.evidence is not None and result.evidence.draws == 4
    (shares,) = result.evidence.faces
    assert shares.references == 0 and shares.invented > 0.1
    assert torch.equal(result.image.pixels, found.best.image.pixels)
    assert result.to_json()["evidence"]["faces"][0]["face"] == 1


@pytest.mark.shared
def test_the_candidate_most_like_the_references_is_chosen(restorer: PlainRestorer) -> None:
    wavering = Wavering(restorer.embedder, restorer.judge)
    photo, references = read_photo(album("photos/00.jpg")), person(ANNA)
    found = restore_candidates(wavering, photo, references, replace(TRUSTING, harmonise=False), Drawing(4))
    table = found.faces[0].table
    assert table[0].score == max(item.score for item in table) > 0
    assert sum(item.score for item in table) == pytest.approx(0, abs=1e-6)
