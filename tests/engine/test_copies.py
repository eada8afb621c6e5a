"""One person several times in one picture: a sheet of passport photos, a collage."""

from pathlib import Path

import torch

from keepface.engine.matching import choose
from keepface.engine.references import gather_references
from keepface.engine.settings import RestoreSettings
from keepface.image.files import Photo, read_photo

from .plain_restorer import PlainRestorer

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_of_a_sheet_of_one_picture_every_copy_is_led(restorer: PlainRestorer) -> None:
    one = read_photo(EXAMPLES / "old.png").pixels
    sheet = Photo(torch.cat([torch.cat([one, one], 2), torch.cat([one, one], 2)], 1))
    faces = restorer.embedder.detector.detect(sheet.pixels)
    references = gather_references(restorer, [EXAMPLES / "reference-1.jpg"])
    plans = choose(restorer, sheet, faces, references, RestoreSettings(same_person_floor=-1.0))
    assert len(plans) == 4 and all(plan.led_by is references for plan in plans)


def test_faces_that_are_not_one_picture_are_not_copies(restorer: PlainRestorer) -> None:
    one, other = (read_photo(EXAMPLES / name).pixels[:, :400, :320] for name in ("reference-1.jpg", "reference-2.jpg"))
    height, width = min(one.shape[1], other.shape[1]), min(one.shape[2], other.shape[2])
    both = Photo(torch.cat([one[:, :height, :width], other[:, :height, :width]], 2))
    faces = restorer.embedder.detector.detect(both.pixels)
    references = gather_references(restorer, [EXAMPLES / "reference-1.jpg"])
    plans = choose(restorer, both, faces, references, RestoreSettings(same_person_floor=-1.0))
    assert len(plans) == 2 and sum(plan.led_by is not None for plan in plans) == 1
