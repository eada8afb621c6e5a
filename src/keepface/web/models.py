"""What the API takes and gives, typed; its OpenAPI description is made of these."""

import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from keepface.engine.candidates import MOST
from keepface.engine.choice import Choice, Knobs
from keepface.engine.evidence import Shares
from keepface.engine.ranking import Candidate
from keepface.engine.result import FaceResult
from keepface.engine.settings import MAX_SCALE, RestoreSettings
from keepface.methods import DEFAULT
from keepface.people.person import FIRST_YEAR, NAME_LENGTH

Share = Annotated[float, Field(ge=0, le=1)]
Word = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH)]
Note = Annotated[str, Field(max_length=500)]
Year = Annotated[int, Field(ge=FIRST_YEAR - 100, le=9999)]
SETTINGS = (  # options that are settings by the same name
    *("steps", "sampler", "guidance", "temperature", "fidelity", "clean", "identity", "colour", "strict"),
    *("keep_grey", "keep_worse", "harmonise", "max_faces", "tile", "scale"),
)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Told(BaseModel):
    model_config = ConfigDict(allow_inf_nan=True, ser_json_inf_nan="null")


# ---- what is asked for ----


class FaceKnobs(_Asked):
    """Knobs of one face: `who` is a person's name, or the face's number; 1 is the largest."""

    who: Word
    fidelity: Share | None = None
    identity: Share | None = None


class AlbumOptions(_Asked):
    """How photos are restored; what is left out is as on the command line."""

    method: Word = DEFAULT
    person: Annotated[str, Field(max_length=64)] | None = Field(None, description="Key of the one person to restore.")
    everybody: bool | None = Field(
        None, description="Each face by its own person of the library; default: if neither person nor references are."
    )
    seed: int = Field(0, ge=0, lt=2**63)
    candidates: int = Field(1, ge=1, le=MOST, description="Of each face; the best is taken.")
    strip_gps: bool = False
    steps: int | None = Field(None, ge=1, le=1000)
    sampler: Literal["unipc", "ddim", "ddpm"] = "unipc"
    guidance: float | None = Field(None, ge=0, le=100)
    temperature: Share | None = None
    fidelity: Share | None = Field(None, description="0 draws the face anew, towards 1 it is hardly changed.")
    clean: bool | None = None
    identity: Share = Field(1.0, description="Strength of the references.")
    colour: Literal["wavelet", "adain", "none"] = "wavelet"
    strict: bool = False
    keep_grey: bool = True
    keep_worse: bool = False
    harmonise: bool = True
    max_faces: int = Field(50, ge=1, le=1000)
    tile: bool | None = None
    scale: float = Field(1.0, ge=1, le=MAX_SCALE)
    only: list[Word] = Field([], max_length=100, description="Names of people, or numbers of faces; 1 is the largest.")
    skip: list[Word] = Field([], max_length=100)
    min_face: float = Field(0.0, ge=0, le=1e6, description="Width of a face in pixels of the photo.")
    min_score: Share = 0.0
    knobs: list[FaceKnobs] = Field([], max_length=100)

    def settings(self, max_pixels: int) -> RestoreSettings:
        """Return the engine's settings; a `RecipeError` where they contradict each other."""
        knobs = tuple(Knobs(item.who, item.fidelity, item.identity) for item in self.knobs)
        choice = Choice(tuple(self.only), tuple(self.skip), self.min_face, self.min_score, knobs)
        chosen = {name: getattr(self, name) for name in SETTINGS}
        return RestoreSettings(choice=choice, max_pixels=max_pixels, **chosen)


class RestoreOptions(AlbumOptions):
    """How one photo is restored; what is left out is as on the command line."""

    evidence: bool = Field(False, description="Measure what came from the photo, the references, and nowhere.")


class NewPhotos(_Asked):
    """What is said of photos of a person; somebody of another name is made."""

    name: Word
    relation: Note | None = None
    consent: Note | None = Field(None, description="How the person agreed.")
    birth_year: Year | None = None
    year: Year | None = Field(None, description="In which these photos were taken; default: what their EXIF says.")
    sure: bool = Field(False, description="They show this person, whatever they look like.")


class TrainingOptions(_Asked):
    """Whom to learn, and for how long."""

    person: Annotated[str, Field(max_length=64)] = Field(description="Key of the person.")
    steps: int = Field(500, ge=1, le=20_000)
    seed: int = Field(0, ge=0, lt=2**63)


# ---- what is told ----


class Error(BaseModel):
    """Why a call was refused; `where` is the part of it that is to blame."""

    error: str
    where: str | None = None


class Queue(_Told):
    """How much is in the queue."""

    waiting: int
    running: int
    room: int


class Health(_Told):
    """That the server is alive, and what it has."""

    version: str
    family: str
    methods: list[str]
    queue: Queue


class PersonNotes(_Told):
    """What the user said of a person."""

    consent: str | None
    consent_noted: str | None
    relation: str | None
    birth_year: int | None


class PersonPhoto(_Told):
    """One reference photo."""

    key: str
    name: str
    added: str
    year: int | None
    is_sure: bool


