"""A family: the networks that one base model consists of, as a folder in the diffusers layout with one card.

unet/ vae/ scheduler/    diffusers' own classes, safetensors + JSON
prompt/                  the constant prompt's vectors
keepface.json            the card: name, resolution, latent scale, identity networks, training data and its terms
<method>/                what a method adds (written and read by the method)
recogniser/ image_encoder/   the networks that lead it, where they don't come with the package
"""

import copy
import json
import os
import shutil
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import diffusers
import torch
from diffusers import DDPMScheduler, ModelMixin, UNet2DConditionModel
from diffusers.hooks import apply_group_offloading
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from jaxtyping import Float
from platformdirs import user_data_path
from torch import Tensor, nn

from keepface.config import from_dict, to_dict
from keepface.diffusion import latents
from keepface.diffusion.attention import use_weighted_attention
from keepface.diffusion.latents import LatentScale
from keepface.diffusion.prompt import Prompt
from keepface.diffusion.seal import check_seal
from keepface.errors import RecipeError, WeightsError

CARD = "keepface.json"
FAMILIES_FOLDER = "KEEPFACE_FAMILIES"  # environment variable: the folder of converted families
RECOGNISER, IMAGE_ENCODER = "recogniser", "image_encoder"  # folders of networks that a family brings along
SHARD, LARGE_SHARD = "15MB", "2GB"
LARGE = 500_000_000  # parameters: built without memory, and written in large shards
ALIGNED = 64  # bytes; where torch's own tensors begin
AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny", "AutoencoderDC", "VQModel")


@dataclass(frozen=True)
class Quirks:
    """What a published checkpoint was trained with; it must be used so, however odd. Ours have none."""

    swaps_channels: bool = False  # the recogniser is shown blue, green, red instead of red, green, blue
    control_range: Literal["signed", "unit"] = "signed"  # the ControlNet's low picture: -1..1, or 0..1
    square_ids: bool = False  # time ids always tell of full detail, whatever a training crop really held
    photomaker_lora: bool = False  # PhotoMaker's LoRA is merged into the UNet; FaceMe's release never applied it


@dataclass(frozen=True)
class OwnSampling:
    """How one method samples over a family where that measured best otherwise than the rest of the card says."""

    steps: int | None = None
    guidance: float | None = None
    temperature: float | None = None
    fidelity: float | None = None


@dataclass(frozen=True)
class FamilyCard:
    """What one must know of a family before using it."""

    name: str
    resolution: int  # side of the square the networks were trained on, px
    latent_scale: LatentScale
    recogniser: str = "sface"  # the recogniser that conditions the model
    image_encoder: str = "efficientnet-lite0"
    steps: int = 20  # of UniPC: fewer measured worse, more no better
    guidance: float = 1.0  # identity guidance that measured best; a call may choose another
    temperature: float = 1.0  # share of the start noise that measured best
    fidelity: float = 0.0  # share of the way from noise to leave out that measured best
    by_method: dict[str, OwnSampling] = field(default_factory=dict)
    cleaned: tuple[str, ...] = ()  # methods that learned from, and are shown, what the pre-cleaner makes of a photo
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    terms: str = ""
    history: tuple[str, ...] = field(default=())  # one line a training run: recipe, steps, commit
    quirks: Quirks = Quirks()


