"""How a photo is to be restored, as a form: who is in it, two knobs, and the rest under More."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import gradio as gr

from keepface.diffusion.family import FamilyCard, locate, read_card
from keepface.engine.settings import RestoreSettings
from keepface.errors import KeepfaceError, RecipeError
from keepface.methods import DEFAULT, ONE_PASS, sampling_of
from keepface.web import page_words as words
from keepface.web.page_work import QUIET, in_memory
from keepface.web.restored import Wish
from keepface.web.workshop import Workshop

EVERYBODY, ONE, GIVEN = "everybody", "one", "given"
WHO = [
    ("Everybody in my library", EVERYBODY),
    ("One person of my library", ONE),
    ("Somebody else: I give photos of them", GIVEN),
]
MOST_VERSIONS = 4


@dataclass(frozen=True)
class Own:
    """What a method does where a visitor says nothing."""

    fidelity: float = 0.0
    steps: int | None = None  # None: it makes its result in one pass, without steps and always alike


@dataclass(frozen=True)
class Offer:
    """The methods that can be had, the default first, each with what it does by itself."""

    own: Mapping[str, Own] = field(default_factory=lambda: {DEFAULT: Own()})

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the methods' names."""
        return tuple(self.own)


def offer_of(workshop: Workshop) -> Offer:
    """Read it from the family's card, without loading a network."""
    with contextlib.suppress(KeepfaceError, OSError):
        methods = workshop.methods()
        card = read_card(locate(workshop.settings.family))
        return Offer({name: own_of(card, name) for name in methods})
    return Offer()


def own_of(card: FamilyCard, method: str) -> Own:
    """Return what a method does over a family by itself."""
    if method in ONE_PASS:
        return Own()
    sampling = sampling_of(card, method)
    return Own(sampling.fidelity, sampling.steps)


