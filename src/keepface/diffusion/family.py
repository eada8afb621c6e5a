"""A family: the networks that one base model consists of, as a folder in the diffusers layout with one card.

unet/ vae/ scheduler/    diffusers' own classes, safetensors + JSON
prompt/                  the constant prompt's vectors
keepface.json            the card: name, resolution, latent scale, identity networks, training data and its terms
<method>/                what a method adds (written and read by the method)
"""

import copy
import json
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DConditionModel
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from jaxtyping import Float
from torch import Tensor, nn

from keepface.config import from_dict, to_dict
from keepface.diffusion import latents
from keepface.diffusion.attention import use_weighted_attention
from keepface.diffusion.latents import LatentScale
from keepface.diffusion.prompt import Prompt
from keepface.diffusion.seal import check_seal
from keepface.errors import RecipeError, WeightsError

CARD = "keepface.json"
SHARD = "15MB"
AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC", "VQModel")


@dataclass(frozen=True)
class FamilyCard:
    """What one must know of a family before using it."""

    name: str
    resolution: int  # side of the square the networks were trained on, px
    latent_scale: LatentScale
    recogniser: str = "sface"  # the recogniser that conditions the model
    image_encoder: str = "efficientnet-lite0"
    guidance: float = 1.0  # identity guidance that measured best; a call may choose another
    temperature: float = 1.0  # share of the start noise that measured best
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    terms: str = ""
    history: tuple[str, ...] = field(default=())  # one line a training run: recipe, steps, commit


@dataclass(eq=False)
class Family:
    """The networks of one base model and what they need to be called."""

    card: FamilyCard
    unet: UNet2DConditionModel
    vae: nn.Module
    scheduler: DDPMScheduler
    prompt: Prompt
    folder: Path | None = None  # where it was loaded from; methods find their own parts there

    @property
    def size(self) -> int:
        """Return the side of the family's square in pixels."""
        return self.card.resolution

    @property
    def device(self) -> torch.device:
        """Return where the UNet's weights are."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision of the UNet's weights."""
        return next(self.unet.parameters()).dtype

    @cached_property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return channels, height and width of a square's latent, which the UNet's `sample_size` need not be."""
        with torch.no_grad():
            latent = self.encode(torch.zeros(1, 3, self.size, self.size))
        return (latent.shape[1], latent.shape[2], latent.shape[3])

    @classmethod
    def from_pretrained(
        cls, name_or_path: str | Path, device: torch.device | None = None, dtype: torch.dtype = torch.float32
    ) -> "Family":
        """Load a family by its bundled name, a folder, or a hub id.

        Raises:
            WeightsError: there is no such family, or its folder is incomplete or damaged.
            HashMismatchError: a file is not the one that the family was sealed with.
        """
        folder = locate(name_or_path)
        check_seal(folder)
        card = read_card(folder)
        family = cls(
            card=card,
            unet=load_network(UNet2DConditionModel, folder / "unet", dtype),
            vae=load_network(_autoencoder_class(folder / "vae"), folder / "vae", dtype),
            scheduler=_load_scheduler(folder / "scheduler"),
            prompt=Prompt.load(folder / "prompt"),
            folder=folder,
        )
        _check_fit(family, folder)
        return family.to(device or torch.device("cpu"), dtype)

    def save_pretrained(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the family as a folder that `from_pretrained` reads; weights go to shards below 16 MB."""
        folder.mkdir(parents=True, exist_ok=True)
        save_network(self.unet, folder / "unet", dtype)
        save_network(self.vae, folder / "vae", dtype)
        _save_scheduler(self.scheduler, folder / "scheduler")
        self.prompt.save(folder / "prompt")
        write_card(self.card, folder)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Family":
        """Move the networks and the prompt to a device and precision."""
        nn.Module.to(self.unet, device, dtype)
        nn.Module.to(self.vae, device, dtype)
        tokens, pooled = (part.to(device, dtype) for part in (self.prompt.tokens, self.prompt.pooled))
        self.prompt = Prompt(tokens, pooled, self.prompt.face_index)
        use_weighted_attention(self.unet)
        return self

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Encode pictures (RGB, 0..1) to scaled latents."""
        return latents.encode(self.vae, self.card.latent_scale, image.to(self.device, self.dtype))

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """Decode scaled latents to pictures (RGB, 0..1, float32 on the CPU)."""
        return latents.decode(self.vae, self.card.latent_scale, latent).float().cpu()

    def added_conditions(self, detail_px: Float[Tensor, "b"]) -> dict[str, Tensor]:
        """Build what SDXL-like UNets add to the time embedding: pooled text and the six time ids.

        The ids are (detail, detail, 0, 0, side, side): the size up to which a training crop held real detail, where
        it was cut, and the side wanted. Restoring asks for full detail: (side, side, 0, 0, side, side).
        Families whose UNet takes no such conditions ignore them.
        """
        side = torch.full_like(detail_px, self.size)
        zero = torch.zeros_like(detail_px)
        time_ids = torch.stack([detail_px, detail_px, zero, zero, side, side], dim=1)
        pooled = self.prompt.pooled.expand(len(detail_px), -1)
        return {"text_embeds": pooled, "time_ids": time_ids.to(pooled)}


def locate(name_or_path: str | Path) -> Path:
    """Find a family's folder: a folder as given, a family bundled with the package, or a hub id.

    Raises:
        WeightsError: none of the three has it.
    """
    path = Path(name_or_path)
    if (path / CARD).is_file():
        return path
    bundled = Path(str(resources.files("keepface") / "families" / str(name_or_path)))
    if (bundled / CARD).is_file():
        return bundled
    if path.is_dir():
        raise WeightsError(f"{path}: this folder is no family; it has no {CARD}")
    if str(name_or_path).count("/") != 1:
        known = ", ".join(bundled_families()) or "none"
        raise WeightsError(f"family {str(name_or_path)!r} is unknown; bundled: {known}; or give a folder or a hub id")
    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=["*.json", "*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"family {str(name_or_path)!r}: no such folder, and the hub says: {reason}") from None


def bundled_families() -> list[str]:
    """List the families that come with the package."""
    root = Path(str(resources.files("keepface") / "families"))
    return sorted(child.name for child in root.glob("*") if (child / CARD).is_file()) if root.is_dir() else []


def read_card(folder: Path) -> FamilyCard:
    """Read a family's card."""
    path = folder / CARD
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(data, dict):
            raise ValueError(f"holds a {type(data).__name__}, not an object")
        return from_dict(FamilyCard, data, str(path))
    except (OSError, ValueError, RecipeError) as error:
        raise WeightsError(f"{path}: not a family's card: {error}") from None


