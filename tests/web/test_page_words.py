"""What the page says: numbers as they are, words that fit them, and nothing from outside that becomes HTML."""

from dataclasses import replace

import pytest

from keepface.engine.evidence import Shares
from keepface.engine.reasons import Reason
from keepface.engine.result import NO_FACE, FaceResult, Similarity
from keepface.faces.quality import Quality
from keepface.people.doctor import Diagnosis, PhotoFinding
from keepface.people.intake import Intake, Refused
from keepface.people.person import Notes, Person
from keepface.people.store import Forgotten
from keepface.web import page_words as words
from keepface.web.album import Row

EVIL = "<img src=x onerror=alert(1)>"
FACE = FaceResult(
    (10.0, 10.0, 50.0, 60.0), "restored", (), Similarity(0.413, 0.587, 0.721), 3, "faceme", "Anna", 0.93, True,
    Quality(41.4, 88.3, 0.031, 0.012, 2.0, 1.5, 1.4, 0.99, 0.99, 0.03, 0.0, 0.0),
)  # fmt: skip
UNKNOWN = Reason("unknown", {"person": "Rosa", "likeness": 0.31, "needed": 0.43})
PHOTO = PhotoFinding("a.jpg", 1968, 212.4, 0.3, 21.0, 2.0, 0.6, ())


@pytest.mark.parametrize("probability, said", [
    (1.0, "almost certainly Anna (100 in 100)"),
    (0.999, "almost certainly Anna (more than 99 in 100)"),
    (0.95, "almost certainly Anna (95 in 100)"),
    (0.949, "very likely Anna (95 in 100)"),
    (0.5, "probably Anna (50 in 100)"),
    (0.2, "perhaps Anna (20 in 100)"),
    (0.199, "hardly Anna (20 in 100)"),
    (0.001, "hardly Anna (less than 1 in 100)"),
])  # fmt: skip
def test_a_probability_is_told_in_words_and_of_a_hundred(probability: float, said: str) -> None:
    assert words.chance(probability, "Anna") == said


def test_a_face_tells_its_person_its_receipt_and_where_it_came_from() -> None:
    told = words.face(1, FACE, ("data:before", "data:after"), Shares(0, 0.6, 0.3, 0.1, 0.2))
    assert "Anna" in told and ">restored<" in told
    assert "Who it is: <b>very likely Anna (93 in 100)</b>" in told  # and how good it is, apart from that
    assert "detail 41 to 88 px, noise 3.1 to 1.2 %, likeness 0.41 to 0.59." in told
    assert "<dd>0.41</dd>" in told and "<dd>0.59</dd>" in told and "<dd>0.72</dd>" in told
    assert "60 % from the photo, 30 % from the other photos, 10 % invented" in told
    assert told.count("<img") == 2


def test_a_face_that_was_left_alone_says_why_and_shows_no_result() -> None:
    told = words.face(
        2, FaceResult((0.0, 0.0, 9.0, 9.0), "unchanged", (UNKNOWN,), Similarity(), 0, "faceme"), ("data:a", "data:b")
    )
    said = "Not recognised, so the face stays as it was; most like Rosa (0.31, needed 0.43)."
    assert said in told and "Face 2" in told
    assert told.count("<img") == 1 and ">unchanged<" in told


def test_doubt_and_denoised_faces_are_marked() -> None:
    less = Reason("less_alike", {"before": 0.64, "after": 0.48}, "restored")
    doubtful = words.face(1, replace(FACE, reasons=(replace(less, kept=True),)), ("a", "b"))
    denoised = words.face(1, replace(FACE, outcome="denoised", reasons=(less,)), ("a", "b"))
    assert 'kf-pill kf-warn">restored' in doubtful
    assert "It is less like the references than before (0.64 to 0.48): keep the old face." in doubtful
    assert 'kf-pill kf-warn">denoised' in denoised
    assert "Denoised: restored, it would be less like the references (0.64 to 0.48)." in denoised


