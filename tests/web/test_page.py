"""The page in a real browser: people, a photo restored with all that is told of it, an album, and forgetting."""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ..engine.plain_restorer import PlainRestorer, album, landscape, person

pytest.importorskip("gradio", reason="needs keepface[web]")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

from ..browser import PHONE, chromium  # noqa: E402 - as below
from .drawn_people import MINA, ROSA, group_photo, photos_of  # noqa: E402 - as above
from .page_visit import House, SteppingRestorer, Visit  # noqa: E402 - needs gradio

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
REFERENCES = [EXAMPLES / "reference-1.jpg", EXAMPLES / "reference-2.jpg"]
PHOTO = EXAMPLES / "clean.jpg"  # clear enough to be known by
MARK = b"compositeWithTrainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(playwright) as found:
        yield found


@pytest.fixture(scope="module")
def stepping(networks: PlainRestorer) -> SteppingRestorer:
    return SteppingRestorer(networks.embedder, networks.judge)


@pytest.fixture(scope="module")
def running(browser: Any, stepping: SteppingRestorer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    house = House(tmp_path_factory.mktemp("house"), stepping)
    with house.open() as address:
        yield house, address
    assert list((house.folder / "private").glob("serve-*")) == []  # nothing private is left at the end


@pytest.fixture
def house(running: Any, stepping: SteppingRestorer) -> House:
    stepping.seconds_a_step = 0.0
    running[0].empty()
    return running[0]


@pytest.fixture
def visit(browser: Any, running: Any, house: House) -> Iterator[Visit]:
    visit = Visit(browser, running[1])
    yield visit
    visit.close()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def pictures_of(house: House) -> list[Path]:
    """List the pictures that lie anywhere in the house."""
    return [path for path in house.folder.rglob("*") if path.suffix in (".jpg", ".png", ".webp")]


def restore(visit: Visit) -> None:
    visit.page.get_by_role("button", name="Restore", exact=True).click()


def more(visit: Visit) -> None:
    visit.page.get_by_role("button", name="More").locator("visible=true").click()


def choose_method(visit: Visit, name: str) -> None:
    """Choose from the list of methods under More, which is open."""
    visit.page.locator("#kf-method-restore input").click()
    visit.page.get_by_role("option", name=name).click()


def keep_whatever_comes(visit: Visit) -> None:
    """The arithmetic in the model's place makes nobody more alike."""
    more(visit)
    visit.page.get_by_label("Keep a new face").locator("visible=true").check()


def test_somebody_is_added_looked_over_by_the_doctor_and_forgotten_for_good(visit: Visit, house: House) -> None:
    page = visit.page
    page.get_by_text("Nobody is here yet.").wait_for()
    page.get_by_label("Who they are to you").fill("neighbour")
    page.get_by_label("Born in").fill("1961")
    page.get_by_label("Consent").fill("asked him, 3 May")
    visit.drop("kf-person-photos", REFERENCES)
    page.get_by_label("Name", exact=True).fill("Barack")
    page.get_by_role("button", name="Add", exact=True).click()
    said = visit.said("kf-doctor", "What would help next")
    assert "reference-1.jpg" in said and "Only 2 photos are fit to be used: add 1 more; 3 to 5 are best." in said
    (person,) = house.workshop.people()
    assert (person.name, len(person.photos)) == ("Barack", 2)
    assert (person.notes.relation, person.notes.birth_year, person.notes.consent) == (
        ("neighbour", 1961, "asked him, 3 May")
    )
    assert page.locator(".kf-card img").evaluate("image => image.naturalWidth") > 0

    page.get_by_role("button", name="Forget this person").click()
    assert page.get_by_role("button", name="Forget for good").is_disabled()  # until it is said twice
    page.get_by_label("Yes, delete all of it").check()
    page.get_by_role("button", name="Forget for good").click()
    visit.said("kf-people-told", "Barack is forgotten: 2 photos deleted")
    page.get_by_text("Nobody is here yet.").wait_for()
    assert house.workshop.people() == ()
    assert pictures_of(house) == []


def test_a_photo_is_restored_compared_explained_chosen_and_saved(visit: Visit, house: House) -> None:
    page = visit.page
    visit.add("Barack", REFERENCES)
    visit.tab("Restore")
    visit.drop("kf-photos", [PHOTO])
    page.locator("#kf-glimpse img").wait_for()
    keep_whatever_comes(visit)
    choose_method(visit, "FaceMe")
    page.locator("#kf-versions-restore input[type=number]").fill("2")
    page.keyboard.press("Tab")
    page.get_by_label("Find out what is real").check()
    restore(visit)
    visit.said("kf-headline", "1 face: 1 restored")
    said = visit.said("kf-faces", "Barack")
    assert "Who it is: " in said and "in 100" in said and "invented" in said
    (job,) = house.jobs.all()
    made = job.made
    page.get_by_text("Numbers", exact=True).click()
    likeness = made.restoration.faces[0].similarity
    shown = [float(text) for text in page.locator(".kf-numbers dd").all_inner_texts()]
    assert shown == [
        pytest.approx(value, abs=0.00501)
        for value in (likeness.input_to_references, likeness.output_to_references, likeness.output_to_input)
    ]

    handle = page.locator("#kf-slider [data-testid=slider]")
    handle.scroll_into_view_if_needed()
    box = handle.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 100, y, steps=4)
    page.mouse.up()
    assert handle.bounding_box()["x"] == pytest.approx(box["x"] + 100, abs=2)

    images = page.locator("#kf-slider img")
    look = "() => [...document.querySelectorAll('#kf-slider img')].map(image => image.style.cssText).join()"
    before = page.evaluate(look)
    page.get_by_label("After", exact=True).check()  # by keys it can be reached too, unlike the handle
    page.wait_for_function(f"before => ({look})() != before", arg=before)

    pictures = {image.get_attribute("src") for image in images.all()}
    page.get_by_label("Colour what the other photos brought").check()
    page.get_by_text("blue: from the person's other photos").wait_for()
    tinted = {image.get_attribute("src") for image in images.all()}
    assert len(pictures) == len(tinted) == 2 and len(pictures & tinted) == 1  # the photo stays beside it

    name, first = visit.save(page.get_by_role("button", name="Save the picture").click)
    assert name == "clean-restored.jpg" and MARK in first and first == made.file()
    page.locator(".kf-versions button").nth(1).click()
    page.locator("#kf-faces").get_by_text("2 (shown)").wait_for(state="attached")
    _, second = visit.save(page.get_by_role("button", name="Save the picture").click)
    assert second == made.file(None, [1]) and not np.array_equal(pixels(first), pixels(second))
    name, report = visit.save(page.get_by_role("button", name="Report of what was done").click)
    assert name == "clean-report.html" and b"must not be used to identify a person" in report


