"""Seconds and peak memory a face, families of published weights at full size: as published, and ours; random weights.

    python benchmarks/families.py --device cuda                       all three, and 500 steps for a person over sd21
    python benchmarks/families.py --family sdxl --size tiny           to see that it runs, on any machine

Published: the method's sampler and steps, in the precision it was published in. Ours: bfloat16, channels-last, 20 steps
of UniPC; guidance is batched and the prompt cached in both. The roofline is the time that the operations counted need
at the rate of a large matrix product, or that the weights need to be read once a step, whichever is longer; both
rates are measured here. What comes before and after (text encoders, the references' networks, decoding) is left out.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from keepface.device import choose_device
from keepface.diffusion.faceid_plus import AdapterSettings
from keepface.diffusion.family import Family
from keepface.diffusion.personal_part import PersonalBatch
from keepface.diffusion.sampler import SamplerSettings
from keepface.diffusion.time_aware_encoder import TimeAwareSettings
from keepface.methods.faceme import FaceMe, FaceMeSettings
from keepface.methods.method import References
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.methods.ridfr import RIDFR, RIDFRSettings
from keepface.seeds import generator
from keepface.train.fresh import fresh_family

STABLE: dict[str, Any] = {
    "sample_size": 64,
    "in_channels": 4,
    "out_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": [320, 640, 1280, 1280],
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
XL: dict[str, Any] = STABLE | {
    "sample_size": 128,
    "block_out_channels": [320, 640, 1280],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
    "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10],
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
UNETS = {
    "sdxl": XL,
    "sd15": STABLE,
    "sd21": STABLE
    | {"cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20], "use_linear_projection": True},
}
NARROW = {
    "sdxl": {"block_out_channels": [32, 64, 64], "attention_head_dim": [2, 4, 4]},
    "sd15": {"block_out_channels": [32, 64, 64, 64]},
    "sd21": {"block_out_channels": [32, 64, 64, 64], "attention_head_dim": [2, 4, 4, 4]},
}
VAE: dict[str, Any] = {
    "latent_channels": 4,
    "layers_per_block": 2,
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
PERSON_STEPS, TIMED_STEPS = 500, 10


@dataclass(frozen=True)
class Setting:
    """One way to sample."""

    name: str
    sampler: SamplerSettings
    guidance: float
    dtype: torch.dtype
    channels_last: bool = False


PUBLISHED = {
    "sdxl": Setting("published: DDPM, 50 steps, guidance 5", SamplerSettings("ddpm", 50), 5.0, torch.float16),
    "sd15": Setting("published: UniPC, 20 steps", SamplerSettings("unipc", 20, "noise"), 1.0, torch.float32),
    "sd21": Setting("published: DDPM, 200 steps", SamplerSettings("ddpm", 200), 1.0, torch.float32),
}
OURS = {
    name: Setting(
        f"ours: UniPC, 20 steps, guidance {item.guidance:g}",
        SamplerSettings("unipc", 20, item.sampler.start),
        item.guidance,
        torch.bfloat16,
        channels_last=True,
    )
    for name, item in PUBLISHED.items()
}


def build(name: str, is_tiny: bool, device: torch.device, dtype: torch.dtype) -> Any:
    """Build a family's method with random weights."""
    table = {
        "name": name,
        "resolution": 64 if is_tiny else 512,
        "vae_class": "AutoencoderKL",
        "vae": VAE | ({"block_out_channels": [32] * 4} if is_tiny else {}),
        "unet": UNETS[name] | (NARROW[name] if is_tiny else {}),
        "prompt_length": 77,
        "pooled": 1280,
    }
    family: Family = fresh_family(table, seed=0).to(device, dtype)
    if name == "sdxl":
        return FaceMe.begin(family, FaceMeSettings(), seed=0)
    if name == "sd15":
        method = RIDFR.begin(family, RIDFRSettings(identity=AdapterSettings()), seed=0)
        method.has_content = method.has_identity = True
        return method
    narrow = PFStorerSettings(TimeAwareSettings(width=64), sft_hidden=8) if is_tiny else PFStorerSettings()
    base = PFStorer.begin(family, narrow, seed=0)
    nn.ModuleList([family.unet, family.vae, base.time_aware, base.sft]).requires_grad_(False)
    return base


def somebody(name: str) -> References | None:
    """Make one reference of random features, of the widths that the published networks have."""
    rng = generator(0, name)
    sizes = {"sdxl": [(512,), (1024,)], "sd15": [(512,), (1280,), (257, 1280)]}.get(name)
    return sizes and References.stack([tuple(torch.randn(size, generator=rng) for size in sizes)])