def test_a_face_that_holds_more_than_the_model_makes_says_how_much() -> None:
    reason = Reason("holds_more", {"held": 312.4, "makes": 128})
    told = words.face(1, replace(FACE, outcome="unchanged", reasons=(reason,), quality=None), ("a", "b"))
    assert "already holds more detail than this model makes" in told
    assert "the photo&#x27;s face holds 312 px; the model makes 128 px" in told


def test_the_command_line_is_named_where_a_face_can_be_asked_for_there_alone() -> None:
    reason = Reason("unlikely_of_several", {"probability": 0.11, "number": 3, "faces": 4})
    told = words.face(3, replace(FACE, outcome="unchanged", reasons=(reason,), quality=None), ("a", "b"))
    assert "if it is them, the command line restores it on your word: --only 3" in told


def test_nothing_from_outside_becomes_html() -> None:
    person = Person("0" * 16, EVIL, "2026-01-31", Notes(EVIL, "2026-01-31", EVIL, 1950))
    finding = replace(PHOTO, name=EVIL, problems=(EVIL,))
    face = replace(FACE, person=EVIL, reasons=(Reason("unlikely_match", {"person": EVIL, "probability": 0.01}),))
    told = [
        words.person_card(person, None),
        words.person_head(person),
        words.diagnosis(Diagnosis((finding,), (EVIL,), (EVIL,)), [(EVIL, "data:image/png;base64,")]),
        words.intake(EVIL, Intake((), (Refused(EVIL, EVIL),), (Refused(EVIL, EVIL),))),
        words.forgotten(Forgotten(EVIL, 1, (), 0)),
        words.face(1, face, ("a", "b")),
        words.album([Row(EVIL, None, EVIL, 1.0), Row(EVIL, EVIL, None, 1.0, (face,))]),
        words.remark(EVIL, "bad"),
        words.bar(EVIL, 1, 2),
        words.glimpse(EVIL, "data:"),
        words.listed([EVIL, EVIL]),
    ]
    assert [text for text in told if "<img src=x" in text.lower()] == []
    assert all("&lt;" in text for text in told)


def test_hints_for_the_command_line_become_hints_for_the_page() -> None:
    assert words.plain(
        "looks like somebody else than the other photos of this person; if it is not, add it with --sure"
    ).endswith("if it is, tick “They do show this person” and add it again")
    assert "keepface person add" not in words.plain("holds no library yet: keepface person add NAME PHOTO... makes one")
    assert words.plain("torn.jpg: is damaged") == "torn.jpg: is damaged"  # a file keeps its name
    assert words.plain("drop a photo first") == "Drop a photo first"


def test_the_doctor_tells_what_is_wrong_with_which_photo_and_what_would_help() -> None:
    bad = replace(PHOTO, name="b.jpg", problems=("blurred: 0.80 on a scale",))
    told = words.diagnosis(Diagnosis((PHOTO, bad), ("none is frontal: add one",)), [("a.jpg", "data:x")])
    assert "1 photo of 2 can be used" in told and "Blurred: 0.80 on a scale." in told
    assert "1968 · face 212 px · sharp · turned 21°" in told and "None is frontal: add one." in told


def test_an_album_is_summed_up() -> None:
    nothing = FaceResult(None, "unchanged", (NO_FACE,), Similarity(), 0, "faceme")
    rows = [
        Row("a.jpg", "a.jpg", None, 1.0, (FACE, replace(FACE, outcome="denoised", person=None))),
        Row("b.jpg", "b.jpg", None, 1.0, (nothing,)),
        Row("c", None, "c: x", 0.0),
    ]
    assert words.album_summary(rows) == "2 photos done, 1 changed; 2 faces: 1 restored, 1 denoised; 1 failed"
    table = words.album(rows)
    assert (
        "2 faces: 1 restored, 1 denoised.<br><small>Anna: restored.</small>" in table
        and "No face was found" in table
        and "X." in table
    )


def test_progress_is_known_to_screen_readers_and_what_is_not_known_is_not_said() -> None:
    assert 'aria-valuenow="25"' in words.bar("Restoring", 1, 4) and "width:25%" in words.bar("Restoring", 1, 4)
    assert "aria-valuenow" not in words.bar("Getting ready", 0, 0)
