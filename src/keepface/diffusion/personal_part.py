"""All that is learned of one person, as a network and as one file of weights.

    Varanka et al. 2024, "PFStorer: Personalized face restoration and super-resolution", CVPR  [PFStorer]
    Hao et al. 2023, "ViCo: Detail-preserving visual condition for personalized text-to-image generation"  [ViCo]
    Ruiz et al. 2023, "DreamBooth: Fine tuning text-to-image diffusion models for subject-driven generation", CVPR
        [DreamBooth]

The file holds `token.S*`, `gamma.<block>`, `blocks.<block>.*` and `ref_latents` (and `unet.*` where the whole UNet was
tuned), and says in its metadata which base it was learned over; over any other it is refused. The references' latents
are pictures of the person in all but name: keep the file as private as the photos.
"""

import copy
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from keepface.diffusion.attention import use_weighted_attention
from keepface.diffusion.personalisation import Personalisation
from keepface.errors import WeightsError
from keepface.weights.in_memory import from_bytes, to_bytes
from keepface.weights.store import load_strictly, read_metadata, read_safetensors, write_safetensors

FORMAT = "keepface person 1"
VARIANTS = ("personal", "vico", "dreambooth")
Variant = Literal["personal", "vico", "dreambooth"]
NEEDED = ("format", "variant", "base", "content")  # of the metadata


@dataclass(frozen=True)
class PersonalSettings:
    """How a person is tuned; rates are not in the paper's text. [PFStorer, Eq. 5]

    token_limit: S* grows no longer than this many times the word it began as.
    """

    gen_weight: float = 0.1  # lambda_Gen
    pers_weight: float = 5e-4  # lambda_Pers  [ViCo]
    prior_weight: float = 1.0  # of other people's pictures, where the whole UNet is tuned  [DreamBooth]
    gamma_lr: float = 5e-3  # ours: at the blocks' rate gamma would stay shut
    blocks_lr: float = 1e-4  # ours
    token_lr: float = 5e-3  # [ViCo]
    unet_lr: float = 5e-6  # [DreamBooth]
    weight_decay: float = 0.01  # not of gamma and S*
    token_limit: float = 2.0  # ours


@dataclass(frozen=True, eq=False)
class PersonalBatch:
    """One batch of one person's photos, drawn as a pure function of (seed, step).

    reference: which of the person's reference latents each picture is led by.
    prior: as many clean pictures of other people and their low forms, for the variant that tunes the whole UNet.
    """

    clean: Float[Tensor, "b 3 s s"]
    low: Float[Tensor, "b 3 s s"]
    reference: Int[Tensor, "b"]
    eps: Float[Tensor, "b c h w"]
    t: Int[Tensor, "b"]
    prior: tuple[Tensor, Tensor] | None = None