class WishForm:
    """The form's parts: who is in it first, the rest by `knobs`; an album has fewer. `name` tells two forms apart."""

    def __init__(self, workshop: Workshop, name: str, is_album: bool = False) -> None:
        self.workshop, self.name, self.is_album = workshop, name, is_album
        self.offer = offer_of(workshop)
        self.first = self.offer.own[self.offer.methods[0]]
        self.who = gr.Radio(
            WHO, value=EVERYBODY, label="Who is in it?", elem_id=f"kf-who-{name}", elem_classes="kf-who"
        )
        self.known = gr.HTML(elem_classes="kf-plain")
        self.person = gr.Dropdown([], label="Person", visible=False, elem_id=f"kf-person-{name}")
        self.references = gr.File(
            label="Photos of this person",
            file_count="multiple",
            file_types=["image"],
            height=130,
            visible=False,
            elem_id=f"kf-references-{name}",
        )
        self.who.change(
            lambda who: (
                gr.Dropdown(visible=who == ONE),
                gr.File(visible=who == GIVEN),
                gr.HTML(visible=who == EVERYBODY),
            ),
            self.who,
            [self.person, self.references, self.known],
            **QUIET,
        )

    def knobs(self) -> None:
        """Lay out the rest of the form, where it is called."""
        self.detail = gr.Slider(
            0,
            1,
            value=1 - self.first.fidelity,
            step=0.05,
            label="Closer to the photo ↔ more detail",
            info="To the left, less is changed. To the right, faces become clearer, and more of them is drawn anew.",
            buttons=[],
        )
        self.likeness = gr.Slider(
            0,
            1,
            value=RestoreSettings().identity,
            step=0.05,
            label="Likeness",
            info="How strongly the person's other photos lead. 0: as if there were none.",
            buttons=[],
        )
        self._more()

    def _more(self) -> None:
        name, is_single = self.name, not self.is_album
        self.versions = gr.Slider(
            1,
            MOST_VERSIONS,
            value=1,
            step=1,
            label="Versions of each face to choose from",
            info="Each takes its time. The one that fits best is shown first.",
            buttons=[],
            visible=is_single and self.first.steps is not None,
            elem_id=f"kf-versions-{name}",
        )
        self.evidence = gr.Checkbox(
            label="Find out what is real and what is invented (takes some times as long)",
            visible=is_single,
            elem_id=f"kf-evidence-{name}",
        )
        with gr.Accordion("More", open=False):
            self.method = gr.Dropdown(
                [(METHOD_NAMES.get(item, item), item) for item in self.offer.methods],
                value=self.offer.methods[0],
                label="Method",
                visible=len(self.offer.methods) > 1,
                elem_id=f"kf-method-{name}",
            )
            self.steps = gr.Slider(
                1,
                50,
                value=self.first.steps or 1,
                step=1,
                label="Steps",
                info="Fewer are faster and rougher.",
                buttons=[],
                visible=self.first.steps is not None,
                elem_id=f"kf-steps-{name}",
            )
            self.seed = gr.Number(
                value=0, precision=0, minimum=0, label="Seed", info="Another number gives another drawing.",
                elem_id=f"kf-seed-{name}",
            )  # fmt: skip
            self.keep_worse = gr.Checkbox(label="Keep a new face even if it became less like the person")
            self.strip_gps = gr.Checkbox(label="Leave out where the photo was taken (GPS)")
        self.method.change(self._follow, self.method, [self.detail, self.steps, self.versions], **QUIET)

    def _follow(self, method: str) -> tuple[Any, Any, Any]:
        """Show what a method does by itself, and only what it can be asked for."""
        own = self.offer.own[method]
        draws = own.steps is not None
        return (
            gr.Slider(value=1 - own.fidelity),
            gr.Slider(value=own.steps or 1, visible=draws),
            gr.Slider(visible=draws and not self.is_album),
        )

    def parts(self) -> set[Any]:
        """Return all fields."""
        return {
            *(self.who, self.person, self.references, self.detail, self.likeness, self.versions, self.evidence),
            *(self.method, self.steps, self.seed, self.keep_worse, self.strip_gps),
        }

    def read(self, given: dict[Any, Any]) -> Wish:
        """Read the form.

        Raises:
            KeepfaceError: nobody is chosen, no photo is given, or something can't be had.
        """
        who = given[self.who]
        if who == ONE and not given[self.person]:
            raise RecipeError("choose the person first")
        references = in_memory(given[self.references], self.workshop.settings) if who == GIVEN else ()
        if who == GIVEN and not references:
            raise RecipeError("drop photos of the person first, or choose somebody of your library")
        own = self.offer.own[given[self.method]]
        fidelity, steps = round(1.0 - given[self.detail], 2), int(given[self.steps])
        is_own = own.steps is None or steps == own.steps
        wish = Wish(
            method=given[self.method],
            everybody=who == EVERYBODY,
            person=given[self.person] if who == ONE else None,
            references=references,
            settings=RestoreSettings(
                steps=None if is_own else steps,
                fidelity=None if fidelity == round(own.fidelity, 2) else fidelity,
                identity=float(given[self.likeness]),
                keep_worse=bool(given[self.keep_worse]),
            ),
            seed=int(given[self.seed] or 0),
            candidates=1 if own.steps is None else int(given[self.versions]),
            wants_evidence=bool(given[self.evidence]),
            strip_gps=bool(given[self.strip_gps]),
        )
        self.workshop.check_wish(wish)
        return wish

    def refresh(self, person: str | None) -> tuple[Any, str]:
        """Return the list of people, and who they are in words, as they are now."""
        names = [item.name for item in self.workshop.people()]
        chosen = person if person in names else names[0] if names else None
        if not names:
            text = words.remark("Your library is empty. Add the people on the page People first.", "warn")
        else:
            listed = words.listed(names)
            text = f"<p class='kf-soft'>Each face by its own photos: {listed}. Strangers stay as they are.</p>"
        return gr.Dropdown(names, value=chosen), text


METHOD_NAMES = {
    "guided": "Guided (fast)",
    "faceme": "FaceMe",
    "ridfr": "RIDFR",
    "pfstorer": "PFStorer (for people who were learned)",
}
