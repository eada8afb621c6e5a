"""RIDFR: identity is injected beside the prompt, content beside the latent, and references learn to agree.

    Fang et al. 2025, "Robust ID-specific face restoration via alignment learning"  [RIDFR]

Content injection -> diffusion/content_injection.py
Identity injection -> diffusion/faceid_plus.py, diffusion/decoupled_attention.py, side_by_side
Alignment learning -> align_loss, RIDFR.loss       Inference -> RIDFR.restore
Left open by the paper, chosen by us: docs/papers/ridfr.md
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.config import from_dict, to_dict
from keepface.diffusion.attention import log_weights
from keepface.diffusion.content_injection import (
    ContentInjection,
    Residuals,
    blocks_on_grid,
    pad_items,
    pixels_on_grid,
    repeat_items,
)
from keepface.diffusion.decoupled_attention import Injection, cross_attention_layers, use_decoupled_attention
from keepface.diffusion.faceid_plus import AdapterSettings, IdentityAdapter, load_published
from keepface.diffusion.family import Family, load_network, save_network
from keepface.diffusion.guidance import guide_halves, in_parts
from keepface.diffusion.objective import PictureLoss, denoising_loss, noised, predicted_clean
from keepface.diffusion.sampler import Predict, SamplerSettings, Step
from keepface.errors import RecipeError, WeightsError
from keepface.methods.method import Phase, References, TrainBatch, guided_groups, own_folder, sample_squares
from keepface.seeds import derive
from keepface.weights.store import load_strictly, read_safetensors, write_safetensors

CONTENT, IDENTITY, SETTINGS = "content", "identity.safetensors", "settings.json"
PHASES = {
    "content": Phase(has_identity=False),
    "identity": Phase(has_tokens=True),
    "naive": Phase(has_tokens=True, references=1, min_others=2),
    "alignment": Phase(has_tokens=True, references=2, min_others=2),
}


@dataclass(frozen=True)
class RIDFRSettings:
    """What is injected and how; the defaults are the paper's, sizes those of SD 1.5.

    content: `pixel` shows the low picture itself, shrunk to the latent's grid; `latent` its latent, as the ablation;
        `blocks` all its pixels, a block of them in each place of the grid, which is ours.
    identity_scale: weight of the identity's attention beside the prompt's.
    align_weight: lambda of Eq. 6; large values align by ignoring the identity.
    low_share: share of an identity phase's batch that the content module leads; 0 as IP-Adapter was trained.
    """

    content: Literal["pixel", "latent", "blocks"] = "pixel"
    identity_scale: float = 1.0
    align_weight: float = 1.0
    low_share: float = 0.0
    identity: AdapterSettings = field(default_factory=AdapterSettings)


# ---- identity ----


def side_by_side(
    null: Float[Tensor, "k d"], c_id: Float[Tensor, "b r k d"], weights: Float[Tensor, "b r"], scale: float
) -> Injection:
    """Put the references' tokens side by side, behind those that stand for nobody.

    A weight scales the share of its reference's keys. What the largest weight leaves open goes to nobody, so that
    weights lead steadily from no identity (all 0) to the published form (one of them 1, where nobody has no share).
    """
    tokens = torch.cat([null.expand(len(c_id), -1, -1), c_id.flatten(1, 2)], dim=1)
    nobody = 1 - weights.amax(1, keepdim=True)
    shares = torch.cat([nobody, weights], dim=1).repeat_interleave(len(null), dim=1)
    return Injection(tokens, log_weights(shares), scale)


# ---- losses ----


def align_loss(first: Float[Tensor, "b c h w"], second: Float[Tensor, "b c h w"]) -> Float[Tensor, ""]:
    """Return the mean squared difference of what two references of one person predict. [RIDFR, Eq. 4]"""
    return functional.mse_loss(first.float(), second.float())


# ---- the method ----


class RIDFR:
    """The published system over any family whose prompt is constant. [RIDFR, Eq. 1]"""

    name = "ridfr"

    def __init__(
        self, family: Family, content: ContentInjection, adapter: IdentityAdapter, settings: RIDFRSettings
    ) -> None:
        self.family, self.content, self.adapter, self.settings = family, content, adapter, settings
        self.picture_loss: PictureLoss | None = None
        self.has_content, self.has_identity = False, False  # of the two, what was trained (or loaded)
        family.bring(content, adapter)
        self._layers = cross_attention_layers(family.unet)

    @classmethod
    def begin(cls, family: Family, settings: RIDFRSettings, seed: int, goes_on: bool = False) -> "RIDFR":
        """Take the parts that the family has, and begin the others afresh: a content module without effect.

        Every phase after the first goes on from the parts before it, so `goes_on` says nothing new here.

        Raises:
            RecipeError: settings that don't fit the family or its parts.
        """
        folder = family.folder / cls.name if family.folder else Path()
        has_content = family.folder is not None and (folder / CONTENT).is_dir()
        has_identity = family.folder is not None and (folder / IDENTITY).is_file()
        if has_content or has_identity:
            kept = _read_settings(folder)
            becomes_blocks = (kept.content, settings.content) == ("pixel", "blocks")
            if has_content and kept.content != settings.content and not becomes_blocks:
                raise RecipeError(
                    f"{folder}: its content module sees the low picture's {kept.content}, the recipe wants "
                    f'{settings.content}; set [method] content = "{kept.content}", or begin with a family without'
                )
            settings = replace(settings, identity=kept.identity) if has_identity else settings
        per_block = (family.size // family.latent_shape[2]) ** 2
        extra = {"pixel": 3, "latent": family.latent_shape[0], "blocks": 3 * per_block}[settings.content]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, cls.name))
            adapter = IdentityAdapter(settings.identity, family.unet)
            if has_content:
                content = load_network(ContentInjection, folder / CONTENT, family.dtype)
                content = content.seeing_blocks(per_block) if kept.content != settings.content else content
            else:
                content = ContentInjection.begin(family.unet, extra)
        if has_identity:
            load_strictly(adapter, read_safetensors(folder / IDENTITY), str(folder / IDENTITY))
        method = cls(family, content.eval(), adapter.eval(), settings)
        method.has_content, method.has_identity = has_content, has_identity
        return method

    @classmethod
    def load(cls, family: Family) -> "RIDFR":
        """Load the method's parts from its family's folder `ridfr/`; a family may have the content module alone.

        Raises:
            WeightsError: the family was never trained for RIDFR, or a file is damaged.
        """
        folder = own_folder(family, cls.name)
        if not (folder / CONTENT).is_dir():
            raise WeightsError(f"{folder}: has no content module; train it: keepface train, phase content")
        method = cls.begin(family, _read_settings(folder), seed=0)
        for network in (method.content, method.adapter):
            network.requires_grad_(False)
        return method

    def load_published(self, published: Mapping[str, Any], where: str, blank: Tensor | None = None) -> None:
        """Take a published IP-Adapter-FaceID-Plus file in the identity part's place. [RIDFR, Sec. 3.3]

        Its LoRA goes into the family's UNet, which from then on is RIDFR's alone; save the family with the method.

        Raises:
            WeightsError: the file does not fit; nothing is changed then.
        """
        load_published(self.adapter, self.family.unet, published, where, blank)
        self.has_identity = True

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the trained parts into the family folder `folder`."""
        own = folder / self.name
        own.mkdir(parents=True, exist_ok=True)
        (own / SETTINGS).write_text(json.dumps(to_dict(self.settings), indent=1) + "\n", encoding="utf-8")
        if self.has_content:
            save_network(self.content, own / CONTENT, dtype)
        if self.has_identity:
            tensors = {name: tensor.to(dtype) for name, tensor in self.adapter.state_dict().items()}
            write_safetensors(tensors, own / IDENTITY, {})

    # -- inference --

    @torch.no_grad()
    def restore(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[References | None],
        settings: SamplerSettings,
        guidance: float,
        seeds: Sequence[int],
    ) -> Iterator[Step]:
        """Restore aligned squares (RGB, 0..1), each led by its own references. [RIDFR, Sec. 4.1]

        Guidance moves the prediction from nobody to the identity: 0 ignores the references, 1 follows them.
        Guidance 0 or 1 needs half the work; so does a batch without any references.

        Raises:
            WeightsError: references for a family without the identity part, or not of this family's networks.
        """
        yield from sample_squares(self, low, references, settings, guidance, seeds)

    @torch.no_grad()
    def bind(
        self, scheduler: Any, low: Float[Tensor, "b 3 s s"], references: Sequence[References | None], guidance: float
    ) -> Predict:
        """Bind squares, their references and guidance; see `Method.bind`, and `restore` for what it raises."""
        condition = self._condition(low)
        groups = guided_groups(references, guidance)
        identity = self._inject([item for group in groups for item in group])
        detail_px = torch.full((len(low),), float(self.family.size), device=self.family.device)
        squares = torch.arange(len(low), device=self.family.device)

        def predict(x_t: Tensor, t: Tensor) -> Tensor:
            x, each_t = scheduler.scale_model_input(x_t, t), t.expand(len(x_t))

            def part(i: slice) -> Tensor:
                residuals = self._residuals(x[i], each_t[i], condition[i], detail_px[i])
                turns = [squares[i] + turn * len(x) for turn in range(len(groups))]  # rows of the identities
                passes = turns if self.family.at_once else [torch.cat(turns)]
                found = []
                for rows in passes:
                    j, shown = rows % len(x), repeat_items(residuals, len(rows) // len(turns[0]))
                    led_by = identity and identity.of(rows)
                    found.append(self._predict(x[j], each_t[j], led_by, shown, detail_px[j]))
                return torch.cat(found) if len(groups) == 1 else guide_halves(torch.cat(found), guidance)

            return in_parts(part, len(x), self.family.at_once)

        return predict

    def _condition(self, low: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b c h w"]:
        """Return what the content module sees of the low picture."""
        family = self.family
        if self.settings.content == "latent":
            return family.encode(low)
        grid = (family.latent_shape[1], family.latent_shape[2])
        on_grid = blocks_on_grid if self.settings.content == "blocks" else pixels_on_grid
        return on_grid(low, grid).to(family.device, family.dtype)

    def _inject(self, people: Sequence[References | None]) -> Injection | None:
        """Make the identity tokens of each item; `None` when the family has no identity part and nobody asks for it."""
        led = [item for item in people if item is not None]
        if not self.has_identity:
            if not led:
                return None
            name = self.family.card.name
            raise WeightsError(f"family {name!r} has no ridfr identity part; train it: keepface train, phase identity")
        wanted, count = self.settings.identity, max((len(item.weights) for item in led), default=1)
        recogniser = torch.zeros(len(people), count, wanted.recogniser_dim)
        tokens = self.adapter.blank.detach().float().cpu().expand(len(people), count, -1, -1)
        if led:
            shape = _tokens_of(led[0]).shape[1:]
            tokens = torch.zeros(len(people), count, *shape)
        weights = torch.zeros(len(people), count)
        for row, item in enumerate(people):
            if item is not None:
                _check_widths(item, wanted)
                used = slice(0, len(item.weights))
                recogniser[row, used], tokens[row, used] = item.recogniser, _tokens_of(item)
                weights[row, used] = item.weights
        return self._injection(recogniser, tokens, weights)

    def _injection(
        self, recogniser: Float[Tensor, "b r e"], tokens: Float[Tensor, "b r t c"], weights: Float[Tensor, "b r"]
    ) -> Injection:
        c_id = self.adapter(recogniser.flatten(0, 1), tokens.flatten(0, 1)).unflatten(0, weights.shape)
        return side_by_side(self.adapter.null(), c_id, weights.to(c_id.device), self.settings.identity_scale)

    def _residuals(self, x_t: Tensor, t: Tensor, condition: Tensor, detail_px: Tensor) -> Residuals:
        return self.content.inject(x_t, t, condition, self._words(detail_px))

    def _words(self, detail_px: Float[Tensor, "b"]) -> dict[str, Any]:
        """Return the conditions that both networks see: the constant prompt, and what SDXL-like UNets add to time."""
        family = self.family
        c_text = family.prompt.tokens.expand(len(detail_px), -1, -1)
        return {"encoder_hidden_states": c_text, "added_cond_kwargs": family.added_conditions(detail_px)}

    def _predict(
        self, x_t: Tensor, t: Tensor, identity: Injection | None, residuals: Residuals | None, detail_px: Tensor
    ) -> Tensor:
        """Predict eps (or v): the UNet with the content's residuals and the identity beside the prompt."""
        use_decoupled_attention(self._layers, self.adapter.ip_adapter)
        down, middle = (None, None) if residuals is None else residuals
        found: Tensor = self.family.unet(
            x_t,
            t,
            cross_attention_kwargs={"ip_hidden_states": identity},
            down_block_additional_residuals=down,
            mid_block_additional_residual=middle,
            return_dict=False,
            **self._words(detail_px),
        )[0]
        return found

    # -- training --

    def trainable(self, phase: str) -> nn.Module:
        """Freeze everything but what a phase trains, and return that. [RIDFR, Sec. 3.3]

        content: the content module alone, nobody injected.
        identity: the identity adapter alone; the paper takes a published one and trains none.
        naive: the content module, led by one reference; the paper's ablation of alignment.
        alignment: the content module, led by two references that must agree.

        Raises:
            RecipeError: an unknown phase, or one whose parts the family has not yet.
        """
        if phase not in PHASES:
            raise RecipeError(f"ridfr: phase {phase!r} is unknown; use one of {', '.join(PHASES)}")
        for part, is_there in (("content", self.has_content), ("identity", self.has_identity)):
            if phase in ("naive", "alignment") and not is_there:
                raise RecipeError(f"ridfr: phase {phase!r} needs the phase {part!r} before it")
        for network in (self.family.unet, self.family.vae, self.content, self.adapter):
            network.requires_grad_(False)
        if phase == "identity":
            self.has_identity = True
            return nn.ModuleDict({"identity": self.adapter}).requires_grad_(True)
        self.has_content = True
        return nn.ModuleDict({"content": self.content}).requires_grad_(True)

    def loss(self, batch: TrainBatch, phase: str) -> dict[str, Tensor]:
        """Return the losses of one batch by name: `total`, and its parts where there are several. [RIDFR, Eq. 6]

        The content module sees no identity, so its residuals serve both references of alignment. A picture loss, where
        a recipe asks for one, looks at what the first reference led to.  # ours
        """
        x_t, target = noised(self.family, batch.clean, batch.eps, batch.t)
        t, detail_px = batch.t.to(x_t.device), batch.detail_px.to(x_t)
        with torch.no_grad():
            condition = self._condition(batch.low)
        led = math.ceil(self.settings.low_share * len(x_t)) if phase == "identity" else len(x_t)
        residuals = None
        if led:
            shown = self._residuals(x_t[:led], t[:led], condition[:led], detail_px[:led])
            residuals = pad_items(shown, len(x_t) - led)
        predicted = [
            self._predict(x_t, t, identity, residuals, detail_px) for identity in self._identities(batch, phase)
        ]
        parts = {"denoising": torch.stack([denoising_loss(item, target) for item in predicted]).mean()}
        total = parts["denoising"]
        if phase == "alignment":
            parts["align"] = align_loss(*predicted)
            total = total + self.settings.align_weight * parts["align"]
        if self.picture_loss is not None:
            parts["picture"] = self.picture_loss(predicted_clean(self.family, x_t, predicted[0].float(), t), batch)
            total = total + parts["picture"]
        return {"total": total, **parts} if len(parts) > 1 else {"total": total}

    def _identities(self, batch: TrainBatch, phase: str) -> list[Injection | None]:
        """Return what is injected in each branch of a phase's loss."""
        if phase == "content":
            return [None]
        tokens, weights = batch.tokens, batch.has_reference.float()
        if tokens is None or (phase == "alignment" and tokens.shape[1] != 2):
            raise RecipeError(f"ridfr: phase {phase!r} needs a batch with the image tokens of its references, two each")
        if phase != "alignment":
            return [self._injection(batch.recogniser, tokens, weights)]
        each = (slice(0, 1), slice(1, 2))
        return [self._injection(batch.recogniser[:, one], tokens[:, one], weights[:, one]) for one in each]


def _tokens_of(item: References) -> Float[Tensor, "r t c"]:
    if item.tokens is None:
        raise WeightsError("ridfr: these references have no image tokens; make them of photos: IdentityEmbedder")
    return item.tokens


def _check_widths(item: References, wanted: AdapterSettings) -> None:
    found = (item.recogniser.shape[-1], _tokens_of(item).shape[-1])
    if found != (wanted.recogniser_dim, wanted.token_dim):
        raise WeightsError(
            f"ridfr: references of widths {found}; the identity part was trained for recogniser vectors of "
            f"{wanted.recogniser_dim} and image tokens of {wanted.token_dim}"
        )


def _read_settings(folder: Path) -> RIDFRSettings:
    path = folder / SETTINGS
    try:
        return from_dict(RIDFRSettings, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, RecipeError) as error:
        raise WeightsError(f"{path}: no settings of RIDFR: {error}") from None