class PersonalPart(nn.Module):
    """The word S*, the references' latents and what the variant adds to a UNet.

    personal: blocks with gammas. vico: blocks without. dreambooth: a UNet of the person's own.
    """

    ref_latents: Tensor

    def __init__(self, unet: nn.Module, word: Float[Tensor, "d"], ref_latents: Tensor, variant: Variant) -> None:
        super().__init__()
        self.variant = variant
        self.token = nn.ParameterDict({"S*": nn.Parameter(word.detach().clone().float())})
        self.register_buffer("ref_latents", ref_latents.detach().clone())
        self.unet: nn.Module | None = None
        self.gamma, self.blocks = nn.ParameterDict(), nn.ModuleDict()
        self._added: tuple[Personalisation, ...] = ()  # in a tuple, so that its tensors have one name each
        if variant == "dreambooth":
            self.unet = copy.deepcopy(unet)
            use_weighted_attention(self.unet)
        else:
            added = Personalisation(unet, has_gamma=variant == "personal")
            self.gamma, self.blocks, self._added = added.gamma, added.blocks, (added,)

    @property
    def added(self) -> Personalisation:
        """Return the blocks and gammas; the variant `dreambooth` has none."""
        return self._added[0]

    @torch.no_grad()
    def shorten(self, longest: float) -> None:
        """Shorten S* if it is longer than `longest`."""
        self.token["S*"].mul_(longest / self.token["S*"].norm().clamp(min=longest))

    def parameter_groups(self, settings: PersonalSettings) -> list[dict[str, Any]]:
        """Return the parameters for AdamW, each part with its own learning rate and decay."""
        whole = list(self.unet.parameters()) if self.unet is not None else []
        groups = (
            (list(self.gamma.values()), settings.gamma_lr, 0.0),
            (list(self.blocks.parameters()), settings.blocks_lr, settings.weight_decay),
            (list(self.token.values()), settings.token_lr, 0.0),
            (whole, settings.unet_lr, settings.weight_decay),
        )
        return [{"params": params, "lr": lr, "weight_decay": decay} for params, lr, decay in groups if params]

    @property
    def is_open(self) -> bool:
        """Return whether anything is changed at all: gammas that are all zero change nothing."""
        return self.variant != "personal" or any(bool(gamma.any()) for gamma in self.gamma.values())

    def to_bytes(self, base: str, notes: Mapping[str, str], dtype: torch.dtype) -> bytes:
        """Return what a person's file holds; `notes` go into its metadata beside what is needed to read it."""
        return to_bytes(*self._content(base, notes, dtype))

    def save(self, path: Path, base: str, notes: Mapping[str, str], dtype: torch.dtype) -> None:
        """Write a person's file, whole or not at all; `notes` as in `to_bytes`."""
        tensors, metadata = self._content(base, notes, dtype)
        write_safetensors(tensors, path, metadata)

    def _content(
        self, base: str, notes: Mapping[str, str], dtype: torch.dtype
    ) -> tuple[dict[str, Tensor], dict[str, str]]:
        tensors = {name: tensor.to(dtype) for name, tensor in self.state_dict().items()}
        needed = {"format": FORMAT, "variant": self.variant, "base": base, "content": _digest(sorted(tensors.items()))}
        return tensors, {**notes, **needed}

    @classmethod
    def load(cls, source: Path | bytes, unet: nn.Module, base: str, what: str) -> "PersonalPart":
        """Read a person's file, or its bytes, for a base with the fingerprint `base`; `what` names it in errors.

        Raises:
            WeightsError: missing, damaged, no such file, or learned over another base.
        """
        if isinstance(source, bytes):
            path = "the person's adapter"
            tensors, metadata = from_bytes(source, path)
        else:
            path = str(source)
            tensors, metadata = read_safetensors(source), read_metadata(source)
        told = {name: metadata.get(name, "") for name in NEEDED}
        if told["format"] != FORMAT or told["variant"] not in VARIANTS:
            raise WeightsError(
                f"{path}: is no file of a person (format {told['format'] or 'not told'!r}, needed {FORMAT!r})"
            )
        if told["base"] != base:
            raise WeightsError(
                f"{path}: was learned over another base ({_short(told['base'])}) than {what} ({_short(base)}); "
                "load it over its own family, or tune the person again over this one"
            )
        if told["content"] != _digest(sorted(tensors.items())):
            raise WeightsError(f"{path}: damaged: its tensors are not those that were written; copy the file again")
        absent = {"token.S*", "ref_latents"} - tensors.keys()
        if absent:
            raise WeightsError(f"{path}: has no {', '.join(sorted(absent))}; tune the person again")
        variant: Variant = told["variant"]  # type: ignore[assignment]
        with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten
            part = cls(unet, tensors["token.S*"], tensors["ref_latents"], variant)
        load_strictly(part, tensors, path)
        return part.eval().requires_grad_(False)


def fingerprint(parts: Mapping[str, Mapping[str, Tensor]]) -> str:
    """Compute the SHA-256 of named networks' tensors, the same whichever precision they were loaded in."""
    # As saved, in half precision, and then what of it every precision keeps.
    return _digest(
        (f"{name}.{key}", tensor.half().bfloat16())
        for name, tensors in sorted(parts.items())
        for key, tensor in sorted(tensors.items())
    )


def _digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors:
        plain = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(plain.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _short(digest: str) -> str:
    return digest[:12] or "not told"
