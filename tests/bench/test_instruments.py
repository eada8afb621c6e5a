"""A detector that remembers gives what the detector gives, and asks it once a picture."""

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.bench.instruments import RememberingDescriber, RememberingFinder
from keepface.faces.align import template_face
from keepface.faces.face import Face


class CountingFinder:
    """A detector that finds one face in the middle of every picture, and counts how often it looks."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, image: Float[Tensor, "3 h w"]) -> list[Face]:
        self.looks += 1
        return [template_face(image.shape[-1])]

    def look_again(self, image: Float[Tensor, "3 h w"], face: Face) -> Face:
        return face


def test_each_picture_is_looked_at_once() -> None:
    finder = CountingFinder()
    remembering = RememberingFinder(finder)
    first, second = torch.zeros(3, 32, 32), torch.ones(3, 32, 32)
    faces = [remembering.detect(image) for image in (first, second, first.clone(), second)]
    assert finder.looks == 2
    assert faces[0][0] is faces[2][0]


def test_pictures_of_equal_bytes_and_other_shape_are_told_apart() -> None:
    finder = CountingFinder()
    remembering = RememberingFinder(finder)
    remembering.detect(torch.zeros(3, 16, 32))
    remembering.detect(torch.zeros(3, 32, 16))
    assert finder.looks == 2


def test_no_more_than_the_limit_is_remembered() -> None:
    finder = CountingFinder()
    remembering = RememberingFinder(finder, limit=2)
    pictures = [torch.full((3, 16, 16), value / 4) for value in range(3)]
    for picture in [*pictures, pictures[2], pictures[1], pictures[0]]:
        remembering.detect(picture)
    assert finder.looks == 4


def test_what_the_caller_does_to_its_list_is_not_remembered() -> None:
    remembering = RememberingFinder(CountingFinder())
    image = torch.zeros(3, 16, 16)
    remembering.detect(image).clear()
    assert len(remembering.detect(image)) == 1


def test_each_face_of_a_picture_is_described_once() -> None:
    class Counting:
        looks = 0

        def describe(self, image: Float[Tensor, "3 h w"], face: Face) -> Tensor:
            self.looks += 1
            return image[:, 0, 0] + self.looks

    describer = Counting()
    remembering = RememberingDescriber(describer)
    image, face = torch.zeros(3, 32, 32), template_face(32)
    first = remembering.describe(image, face)
    first += 9
    assert remembering.describe(image.clone(), face).tolist() == [1, 1, 1]
    assert remembering.describe(image, template_face(31)).tolist() == [2, 2, 2]
    assert describer.looks == 2