@dataclass(eq=False)
class Family:
    """The networks of one base model and what they need to be called."""

    card: FamilyCard
    unet: UNet2DConditionModel
    vae: nn.Module
    scheduler: DDPMScheduler
    prompt: Prompt
    folder: Path | None = None  # where it was loaded from; methods find their own parts there
    spares: torch.device | None = None  # computes there with little memory, its large networks' weights elsewhere

    @property
    def size(self) -> int:
        """Return the side of the family's square in pixels."""
        return self.card.resolution

    @property
    def device(self) -> torch.device:
        """Return where the networks compute."""
        return self.spares or next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Return the precision of the UNet's weights."""
        return next(self.unet.parameters()).dtype

    @property
    def at_once(self) -> int | None:
        """Return how many items large networks may take at once; `None` is any number."""
        return 1 if self.spares else None

    @cached_property
    def latent_shape(self) -> tuple[int, int, int]:
        """Return channels, height and width of a square's latent, which the UNet's `sample_size` need not be."""
        with torch.no_grad():
            latent = self.encode(torch.zeros(1, 3, self.size, self.size))
        return (latent.shape[1], latent.shape[2], latent.shape[3])

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path,
        device: torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        low_memory: bool = False,
    ) -> "Family":
        """Load a family by its bundled name, a folder, or a hub id.

        With `low_memory` the device holds little more than one layer of the large networks at a time: slower, the
        same picture but for rounding.

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
        place = device or torch.device("cpu")
        return family.spare(place, dtype) if low_memory else family.to(place, dtype)

    def save_pretrained(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the family as a folder that `from_pretrained` reads; weights go to shards below 16 MB."""
        folder.mkdir(parents=True, exist_ok=True)
        save_network(self.unet, folder / "unet", dtype)
        save_network(self.vae, folder / "vae", dtype)
        _save_scheduler(self.scheduler, folder / "scheduler")
        self.prompt.save(folder / "prompt")
        write_card(self.card, folder)
        for part in (RECOGNISER, IMAGE_ENCODER):
            if self.folder and self.folder != folder and (self.folder / part).is_dir():
                shutil.copytree(self.folder / part, folder / part, dirs_exist_ok=True)

    def to(self, device: torch.device, dtype: torch.dtype) -> "Family":
        """Move the networks and the prompt to a device and precision."""
        nn.Module.to(self.unet, device, dtype)
        nn.Module.to(self.vae, device, _vae_dtype(self.vae, dtype))
        self.prompt = self.prompt.to(device, dtype)
        use_weighted_attention(self.unet)
        return self

    def spare(self, device: torch.device, dtype: torch.dtype) -> "Family":
        """Compute on a device with little of its memory: pictures one by one, weights brought layer by layer."""
        self.to(torch.device("cpu"), dtype)
        for option in ("enable_slicing", "enable_tiling"):
            if hasattr(self.vae, option):
                getattr(self.vae, option)()
        nn.Module.to(self.vae, device)
        self.prompt = self.prompt.to(device, dtype)
        self.spares = device
        self.bring(self.unet)
        return self

    def bring(self, *networks: nn.Module) -> None:
        """Bring a method's networks to where the family computes, in its precision, as sparingly as itself."""
        for network in networks:
            nn.Module.to(network, torch.device("cpu") if self.spares else self.device, self.dtype)
            if self.spares and isinstance(network, ModelMixin):
                stream_weights(network, self.spares)
            elif self.spares:
                nn.Module.to(network, self.spares)

    def encode(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b c h2 w2"]:
        """Encode pictures (RGB, 0..1) to scaled latents."""
        given = image.to(self.device, _vae_dtype(self.vae, self.dtype))
        return latents.encode(self.vae, self.card.latent_scale, given).to(self.dtype)

    def decode(self, latent: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """Decode scaled latents to pictures (RGB, 0..1, float32 on the CPU)."""
        given = latent.to(_vae_dtype(self.vae, self.dtype))
        return latents.decode(self.vae, self.card.latent_scale, given).float().cpu()

    def added_conditions(self, detail_px: Float[Tensor, "b"]) -> dict[str, Tensor]:
        """Build what SDXL-like UNets add to the time embedding: pooled text and the six time ids.

        The ids are (detail, detail, 0, 0, side, side): the size up to which a training crop held real detail, where
        it was cut, and the side wanted. Restoring asks for full detail: (side, side, 0, 0, side, side).
        Families whose UNet takes no such conditions ignore them.
        """
        side = torch.full_like(detail_px, self.size)
        zero = torch.zeros_like(detail_px)
        detail = side if self.card.quirks.square_ids else detail_px
        time_ids = torch.stack([detail, detail, zero, zero, side, side], dim=1)
        pooled = self.prompt.pooled.expand(len(detail_px), -1)
        return {"text_embeds": pooled, "time_ids": time_ids.to(pooled)}


def locate(name_or_path: str | Path) -> Path:
    """Find a family's folder: a folder as given, one bundled with the package, one converted here, or a hub id.

    Raises:
        WeightsError: none of the four has it.
    """
    path = Path(name_or_path)
    if (path / CARD).is_file():
        return path
    bundled = Path(str(resources.files("keepface") / "families" / str(name_or_path)))
    for folder in (bundled, converted_families() / str(name_or_path)):
        if (folder / CARD).is_file():
            return folder
    if path.is_dir():
        raise WeightsError(f"{path}: this folder is no family; it has no {CARD}")
    if str(name_or_path).count("/") != 1:
        known = ", ".join(bundled_families()) or "none"
        raise WeightsError(
            f"family {str(name_or_path)!r} is unknown; bundled: {known}; or give a folder or a hub id; "
            "families of published weights are made by: keepface weights fetch NAME"
        )
    try:
        return Path(snapshot_download(str(name_or_path), allow_patterns=["*.json", "*.safetensors"]))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsError(f"family {str(name_or_path)!r}: no such folder, and the hub says: {reason}") from None


def bundled_families() -> list[str]:
    """List the families that come with the package."""
    root = Path(str(resources.files("keepface") / "families"))
    return sorted(child.name for child in root.glob("*") if (child / CARD).is_file()) if root.is_dir() else []


def converted_families() -> Path:
    """Return the folder of families made of published weights: KEEPFACE_FAMILIES, or one among the user's data."""
    given = os.environ.get(FAMILIES_FOLDER)
    return Path(given).expanduser() if given else user_data_path("keepface") / "families"


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
    twin = network
    if any(parameter.dtype != dtype for parameter in network.parameters()):
        twin = copy.deepcopy(network)
        nn.Module.to(twin, dtype)  # diffusers' own `to` warns of precisions that no network here asks for
    is_large = sum(parameter.numel() for parameter in network.parameters()) > LARGE
    twin.save_pretrained(folder, max_shard_size=LARGE_SHARD if is_large else SHARD, safe_serialization=True)
    config = folder / "config.json"
    kept = json.loads(config.read_text(encoding="utf-8"))
    kept.pop("_name_or_path", None)  # the folder it was loaded from: nobody else's business
    config.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def load_network(kind: Any, folder: Path, dtype: torch.dtype) -> Any:
    """Load a diffusers network from a folder, safetensors only, frozen.

    Raises:
        WeightsError: the folder is missing, damaged, or its tensors are not those of its config.
    """
    # A large network is built without memory for random weights first, if the package that does so is installed.
    is_large = sum(path.stat().st_size for path in folder.glob("*.safetensors")) > 2 * LARGE
    thrifty = is_large and find_spec("accelerate") is not None
    options: dict[str, Any] = {"local_files_only": True, "use_safetensors": True, "low_cpu_mem_usage": thrifty}
    try:
        network, found = kind.from_pretrained(folder, torch_dtype=dtype, output_loading_info=True, **options)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise _unloadable(folder, kind, error) from None
    for problem, names in (("missing", found["missing_keys"]), ("unknown", found["unexpected_keys"])):
        if names:  # diffusers would go on with random weights in their place
            raise WeightsError(f"{folder}: not the weights of its config: {len(names)} {problem}, first {names[0]}")
    for parameter in network.parameters():
        if parameter.data_ptr() % ALIGNED:  # mapped as it lies in the file: CPUs' sums would end in other digits
            parameter.data = parameter.data.clone()
    return network.eval().requires_grad_(False)


def stream_weights(network: ModelMixin, device: torch.device) -> None:
    """Leave a network's weights in the computer's memory; each layer's come to the device while it computes."""
    streams = device.type == "cuda"  # the next layer's weights travel while one computes
    apply_group_offloading(
        network, onload_device=device, offload_device=torch.device("cpu"), offload_type="leaf_level", use_stream=streams
    )


def _vae_dtype(vae: nn.Module, dtype: torch.dtype) -> torch.dtype:
    """Return an autoencoder's precision: some, SDXL's among them, overflow in half precision and say so."""
    needs_range = bool(getattr(vae.config, "force_upcast", False))
    return torch.float32 if dtype == torch.float16 and needs_range else dtype


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
