"""Choose where and how precisely the networks run."""

import torch

from keepface.errors import RecipeError

DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str | None = None) -> torch.device:
    """Return the named device (`cpu`, `cuda`, `cuda:1`, `mps`), or the fastest one there is for `None`.

    Raises:
        RecipeError: the device is unknown or not on this machine.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise RecipeError(f"device {name!r} is unknown; use cpu, cuda, cuda:N or mps") from None
    if device.type not in ("cpu", "cuda", "mps"):
        raise RecipeError(f"device {name!r} is not supported; use cpu, cuda, cuda:N or mps")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise RecipeError(f"device {name!r} is not on this machine ({torch.cuda.device_count()} CUDA devices); use cpu")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RecipeError("device 'mps' is not on this machine; use cpu")
    return device


def choose_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """Return the named precision (`float32`, `bf16`, `fp16`); for `None` fp16 on CUDA and float32 elsewhere.

    Raises:
        RecipeError: the precision is unknown, or the device can't compute in it.
    """
    if name is None:
        return torch.float16 if device.type == "cuda" else torch.float32
    if name not in DTYPES:
        raise RecipeError(f"precision {name!r} is unknown; use one of {', '.join(DTYPES)}")
    if name == "fp16" and device.type == "cpu":
        raise RecipeError("precision 'fp16' is not for the CPU; use float32 or bf16")
    return DTYPES[name]
