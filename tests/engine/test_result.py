import torch

from keepface.engine.result import NO_FACE, FaceResult, Restoration, Similarity, failed, skipped
from keepface.engine.settings import RestoreSettings
from keepface.image.files import Photo

ROW = ["input", "output", "error", "seconds", "faces"]
FACE = [
    *("box", "person", "outcome", "restored", "reason", "reasons", "similarity"),
    *("same_person_probability", "quality", "seed", "method"),
]
SIMILARITY = ["input_to_references", "output_to_references", "output_to_input"]


def restoration(face: FaceResult) -> Restoration:
    return Restoration(Photo(torch.zeros(3, 4, 4)), "old.jpg", (face,), 1.23456, RestoreSettings())


def test_a_row_has_exactly_the_promised_keys_in_the_promised_order() -> None:
    face = FaceResult((1.0, 2.0, 3.0, 4.0), "restored", (), Similarity(0.1, 0.2, 0.3), 7, "plain")
    row = restoration(face).to_json("new.png")
    assert list(row) == ROW
    assert list(row["faces"][0]) == FACE
    assert list(row["faces"][0]["similarity"]) == SIMILARITY
    assert row["input"] == "old.jpg" and row["output"] == "new.png" and row["seconds"] == 1.235
    assert row["faces"][0]["box"] == [1.0, 2.0, 3.0, 4.0]


def test_what_failed_or_was_skipped_is_told_in_the_same_keys() -> None:
    assert list(failed("a", "b", 0.0)) == ROW
    assert list(skipped("a", "b")) == ROW
    assert failed("a", "broken", 0.5) == {"input": "a", "output": None, "error": "broken", "seconds": 0.5, "faces": []}


def test_a_photo_without_a_face_is_unchanged() -> None:
    result = restoration(FaceResult(None, "unchanged", (NO_FACE,), Similarity(), 0, "plain"))
    assert not result.changed
    assert result.to_json()["faces"][0]["box"] is None
