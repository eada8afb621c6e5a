"""The page Restore: a photo in; its faces, each with its person and receipt, and the picture out."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from keepface.engine.result import Restoration
from keepface.errors import KeepfaceError, PhotoError
from keepface.web import page_words as words
from keepface.web.jobs import Job, Jobs
from keepface.web.page_pictures import around, inline, shown
from keepface.web.page_texts import GONE, LEGEND, NO_RESULT, VERSIONS
from keepface.web.page_wish import WishForm
from keepface.web.page_work import PRESS, QUIET, follow, hand_out, in_memory, stop, streamed, told
from keepface.web.refusals import NotThereError
from keepface.web.restored import ENDINGS, Restored, Wish
from keepface.web.uploads import Given
from keepface.web.workshop import Workshop

COMPARE, BEFORE, AFTER = "Compare", "Before", "After"
PLACES = {COMPARE: 50, BEFORE: 100, AFTER: 0}  # of the slider, in hundredths from the left
FORMS = [("As the photo was", ""), ("PNG", "png"), ("JPEG", "jpeg"), ("TIFF", "tiff"), ("WebP", "webp")]
VERSION_PX, GLIMPSE_PX, MOST_GLIMPSES = 256, 220, 8
PICTURE, REPORT, RECIPE = "picture", "report", "recipe"

# On a phone the result lies below the form.
INTO_SIGHT = """() => { if (innerWidth < 800)
  document.querySelector("#kf-result, #kf-restore-told")?.scrollIntoView({block: "start"}) }"""

Ranks = dict[str, list[int]]  # for each result, the version of each restored face that is shown


class RestorePage:
    """The parts of the page and what they do; results are kept by `jobs`, a visitor holds their keys."""

    def __init__(self, workshop: Workshop, jobs: Jobs) -> None:
        self.workshop, self.jobs = workshop, jobs
        self.keys, self.key, self.ranks = gr.State([]), gr.State(""), gr.State({})
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                self._form()
            with gr.Column(scale=3, min_width=340):
                self._result()
        self.shown = [self.wish.person, self.key]
        self.refreshed = [self.wish.person, self.wish.known, self.empty, self.panel]
        self._wire()

    # ---- what is there ----

    def _form(self) -> None:
        self.photos = gr.File(
            label="Drop a photo, or some",
            file_count="multiple",
            file_types=["image"],
            height=150,
            elem_id="kf-photos",
        )
        self.glimpse = gr.HTML(elem_classes="kf-plain", elem_id="kf-glimpse")
        self.wish = WishForm(self.workshop, "restore")
        with gr.Row():
            self.go = gr.Button("Restore", variant="primary", elem_id="kf-restore")
            self.stop = gr.Button("Stop", variant="stop", interactive=False, elem_id="kf-stop")
        self.told = gr.HTML(elem_classes="kf-plain", elem_id="kf-restore-told")
        self.wish.knobs()

    def _result(self) -> None:
        self.empty = gr.HTML(NO_RESULT, elem_classes="kf-plain")
        with gr.Column(visible=False, elem_classes="kf-sheet", elem_id="kf-result") as self.panel:
            self.which = gr.Radio([], label="Photo", visible=False)
            self.headline = gr.HTML(elem_classes="kf-plain", elem_id="kf-headline")
            self.slider = gr.ImageSlider(
                label="Before and after",
                show_label=False,
                interactive=False,
                format="png",
                buttons=["fullscreen"],
                max_height=620,
                elem_id="kf-slider",
            )
            self.view = gr.Radio([COMPARE, BEFORE, AFTER], value=COMPARE, label="Show", elem_id="kf-view")
            self.overlay = gr.Checkbox(
                label="Colour what the other photos brought, and what was invented", visible=False, elem_id="kf-overlay"
            )
            self.legend = gr.HTML(LEGEND, elem_classes="kf-plain", visible=False)
            self.faces = gr.HTML(elem_classes="kf-plain", elem_id="kf-faces")
            self._versions()
            gr.HTML("<h3>Keep it</h3>", elem_classes="kf-plain")
            self.form = gr.Radio(FORMS, value="", label="File type of the picture")
            with gr.Row():
                self.save = {
                    PICTURE: gr.Button("Save the picture", variant="primary", elem_id="kf-save", min_width=170),
                    REPORT: gr.Button("Report of what was done", elem_id="kf-report", min_width=170),
                    RECIPE: gr.Button("Recipe to make it again", elem_id="kf-recipe", min_width=170),
                }
            self.failed = gr.HTML(elem_classes="kf-plain")
            self.link = gr.DownloadButton("Download", elem_classes="kf-away", elem_id="kf-link")

    def _versions(self) -> None:
        def versions(key: str) -> None:
            restored = self._find(key)
            if restored is None or restored.candidates is None or restored.candidates.count < 2:
                return
            gr.HTML(
                VERSIONS,
                elem_classes="kf-plain",
            )
            numbers = [number for number, face in enumerate(restored.restoration.faces, 1) if face.candidates]
            for place, (number, ranked) in enumerate(zip(numbers, restored.candidates.faces, strict=False)):
                name = restored.restoration.faces[number - 1].person or f"Face {number}"
                gallery = gr.Gallery(
                    [
                        (shown(square, VERSION_PX), words.version(rank, item))
                        for rank, (square, item) in enumerate(zip(ranked.squares, ranked.table, strict=True), 1)
                    ],
                    label=name,
                    columns=4,
                    height="auto",
                    allow_preview=False,
                    selected_index=0,
                    interactive=False,
                    buttons=[],
                    format="png",
                    elem_classes="kf-versions",
                )

                def pick(ranks: Ranks, event: gr.SelectData, place: int = place) -> Ranks:
                    own = ranks.get(key) or [0] * restored.choices
                    return ranks | {key: [event.index if at == place else rank for at, rank in enumerate(own)]}

                gallery.select(pick, self.ranks, self.ranks, **QUIET).then(
                    self._show, self._showing(), self._shown(), **QUIET
                )

        # ---- what happens ----

        gr.render(inputs=[self.key], show_progress="hidden")(versions)

    def _wire(self) -> None:
        self.photos.change(self._glimpse, self.photos, self.glimpse, **QUIET)
        done = self.go.click(
            streamed(self._run),
            {self.photos, *self.wish.parts()},
            [self.told, self.keys, self.go, self.stop],
            concurrency_limit=None,
            **QUIET,
        )
        listed = done.then(self._list, [self.keys, self.key], [self.which, self.key, self.view, self.overlay], **QUIET)
        listed.then(self._show, self._showing(), self._shown(), **QUIET).then(None, None, None, js=INTO_SIGHT)
        self.stop.click(lambda keys: stop(self.jobs, *keys), self.keys, None, **QUIET)
        chosen = self.which.input(
            lambda key: (key, COMPARE, False), self.which, [self.key, self.view, self.overlay], **QUIET
        )
        chosen.then(self._show, self._showing(), self._shown(), **QUIET)
        self.overlay.input(self._show, self._showing(), self._shown(), **QUIET)
        self.view.change(lambda view: gr.ImageSlider(slider_position=PLACES[view]), self.view, self.slider, **QUIET)
        for what, button in self.save.items():
            self._saves(button, what)

    def _saves(self, button: Any, what: str) -> None:
        made = button.click(
            partial(self._save, what), [self.key, self.ranks, self.form], [self.link, self.failed], **QUIET
        )
        made.success(None, None, None, js=PRESS.format("kf-link"))

    def _showing(self) -> list[Any]:
        return [self.key, self.ranks, self.overlay]

    def _shown(self) -> list[Any]:
        return [self.empty, self.panel, self.headline, self.slider, self.overlay, self.legend, self.faces, self.failed]

    def refresh(self, person: str | None, key: str) -> list[Any]:
        """Return the people, and whether there is still a result to be seen."""
        is_gone = bool(key) and self._find(key) is None
        return [*self.wish.refresh(person), *(self._nothing(key) if is_gone else (gr.skip(), gr.skip()))]

    def _nothing(self, key: str) -> tuple[Any, Any]:
        return gr.HTML(words.remark(GONE, "warn") if key else NO_RESULT, visible=True), gr.Column(visible=False)

    def _glimpse(self, files: list[str] | None) -> str:
        """Show what was dropped, small, and say at once what can't be read."""
        parts = []
        for path in (files or ())[:MOST_GLIMPSES]:
            try:
                (photo,) = in_memory([path], self.workshop.settings)
                parts.append(words.glimpse(photo.name, inline(self.workshop.read(photo).pixels, GLIMPSE_PX)))
            except (KeepfaceError, OSError) as error:
                parts.append(told(error, self.workshop))
        return f"<div class='kf-glimpses'>{''.join(parts)}</div>" if parts else ""

    def _run(self, given: dict[Any, Any]) -> Iterator[tuple[str, Any, Any, Any]]:
        """Put the photos into the queue and tell how far they are; results are shown by what comes after."""
        free = gr.Button(interactive=True), gr.Button(interactive=False)
        busy = free[1], free[0]
        try:
            if not given[self.photos]:
                raise PhotoError("drop a photo first")
            wish = self.wish.read(given)
            photos = in_memory(given[self.photos], self.workshop.settings)
        except Exception as error:  # whatever it is, it is told
            yield told(error, self.workshop), gr.skip(), *free
            return
        jobs, problems = self._submit(photos, wish)
        keys = [job.key for job in jobs]
        for photo, job in zip(photos, jobs, strict=False):
            for state, text in follow(self.jobs, job.key, photo.name):
                if state is None or not state.is_over:
                    yield "".join(problems) + text, keys, *busy
                else:
                    problems += _problem(photo.name, state)
        yield "".join(problems), keys, *free

    def _submit(self, photos: Sequence[Given], wish: Wish) -> tuple[list[Job], list[str]]:
        people, jobs = self.workshop.who(wish), []
        for number, photo in enumerate(photos):
            try:
                jobs.append(self.jobs.submit("restoration", partial(self.workshop.restore, photo, wish), people))
            except KeepfaceError as error:
                left = words.counted(len(photos) - number, "photo")
                return jobs, [words.remark(f"{left} not taken: {error}", "bad")]
        return jobs, []

    def _list(self, keys: list[str], old: str) -> tuple[Any, str, str, bool]:
        """Offer the results to choose from; the first is shown."""
        found = [(restored.name, key) for key in keys if (restored := self._find(key))]
        first = found[0][1] if found else old
        return gr.Radio(found, value=first, visible=len(found) > 1), first, COMPARE, False

    def _show(self, key: str, ranks: Ranks, overlay: bool) -> list[Any]:
        """Show a result: the picture, its faces, and what they came from if that is wanted."""
        restored = self._find(key)
        if restored is None:
            return [*self._nothing(key), *[gr.skip()] * 6]
        restoration = restored.picture(ranks.get(key))
        evidence = restored.restoration.evidence
        after = restoration.image.pixels
        if overlay and evidence is not None:
            after = evidence.overlay(after)
        has = evidence is not None and bool(evidence.faces)
        return [
            gr.HTML(visible=False),
            gr.Column(visible=True),
            words.headline(restoration) + "".join(words.left_out(item) for item in restoration.left_out),
            (shown(restored.photo.pixels), shown(after)),
            gr.Checkbox(visible=has),
            gr.HTML(visible=has and overlay),
            _faces(restored, restoration),
            "",
        ]

    def _save(self, what: str, key: str, ranks: Ranks, form: str) -> tuple[Any, str]:
        restored = self._find(key)
        try:
            if restored is None:
                raise NotThereError(GONE)
            return _file(restored, what, form, ranks.get(key)), ""
        except (KeepfaceError, OSError) as error:
            return None, told(error, self.workshop)

    def _find(self, key: str) -> Restored | None:
        try:
            made = self.jobs.find(key).made
        except KeepfaceError:
            return None
        return made if isinstance(made, Restored) else None