def test_a_method_of_one_pass_offers_neither_steps_nor_versions_and_starts_without_the_photos_share(
    visit: Visit, house: House
) -> None:
    page = visit.page
    steps, versions = page.locator("#kf-steps-restore"), page.locator("#kf-versions-restore")
    detail = page.get_by_label("number input for Closer to the photo").locator("visible=true")
    visit.add("Barack", REFERENCES)
    visit.tab("Restore")
    more(visit)
    assert not steps.is_visible() and not versions.is_visible() and float(detail.input_value()) == 1
    choose_method(visit, "FaceMe")
    versions.wait_for()
    steps.locator("input[type=number]").fill("9")
    versions.locator("input[type=number]").fill("3")
    page.keyboard.press("Tab")
    assert float(detail.input_value()) == 1 - 0.25  # the bundled family's card
    choose_method(visit, "Guided")
    versions.wait_for(state="hidden")
    assert not steps.is_visible() and float(detail.input_value()) == 1
    visit.drop("kf-photos", [PHOTO])
    restore(visit)
    visit.said("kf-headline", "No face was changed")  # the arithmetic in the model's place makes nothing better
    (job,) = house.jobs.all()
    wish = job.made.wish
    assert (wish.method, wish.candidates, wish.settings.steps, wish.settings.fidelity) == ("guided", 1, None, None)


def test_a_running_job_shows_how_far_it_is_and_is_stopped(
    visit: Visit, house: House, stepping: SteppingRestorer
) -> None:
    visit.add("Barack", REFERENCES)
    visit.tab("Restore")
    visit.drop("kf-photos", [PHOTO])
    keep_whatever_comes(visit)  # else nothing is computed for a face that is sharp already
    stepping.seconds_a_step = 0.4
    restore(visit)
    bar = visit.page.get_by_role("progressbar").locator("visible=true")
    visit.page.wait_for_function("() => document.querySelector('#kf-restore-told [aria-valuenow]')")
    assert 0 < int(bar.get_attribute("aria-valuenow")) < 100
    visit.page.locator("#kf-stop").click()
    visit.said("kf-restore-told", "clean.jpg: stopped.")
    assert [job.state for job in house.jobs.all()] == ["stopped"]
    assert visit.page.locator("#kf-restore").is_enabled()


