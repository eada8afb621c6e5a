"""Seconds a face and peak memory, stage by stage, through the public API; prints a Markdown table.

    python benchmarks/speed.py --repeats 5
    python benchmarks/speed.py --photo old.jpg --reference anna.jpg --device cuda

Without a photo a drawn one is used: it has no face, so detection tries its whole ladder, its slowest case.
"""

import argparse
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.device import choose_device
from keepface.engine.restorer import Restorer
from keepface.engine.settings import RestoreSettings
from keepface.faces.align import align_ffhq, template_face
from keepface.faces.paste import paste
from keepface.image.files import Photo, read_photo
from keepface.image.size import resize
from keepface.seeds import generator

Result = TypeVar("Result")
PHOTO_PX = (480, 640)


@dataclass(frozen=True)
class Stage:
    """One line of the table."""

    name: str
    seconds: float  # median of the repeats
    peak_mib: float  # highest resident size of the process so far


class Watch:
    """Time calls, the device's work included, and keep a line for each."""

    def __init__(self, device: torch.device, repeats: int) -> None:
        self.device, self.repeats = device, repeats
        self.stages: list[Stage] = []

    def time(self, name: str, call: Callable[[], Result], repeats: int | None = None) -> Result:
        """Call once to warm up (unless it is called once only), then `repeats` times; keep the median."""
        repeats = repeats or self.repeats
        result = call() if repeats > 1 else None
        seconds = []
        for _ in range(repeats):
            self._wait()
            start = time.perf_counter()
            result = call()
            self._wait()
            seconds.append(time.perf_counter() - start)
        self.stages.append(Stage(name, statistics.median(seconds), peak_mib()))
        assert result is not None
        return result

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def peak_mib() -> float:
    """Return the highest resident size of this process so far, in MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes on macOS, KiB elsewhere


def drawn_photo() -> Photo:
    """Draw a smooth picture without a face."""
    coarse = torch.rand(3, 12, 16, generator=generator(0, "speed"))
    return Photo(pixels=resize(coarse, PHOTO_PX, "bicubic"))


def measure(photo: Photo, reference: Photo, watch: Watch, steps: int | None, method: str) -> list[Stage]:
    """Run every stage of one restoration and return its lines."""
    restorer = watch.time("load", lambda: Restorer.from_pretrained("compact", method, str(watch.device)), repeats=1)
    settings = RestoreSettings(steps=steps)
    found = watch.time("detect", lambda: restorer.embedder.detector.detect(photo.pixels))
    face = found[0] if found else template_face(min(photo.pixels.shape[1:]))
    aligned = watch.time("align", lambda: align_ffhq(photo.pixels, face.points, restorer.size))
    square = resize(reference.pixels, (restorer.size, restorer.size))
    features = watch.time("embed (a reference)", lambda: restorer.embedder.embed_square(square))
    low: Float[Tensor, "1 3 s s"] = aligned.crop[None]
    latent = watch.time("encode", lambda: restorer.method.family.encode(low))
    encode = watch.stages[-1].seconds
    watch.time("decode", lambda: restorer.method.family.decode(latent))
    decode = watch.stages.pop()
    restored = watch.time("denoise", lambda: restorer.restore_squares(low, [[features]], settings, [0]))
    whole = watch.stages.pop()
    watch.stages.append(
        Stage(f"denoise ({restorer.steps(settings)} steps)", whole.seconds - encode - decode.seconds, whole.peak_mib)
    )
    watch.stages.append(decode)
    watch.time("paste", lambda: paste(photo.pixels, restored[0], aligned.matrix))
    return watch.stages


def table(stages: list[Stage]) -> str:
    """Write the lines as a Markdown table."""
    lines = ["| stage | seconds a face | peak memory, MiB |", "|---|---:|---:|"]
    lines += [f"| {stage.name} | {stage.seconds:.3f} | {stage.peak_mib:.0f} |" for stage in stages]
    return "\n".join(lines)


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photo", type=Path, help="photo to restore; the default is drawn and has no face")
    parser.add_argument("--reference", type=Path, help="aligned reference; the default is drawn")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--method", default="faceme")
    parser.add_argument("--steps", type=int, default=RestoreSettings().steps)
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps; the default is the fastest there is")
    options = parser.parse_args()
    photo = read_photo(options.photo) if options.photo else drawn_photo()
    reference = read_photo(options.reference) if options.reference else drawn_photo()
    device = choose_device(options.device)
    stages = measure(photo, reference, Watch(device, max(1, options.repeats)), options.steps, options.method)
    height, width = photo.pixels.shape[1:]
    print(f"{platform.machine()}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{options.method}, photo {width} x {height} px, median of {options.repeats}\n")
    print(table(stages))


if __name__ == "__main__":
    main()
