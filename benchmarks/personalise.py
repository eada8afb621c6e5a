"""Minutes that `keepface person train` takes, and on what; prints a Markdown table.

    python benchmarks/personalise.py --steps 20
    python benchmarks/personalise.py --family RUN/family --device cuda --steps 100

Some steps are made and timed part by part, and what 500 steps take is reckoned from them. The time does not depend on
the weights: where the family has no trained base, a fresh one of the recipe's sizes is laid over it.
"""

import argparse
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.config import from_dict
from keepface.device import DTYPES, choose_device
from keepface.diffusion.family import Family
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.people.lock import Unlocked
from keepface.people.private_files import write_private
from keepface.seeds import generator
from keepface.train import checkpoint
from keepface.train.checkpoint import TrainState
from keepface.train.person_run import LARGEST
from keepface.train.personalise import TuneSettings, draw_batch, face_square, preview
from keepface.train.recipe import read_recipe

RECIPE = Path(__file__).resolve().parents[1] / "recipes" / "compact" / "pfstorer-base.toml"
PHOTOS = 5


@dataclass
class Clock:
    """Seconds by part, on the wall and of all threads together."""

    device: torch.device
    wall: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add what is done inside to a part."""
        self._wait()
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self._wait()
        self.wall[name] = self.wall.get(name, 0.0) + time.perf_counter() - wall
        self.cpu[name] = self.cpu.get(name, 0.0) + time.process_time() - cpu
        self.calls[name] = self.calls.get(name, 0) + 1

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call whose time goes to a part."""

        def timed(*given: Any) -> Any:
            with self.part(name):
                return call(*given)

        return timed

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def drawn_photos(side: int) -> list[Float[Tensor, "3 s s"]]:
    """Draw noise in the photos' place: no step looks at what they show."""
    return [torch.rand(3, side, side, generator=generator(0, "photo", number)) for number in range(PHOTOS)]


def load(family: str, device: torch.device) -> tuple[PFStorer, bool]:
    """Load the family's base, or lay a fresh one over it; the value tells whether it was trained."""
    loaded = Family.from_pretrained(family, device)
    if loaded.folder is not None and (loaded.folder / PFStorer.name).is_dir():
        return PFStorer.load(loaded), True
    settings = from_dict(PFStorerSettings, read_recipe(RECIPE).method, "[method]")
    return PFStorer.begin(loaded, settings, seed=0), False


def measure(method: PFStorer, settings: TuneSettings, clock: Clock) -> None:
    """Make a few steps as `keepface.train.personalise.tune` does, with a checkpoint and a preview at the end."""
    family = method.family
    photos = drawn_photos(round(LARGEST * family.size))
    faces = torch.stack([face_square(photo, family.size) for photo in photos])
    with clock.part("begin"):
        method.begin_person(faces, settings.variant, settings.seed)
        networks = method.trainable(settings.variant).train()
    optimiser = torch.optim.AdamW(method.parameter_groups(), betas=(0.9, 0.999), eps=1e-8)
    state = TrainState(networks, optimiser, {})
    encode = family.encode
    family.encode = clock.timed("encode", encode)  # type: ignore[method-assign]
    for step in range(settings.steps):
        with clock.part("draw"):
            batch = draw_batch(photos, None, family, step, settings)
        narrow = settings.precision != "float32"
        with clock.part("loss"), torch.autocast(family.device.type, DTYPES[settings.precision], narrow):
            total = method.loss(batch, settings.variant)["total"]
        with clock.part("backward"):
            optimiser.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
        with clock.part("optimiser"):
            optimiser.step()
            method.after_step()
        state.step += 1
    family.encode = encode  # type: ignore[method-assign]
    with clock.part("checkpoint"), tempfile.TemporaryDirectory() as folder:
        write_private(Path(folder) / "run", Unlocked().seal(checkpoint.packed(state, {}), "run"))
    with clock.part("preview"):
        preview(method, faces[:1], settings)
    networks.eval().requires_grad_(False)
    with clock.part("adapter"):
        method.adapter({})


def table(clock: Clock, settings: TuneSettings, steps: int) -> str:
    """Reckon what so many steps take, part by part."""
    encoding = clock.wall["encode"], clock.cpu["encode"]
    rows = [
        ("begin: encode the references", "begin", 1, (0.0, 0.0)),
        ("draw and degrade the photos", "draw", steps, (0.0, 0.0)),
        ("autoencoder, forth", "encode", steps, (0.0, 0.0)),
        ("UNet, encoder, blocks, forth", "loss", steps, encoding),
        ("back", "backward", steps, (0.0, 0.0)),
        ("AdamW", "optimiser", steps, (0.0, 0.0)),
        (f"checkpoint, every {settings.save_every} steps", "checkpoint", -(-steps // settings.save_every), (0.0, 0.0)),
        (f"preview, every {settings.preview_every} steps", "preview", -(-steps // settings.preview_every), (0.0, 0.0)),
        ("adapter", "adapter", 1, (0.0, 0.0)),
    ]
    lines = [f"| part | times in {steps} steps | s each | minutes | CPU minutes |", "|---|---:|---:|---:|---:|"]
    whole = [0.0, 0.0]
    for title, name, times, less in rows:
        made = settings.steps if times == steps else clock.calls[name]
        wall, cpu = (clock.wall[name] - less[0]) / made, (clock.cpu[name] - less[1]) / made
        whole[0] += wall * times / 60
        whole[1] += cpu * times / 60
        lines.append(f"| {title} | {times} | {wall:.3f} | {wall * times / 60:.2f} | {cpu * times / 60:.2f} |")
    return "\n".join([*lines, f"| all | | | **{whole[0]:.1f}** | **{whole[1]:.1f}** |"])


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--family", default="compact")
    parser.add_argument("--steps", type=int, default=20, help="steps that are made and timed")
    parser.add_argument("--of", type=int, default=TuneSettings().steps, help="steps that are reckoned with")
    parser.add_argument("--precision", choices=["float32", "bf16"], default=TuneSettings().precision)
    parser.add_argument("--variant", choices=["personal", "vico"], default="personal")
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps; the default is the fastest there is")
    options = parser.parse_args()
    device = choose_device(options.device)
    method, is_trained = load(options.family, device)
    settings = TuneSettings(options.variant, max(1, options.steps), precision=options.precision)
    measure(method, replace(settings, steps=1), Clock(device))  # warms up
    clock = Clock(device)
    measure(method, settings, clock)
    base = "its own base" if is_trained else "a fresh base over it"
    print(f"{platform.machine()}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{options.family}, {base}, {method.family.size} px, {settings.batch} photos a step, {settings.precision}")
    print(f"{settings.steps} steps were made; the rest is reckoned\n")
    print(table(clock, settings, options.of))


if __name__ == "__main__":
    main()