def test_what_can_t_be_done_is_said_with_its_reason(visit: Visit, house: House, tmp_path: Path) -> None:
    page = visit.page
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(PHOTO.read_bytes()[:2000])
    words = tmp_path / "words.jpg"
    words.write_text("not a picture")
    nobody = landscape(tmp_path / "hills.png")

    page.get_by_label("Name", exact=True).fill("Barack")
    page.get_by_role("button", name="Add", exact=True).click()
    visit.said("kf-people-told", "Drop a photo of this person first")
    visit.drop("kf-person-photos", [REFERENCES[0], words, nobody])
    page.get_by_label("Born in").fill("19x1")
    page.get_by_role("button", name="Add", exact=True).click()
    visit.said("kf-people-told", "'19x1' is no year; write it as 1950, or leave it out")
    assert page.get_by_label("Name", exact=True).input_value() == "Barack"  # nothing has to be typed again
    page.get_by_label("Born in").fill("")
    page.get_by_role("button", name="Add", exact=True).click()
    said = visit.said("kf-people-told", "1 photo added to Barack.")
    assert "words.jpg was left out: is no picture" in said and "hills.png was left out: no face was found" in said

    visit.tab("Restore")
    restore(visit)
    visit.said("kf-restore-told", "Drop a photo first")
    visit.drop("kf-photos", [torn])
    visit.said("kf-glimpse", "torn.jpg")
    visit.drop("kf-photos", [nobody])
    restore(visit)
    visit.said("kf-headline", "No face was found in this photo. It stays as it was.")
    house.empty()
    restore(visit)
    visit.said("kf-restore-told", "The library holds nobody yet")
    page.get_by_label("Somebody else: I give photos of them").locator("visible=true").check()
    restore(visit)
    visit.said("kf-restore-told", "Drop photos of the person first, or choose somebody of your library")


def test_photos_given_with_the_photo_lead_it_and_leave_nobody_in_the_library(visit: Visit, house: House) -> None:
    visit.tab("Restore")
    visit.drop("kf-photos", [PHOTO])
    visit.page.get_by_label("Somebody else: I give photos of them").locator("visible=true").check()
    visit.drop("kf-references-restore", REFERENCES)
    restore(visit)
    said = visit.said("kf-faces", "Who it is")
    assert "the person of the reference photos" in said
    assert house.workshop.people() == ()
    (job,) = house.jobs.all()
    assert [item.name for item in job.made.wish.references] == ["reference-1.jpg", "reference-2.jpg"]


def test_an_album_is_restored_goes_on_without_the_page_and_comes_as_a_zip(
    visit: Visit, house: House, stepping: SteppingRestorer, tmp_path: Path
) -> None:
    torn = tmp_path / "torn.jpg"
    torn.write_bytes(PHOTO.read_bytes()[:2000])
    visit.add("Barack", REFERENCES)
    visit.tab("Album")
    visit.drop("kf-album-photos", [PHOTO, torn, landscape(tmp_path / "hills.png")])
    keep_whatever_comes(visit)
    stepping.seconds_a_step = 0.1
    visit.page.get_by_role("button", name="Restore the album").click()
    visit.page.locator("#kf-album-told [role=progressbar]").wait_for()
    visit.open()
    visit.tab("Album")  # the browser knows which album was its own
    said = visit.said("kf-album-told", "2 photos done, 1 changed; 1 face: 1 restored; 1 failed.")
    rows = visit.page.locator("#kf-album-rows td:nth-child(2)").all_inner_texts()
    assert said and rows[0].startswith("1 face: 1 restored.") and rows[1].startswith("failed Is damaged or cut short")
    assert rows[2] == "No face was found; the photo stays as it was."
    name, data = visit.save(visit.page.get_by_role("button", name="Download all as a zip").click)
    packed = zipfile.ZipFile(io.BytesIO(data))
    assert name == "restored-album.zip" and sorted(packed.namelist()) == ["clean.jpg", "hills.png"]
    assert packed.read("hills.png") == (tmp_path / "hills.png").read_bytes()


