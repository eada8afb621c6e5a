"""PFStorer: a restorer learns one person from a few photos, in blocks of their own that a gamma lets in from zero.

    Varanka et al. 2024, "PFStorer: Personalized face restoration and super-resolution", CVPR  [PFStorer]
    Wang et al. 2024, "Exploiting diffusion prior for real-world image super-resolution"  [StableSR]

Base model -> diffusion/time_aware_encoder.py, diffusion/sft.py, phase `base`
Personalised restoration -> diffusion/personalisation.py, star_prompt, phase `personal`
Losses -> PFStorer.loss       Inference -> PFStorer.bind, PFStorer.restore
One person's file -> diffusion/personal_part.py       Tuning -> train/personalise.py
Left open by the paper, chosen by us: docs/papers/pfstorer.md
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from keepface.config import from_dict, to_dict
from keepface.diffusion.family import Family
from keepface.diffusion.guidance import guide, in_parts
from keepface.diffusion.objective import denoising_loss, noised
from keepface.diffusion.personal_part import (
    VARIANTS,
    PersonalBatch,
    PersonalPart,
    PersonalSettings,
    Variant,
    fingerprint,
)
from keepface.diffusion.personalisation import Lead, Maps, attention_regularisation
from keepface.diffusion.prompt import Prompt
from keepface.diffusion.sampler import Predict, SamplerSettings, Step
from keepface.diffusion.sft import SFTLayers
from keepface.diffusion.time_aware_encoder import Features, TimeAwareEncoder, TimeAwareSettings
from keepface.errors import RecipeError, WeightsError
from keepface.methods.method import Phase, References, TrainBatch, own_folder, sample_squares
from keepface.seeds import derive, generator
from keepface.weights.store import load_strictly, read_safetensors, write_safetensors

TIME_AWARE, SFT_LAYERS, SETTINGS = "time_aware.safetensors", "sft.safetensors", "settings.json"
PHASES = {"base": Phase(has_identity=False)}  # people are tuned by train/personalise.py, one at a time
NOTES = {"prompt": "a photo of *", "class_word": "face"}  # of a person's file
MEASURED = 16  # noised latents that fresh SFT layers are set by


@dataclass(frozen=True)
class PFStorerSettings:
    """Sizes of the base's own parts, and how people are tuned; the defaults are those over SD 2.1."""

    encoder: TimeAwareSettings = field(default_factory=TimeAwareSettings)
    sft_hidden: int = 128
    null_share: float = 0.05  # of a base batch, shown no low picture, so that L_Gen asks for nothing unheard of
    person: PersonalSettings = field(default_factory=PersonalSettings)


# ---- the learned word ----


def star_prompt(prompt: Prompt, star: Float[Tensor, "d"]) -> Float[Tensor, "n d"]:
    """Put S* where the word *face* stood: "A photo of *". [PFStorer, Fig. 3]"""
    tokens, place = prompt.with_face, prompt.face_index
    return torch.cat([tokens[:place], star.to(tokens)[None], tokens[place + 1 :]])


# ---- the method ----


