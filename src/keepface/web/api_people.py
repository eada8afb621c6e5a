"""/v1/people: who is in the library, and their reference photos."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from keepface.errors import KeepfaceError
from keepface.people.intake import Intake, Refused
from keepface.people.person import Notes, Person, checked_name, checked_notes, checked_year
from keepface.web.desk import Desk, binary, files_of, form_body, parsed, refusals, text_parts
from keepface.web.models import (
    Added,
    Check,
    ForgottenPerson,
    LeftOutPhoto,
    NewPhotos,
    PeopleShown,
    PersonNotes,
    PersonPhoto,
    PersonShown,
)
from keepface.web.refusals import NotThereError, UnfitError, said
from keepface.web.uploads import Given

PARTS = {"photos": True} | dict.fromkeys(NewPhotos.model_fields, False)
BODY = form_body(
    {
        **text_parts(NewPhotos),
        "photos": {"type": "array", "items": files_of("A photo of the person."), "minItems": 1},
    },
    ["name", "photos"],
)


class PeopleDesk:
    """The calls."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._workshop = desk, desk.workshop

    def router(self) -> APIRouter:
        """Return the calls with their paths."""
        router = APIRouter(prefix="/v1/people", tags=["people"])
        add = router.add_api_route
        add("", self.all, methods=["GET"], response_model=PeopleShown, responses=refusals(409))
        add(
            "",
            self.add,
            methods=["POST"],
            status_code=201,
            response_model=Added,
            responses=refusals(409, 415),
            openapi_extra=BODY,
        )
        add("/{key}", self.show, methods=["GET"], response_model=PersonShown, responses=refusals(404, 409))
        add("/{key}", self.forget, methods=["DELETE"], response_model=ForgottenPerson, responses=refusals(404, 409))
        add("/{key}/check", self.check, methods=["GET"], response_model=Check, responses=refusals(404, 409))
        add(
            "/{key}/photos/{photo}/thumbnail",
            self.thumbnail,
            methods=["GET"],
            response_class=Response,
            responses=refusals(404, 409) | binary("image/jpeg"),
        )
        return router

    def all(self) -> PeopleShown:
        """List the people of the library, by name."""
        return PeopleShown(people=[self._shown(person) for person in self._workshop.people()])

    async def add(self, request: Request) -> Added:
        """Add photos to a person, who is made by the first photo that is accepted; photos that are not say why."""
        async with self._desk.form(request, PARTS) as (sent, _):
            asked = parsed(NewPhotos, sent.fields, "")
            photos = sent.files.get("photos", ())
            if not photos:
                raise UnfitError("at least one photo is needed", "photos")
            return await run_in_threadpool(self._add, asked, photos)

    def show(self, key: str) -> PersonShown:
        """Show one person."""
        return self._shown(self._desk.person(key))

    def check(self, key: str) -> Check:
        """Examine a person's photos, and say which one to add next."""
        found = self._workshop.check(self._desk.person(key).name)
        return Check.model_validate({"well": found.is_well, **found.to_json()})

    def thumbnail(self, key: str, photo: str, side: Annotated[int, Query(ge=16, le=1024)] = 256) -> Response:
        """Return a reference photo as a small JPEG; `side` is the most its longer side may have, in pixels."""
        return Response(self._workshop.portrait(self._desk.person(key).name, photo, side), media_type="image/jpeg")

    def forget(self, key: str) -> ForgottenPerson:
        """Delete all that is kept of a person, and every result in which they are."""
        name = self._desk.person(key).name
        gone = self._workshop.forget(name)
        self._desk.jobs.forget(name)
        return ForgottenPerson(name=gone.name, photos=gone.photos, adapters=gone.adapters, links=len(gone.links))

    def _add(self, asked: NewPhotos, photos: tuple[Given, ...]) -> Added:
        notes = Notes(asked.consent, None, asked.relation, asked.birth_year)
        for where, check in (
            ("name", lambda: checked_name(asked.name)),
            ("birth_year", lambda: checked_notes(notes)),
            ("year", lambda: None if asked.year is None else checked_year(asked.year, "the year")),
        ):
            try:
                check()
            except KeepfaceError as error:
                raise UnfitError(str(error), where) from None
        intake = self._workshop.add(asked.name, photos, notes, asked.sure, asked.year)
        try:
            person = self._workshop.find(asked.name)
        except NotThereError:
            reasons = "; ".join(f"{item.source}: {item.reason}" for item in intake.refused)
            raise UnfitError(f"none of the photos can be used: {reasons}", "photos") from None
        return self._added(person, intake)

    def _added(self, person: Person, intake: Intake) -> Added:
        return Added(
            person=self._shown(person),
            accepted=[photo.record.name for photo in intake.accepted],
            duplicates=[self._told(item) for item in intake.duplicates],
            refused=[self._told(item) for item in intake.refused],
        )

    def _told(self, item: Refused) -> LeftOutPhoto:
        return LeftOutPhoto(name=item.source, reason=said(KeepfaceError(item.reason), self._workshop.hidden))

    def _shown(self, person: Person) -> PersonShown:
        photos = [
            PersonPhoto(key=item.key, name=item.name, added=item.added, year=item.year, is_sure=item.is_sure)
            for item in person.photos
        ]
        return PersonShown(
            key=person.key,
            name=person.name,
            created=person.created,
            notes=PersonNotes(**asdict(person.notes)),
            photos=photos,
            adapters=list(self._workshop.library.adapters(person)),
        )