def write_card(card: FamilyCard, folder: Path) -> None:
    """Write a family's card."""
    (folder / CARD).write_text(json.dumps(to_dict(card), indent=1) + "\n", encoding="utf-8")


def save_network(network: Any, folder: Path, dtype: torch.dtype) -> None:
    """Save a diffusers network in safetensors shards of `dtype`, leaving the network itself as it is."""
    twin = copy.deepcopy(network)
    nn.Module.to(twin, dtype)  # diffusers' own `to` warns of precisions that no network here asks for
    twin.save_pretrained(folder, max_shard_size=SHARD, safe_serialization=True)
    config = folder / "config.json"
    kept = json.loads(config.read_text(encoding="utf-8"))
    kept.pop("_name_or_path", None)  # the folder it was loaded from: nobody else's business
    config.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a diffusers network from a folder, safetensors only, frozen.

    Raises:
        WeightsError: the folder is missing, damaged, or its tensors are not those of its config.
    """
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "low_cpu_mem_usage": False}
    try:
        network, found = kind.from_pretrained(folder, torch_dtype=dtype, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise _unloadable(folder, kind, error) from None
    for problem, names in (("missing", found["missing_keys"]), ("unknown", found["unexpected_keys"])):
        if names:  # diffusers would go on with random weights in their place
            raise WeightsError(f"{folder}: not the weights of its config: {len(names)} {problem}, first {names[0]}")
    return network.eval().requires_grad_(False)


def _load_scheduler(folder: Path) -> DDPMScheduler:
    try:
        return DDPMScheduler.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unloadable(folder, DDPMScheduler, error) from None


def _save_scheduler(scheduler: DDPMScheduler, folder: Path) -> None:
    """Write what the config says itself; a key it leaves to the class must stay open, for UniPC's own differs."""
    left_open = scheduler.config.get("_use_default_values", ())
    config = {key: value for key, value in scheduler.config.items() if key not in left_open and key[0] != "_"}
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"_class_name": type(scheduler).__name__, **config}, indent=1)
    (folder / "scheduler_config.json").write_text(text + "\n", encoding="utf-8")


def _unloadable(folder: Path, kind: Any, error: Exception) -> WeightsError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return WeightsError(f"{folder}: can't be loaded as {kind.__name__}: {reason}")


def _check_fit(family: Family, folder: Path) -> None:
    """See that the parts belong together.

    Raises:
        WeightsError: the card's latent scale, the prompt's width or its pooled vector don't fit the UNet.
    """
    config, scale = family.unet.config, family.card.latent_scale
    ids = 6 * (config.addition_time_embed_dim or 0)
    takes_pooled = config.addition_embed_type == "text_time"
    pooled = config.projection_class_embeddings_input_dim - ids if takes_pooled else len(family.prompt.pooled)
    for what, has, wanted in (
        ("latent_scale.mean", len(scale.mean), config.in_channels),
        ("latent_scale.std", len(scale.std), config.in_channels),
        ("prompt's width", family.prompt.width, config.cross_attention_dim),
        ("pooled prompt", len(family.prompt.pooled), pooled),
    ):
        if has != wanted:
            raise WeightsError(f"{folder}: its parts don't fit: {what} has {has} values, the UNet takes {wanted}")


def _autoencoder_class(folder: Path) -> Any:
    path = folder / "config.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, json.JSONDecodeError, KeyError):
        raise WeightsError(f"{path}: not a diffusers autoencoder's config") from None
    if name not in AUTOENCODERS:
        raise WeightsError(f"{path}: class {name!r} is not among {', '.join(AUTOENCODERS)}")
    return getattr(diffusers, name)
