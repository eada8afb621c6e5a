"""The room that the pages of SD 1.5 and SD 2.1 promise, counted from the networks at full size; nothing has memory."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

from keepface.diffusion.content_injection import ContentInjection
from keepface.diffusion.faceid_plus import AdapterSettings, IdentityAdapter
from keepface.diffusion.family import _vae_dtype
from keepface.methods.pfstorer import PFStorerSettings
from keepface.published import sd21
from keepface.published.networks import empty_network
from keepface.weights.layout import Layout

from . import stable_layout

PAGES = Path(__file__).parents[2] / "docs" / "families"


def page(name: str) -> tuple[str, dict[str, str]]:
    """Return a page's text, and what its table of room says a part takes."""
    text = (PAGES / f"{name}.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:4] for line in text.splitlines() if line.count("|") == 5 and " M |" in line]
    return text, {title.split(",")[0].split(":")[0].strip(): held.strip() for title, _, held in rows}


def taken(network: Any) -> int:
    """Count the bytes of a network's tensors on a device that computes in half precision."""
    half = torch.float16
    kept = _vae_dtype(network, half) if isinstance(network, AutoencoderKL) else half
    return kept.itemsize * Layout.of(network).size


def test_the_autoencoder_stays_in_full_precision_where_all_else_is_in_half() -> None:
    vae = empty_network(AutoencoderKL, stable_layout.VAE)
    assert taken(vae) == 4 * Layout.of(vae).size == pytest.approx(0.335e9, rel=2e-3)
    for name in ("sd15", "sd21"):
        assert page(name)[1]["autoencoder"].startswith("0.33 GB")


def test_the_page_of_sd15_counts_as_the_networks_do() -> None:
    unet, vae = empty_network(UNet2DConditionModel, stable_layout.SD15), empty_network(AutoencoderKL, stable_layout.VAE)
    with torch.device("meta"):
        content, adapter = ContentInjection.begin(unet, 3), IdentityAdapter(AdapterSettings(), unet)
    text, told = page("sd15")
    parts = {"UNet": taken(unet), "content module (yours)": taken(content), "adapter": taken(adapter)}
    for name, held in parts.items():
        assert told[name] == f"{held / 1e9:.2f} GB", name
    device = sum(parts.values()) + taken(vae)
    assert f"**Device:** {device / 1e9:.1f} GB of weights in half precision" in text
    assert f"then holds about {(taken(vae) + taken(adapter)) / 1e9:.1f} GB of weights" in text


def test_the_page_of_sd21_counts_as_the_networks_do() -> None:
    made = sd21.empty_networks(stable_layout.SD21, stable_layout.VAE, PFStorerSettings())
    text, told = page("sd21")
    parts = {"UNet": taken(made.unet), "time-aware encoder": taken(made.time_aware), "SFT layers": taken(made.sft)}
    for name, held in parts.items():
        assert told[name] == f"{held / 1e9:.2f} GB", name
    device, kept = sum(parts.values()) + taken(made.vae), sum(parts.values()) + taken(made.vae) - taken(made.unet)
    person = 2 * 52.0e6
    assert f"{device / 1e9:.1f} GB of weights in half precision, {(device + person) / 1e9:.1f} GB with a person" in text
    assert f"holds about {kept / 1e9:.1f} GB of weights, {(kept + person) / 1e9:.1f} GB with a person" in text
