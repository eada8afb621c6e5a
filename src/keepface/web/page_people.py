"""The page People: who is in the library, what the doctor says of their photos, adding, learning and forgetting."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from keepface.errors import KeepfaceError
from keepface.people.person import Notes, Person
from keepface.web import page_words as words
from keepface.web.jobs import Job, Jobs
from keepface.web.page_pictures import data_address
from keepface.web.page_texts import CONSENT, LEARN, NEW_HEAD, NOBODY
from keepface.web.page_work import QUIET, drop, follow, in_memory, stop, streamed, told
from keepface.web.workshop import LEARNING, Workshop

CARD_PX, PHOTO_PX = 96, 184
NEW = ""  # in the place of a name: somebody who is not in the library yet
BLANK = ("", "", "", None, False)  # relation, year, consent, photos, whether they are sure


@dataclass(frozen=True, eq=False)
class Form:
    """What can be filled in."""

    name: Any
    relation: Any
    birth_year: Any
    consent: Any
    photos: Any
    is_sure: Any

    def all(self) -> list[Any]:
        """Return the fields in order."""
        return [self.name, self.relation, self.birth_year, self.consent, self.photos, self.is_sure]


class PeoplePage:
    """The parts of the page and what they do; `changed` counts changes of the library, for whoever shows people."""

    def __init__(self, workshop: Workshop, jobs: Jobs, changed: Any) -> None:
        self.workshop, self.jobs, self.changed = workshop, jobs, changed
        self.who = gr.State(NEW)
        with gr.Row():
            with gr.Column(scale=2, min_width=280):
                self._list()
            with gr.Column(scale=3, min_width=320, elem_classes="kf-sheet"):
                self._sheet()
        self._wire()

    # ---- what is there ----

    def _list(self) -> None:
        self.new = gr.Button("Add somebody new", variant="primary", elem_id="kf-new")

        def people(_: int) -> None:
            everybody = self.workshop.people()
            if not everybody:
                gr.HTML(NOBODY, elem_classes="kf-plain")
            for person in everybody:
                with gr.Column(elem_classes="kf-card", elem_id=f"kf-card-{person.key}", min_width=0):
                    gr.HTML(words.person_card(person, self._portrait(person)), elem_classes="kf-plain")
                    over = gr.Button(f"Open {person.name}", elem_classes="kf-over")
                opening = partial(self._open_anew, person.name)
                over.click(opening, None, self._all_anew(), **QUIET).then(self._examine, self.who, self.doctor, **QUIET)

        gr.render(inputs=[self.changed], show_progress="hidden")(people)

    def _sheet(self) -> None:
        self.told = gr.HTML(elem_classes="kf-plain", elem_id="kf-people-told")
        self.head = gr.HTML(NEW_HEAD, elem_classes="kf-plain")
        self.doctor = gr.HTML(elem_classes="kf-plain", visible=False, elem_id="kf-doctor")
        with gr.Accordion("Add photos", open=True) as self.adding:
            photos = gr.File(
                label="Photos of this person: 3 to 5 are best, sharp, from several sides",
                file_count="multiple",
                file_types=["image"],
                height=150,
                elem_id="kf-person-photos",
            )
            name = gr.Textbox(label="Name", placeholder="Anna", max_length=100, elem_id="kf-name")
            with gr.Row():
                relation = gr.Textbox(label="Who they are to you", placeholder="aunt", max_length=100, min_width=150)
                birth_year = gr.Textbox(label="Born in", placeholder="1950", max_length=4, min_width=120)
            consent = gr.Textbox(
                label="Consent",
                placeholder="asked her on 3 May",
                info=CONSENT,
                max_length=500,
            )
            is_sure = gr.Checkbox(label="They do show this person, even if they look unlike (a childhood photo)")
            self.add = gr.Button("Add", variant="primary", elem_id="kf-add")
        self.form = Form(name, relation, birth_year, consent, photos, is_sure)
        with gr.Accordion("Learn this person", open=False, visible=False) as self.learning:
            gr.HTML(LEARN, elem_classes="kf-plain")
            with gr.Row():
                self.learn = gr.Button("Learn", elem_id="kf-learn")
                self.stop = gr.Button("Stop", variant="stop", interactive=False)
            self.learned = gr.HTML(elem_classes="kf-plain")
            self.job = gr.State("")
        with gr.Accordion("Forget this person", open=False, visible=False) as self.leaving:
            self.warning = gr.HTML(elem_classes="kf-plain")
            self.ask = gr.Checkbox(label="Yes, delete all of it", elem_id="kf-forget-yes")
            self.forget = gr.Button("Forget for good", variant="stop", interactive=False, elem_id="kf-forget")

    # ---- what happens ----

    def _wire(self) -> None:
        self.opened = [self.who, self.head, self.doctor, self.adding, self.learning, self.leaving, self.warning]
        self.opened += [self.ask, self.form.name, self.add]
        fresh = self.new.click(partial(self._open_anew, NEW), None, self._all_anew(), **QUIET)
        fresh.then(self._examine, self.who, self.doctor, **QUIET)
        self.add.click(
            streamed(self._add),
            {self.who, self.changed, *self.form.all()},
            [self.told, self.changed, self.form.photos, *self.opened],
            concurrency_limit=None,
            **QUIET,
        ).then(self._examine, self.who, self.doctor, **QUIET)
        self.ask.change(lambda yes: gr.Button(interactive=yes), self.ask, self.forget, **QUIET)
        self.forget.click(
            self._forget, [self.who, self.ask, self.changed], [self.told, self.changed, *self.opened], **QUIET
        )
        outputs = [self.learned, self.job, self.learn, self.stop]
        self.learn.click(streamed(self._learn), self.who, outputs, concurrency_limit=None, **QUIET)
        self.stop.click(partial(stop, self.jobs), self.job, None, **QUIET)

    def _all_anew(self) -> list[Any]:
        """Return what is set when another person is opened."""
        form = self.form
        return [self.told, *self.opened, form.relation, form.birth_year, form.consent, form.photos, form.is_sure]

    def _open(self, name: str) -> list[Any]:
        """Show a person's own page, or the form for somebody new."""
        person = self._find(name)
        is_known = person is not None
        head = words.person_head(person) if person else NEW_HEAD
        warning = (
            ""
            if person is None
            else words.remark(
                f"This deletes {words.counted(len(person.photos), 'photo')} of {person.name}, what was measured of "
                "them, and what was learned. It can't be undone. Pictures that you downloaded stay.",
                "warn",
            )
        )
        return [
            name if is_known else NEW,
            head,
            gr.HTML(words.bar("Looking at the photos", 0, 0) if is_known else "", visible=is_known),
            gr.Accordion("Add photos or change the notes" if is_known else "Add photos", open=not is_known),
            gr.Accordion(visible=is_known and self._can_learn(), open=False),
            gr.Accordion(visible=is_known, open=False),
            warning,
            False,
            gr.Textbox(visible=False) if is_known else gr.Textbox(value="", visible=True),
            f"Add to {name}" if is_known else "Add",
        ]

    def _open_anew(self, name: str) -> list[Any]:
        return ["", *self._open(name), *BLANK]

    def _examine(self, name: str) -> str:
        """Ask the doctor, and show the photos beside what is said of them."""
        person = self._find(name)
        if person is None:
            return ""
        try:
            found = self.workshop.check(name)
            pictures = [(photo.name, self._address(person, photo.key, PHOTO_PX)) for photo in person.photos]
        except KeepfaceError as error:
            return told(error, self.workshop)
        return words.diagnosis(found, pictures)

    def _add(self, given: dict[Any, Any]) -> Iterator[list[Any]]:
        """Add photos and notes; the form stays filled in when something fails."""
        form = self.form
        name = given[self.who] or (given[form.name] or "").strip()
        yield [words.bar("Looking at the photos", 0, 0), *[gr.skip()] * (2 + len(self.opened))]
        try:
            photos = in_memory(given[form.photos], self.workshop.settings)
            if not photos and self._find(name) is None:
                raise KeepfaceError("drop a photo of this person first; three to five are best")
            notes = Notes(
                (given[form.consent] or "").strip() or None,
                relation=(given[form.relation] or "").strip() or None,
                birth_year=_year(given[form.birth_year] or ""),
            )
            found = self.workshop.add(name, photos, notes, bool(given[form.is_sure]))
        except Exception as error:  # whatever it is, it is told
            yield [told(error, self.workshop), *[gr.skip()] * (2 + len(self.opened))]
            return
        drop(given[form.photos])
        person = self._find(name)
        if person is None:
            yield [words.intake(name, found), gr.skip(), None, *[gr.skip()] * len(self.opened)]
        else:
            yield [words.intake(person.name, found), given[self.changed] + 1, None, *self._open(person.name)]

    def _forget(self, name: str, yes: bool, changed: int) -> list[Any]:
        if not yes:
            return [words.remark("Tick the box first.", "warn"), *[gr.skip()] * (1 + len(self.opened))]
        try:
            gone = self.workshop.forget(name)
            self.jobs.forget(name)
        except KeepfaceError as error:
            return [told(error, self.workshop), *[gr.skip()] * (1 + len(self.opened))]
        return [words.forgotten(gone), changed + 1, *self._open(NEW)]

    def _learn(self, name: str) -> Iterator[tuple[str, str, Any, Any]]:
        """Train in the queue, and tell how far it is."""
        busy, free = gr.Button(interactive=False), gr.Button(interactive=True)
        try:
            self.workshop.check_training(name)
            job = self.jobs.submit("training", lambda progress: self.workshop.train(name, progress), (name,))
        except KeepfaceError as error:
            yield told(error, self.workshop), "", free, busy
            return
        for state, text in follow(self.jobs, job.key, f"Learning {name}"):
            if state is None or not state.is_over:
                yield text, job.key, busy, free
            else:
                yield _learned(name, state), "", free, busy

    # ---- small parts ----

    def _find(self, name: str) -> Person | None:
        with contextlib.suppress(KeepfaceError):
            return self.workshop.find(name)
        return None

    def _can_learn(self) -> bool:
        with contextlib.suppress(KeepfaceError):
            return LEARNING in self.workshop.methods()
        return False

    def _portrait(self, person: Person) -> str | None:
        return self._address(person, person.photos[0].key, CARD_PX) or None if person.photos else None

    def _address(self, person: Person, key: str, side: int) -> str:
        with contextlib.suppress(KeepfaceError):
            return data_address(self.workshop.portrait(person.name, key, side))
        return ""


def _year(text: str) -> int | None:
    """Read a year; none where nothing was filled in."""
    if text.strip() and not text.strip().isdecimal():
        raise KeepfaceError(f"{text!r} is no year; write it as 1950, or leave it out")
    return int(text) if text.strip() else None


def _learned(name: str, job: Job) -> str:
    if job.state == "failed":
        return words.remark(job.error or "it failed", "bad")
    if job.state == "stopped":
        return words.remark("Stopped. Learn again to go on from there.", "warn")
    return words.remark(f"{name} is learned. Choose the method {LEARNING} under More, on the page Restore.", "good")
