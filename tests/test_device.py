"""A device or precision that can't be had is an error with the choices, and the CPU always works."""

import pytest
import torch

from keepface.device import DTYPES, choose_device, choose_dtype
from keepface.errors import RecipeError


def test_the_cpu_can_always_be_asked_for() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_without_a_name_the_device_is_one_that_computes() -> None:
    device = choose_device()
    assert float(torch.ones(2, device=device).sum()) == 2.0


def test_an_unknown_device_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="device 'tpu' is unknown; use cpu, cuda, cuda:N or mps"):
        choose_device("tpu")


def test_a_device_that_torch_knows_and_keepface_does_not_is_refused() -> None:
    with pytest.raises(RecipeError, match="'meta' is not supported"):
        choose_device("meta")


def test_a_cuda_device_beyond_those_there_says_how_many_there_are() -> None:
    count = torch.cuda.device_count()
    with pytest.raises(RecipeError, match=rf"'cuda:{count}' is not on this machine \({count} CUDA devices\); use cpu"):
        choose_device(f"cuda:{count}")


def test_precision_follows_the_device_when_none_is_named() -> None:
    assert choose_dtype(None, torch.device("cpu")) == torch.float32
    assert choose_dtype(None, torch.device("cuda")) == torch.float16


def test_every_listed_precision_is_given_where_the_device_can() -> None:
    assert all(choose_dtype(name, torch.device("cuda")) == dtype for name, dtype in DTYPES.items())


def test_half_precision_is_refused_on_the_cpu() -> None:
    with pytest.raises(RecipeError, match="'fp16' is not for the CPU; use float32 or bf16"):
        choose_dtype("fp16", torch.device("cpu"))


def test_an_unknown_precision_names_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="'int8' is unknown; use one of float32, bf16, fp16"):
        choose_dtype("int8", torch.device("cpu"))
