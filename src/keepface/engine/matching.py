"""Decide, face by face, who is in a photo, what is done to them, and why.

Two questions are asked of a photo. *Where is this person?* - the references given with one photo: the face most like
them is chosen. *Who of these is here?* - the people of a library: each face is matched to its own person, nobody
twice, and a face that is like none of them is left alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.calibration import same_person
from keepface.engine.choice import Choice
from keepface.engine.likeness import LIBRARY_FLOORS, clarity, library_floor, same_person_floor
from keepface.engine.references import Recognising, References
from keepface.engine.result import NOT_THIS_PERSON, UNKNOWN
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError, ReferencePhotoError
from keepface.faces.face import Face
from keepface.identity.compare import to_references
from keepface.image.files import Photo

WORTH_A_WORD = 0.6  # ours: of the floor; whoever is less like a face than that is not mentioned
DOUBTFUL = 0.2  # probability below which references lead at half strength, or not at all where there are more faces
DOUBT_SHARE = 0.5  # ours
COPY = 0.9  # ours: cosine of two faces of one photo that are one picture; two photos of a person are hardly as alike


@dataclass(frozen=True, eq=False)
class People:
    """Everybody who may be in a photo, each with references; a face of nobody here is left alone.

    Raises:
        RecipeError: somebody has no name or no references, or two have one name.
    """

    known: tuple[References, ...]

    def __post_init__(self) -> None:
        names = [person.person for person in self.known]
        if not all(names) or len(set(names)) < len(names) or not all(person.kept for person in self.known):
            raise RecipeError(f"people are named {names}; each needs a name of their own, and a reference")


@dataclass(frozen=True, eq=False)
class Plan:
    """What will be done to one face, and why."""

    face: Face
    is_restored: bool = True
    led_by: References | None = None
    reason: str | None = None
    compared_with: References | None = None  # whose likeness is told, whether they lead or not
    is_matched: bool = False  # keepface found who it is; False: the user said so
    fidelity: float | None = None  # this face's own; None: the call's
    identity: float | None = None

    def settings(self, call: RestoreSettings) -> RestoreSettings:
        """Return what this face is restored with."""
        fidelity = call.fidelity if self.fidelity is None else self.fidelity
        identity = call.identity if self.identity is None else self.identity
        return replace(call, fidelity=fidelity, identity=identity)


def choose(
    restorer: Recognising,
    photo: Photo,
    faces: Sequence[Face],
    wanted: References | People,
    settings: RestoreSettings,
) -> list[Plan]:
    """Plan each face, in the order given: who it is, whether it is restored, and with which settings of its own.

    Raises:
        ReferencePhotoError: with `settings.strict`, the references look like nobody in the photo.
        RecipeError: `settings.choice` names somebody who is not looked for.
        FaceError: it names the number of a face that there is not.
    """
    settings.choice.check(names_of(wanted))
    settings.choice.check_numbers(len(faces), photo.source)
    if isinstance(wanted, People):
        plans = match(restorer, photo, faces, wanted, settings)
    elif not faces or not wanted.kept:
        plans = [Plan(face) for face in faces]
    else:
        plans = _find(restorer, photo, faces, wanted, settings)
    return [_as_asked(number, plan, settings.choice) for number, plan in enumerate(plans, 1)]


def of_library(wanted: References | People) -> tuple[References, ...]:
    """Return those of the library who lead or are looked for; they alone have names."""
    known = wanted.known if isinstance(wanted, People) else (wanted,)
    return tuple(person for person in known if person.person)


def names_of(wanted: References | People) -> list[str]:
    """Return the names of those who are looked for, as far as they have one."""
    return [person.person for person in of_library(wanted) if person.person]


def match(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], people: People, settings: RestoreSettings
) -> list[Plan]:
    """Give each face its own person: the most alike pair first, nobody twice, none below the floor of a library.

    A recogniser for which no such floor was measured leaves it to the judge.
    """
    judged = restorer.embedder.recogniser.name not in LIBRARY_FLOORS
    alike = _likeness(restorer, photo, faces, people.known, judged)
    name = restorer.judge.name if judged else restorer.embedder.recogniser.name
    asked = settings.same_person_floor
    floors = [library_floor(name, len(person.kept)) if asked is None else asked for person in people.known]
    plans: list[Plan | None] = [None for _ in faces]
    pairs = [(float(alike[i, j]), i, j) for i in range(alike.shape[0]) for j in range(alike.shape[1])]
    taken: set[int] = set()
    for value, i, j in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if value >= floors[j] and plans[i] is None and j not in taken:
            taken.add(j)
            plans[i] = Plan(faces[i], led_by=people.known[j], compared_with=people.known[j], is_matched=True)
    return [
        plan or Plan(faces[i], is_restored=False, reason=_unknown(alike[i].tolist(), floors, people))
        for i, plan in enumerate(plans)
    ]


def _unknown(alike: Sequence[float], floors: Sequence[float], people: People) -> str:
    """Say that a face is nobody's, and whose it nearly is."""
    best = max(range(len(alike)), key=alike.__getitem__, default=None)
    if best is None or alike[best] < WORTH_A_WORD * floors[best]:
        return UNKNOWN
    return f"{UNKNOWN}; most like {people.known[best].person} ({alike[best]:.2f}, needed {floors[best]:.2f})"