def seconds_of(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Call once to warm up, then `repeats` times; return the fastest."""
    found = []
    for _ in range(repeats + 1):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        found.append(time.perf_counter() - start)
    return min(found[1:])


def measured(call: Callable[[], object], device: torch.device, repeats: int) -> tuple[float, str]:
    """Return the seconds of a call, and the device's peak memory meanwhile."""
    if device.type != "cuda":
        return seconds_of(call, device, repeats), "not a GPU"
    torch.cuda.reset_peak_memory_stats(device)
    seconds = seconds_of(call, device, repeats)
    return seconds, f"{torch.cuda.max_memory_allocated(device) / 1e9:.2f} GB"


def rates(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Measure what the device can do: operations a second of a large matrix product, and bytes a second of a copy."""
    side, size = (8192, 2**30) if device.type == "cuda" else (1024, 2**26)
    one = torch.randn(side, side, device=device).to(dtype)
    held = torch.empty(size, dtype=torch.uint8, device=device)
    product = seconds_of(lambda: one @ one, device, 5)
    return 2 * side**3 / product, 2 * size / seconds_of(lambda: held.clone(), device, 5)


def row(name: str, setting: Setting, is_tiny: bool, device: torch.device, repeats: int) -> str:
    """Measure one setting of a family; return its line of the table."""
    method = build(name, is_tiny, device, setting.dtype)
    if setting.channels_last:
        method.family.unet.to(memory_format=torch.channels_last)
    low = torch.rand(1, 3, method.family.size, method.family.size, generator=generator(0, "low"))
    led_by = somebody(name)

    def restore() -> Tensor:
        *_, last = method.restore(low, [led_by], setting.sampler, setting.guidance, [0])
        return torch.as_tensor(last.x_t)

    with FlopCounterMode(display=False) as counter:
        restore()
    seconds, peak = measured(restore, device, repeats)
    per_second, bandwidth = rates(device, setting.dtype)
    networks = (vars(method).get(part) for part in ("controlnet", "content", "adapter", "time_aware", "sft"))
    weights = sum(
        tensor.nbytes for part in (method.family.unet, *networks) if part is not None for tensor in part.parameters()
    )
    least = max(counter.get_total_flops() / per_second, setting.sampler.steps * weights / bandwidth)
    precision = str(setting.dtype).removeprefix("torch.")
    return f"| `{name}` ({method.name}) | {setting.name}, {precision} | {seconds:.2f} | {peak} | {least:.2f} s |"


def person_row(is_tiny: bool, device: torch.device) -> str:
    """Measure steps of tuning one person over sd21, in full precision, four photos a step."""
    method = build("sd21", is_tiny, device, torch.float32)
    rng, side, count = generator(0, "person"), method.family.size, 4
    photos = torch.rand(count, 3, side, side, generator=rng)
    method.begin_person(photos, "personal", seed=0)
    method.trainable("personal")
    optimizer = torch.optim.AdamW(method.parameter_groups())
    batch = PersonalBatch(
        clean=photos,
        low=photos,
        reference=torch.tensor([1, 2, 3, 0]),
        eps=torch.randn(count, *method.family.latent_shape, generator=rng),
        t=torch.randint(0, 1000, (count,), generator=rng),
        prior=None,
    )

    def step() -> None:
        optimizer.zero_grad()
        method.loss(batch, "personal")["total"].backward()
        optimizer.step()
        method.after_step()

    timed = 1 if is_tiny else TIMED_STEPS
    seconds, peak = measured(lambda: [step() for _ in range(timed)], device, 1)
    whole = seconds * PERSON_STEPS / timed
    return f"| `sd21` (pfstorer) | a person in {PERSON_STEPS} steps, from {timed} | {whole:.0f} | {peak} | - |"


def main() -> None:
    """Read the options, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--family", choices=[*UNETS, "all"], default="all")
    parser.add_argument("--size", choices=["published", "tiny"], default="published")
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps; default: the fastest there is")
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    device, is_tiny = choose_device(given.device), given.size == "tiny"
    place = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    print(f"{place}, torch {torch.__version__}, sizes: {given.size}\n")
    print("| family | setting | seconds a face | peak memory | roofline |\n|---|---|---:|---:|---:|")
    for name in UNETS if given.family == "all" else (given.family,):
        for setting in (PUBLISHED[name], OURS[name]):
            print(row(name, setting, is_tiny, device, given.repeats), flush=True)
    if given.family in ("all", "sd21"):
        print(person_row(is_tiny, device), flush=True)


if __name__ == "__main__":
    main()
