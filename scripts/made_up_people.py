"""Draw people who do not exist, whose pictures anybody may be shown, as a folder of people for keepface bench.

    python scripts/made_up_people.py packs/val -o made-up/ --source london --people 24

A made-up person is the mean of several people of a pack, made coarse and drawn anew by FaceMe, led by the same people.
The photos of one go from the first photos of those people to the second in equal steps, in the London set from serious
to smiling. People of the pack should look straight ahead; those put together are near each other in their coarse
pictures, so that hair and shape go together. All pixels are drawn by the networks. Nobody of that collection may be in
them: where the judge's net finds a picture as alike to somebody as two photos of one person, others are put together.
Prints a Markdown table.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.data.identities import by_person
from keepface.data.prepare import Pack
from keepface.engine.likeness import library_floor
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.faces.detect import Detector
from keepface.identity.compare import cosine
from keepface.identity.embed import square_face
from keepface.identity.recogniser import JUDGE, RECOGNISERS
from keepface.image.files import Photo, from_uint8, write_photo
from keepface.seeds import derive, numpy_generator
from keepface.train.synthesiser import pose_picture

NEAR = 8  # of so many people who are nearest to one another some are put together
KEPT = 0.75  # `pose_strength` of the mean: half its side; below that the model draws a soft face, above it copies
TRIES = 20


@dataclass(frozen=True, eq=False)
class Donor:
    """Somebody of the collection: two photos, the first made coarse, and how the judge sees them."""

    name: str
    squares: tuple[Float[Tensor, "3 s s"], Float[Tensor, "3 s s"]]
    coarse: Float[Tensor, "n"]
    seen: Float[Tensor, "2 d"]


class Judge:
    """The net that leads nobody here says how alike two faces are."""

    def __init__(self) -> None:
        self._net, self._detector = RECOGNISERS[JUDGE](), Detector()

    def see(self, square: Float[Tensor, "3 s s"]) -> Float[Tensor, "d"] | None:
        """Return a face's embedding, or nothing where there is no face."""
        found = square_face(square, self._detector)
        return self._net.embed(square, found.face) if found.is_detected else None


def donors(pack: Pack, source: str, judge: Judge) -> list[Donor]:
    """Return the people of one collection who have two photos."""
    found = []
    for name, rows in sorted(by_person(pack.identities).items()):
        photos = [from_uint8(pack.square(row)) for row in rows[:2] if pack.sources[row] == source]
        seen = [judge.see(photo) for photo in photos]
        known = [vector for vector in seen if vector is not None]
        if len(known) == 2:
            coarse = pose_picture(photos[0], 0.0).flatten()
            found.append(Donor(name, (photos[0], photos[1]), coarse, torch.stack(known)))
    return found


def put_together(everybody: Sequence[Donor], count: int, rng: np.random.Generator) -> list[Donor]:
    """Choose somebody, and others whose coarse pictures are near."""
    coarse = torch.stack([donor.coarse for donor in everybody])
    first = int(rng.integers(len(everybody)))
    near = torch.cdist(coarse[first : first + 1], coarse)[0].argsort()[1:NEAR]
    return [everybody[first], *(everybody[int(i)] for i in rng.choice(near.numpy(), count - 1, replace=False))]


@torch.no_grad()
def draw(restorer: Restorer, chosen: Sequence[Donor], photos: int, seed: int) -> Float[Tensor, "n 3 s s"]:
    """Draw some photos of the one person that several become."""
    means = [torch.stack([donor.squares[k] for donor in chosen]).mean(0) for k in (0, 1)]
    lows = [pose_picture(means[0].lerp(means[1], step / max(1, photos - 1)), KEPT) for step in range(photos)]
    led = [restorer.embedder.embed_square(donor.squares[0]) for donor in chosen]
    seeds = [derive(seed, "photo", step) for step in range(photos)]
    made = restorer.restore_squares(torch.stack(lows), [led] * photos, RestoreSettings(), seeds)
    return made.float().cpu().clamp(0, 1)


def made_up(
    restorer: Restorer, judge: Judge, everybody: Sequence[Donor], number: int, given: argparse.Namespace
) -> tuple[Float[Tensor, "n 3 s s"], str]:
    """Return the photos of one made-up person, who is nobody of the collection, and the table's line."""
    for attempt in range(TRIES):
        seed = derive(given.seed, "made-up", number, attempt)
        chosen = put_together(everybody, given.of, numpy_generator(seed, "chosen"))
        pictures = draw(restorer, chosen, given.photos, seed)
        faces = [face for face in map(judge.see, pictures) if face is not None]
        if len(faces) < len(pictures):
            continue
        seen = torch.stack(faces)
        own = float(cosine(seen[:1], seen).min())
        others = max(float(cosine(seen[:, None], donor.seen[None]).max()) for donor in everybody)
        if others < library_floor(JUDGE, 1):
            return pictures, f"| {number} | {attempt + 1} | {own:.2f} | {others:.2f} |"
    raise SystemExit(f"person {number}: like somebody of them, or no face, {TRIES} times; put more together: --of")


def main() -> None:
    """Draw the people and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", type=Path, help="prepared pack of real people")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the made-up people")
    parser.add_argument("--source", default="london", help="collection of the pack whose people are put together")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--photos", type=int, default=4, help="of each")
    parser.add_argument("--of", type=int, default=4, choices=range(2, NEAR + 1), help="real people to one made-up one")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    judge = Judge()
    everybody = donors(Pack(given.pack), given.source, judge)
    if len(everybody) < NEAR:
        raise SystemExit(
            f"{given.pack}: {len(everybody)} people of {given.source!r} have two photos; {NEAR} are needed"
        )
    restorer = Restorer.from_pretrained("compact", "faceme", "cpu")
    print(
        "| person | tries | least alike of own photos | most alike in the collection |\n| ---: | ---: | ---: | ---: |"
    )
    for number in range(given.people):
        pictures, line = made_up(restorer, judge, everybody, number, given)
        for place, picture in enumerate(pictures):
            path = given.output / f"made-up-{number:02}" / f"{place}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_photo(Photo(picture), path, force=True)
        print(line, flush=True)


if __name__ == "__main__":
    main()
