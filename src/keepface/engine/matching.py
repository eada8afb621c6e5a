"""Decide, face by face, who is in a photo, what is done to them, and why.

Two questions are asked of a photo. *Where is this person?* - the references given with one photo: the face most like
them is chosen. *Who of these is here?* - the people of a library: each face is matched to its own person, nobody
twice, and a face that is like none of them is left alone. Of an album that guides itself both were asked before, of
all photos together (`from_album.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.engine.choice import Choice
from keepface.engine.likeness import LIBRARY_FLOORS, library_floor, probability
from keepface.engine.reason_words import sentence
from keepface.engine.reasons import Reason, Value
from keepface.engine.references import Recognising, References
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError, ReferencePhotoError
from keepface.faces.face import Face
from keepface.identity.compare import to_references
from keepface.image.files import Photo

WORTH_A_WORD = 0.6  # ours: of the floor; whoever is less like a face than that is not mentioned
# Probability below which a face is left alone until it is asked for, docs/receipts.md. Whoever gives references with a
# photo of one face says whose it is; of several faces the one most alike must be more likely theirs than not.
DOUBTFUL, DOUBTFUL_OF_SEVERAL = 0.2, 0.5
UNLIKELY = 0.05  # the same of a face that keepface matched to somebody of a library: 1 in 200 true pairs is below
SAME_PLACE = 0.1  # ours: in widths of a face, so far apart it may be found twice in one photo
COPY = 0.9  # ours: cosine of two faces of one photo that are one picture; two photos of a person are hardly as alike


@dataclass(frozen=True, eq=False)
class People:
    """Everybody who may be in a photo, each with references; a face of nobody here is left alone.

    `plans` are what was decided of each face before, by the photo's name; `None`: each face is matched.

    Raises:
        RecipeError: somebody has no name or no references, or two have one name.
    """

    known: tuple[References, ...]
    plans: "Mapping[str, tuple[Plan, ...]] | None" = None

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
    reason: Reason | None = None
    compared_with: References | None = None  # whose likeness is told, whether they lead or not
    is_matched: bool = False  # keepface found who it is; False: the user said so
    fidelity: float | None = None  # this face's own; None: the call's
    identity: float | None = None
    probability: float | None = None  # that the face is whom it is compared with, by the judge; None: nobody can tell

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
    if isinstance(wanted, People) and wanted.plans is not None:
        plans = _planned(restorer, photo, faces, wanted.plans.get(photo.source, ()), settings)
    elif isinstance(wanted, People):
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
        _likely(restorer, photo, plan, settings)
        if plan
        else Plan(faces[i], is_restored=False, reason=_unknown(alike[i].tolist(), floors, people))
        for i, plan in enumerate(plans)
    ]


def _planned(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], plans: Sequence[Plan], settings: RestoreSettings
) -> list[Plan]:
    """Find what was decided of each face before, and leave it alone where the judge does not agree."""
    found = []
    for face in faces:
        plan = min(plans, key=lambda plan: _distance(face, plan.face), default=None)
        if plan is None or _distance(face, plan.face) > SAME_PLACE:
            plan = Plan(face, is_restored=False, reason=Reason("like_no_other"))
        plan = replace(plan, face=face)
        found.append(_likely(restorer, photo, plan, settings) if plan.is_matched else plan)
    return found


def _distance(one: Face, other: Face) -> float:
    """Return how far the middles of two faces are apart, in widths of the first."""
    return math.dist(one.centre, other.centre) / max(one.width, 1e-6)


def _likely(restorer: Recognising, photo: Photo, plan: Plan, settings: RestoreSettings) -> Plan:
    """Leave a matched face alone after all where the judge holds it for somebody else."""
    known = plan.compared_with or References()
    chance = chance_of(restorer, photo, plan.face, known)
    if chance is None or chance >= UNLIKELY or settings.same_person_floor is not None:
        return replace(plan, probability=chance)
    told = Reason("unlikely_match", {"person": known.person or "", "probability": chance})
    return Plan(plan.face, is_restored=False, reason=told, compared_with=known, probability=chance)


def _unknown(alike: Sequence[float], floors: Sequence[float], people: People) -> Reason:
    """Say that a face is nobody's, and whose it nearly is."""
    best = max(range(len(alike)), key=alike.__getitem__, default=None)
    if best is None or alike[best] < WORTH_A_WORD * floors[best]:
        return Reason("unknown")
    nearly: dict[str, Value] = {
        "person": people.known[best].person or "",
        "likeness": alike[best],
        "needed": floors[best],
    }
    return Reason("unknown", nearly)