def _find(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], wanted: References, settings: RestoreSettings
) -> list[Plan]:
    """Choose the face that the references show, among those asked for; the others are left alone."""
    alike = _likeness(restorer, photo, faces, [wanted])[:, 0].tolist()
    refusals = [settings.choice.refusal(number, face, wanted.person) for number, face in enumerate(faces, 1)]
    open_to = [index for index, refusal in enumerate(refusals) if refusal is None]
    plans = [Plan(face, is_restored=False, reason=NOT_THIS_PERSON, compared_with=wanted) for face in faces]
    if not open_to:
        return [replace(plan, reason=refusal) for plan, refusal in zip(plans, refusals, strict=True)]
    best = max(open_to, key=alike.__getitem__)
    floor = _floor(photo, faces[best], settings)
    chance = _doubted(restorer, photo, faces[best], alike[best], best + 1, wanted, settings)
    is_alike, is_alone = alike[best] >= floor, len(open_to) == 1
    if is_alike and chance is None:
        plans[best] = Plan(faces[best], led_by=wanted, compared_with=wanted)
        for index in _copies(restorer, photo, faces, best, open_to):
            plans[index] = Plan(faces[index], led_by=wanted, compared_with=wanted)
        return plans
    if is_alike and is_alone:
        hardly = f"led at half strength: the face is hardly like the references (probability {chance:.2f})"
        half = settings.identity * DOUBT_SHARE
        plans[best] = Plan(faces[best], led_by=wanted, compared_with=wanted, identity=half, reason=hardly)
        return plans
    doubt = f"the references do not look like this person (similarity {alike[best]:.2f}, needed {floor:.2f})"
    if is_alike:
        doubt = f"of {len(open_to)} faces the most like the references, and hardly like them (probability {chance:.2f})"
    if settings.strict:
        raise ReferencePhotoError(f"{photo.source}: refused, as asked by strict: {doubt}")
    if is_alone:
        plans[best] = Plan(faces[best], reason=f"restored without references: {doubt}", compared_with=wanted)
    elif is_alike:
        plans[best] = replace(plans[best], reason=f"left as it was: {doubt}; if it is them, ask for face {best + 1}")
    return plans


def _copies(restorer: Recognising, photo: Photo, faces: Sequence[Face], one: int, among: Sequence[int]) -> list[int]:
    """Find faces that are one and the same picture as another, as on a sheet of passport photos or in a collage."""
    if len(among) == 1:
        return []
    recogniser = restorer.embedder.recogniser
    first = recogniser.embed(photo.pixels, faces[one])
    others = [(index, recogniser.embed(photo.pixels, faces[index])) for index in among if index != one]
    return [index for index, found in others if float(first @ found) >= COPY]


def _doubted(
    restorer: Recognising,
    photo: Photo,
    face: Face,
    cosine: float,
    number: int,
    wanted: References,
    settings: RestoreSettings,
) -> float | None:
    """Return the probability that a face is the references' person if it is doubtful and the user did not vouch."""
    knobs = settings.choice.knobs_for(number, wanted.person)
    if settings.same_person_floor is not None or (knobs is not None and knobs.identity is not None):
        return None
    chance = same_person(restorer.embedder.recogniser.name, cosine, clarity(photo.pixels, face))
    return chance if chance is not None and chance < DOUBTFUL else None


def _as_asked(number: int, plan: Plan, choice: Choice) -> Plan:
    """Leave a face alone that is not asked for, and give it the knobs that are its own."""
    person = plan.led_by.person if plan.led_by else None
    refusal = choice.refusal(number, plan.face, person) if plan.is_restored else None
    if refusal is not None:
        return replace(plan, is_restored=False, reason=refusal)
    knobs = choice.knobs_for(number, person)
    if knobs is None:
        return plan
    fidelity = plan.fidelity if knobs.fidelity is None else knobs.fidelity
    return replace(plan, fidelity=fidelity, identity=plan.identity if knobs.identity is None else knobs.identity)


def _likeness(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], people: Sequence[References], judged: bool = False
) -> Float[Tensor, "f p"]:
    """Return each face's mean cosine to each person's references, by the recogniser that leads the model, or judges."""
    recogniser = restorer.judge if judged else restorer.embedder.recogniser
    known = [person.judged if judged else person.recognised for person in people]
    embedded = [recogniser.embed(photo.pixels, face) for face in faces]
    return torch.tensor([[to_references(item, person) for person in known] for item in embedded]).reshape(
        -1, len(people)
    )


def _floor(photo: Photo, face: Face, settings: RestoreSettings) -> float:
    asked = settings.same_person_floor
    return same_person_floor(photo.pixels, face) if asked is None else asked
