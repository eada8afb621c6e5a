"""Folders of results to a study: photos matched by name, pictures that tell nothing, controls with a known answer.

Every picture is written anew as an 8-bit RGB PNG without metadata, all choices of one task at one size, under a name
drawn from the seed; so neither names, sizes, formats nor dates say which method made it.
"""

import io
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, count
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageCms
from torch import Tensor

from keepface.bench.study.folders import Found, common_photos, control_sources, find
from keepface.bench.study.plan import PICTURES, QUESTIONS, Choice, Study, Task, picture_path, write_study
from keepface.bench.study.settings import StudySettings
from keepface.degrade.chains import PRESETS, draw, replay
from keepface.errors import DataError, OutputExistsError
from keepface.image.files import Photo, from_uint8, read_photo, to_uint8, write_photo
from keepface.image.size import resize
from keepface.seeds import derive, numpy_generator

MAX_REFERENCES = 5  # shown with the identity question; [PFStorer, Sec. 4] gives its methods 5
CONTROL_PRESET = "heavy"  # of the wrong choices of a control
ASPECT_TOLERANCE = 0.02
SEED_BITS = 62

Progress = Callable[[int, int], None]  # photos and controls done, in all


@dataclass(frozen=True)
class Built:
    """A study that was built, and the photos that are not in it, each with the reason."""

    study: Study
    photos: int
    left_out: Mapping[str, str]