def _find(
    restorer: Recognising, photo: Photo, faces: Sequence[Face], wanted: References, settings: RestoreSettings
) -> list[Plan]:
    """Choose the face that the references show, among those asked for; the others are left alone."""
    alike = _likeness(restorer, photo, faces, [wanted])[:, 0].tolist()
    refusals = [settings.choice.refusal(number, face, wanted.person) for number, face in enumerate(faces, 1)]
    open_to = [index for index, refusal in enumerate(refusals) if refusal is None]
    plans = [Plan(face, is_restored=False, reason=Reason("not_this_person"), compared_with=wanted) for face in faces]
    if not open_to:
        return [replace(plan, reason=refusal) for plan, refusal in zip(plans, refusals, strict=True)]
    best = max(open_to, key=alike.__getitem__)
    chance = chance_of(restorer, photo, faces[best], wanted)
    doubt = _doubt(alike[best], chance, best + 1, len(open_to), wanted.person, settings)
    if doubt is not None and doubt.code != "led_on_your_word":
        if settings.strict:
            told = sentence([doubt], "unchanged")
            raise ReferencePhotoError(f"{photo.source}: refused, as asked by strict: {told}")
        plans[best] = replace(plans[best], reason=doubt, probability=chance)
        return plans
    led = Plan(faces[best], led_by=wanted, compared_with=wanted, reason=doubt, probability=chance)
    for index in (best, *_copies(restorer, photo, faces, best, open_to)):
        plans[index] = replace(led, face=faces[index])
    return plans


def _copies(restorer: Recognising, photo: Photo, faces: Sequence[Face], one: int, among: Sequence[int]) -> list[int]:
    """Find faces that are one and the same picture as another, as on a sheet of passport photos or in a collage."""
    if len(among) == 1:
        return []
    recogniser = restorer.embedder.recogniser
    first = recogniser.embed(photo.pixels, faces[one])
    others = [(index, recogniser.embed(photo.pixels, faces[index])) for index in among if index != one]
    return [index for index, found in others if float(first @ found) >= COPY]


def _doubt(
    likeness: float, chance: float | None, number: int, faces: int, person: str | None, settings: RestoreSettings
) -> Reason | None:
    """Say why the face most like the references may be somebody else's; `None` where it is theirs or the user says so.

    Strangers are left alone: the probability that is told is the one that decides.
    """
    asked = settings.same_person_floor
    if asked is not None:
        low = likeness < asked
        return Reason("unlike", {"likeness": likeness, "needed": asked, "number": number}) if low else None
    if settings.choice.vouches(number, person):
        return None
    several = {"number": number, "faces": faces}
    if chance is None:
        return Reason("led_on_your_word") if faces == 1 else Reason("too_blurred_of_several", several)
    if faces == 1:
        return Reason("unlikely", {"probability": chance, "number": number}) if chance < DOUBTFUL else None
    if chance < DOUBTFUL_OF_SEVERAL:
        return Reason("unlikely_of_several", {"probability": chance, **several})
    return None


def chance_of(restorer: Recognising, photo: Photo, face: Face, known: References) -> float | None:
    """Return the probability that a face is the references' person, by the judge, who leads no model."""
    if not known.kept:
        return None
    likeness = to_references(restorer.judge.embed(photo.pixels, face), known.judged)
    return probability(restorer.judge.name, likeness, photo.pixels, face)


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