class PersonShown(_Told):
    """One person of the library."""

    key: str
    name: str
    created: str
    notes: PersonNotes
    photos: list[PersonPhoto]
    adapters: list[str]


class PeopleShown(_Told):
    """Everybody of the library."""

    people: list[PersonShown]


class LeftOutPhoto(_Told):
    """A photo that was not taken, and why."""

    name: str
    reason: str


class Added(_Told):
    """What became of photos that were sent for the library."""

    person: PersonShown
    accepted: list[str]
    duplicates: list[LeftOutPhoto]
    refused: list[LeftOutPhoto]


class PhotoCheck(_Told):
    """What is known of one reference photo."""

    name: str
    year: int | None
    size_px: float | None
    blur: float | None
    yaw_deg: float | None
    roll_deg: float | None
    likeness: float | None
    problems: list[str]


class Check(_Told):
    """What is known of a person's photos, and which one to add next."""

    well: bool
    photos: list[PhotoCheck]
    add_next: list[str]
    not_checked: list[str]


class ForgottenPerson(_Told):
    """What was deleted."""

    name: str
    photos: int
    adapters: int
    links: int = Field(description="Photos that were only linked: they are where they were.")


class Likeness(_Told):
    """Cosines, by a recogniser that leads no model."""

    input_to_references: float | None
    output_to_references: float | None
    output_to_input: float | None


class FaceCandidate(_Told):
    """One drawing of a face, and what was measured of it."""

    seed: int
    identity: float | None
    judged: float | None
    consistency_db: float | None
    naturalness: float | None
    score: float | None
    chosen: bool

    @classmethod
    def of(cls, candidate: Candidate) -> "FaceCandidate":
        """Tell of a candidate."""
        return cls.model_validate(_finite(candidate.to_json()))


class FaceShares(_Told):
    """Where a face's detail came from; the first three sum to one."""

    photo: float
    references: float
    invented: float
    finer_than_photo: float


class FaceReason(_Told):
    """Why a face was left alone or changed less: a code, its values, and the way that it speaks against."""

    code: str
    values: dict[str, float | int | str] = {}
    way: Literal["restored", "denoised"] | None = None


class FaceQuality(_Told):
    """How good a changed face is, measured on the finished picture: sides in px are those of its FFHQ square."""

    held_px_before: float
    held_px_after: float
    noise_before: float
    noise_after: float
    fine_detail: float
    eyes: float
    mouth: float
    score_before: float
    score_after: float
    moved: float
    lighter: float
    tinted: float


class Face(_Told):
    """What was done to one face, and why: its receipt."""

    box: tuple[float, float, float, float] | None
    person: str | None
    outcome: Literal["restored", "denoised", "unchanged"]
    restored: bool
    reason: str | None
    reasons: list[FaceReason] = []
    similarity: Likeness
    same_person_probability: float | None = Field(description="Who it is: of the photo's face, not of the result.")
    quality: FaceQuality | None = None
    seed: int
    method: str
    candidates: list[FaceCandidate] = []
    evidence: FaceShares | None = None

    @classmethod
    def of(cls, face: FaceResult, shares: Shares | None = None) -> "Face":
        """Tell of a face."""
        own = {} if shares is None else {"evidence": {k: v for k, v in shares.to_json().items() if k != "face"}}
        return cls.model_validate(_finite(face.to_json() | own))


class FaceCandidates(_Told):
    """The candidates of one face, best first; a rank is a place in the list, from 0."""

    face: int = Field(description="The face's number in the photo; 1 is the largest.")
    candidates: list[FaceCandidate]


class CandidatesShown(_Told):
    """The candidates of every restored face, in the order in which ranks are given."""

    faces: list[FaceCandidates]
    missing: str | None = Field(description="Why naturalness was not measured.")


class JobShown(_Told):
    """Where something that takes a while stands; times are seconds since 1970."""

    key: str
    kind: Literal["restoration", "album", "training"]
    state: Literal["waiting", "running", "done", "failed", "stopped"]
    done: int
    total: int = Field(description="0: not known yet.")
    error: str | None
    created: float
    started: float | None
    ended: float | None


class AlbumRow(_Told):
    """What became of one photo of an album."""

    name: str
    output: str | None = Field(description="Its name in the zip.")
    error: str | None
    seconds: float
    faces: list[Face]


class TrainingShown(_Told):
    """What was learned."""

    adapter: str
    steps: int
    began_at: int
    is_new: bool


class JobDetail(JobShown):
    """A job, with what it made so far."""

    rows: list[AlbumRow] | None = None
    training: TrainingShown | None = None


class JobsShown(_Told):
    """All jobs, the oldest first."""

    jobs: list[JobShown]


class RestorationsShown(_Told):
    """All restorations, the oldest first."""

    restorations: list[JobShown]


class RestorationDetail(JobShown):
    """A restoration, with the receipts of its faces when it is done."""

    name: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    changed: bool | None = None
    cleaned: bool | None = None
    tiles: int | None = None
    candidates: int | None = None
    has_evidence: bool | None = None
    faces: list[Face] = []
    left_out: list[LeftOutPhoto] = []


def _finite(value: Any) -> Any:
    """Put `None` in the place of numbers that JSON can't hold."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