def build(out: Path, settings: StudySettings, progress: Progress = lambda done, total: None) -> Built:
    """Make the folder of a study; it is there whole or not at all, and the same settings and seed make the same.

    Raises:
        OutputExistsError: the folder is there.
        DataError: no photo is in all folders, two pictures of one name, or pictures of one photo of unlike shape.
        PhotoError: a picture can't be read.
    """
    if out.exists():
        raise OutputExistsError(f"{out}: exists already, and may hold votes; give another name")
    found = find(settings)
    photos, left_out = common_photos(found, settings)
    seed = secrets.randbits(SEED_BITS) if settings.seed is None else settings.seed
    aside = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        (aside / PICTURES).mkdir(parents=True)
        study = Study(
            id=f"{derive(seed, 'study'):016x}",
            title=settings.title,
            seed=seed,
            methods=tuple(settings.methods),
            questions=settings.asked,
            tie=settings.tie,
            photos_a_voter=settings.photos_a_voter,
            tasks=_tasks(_Writer(aside, found, settings, seed), photos, progress),
        )
        write_study(study, aside)
        os.replace(aside, out)
    except OSError as error:
        raise DataError(f"{out}: can't be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return Built(study, len(photos), left_out)


def _tasks(writer: "_Writer", photos: Sequence[str], progress: Progress) -> tuple[Task, ...]:
    settings = writer.settings
    total = len(photos) + settings.controls * len(settings.asked)
    done = count(1)
    tasks: list[Task] = []
    for photo in photos:
        tasks += writer.tasks(photo)
        progress(next(done), total)
    sources = control_sources(writer.found, photos) if settings.controls else []
    for question in settings.asked:
        order = numpy_generator(writer.seed, "control photos", question).permutation(len(sources))
        for number in range(settings.controls):
            tasks.append(writer.control(question, number, *sources[order[number % len(order)]]))
            progress(next(done), total)
    return tuple(tasks)


class _Writer:
    """Pictures into the folder of a study, and the tasks that show them."""

    def __init__(self, folder: Path, found: Found, settings: StudySettings, seed: int) -> None:
        self.folder, self.found, self.settings, self.seed = folder, found, settings, seed

    def tasks(self, photo: str) -> list[Task]:
        """Write a photo's results, and return every question about it."""
        paths = {name: files[photo] for name, files in self.found.methods.items()}
        first, *others = paths
        shown = {first: fit(read_upright(paths[first]), self.settings.side)}
        size = (shown[first].shape[1], shown[first].shape[2])
        for name in others:
            shown[name] = _same_size(read_upright(paths[name]), size, paths[name], paths[first])
        names = {name: self._write(pixels, "result", name, photo) for name, pixels in shown.items()}
        groups = list(combinations(names, 2)) if self.settings.in_pairs else [tuple(names)]
        return [
            Task(
                self._opaque("task", question, photo, *group),
                question,
                photo,
                tuple(Choice(names[name], name) for name in group),
                self._references(question, photo),
                self._input(photo),
                right="",
            )
            for question in self.settings.asked
            for group in groups
        ]

    def control(self, question: str, number: int, photo: str, clean: Path) -> Task:
        """Write a clean photo and heavily degraded copies of it, as many choices as other tasks have."""
        pixels = fit(read_upright(clean), self.settings.side)
        copies = 2 if self.settings.in_pairs else len(self.settings.methods)
        right = self._write(pixels, "right", question, number)
        choices = [Choice(right, "")]
        for copy in range(1, copies):
            rng = numpy_generator(self.seed, "control", question, number, copy)
            steps = draw(PRESETS[CONTROL_PRESET], rng, (pixels.shape[1], pixels.shape[2]))
            choices.append(Choice(self._write(replay(steps, pixels), "wrong", question, number, copy), ""))
        return Task(
            self._opaque("control", question, number),
            question,
            photo,
            tuple(
                choices[place] for place in numpy_generator(self.seed, "places", question, number).permutation(copies)
            ),
            self._references(question, photo, clean),
            self._input(photo),
            right,
        )

    def _references(self, question: str, photo: str, choice: Path | None = None) -> tuple[str, ...]:
        """Write the references of a photo, without the one that is itself a choice if there are others."""
        if not QUESTIONS[question].needs_references:
            return ()
        files = self.found.references[photo]
        files = [file for file in files if file != choice] or files
        return tuple(self._given(file, "reference", photo, file.name) for file in files[:MAX_REFERENCES])

    def _input(self, photo: str) -> str:
        file = self.found.inputs.get(photo)
        return self._given(file, "input", photo) if file else ""

    def _given(self, file: Path, *what: str) -> str:
        name = self._opaque(*what)
        if picture_path(self.folder, name).exists():
            return name
        return self._write(fit(read_upright(file), self.settings.side), *what)

    def _write(self, pixels: Float[Tensor, "3 h w"], *what: str | int) -> str:
        name = self._opaque(*what)
        path = picture_path(self.folder, name)
        write_photo(Photo(pixels), path)
        os.utime(path, (0, 0))
        return name

    def _opaque(self, *what: str | int) -> str:
        return f"{derive(self.seed, 'name', *what):016x}"


def read_upright(path: Path) -> Float[Tensor, "3 h w"]:
    """Read a picture as voters see it: upright, in sRGB, what is transparent laid on white."""
    photo = read_photo(path)
    pixels = photo.pixels
    if photo.icc is not None and not photo.is_grey:
        pixels = _to_srgb(pixels, photo.icc)
    if photo.alpha is not None:
        pixels = pixels * photo.alpha + (1 - photo.alpha)
    return pixels


def fit(pixels: Float[Tensor, "3 h w"], side: int) -> Float[Tensor, "3 y x"]:
    """Resize so that the longest side has `side` pixels."""
    scale = side / max(pixels.shape[1:])
    return resize(pixels, (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[2] * scale))))


def _to_srgb(pixels: Float[Tensor, "3 h w"], icc: bytes) -> Float[Tensor, "3 h w"]:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        image = Image.fromarray(to_uint8(pixels))
        turned = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return pixels  # a damaged profile: as viewers without colour management show it
    return pixels if turned is None else from_uint8(np.array(turned))


def _same_size(
    pixels: Float[Tensor, "3 h w"], size: tuple[int, int], path: Path, other: Path
) -> Float[Tensor, "3 y x"]:
    height, width = pixels.shape[1:]
    if abs(width / height * size[0] / size[1] - 1) > ASPECT_TOLERANCE:
        raise DataError(
            f"{path}: is {width} x {height}, of another shape than {other}; all results of a photo must show the same"
        )
    return resize(pixels, size)