def _faces(restored: Restored, restoration: Restoration) -> str:
    before, after = restored.photo.pixels, restoration.image.pixels
    shares = {item.face: item for item in restoration.evidence.faces} if restoration.evidence else {}
    parts = []
    for number, face in enumerate(restoration.faces):
        if face.box is not None:
            scale = after.shape[2] / before.shape[2]
            crops = inline(around(before, face.box)), inline(around(after, face.box, scale))
            parts.append(words.face(number + 1, face, crops, shares.get(number)))
    return f"<h3>Faces</h3><ul class='kf-faces'>{''.join(parts)}</ul>" if parts else ""


def _file(restored: Restored, what: str, form: str, ranks: list[int] | None) -> str:
    """Make what is to be downloaded, under the photo's name."""
    stem = restored.name.rpartition(".")[0] or restored.name
    wanted = form or None
    if what == REPORT:
        return hand_out(f"{stem}-report.html", restored.report().encode())
    if what == RECIPE:
        return hand_out(f"{stem}-restored.keepface.json", restored.recipe(wanted).encode())
    ending = ENDINGS[restored.form if wanted is None else wanted.upper()]
    return hand_out(f"{stem}-restored{ending}", restored.file(wanted, ranks))


def _problem(name: str, job: Job) -> list[str]:
    """Say what did not come out well; nothing where all did."""
    if job.state == "failed":
        return [words.remark(f"{name}: {(job.error or 'it failed').removeprefix(f'{name}: ')}", "bad")]
    return [words.remark(f"{name}: stopped.", "warn")] if job.state == "stopped" else []