class PFStorer:
    """The published system over any family: a base that restores anybody, and at most one loaded person.

    [PFStorer, Eq. 1]
    """

    name = "pfstorer"

    def __init__(
        self, family: Family, time_aware: TimeAwareEncoder, sft: SFTLayers, settings: PFStorerSettings
    ) -> None:
        self.family, self.time_aware, self.sft, self.settings = family, time_aware, sft, settings
        self.person: PersonalPart | None = None
        self._tuning = settings.person
        family.bring(time_aware, sft)

    @classmethod
    def begin(cls, family: Family, settings: PFStorerSettings, seed: int, goes_on: bool = False) -> "PFStorer":
        """Begin the base model: fresh SFT layers and time-aware encoder over the family's UNet, or go on with its own.

        Raises:
            RecipeError: sizes that don't fit the family.
        """
        if goes_on:
            return cls.load(family)
        levels, channels = len(family.unet.config.block_out_channels), family.unet.config.in_channels
        if len(settings.encoder.multipliers) != levels or settings.encoder.in_channels != channels:
            raise RecipeError(
                f"pfstorer: the encoder has {len(settings.encoder.multipliers)} resolutions and takes "
                f"{settings.encoder.in_channels} channels; family {family.card.name!r} has {levels} and {channels}: "
                "set [method.encoder] multipliers and in_channels"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, cls.name))
            method = cls(family, *_fresh_parts(family, settings), settings)
        z = torch.randn(MEASURED, *family.latent_shape, generator=generator(seed, "sft")).to(
            family.device, family.dtype
        )
        t = torch.linspace(0, family.scheduler.config.num_train_timesteps - 1, MEASURED).long().to(family.device)
        with torch.no_grad(), method.sft.measured(family.unet):  # x_t has about unit variance at every time
            method._predict(family.unet, z, t, {})
        return method

    @classmethod
    def load(cls, family: Family) -> "PFStorer":
        """Load the base model from the family's folder `pfstorer/`; nobody is loaded yet.

        Raises:
            WeightsError: the family was never trained for PFStorer, or a file is damaged.
        """
        folder = own_folder(family, cls.name)
        settings = _read_settings(folder)
        with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten
            time_aware, sft = _fresh_parts(family, settings)
        for network, file in ((time_aware, TIME_AWARE), (sft, SFT_LAYERS)):
            load_strictly(network, read_safetensors(folder / file), str(folder / file))
            network.requires_grad_(False)
        return cls(family, time_aware, sft, settings)

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the base model's own parts into the family folder `folder`; a person has a file of its own."""
        own = folder / self.name
        own.mkdir(parents=True, exist_ok=True)
        (own / SETTINGS).write_text(json.dumps(to_dict(self.settings), indent=1) + "\n", encoding="utf-8")
        for network, file in ((self.time_aware, TIME_AWARE), (self.sft, SFT_LAYERS)):
            write_safetensors({name: x.to(dtype) for name, x in network.state_dict().items()}, own / file, {})

    # -- one person --

    def begin_person(
        self, photos: Float[Tensor, "r 3 s s"], variant: Variant, seed: int, tuning: PersonalSettings | None = None
    ) -> None:
        """Begin a person whose references are `photos` (RGB, 0..1): S* is the face word, every gamma zero.

        Raises:
            RecipeError: a family that was not loaded in float32.
        """
        family = self.family
        if family.dtype != torch.float32:
            raise RecipeError(
                f"pfstorer: this family was loaded in {family.dtype}; people are tuned over one in float32"
            )
        self._tuning = tuning or self.settings.person
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "person"))
            word = family.prompt.with_face[family.prompt.face_index]
            self.person = PersonalPart(family.unet, word, family.encode(photos), variant).to(family.device)

    @property
    def has_person(self) -> bool:
        """Tell whether somebody is loaded."""
        return self.person is not None

    def load_adapter(self, source: Path | bytes) -> None:
        """Load a person's file, or its bytes, in the place of whoever was loaded; the base is not touched.

        Raises:
            WeightsError: missing, damaged, or learned over another base; whoever was loaded stays.
        """
        part = PersonalPart.load(source, self.family.unet, self.base_hash(), f"family {self.family.card.name!r}")
        self.person = part.to(self.family.device, self.family.dtype)

    def unload_adapter(self) -> None:
        """Restore for nobody again: the base, bit for bit."""
        self.person = None

    def save_adapter(self, path: Path, notes: Mapping[str, str], dtype: torch.dtype = torch.float16) -> None:
        """Write the loaded person's file; `notes` (steps, rates, ...) go into its metadata.

        Raises:
            WeightsError: nobody is loaded, or the file can't be written.
        """
        self._loaded().save(path, self.base_hash(), {**NOTES, **notes}, dtype)

    def adapter(self, notes: Mapping[str, str], dtype: torch.dtype = torch.float16) -> bytes:
        """Return what `save_adapter` writes."""
        return self._loaded().to_bytes(self.base_hash(), {**NOTES, **notes}, dtype)

    def base_hash(self) -> str:
        """Return the fingerprint of the networks that a person's part was learned over; it takes a second or two."""
        networks = {"unet": self.family.unet, "time_aware": self.time_aware, "sft": self.sft}
        return fingerprint({name: network.state_dict() for name, network in networks.items()})

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
        """Restore squares (RGB, 0..1), each for the loaded person or, with `None`, for nobody. [PFStorer, Sec. 3.2]

        References say by their largest weight how much the person counts; their features are not looked at.
        Guidance moves the prediction from nobody to the person: 0 is the base, 1 the published form.

        Raises:
            WeightsError: references are given and nobody is loaded.
        """
        yield from sample_squares(self, low, references, settings, guidance, seeds)

    @torch.no_grad()
    def bind(
        self, scheduler: Any, low: Float[Tensor, "b 3 s s"], references: Sequence[References | None], guidance: float
    ) -> Predict:
        """Bind squares, the loaded person and guidance; see `Method.bind`, and `restore` for what it raises.

        The person's references take turns, one a step.
        """
        family, z_LQ = self.family, self.family.encode(low)
        strength = torch.tensor([0.0 if item is None else float(item.weights.max()) for item in references])
        person = self._loaded() if bool(strength.any()) and guidance != 0 else None

        def part(i: slice, x: Tensor, t: Tensor, turn: int) -> Tensor:
            features = self.time_aware(z_LQ[i], t)
            if person is None or not person.is_open:
                return self._predict(family.unet, x, t, features)
            reference = person.ref_latents[turn % len(person.ref_latents)][None]
            lead = self._lead(person, torch.zeros(len(x), dtype=torch.long), strength[i])
            led, _ = self._predict_led(person, x, t, features, reference, lead)
            if guidance == 1:
                return led
            return guide(self._predict(family.unet, x, t, features), led, guidance)

        @torch.no_grad()
        def predict(x_t: Tensor, t: Tensor) -> Tensor:
            x, each_t = scheduler.scale_model_input(x_t, t), t.expand(len(x_t))
            turn = int((scheduler.timesteps > t).sum())
            return in_parts(lambda i: part(i, x[i], each_t[i], turn), len(x), family.at_once)

        return predict

    def _predict(
        self,
        unet: Any,
        x_t: Tensor,
        t: Tensor,
        features: Features,
        detail_px: Tensor | None = None,
        words: Tensor | None = None,
    ) -> Tensor:
        """Predict eps (or v); the first rows, as many as `features` has, are led by their low pictures.

        `None` for `detail_px` is full detail, for `words` the family's own prompt.
        """
        c = self.family.prompt.tokens if words is None else words
        detail = torch.full((len(x_t),), float(self.family.size)) if detail_px is None else detail_px
        rows = len(next(iter(features.values()))) if features else 0
        with self.sft.over(unet, features, rows):
            found: Tensor = unet(
                x_t,
                t,
                encoder_hidden_states=c.expand(len(x_t), -1, -1),
                added_cond_kwargs=self.family.added_conditions(detail.to(x_t)),
                return_dict=False,
            )[0]
        return found

    def _predict_led(
        self, person: PersonalPart, x_t: Tensor, t: Tensor, features: Features, reference: Tensor, lead: Lead
    ) -> tuple[Tensor, list[Maps]]:
        """Predict for a person; references go along as more rows, clean and without a low picture. [PFStorer, Eq. 3]

        The base sees its own prompt; the blocks alone see S*, so that no step of tuning changes the base.  # ours
        """
        rows = torch.cat([x_t, reference.to(x_t)])
        if person.unet is not None:
            found = self._predict(person.unet, x_t, t, features, words=lead.words)
            if bool((lead.strength == 1).all()):
                return found, []
            base = self._predict(self.family.unet, x_t, t, features)
            return base.lerp(found, lead.strength.to(found)[:, None, None, None]), []
        each_t = torch.cat([t, t[: len(reference)]])
        with person.added.over(self.family.unet, lead) as maps:
            found = self._predict(self.family.unet, rows, each_t, features)
        return found[: len(x_t)], maps

    def _lead(self, person: PersonalPart, which: Tensor, strength: Tensor) -> Lead:
        prompt, device, place = self.family.prompt, self.family.device, self.family.prompt.face_index
        words = star_prompt(prompt, person.token["S*"])
        return Lead(which.to(device), strength.to(device), words, place, place + 2)  # *, the full stop, the end

    def _loaded(self) -> PersonalPart:
        if self.person is None:
            raise WeightsError(
                "pfstorer: references are given and nobody is loaded; train a person (keepface person train NAME) and "
                "restore with --person NAME, load a file (--adapter FILE), or restore without references"
            )
        return self.person

    # -- training --

    def trainable(self, phase: str) -> nn.Module:
        """Freeze everything but what a phase trains, and return that. [PFStorer, Sec. 3.2]

        base: SFT layers and time-aware encoder, as StableSR; the UNet is the family's.
        personal: blocks, gammas and S* of the person begun with `begin_person`.
        vico: the same without gammas; dreambooth: a UNet of the person's own and S*. The paper's ablations.

        Raises:
            RecipeError: an unknown phase, or nobody was begun for it.
        """
        if phase != "base" and phase not in VARIANTS:
            raise RecipeError(f"pfstorer: phase {phase!r} is unknown; use one of base, {', '.join(VARIANTS)}")
        if phase != "base" and (self.person is None or self.person.variant != phase):
            raise RecipeError(
                f"pfstorer: phase {phase!r} is tuned on one person's photos, not on a pack: keepface.train.personalise"
            )
        nn.ModuleList([self.family.unet, self.family.vae, self.time_aware, self.sft]).requires_grad_(False)
        if phase == "base" or self.person is None:
            return nn.ModuleDict({"time_aware": self.time_aware, "sft": self.sft}).requires_grad_(True)
        return self.person.requires_grad_(True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the begun person's parameters for AdamW, each part with its own learning rate and decay."""
        return self._loaded().parameter_groups(self._tuning)

    def after_step(self) -> None:
        """Shorten S* where a step of the optimiser made it longer than it may be."""
        face = self.family.prompt.with_face[self.family.prompt.face_index]
        self._loaded().shorten(self._tuning.token_limit * float(face.norm()))

    def loss(self, batch: TrainBatch | PersonalBatch, phase: str) -> dict[str, Tensor]:
        """Return the losses of one batch by name; `total` is the one to follow downhill."""
        if isinstance(batch, PersonalBatch):
            return self._personal_loss(batch)
        if phase != "base":
            raise RecipeError(f"pfstorer: phase {phase!r} needs batches of one person: keepface.train.personalise")
        draw = generator(0, "null low", *batch.t.tolist())  # the batch's own, so that it is a function of the batch
        is_shown = torch.rand(len(batch.t), generator=draw) >= self.settings.null_share
        z_LQ = self.family.encode(batch.low)
        z_LQ = z_LQ * is_shown.to(z_LQ)[:, None, None, None]
        return {"total": self._base_loss(self.family.unet, batch.clean, z_LQ, batch, batch.detail_px)}

    def _base_loss(
        self, unet: Any, clean: Tensor, z_LQ: Tensor, batch: TrainBatch | PersonalBatch, detail_px: Tensor | None = None
    ) -> Tensor:
        x_t, target = noised(self.family, clean, batch.eps, batch.t)
        t = batch.t.to(x_t.device)
        return denoising_loss(self._predict(unet, x_t, t, self.time_aware(z_LQ, t), detail_px), target)

    def _personal_loss(self, batch: PersonalBatch) -> dict[str, Tensor]:
        """Return L = L_Diff + lambda_Gen L_Gen + lambda_Pers L_Pers. [PFStorer, Eq. 5]

        L_Gen is L_Diff again, on the same noise, with the null low picture: a latent of zeros.  # ours
        The variant dreambooth goes without both and keeps other people's pictures instead: `batch.prior`.
        """
        person, tuning = self._loaded(), self._tuning
        x_t, target = noised(self.family, batch.clean, batch.eps, batch.t)
        t, count = batch.t.to(x_t.device), len(x_t)
        z_LQ = self.family.encode(batch.low)
        copies = 2 if tuning.gen_weight and person.unet is None else 1
        each_t = t.repeat(copies)
        features = self.time_aware(torch.cat([z_LQ, torch.zeros_like(z_LQ)])[: copies * count], each_t)
        lead = self._lead(person, torch.arange(count).repeat(copies), torch.ones(copies * count))
        reference = person.ref_latents[batch.reference.to(x_t.device)]
        predicted, maps = self._predict_led(person, x_t.repeat(copies, 1, 1, 1), each_t, features, reference, lead)
        total = denoising_loss(predicted[:count], target)
        losses = {"diffusion": total}
        if copies == 2:
            losses["generative"] = denoising_loss(predicted[count:], target)
            total = total + tuning.gen_weight * losses["generative"]
        if maps:
            losses["attention"] = attention_regularisation(maps)
            total = total + tuning.pers_weight * losses["attention"]
        if batch.prior is not None:
            clean, low = batch.prior
            losses["prior"] = self._base_loss(person.unet, clean, self.family.encode(low), batch)
            total = total + tuning.prior_weight * losses["prior"]
        return {"total": total, **losses}


def _fresh_parts(family: Family, settings: PFStorerSettings) -> tuple[TimeAwareEncoder, SFTLayers]:
    sft = SFTLayers(family.unet, settings.encoder.width, settings.sft_hidden)
    return TimeAwareEncoder(settings.encoder).eval(), sft.eval()


def _read_settings(folder: Path) -> PFStorerSettings:
    path = folder / SETTINGS
    try:
        return from_dict(PFStorerSettings, json.loads(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError, RecipeError) as error:
        raise WeightsError(f"{path}: no settings of PFStorer: {error}") from None