def test_results_of_somebody_who_is_forgotten_are_gone(visit: Visit, house: House) -> None:
    visit.add("Barack", REFERENCES)
    visit.tab("Restore")
    visit.drop("kf-photos", [PHOTO])
    restore(visit)
    visit.said("kf-faces", "Barack")
    visit.tab("People")
    visit.page.get_by_role("button", name="Forget this person").click()
    visit.page.get_by_label("Yes, delete all of it").check()
    visit.page.get_by_role("button", name="Forget for good").click()
    visit.said("kf-people-told", "Barack is forgotten")
    visit.tab("Restore")
    visit.page.get_by_text("This result is no longer kept. Restore the photo again.").wait_for()
    assert not visit.page.locator("#kf-result").is_visible()
    assert house.jobs.all() == ()
    assert pictures_of(house) == []


def test_two_people_of_one_photo_each_lead_their_own_face(visit: Visit, house: House, tmp_path: Path) -> None:
    for name, looks in (("Rosa", ROSA), ("Mina", MINA)):
        visit.add(name, photos_of(looks, tmp_path, name.lower(), 2))
    visit.tab("Restore")
    visit.drop("kf-photos", [group_photo([ROSA, MINA], tmp_path / "both.jpg", low=0.5)])
    keep_whatever_comes(visit)
    restore(visit)
    said = visit.said("kf-faces", "Mina")
    assert "Rosa" in said and said.count("Who it is: ") == 2
    (job,) = house.jobs.all()
    left, right = sorted(job.made.restoration.faces, key=lambda face: face.box[0])
    assert (left.person, right.person) == ("Rosa", "Mina") and left.restored and right.restored


@pytest.mark.shared
def test_two_people_of_an_album_each_lead_their_own_face_and_a_stranger_stays(visit: Visit, house: House) -> None:
    for name, who in (("Cara", "lfw-2892"), ("Dan", "lfw-2021")):
        visit.add(name, person(who, 3))
    assert visit.page.locator(".kf-card").count() == 2
    visit.tab("Restore")
    visit.drop("kf-photos", [album("clean/01.png")])
    keep_whatever_comes(visit)
    restore(visit)
    said = visit.said("kf-faces", "Not recognised, so the face stays as it was")
    assert "Cara" in said and "Dan" in said
    (job,) = house.jobs.all()
    visit.said("kf-headline", f"{len(job.made.restoration.faces)} faces: 2 restored, ")
    found = {face.person: face.box[0] for face in job.made.restoration.faces if face.restored}
    assert found["Cara"] < 250 < found["Dan"] < 500  # the first and the second of three squares of 250 px


def test_the_pages_own_calls_are_no_second_api(running: Any, visit: Visit, house: House) -> None:
    described = visit.context.request.get(f"{running[1]}gradio_api/info").json()
    assert described["named_endpoints"] == {} and described["unnamed_endpoints"] == {}
    config = visit.page.evaluate("() => window.gradio_config")
    assert config["analytics_enabled"] is False
    outside = visit.context.request.get(f"{running[1]}gradio_api/file={PHOTO}")
    assert outside.status == 403
    other = visit.context.request.post(f"{running[1]}gradio_api/upload", headers={"Origin": "http://other.example"})
    assert other.status == 403


def test_a_phone_shows_all_pages_without_sideways_scrolling_and_with_room_for_thumbs(
    browser: Any, running: Any, house: House
) -> None:
    visit = Visit(browser, running[1], PHONE)
    for name in ("People", "Restore", "Album"):
        visit.tab(name)
        visit.page.wait_for_timeout(200)
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= 390
        for button in visit.page.locator("button.lg:visible, button[role=tab]:visible").all():
            assert button.bounding_box()["height"] >= 44
    visit.close()


def test_everything_is_reached_by_keys_and_has_a_name(visit: Visit, house: House) -> None:
    visit.add("Barack", REFERENCES)
    visit.page.get_by_role("button", name="Add somebody new").click()
    visit.page.get_by_role("heading", name="Add somebody").wait_for()
    visit.page.get_by_role("button", name="Open Barack").focus()
    visit.page.keyboard.press("Enter")
    visit.page.get_by_role("heading", name="Barack").wait_for()
    for name in ("People", "Restore", "Album"):
        visit.tab(name)
        nameless = visit.page.evaluate(NAMELESS)
        assert nameless == []


# Fields and buttons that can be seen and that nothing names; Gradio's own file field is named by the button around it.
NAMELESS = """() => [...document.querySelectorAll('button, input, textarea, select')]
  .filter(item => item.offsetParent && item.type != 'file')
  .filter(item => !(item.innerText || item.ariaLabel || item.title || item.labels?.length
    || item.getAttribute('aria-labelledby') || item.closest('label')))
  .map(item => item.outerHTML.slice(0, 200))"""
