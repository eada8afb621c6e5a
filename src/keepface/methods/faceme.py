"""FaceMe: one identity token a reference stands where the word *face* stood, in front of a restoring ControlNet.

    Liu et al. 2025, "FaceMe: Robust blind face restoration with personal identification", AAAI  [FaceMe]

Identity encoder -> Mix, IDEncoder       Combining and replacing -> combine, replace_face_token
Training strategy -> FaceMe.trainable, FaceMe.loss       Inference strategy -> FaceMe.restore
Left open by the paper, chosen by us: docs/papers/faceme.md
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from keepface.config import from_dict, to_dict
from keepface.diffusion.attention import log_weights, use_weighted_attention
from keepface.diffusion.family import Family, load_network, save_network
from keepface.diffusion.guidance import guide_halves, in_parts
from keepface.diffusion.objective import PictureLoss, denoising_loss, noised, predicted_clean
from keepface.diffusion.prompt import Prompt
from keepface.diffusion.sampler import Predict, SamplerSettings, Step, make_scheduler, sample, start_latent
from keepface.errors import RecipeError, WeightsError
from keepface.methods.method import References, TrainBatch, guided_groups, own_folder, sample_squares
from keepface.seeds import derive, generator
from keepface.weights.store import load_strictly, read_metadata, read_safetensors, write_safetensors

ENCODER = "id_encoder.safetensors"
CONTROLLED = 0.875  # share of a batch that the joint phase shows the low picture; from the rest the prior is learned


@dataclass(frozen=True)
class FaceMeSettings:
    """Sizes of the identity encoder; the defaults are those of the published SDXL weights.

    projections: output widths of the bias-free maps of the image network's pooled features, side by side; they
        sum up to `width`. PhotoMaker's CLIP has one for each of SDXL's text encoders.
    """

    recogniser_dim: int = 512
    image_dim: int = 1024
    width: int = 2048
    hidden: int = 1024
    projections: tuple[int, ...] = (768, 1280)
    control_channels: tuple[int, ...] = (16, 32, 96, 256)  # of the ControlNet's picture embedding; its strides are 8
    trains_projections: bool = True  # False where they are part of the frozen image network, as PhotoMaker's are

    def __post_init__(self) -> None:
        if sum(self.projections) != self.width:
            raise RecipeError(
                f"faceme: projections {self.projections} sum to {sum(self.projections)}, not {self.width}"
            )


# ---- modules, in the paper's order ----


class MLPBlock(nn.Module):
    """LayerNorm, linear, GELU, linear, and the input added when it is residual. [FaceMe, Supplement Fig. 1]"""

    def __init__(self, width: int, out: int, hidden: int, is_residual: bool) -> None:
        super().__init__()
        self.layernorm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out)
        self.is_residual = is_residual

    def forward(self, x: Float[Tensor, "*n a"]) -> Float[Tensor, "*n c"]:
        """Map the last dimension from `width` to `out`."""
        y: Tensor = self.fc2(functional.gelu(self.fc1(self.layernorm(x))))
        return x + y if self.is_residual else y


class IDProjector(nn.Module):
    """Bring the recogniser's g_i to the prompt's width: g_hat_i = MLPs(g_i). [FaceMe, Identity encoder]"""

    def __init__(self, settings: FaceMeSettings) -> None:
        super().__init__()
        hidden, width = settings.hidden, settings.width
        self.mlp1 = MLPBlock(settings.recogniser_dim, hidden, hidden, is_residual=False)
        self.mlp2 = MLPBlock(hidden, hidden, hidden, is_residual=True)
        self.mlp3 = MLPBlock(hidden, width, width, is_residual=False)
        self.mlp4 = MLPBlock(width, width, width, is_residual=True)

    def forward(self, g: Float[Tensor, "*n e"]) -> Float[Tensor, "*n d"]:
        """Map unit recogniser embeddings to the prompt's width."""
        return self.mlp4(self.mlp3(self.mlp2(self.mlp1(g))))


class Mix(nn.Module):
    """Fuse both features to one token a reference: s_i = MLPs(f_i, g_hat_i). [FaceMe, Identity encoder]

    The names of its 38 tensors are those of the published `mix.safetensors`.
    """

    def __init__(self, settings: FaceMeSettings) -> None:
        super().__init__()
        width = settings.width
        self.pro_id = IDProjector(settings)
        self.mlp1 = MLPBlock(2 * width, width, width, is_residual=False)
        self.norm1 = nn.LayerNorm(width)
        self.mlp2 = MLPBlock(width, width, width, is_residual=True)

    def forward(self, f: Float[Tensor, "*n d"], g: Float[Tensor, "*n e"]) -> Float[Tensor, "*n d"]:
        """Return one identity token for each pair of features."""
        fused = self.mlp1(torch.cat([f, self.pro_id(g)], dim=-1))
        return self.mlp2(self.norm1(fused))


class IDEncoder(nn.Module):
    """From the two frozen networks' features of a reference to its identity token. [FaceMe, Identity encoder]"""

    def __init__(self, settings: FaceMeSettings) -> None:
        super().__init__()
        self.settings = settings
        maps = (nn.Linear(settings.image_dim, width, bias=False) for width in settings.projections)
        self.projections = nn.ModuleList(maps)
        self.mix = Mix(settings)

    def forward(self, image: Float[Tensor, "*n i"], recogniser: Float[Tensor, "*n e"]) -> Float[Tensor, "*n d"]:
        """Return one token for each reference; references don't see each other."""
        given, own = (recogniser.shape[-1], image.shape[-1]), self.settings
        if given != (own.recogniser_dim, own.image_dim):
            raise RecipeError(f"faceme: features of widths {given}: made by other networks than --family's")
        return self.mix(torch.cat([projection(image) for projection in self.projections], dim=-1), recogniser)


def combine(tokens: Sequence[Float[Tensor, "d"]]) -> Float[Tensor, "r d"]:
    """Put the references' tokens side by side: s = Concat([s_1, ..., s_N]). [FaceMe, Eq. 3]"""
    return torch.stack(list(tokens))


def replace_face_token(prompt: Float[Tensor, "n d"], face_index: int, s: Float[Tensor, "r d"]) -> Float[Tensor, "m d"]:
    """Put the identity tokens where the word *face* stood: c_id = {e_1, e_2, e_3, s, e_5}. [FaceMe, Eq. 3]

    The length stays that of the prompt as long as its trailing padding can be dropped for the extra tokens.
    """
    longer = torch.cat([prompt[:face_index], s.to(prompt), prompt[face_index + 1 :]])
    needed = face_index + len(s) + 2  # what comes before, the tokens, the full stop and the end
    return longer[: max(len(prompt), needed)]


def identity_prompt(
    prompt: Float[Tensor, "n d"], face_index: int, tokens: Float[Tensor, "r d"], weights: Float[Tensor, "r"]
) -> tuple[Float[Tensor, "m d"], Float[Tensor, "m"]]:
    """Return c_id and its key weights; references of weight 0 are left out, and without any it is c_text."""
    used = weights > 0
    if not bool(used.any()):
        return prompt, torch.ones(len(prompt), device=prompt.device)
    c_id = replace_face_token(prompt, face_index, tokens[used])
    key_weights = torch.ones(len(c_id), device=prompt.device)
    key_weights[face_index : face_index + int(used.sum())] = weights[used].to(prompt.device).float()
    return c_id, key_weights


class FaceMe:
    """The published system over any family: identity tokens, ControlNet on the low picture, identity guidance."""

    name = "faceme"

    def __init__(self, family: Family, controlnet: ControlNetModel, id_encoder: IDEncoder) -> None:
        self.family, self.controlnet, self.id_encoder = family, controlnet, id_encoder
        self.has_trained_control = False
        self.picture_loss: PictureLoss | None = None
        family.bring(self.controlnet, self.id_encoder)
        use_weighted_attention(self.controlnet)

    @classmethod
    def begin(cls, family: Family, settings: FaceMeSettings, seed: int, goes_on: bool = False) -> "FaceMe":
        """Begin a training phase: a ControlNet copied afresh from the UNet, whose residuals are zero.

        The identity encoder is the family's own if there is one, as is the ControlNet of a phase that goes on.
        """
        if goes_on:
            return cls.load(family)
        trained = family.folder and family.folder / cls.name / ENCODER
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive(seed, "faceme"))
            encoder = load_id_encoder(trained) if trained and trained.is_file() else IDEncoder(settings)
            controlnet = ControlNetModel.from_unet(
                family.unet,
                conditioning_embedding_out_channels=encoder.settings.control_channels,
                conditioning_channels=3,
            )
        return cls(family, controlnet, encoder)

    @classmethod
    def load(cls, family: Family) -> "FaceMe":
        """Load the method's parts from its family's folder: `faceme/controlnet/` and `faceme/id_encoder.safetensors`.

        Raises:
            WeightsError: the family was never trained for FaceMe, or a file is damaged.
        """
        folder = own_folder(family, cls.name)
        controlnet = load_network(ControlNetModel, folder / "controlnet", family.dtype)
        method = cls(family, controlnet, load_id_encoder(folder / ENCODER))
        method.has_trained_control = True
        return method

    def save(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write the method's parts into the family folder `folder`; the phase `base` has no ControlNet yet."""
        if self.has_trained_control:
            save_network(self.controlnet, folder / self.name / "controlnet", dtype)
        save_id_encoder(self.id_encoder, folder / self.name / ENCODER, dtype)

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
        """Restore aligned squares (RGB, 0..1), each led by its own references. [FaceMe, Inference strategy]

        Guidance moves the prediction from c_text to c_id: 0 ignores the references, 1 follows them, 5 is published.
        """
        yield from sample_squares(self, low, references, settings, guidance, seeds)

    @torch.no_grad()
    def bind(
        self, scheduler: Any, low: Float[Tensor, "b 3 s s"], references: Sequence[References | None], guidance: float
    ) -> Predict:
        """Bind squares, their references and guidance; see `Method.bind`."""
        return self._bind(scheduler, references, guidance, self._control(low.to(self.family.device, self.family.dtype)))

    @torch.no_grad()
    def synthesise(
        self, references: Sequence[References | None], settings: SamplerSettings, guidance: float, seeds: Sequence[int]
    ) -> Iterator[Step]:
        """Draw new pictures of the references' people: the stage-I model without its ControlNet.

        [FaceMe, Training strategy]
        """
        family = self.family
        generators = [generator(seed, "synthesise") for seed in seeds]
        scheduler = make_scheduler(dict(family.scheduler.config), settings.name, settings.steps, family.device)
        nothing = torch.zeros(len(seeds), *family.latent_shape, device=family.device, dtype=family.dtype)
        x_T = start_latent(scheduler, nothing, replace(settings, start="noise", fidelity=0.0), generators)
        yield from sample(self._bind(scheduler, references, guidance, None), scheduler, x_T, generators)

    def _bind(
        self, scheduler: Any, references: Sequence[References | None], guidance: float, control: Tensor | None
    ) -> Predict:
        """Bind prompts, control and guidance, so that the sampler sees a function of x_t and t alone."""
        groups = guided_groups(references, guidance)
        c, bias = self._prompts([item for group in groups for item in group])
        detail = torch.full((len(c),), float(self.family.size), device=self.family.device)
        control_of_each = None if control is None else control.repeat(len(groups), 1, 1, 1)

        def predict(x_t: Tensor, t: Tensor) -> Tensor:
            x = scheduler.scale_model_input(x_t, t).repeat(len(groups), 1, 1, 1)

            def part(i: slice) -> Tensor:
                low = None if control_of_each is None else control_of_each[i]
                return self._predict(x[i], t.expand(len(x[i])), c[i], bias[i], low, detail[i])

            prediction = in_parts(part, len(x), self.family.at_once)
            return prediction if len(groups) == 1 else guide_halves(prediction, guidance)

        return predict

    def _control(self, low: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"]:
        """Bring low pictures to the range that the ControlNet was trained with; the published one's is -1..1."""
        return low * 2 - 1 if self.family.card.quirks.control_range == "signed" else low

    def _prompts(self, references: Sequence[References | None]) -> tuple[Tensor, Tensor]:
        """Build c_id or c_text for each item, padded to one length with tokens of weight 0."""
        words = self.family.prompt.with_face
        built = []
        for item in references:
            if item is None:
                built.append((words, torch.ones(len(words), device=words.device)))
                continue
            tokens = combine(list(self.id_encoder(item.image.to(words), item.recogniser.to(words))))
            built.append(identity_prompt(words, self.family.prompt.face_index, tokens, item.weights))
        c = nn.utils.rnn.pad_sequence([tokens for tokens, _ in built], batch_first=True)
        weights = nn.utils.rnn.pad_sequence([part for _, part in built], batch_first=True)
        return c, log_weights(weights)

    def _predict(
        self, x_t: Tensor, t: Tensor, c: Tensor, bias: Tensor, control: Tensor | None, detail_px: Tensor
    ) -> Tensor:
        """Predict eps (or v) with the ControlNet's residuals; both networks see the same prompt and conditions."""
        shared = {
            "encoder_hidden_states": c,
            "added_cond_kwargs": self.family.added_conditions(detail_px),
            "cross_attention_kwargs": {"token_bias": bias},
            "return_dict": False,
        }
        residuals = {}
        if control is not None:
            down, middle = self.controlnet(x_t, t, controlnet_cond=control, **shared)
            residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        return self.family.unet(x_t, t, **residuals, **shared)[0]

    # -- training --

    def trainable(self, phase: str) -> nn.Module:
        """Freeze everything but what a phase trains, and return that. [FaceMe, Training strategy]

        base: UNet, prompt and identity encoder, no ControlNet; the paper's base knew identity tokens from PhotoMaker.
        stage1: ControlNet and identity encoder together; of these the encoder is kept.
        stage2: the ControlNet alone, the encoder frozen.
        joint: everything, for families that no published prior stands behind.  # ours
        """
        prompt = nn.ParameterDict()
        encoder = self.id_encoder if self.id_encoder.settings.trains_projections else self.id_encoder.mix
        parts: dict[str, dict[str, nn.Module]] = {
            "base": {"unet": self.family.unet, "id_encoder": encoder, "prompt": prompt},
            "stage1": {"controlnet": self.controlnet, "id_encoder": encoder},
            "stage2": {"controlnet": self.controlnet},
        }
        parts["joint"] = parts["base"] | parts["stage1"]
        if phase not in parts:
            raise RecipeError(f"faceme: phase {phase!r} is unknown; use one of {', '.join(parts)}")
        if phase in ("base", "joint"):
            held = self.family.prompt
            prompt.update({"tokens": nn.Parameter(held.with_face), "pooled": nn.Parameter(held.pooled)})
            self.family.prompt = Prompt(prompt["tokens"], prompt["pooled"], held.face_index)
        self.has_trained_control = phase != "base"
        for network in (self.family.unet, self.family.vae, self.controlnet, self.id_encoder):
            network.requires_grad_(False)
        return nn.ModuleDict(parts[phase]).requires_grad_(True)

    def loss(self, batch: TrainBatch, phase: str) -> dict[str, Tensor]:
        """Return the denoising loss of one batch. [FaceMe, Eq. 4]"""
        family, prompt = self.family, self.family.prompt
        x_t, target = noised(family, batch.clean.to(family.device, family.dtype), batch.eps, batch.t)
        t = batch.t.to(x_t.device)
        tokens = self.id_encoder(batch.image.to(x_t), batch.recogniser.to(x_t))
        c, bias = batch_prompts(prompt.with_face, prompt.face_index, tokens, batch.has_reference.to(t.device))
        control, detail_px = self._control(batch.low.to(x_t)), batch.detail_px.to(x_t)
        led = {"base": 0, "joint": math.ceil(CONTROLLED * len(x_t))}.get(phase, len(x_t))  # so many see the low picture
        shown = [(slice(0, led), control[:led]), (slice(led, None), None)]
        parts = [self._predict(x_t[i], t[i], c[i], bias[i], low, detail_px[i]) for i, low in shown if len(x_t[i])]
        prediction = torch.cat(parts)
        denoising = denoising_loss(prediction, target)
        if self.picture_loss is None:
            return {"total": denoising}
        further = self.picture_loss(predicted_clean(family, x_t, prediction.float(), t), batch)
        return {"total": denoising + further, "denoising": denoising, "picture": further}


def batch_prompts(
    prompt: Float[Tensor, "n d"], face_index: int, tokens: Float[Tensor, "b r d"], has_reference: Bool[Tensor, "b r"]
) -> tuple[Float[Tensor, "b m d"], Float[Tensor, "b m"]]:
    """Build the prompts of a training batch in one go: [before, face word, r identity tokens, after].

    Items with references hide the face word, items without them hide the identity tokens, so that each attends to
    exactly the sequence that `identity_prompt` builds for it (attention has no position code, so order is free).
    """
    b, r = has_reference.shape
    words = prompt.expand(b, -1, -1)
    # The r tokens take the places of as many paddings, as in replace_face_token: c_id keeps the prompt's length.
    c = torch.cat([words[:, : face_index + 1], tokens.to(prompt), words[:, face_index + 1 :]], dim=1)
    count = has_reference.sum(1)
    weights = torch.ones(b, c.shape[1], device=prompt.device)
    weights[:, face_index] = (count == 0).float()
    weights[:, face_index + 1 : face_index + 1 + r] = has_reference.float()
    padding = len(prompt) - face_index - 3  # tokens after the full stop and the end
    dropped = (count - 1).clamp(0, max(padding, 0))
    place = torch.arange(c.shape[1], device=prompt.device)
    weights = weights * (place[None] < (c.shape[1] - dropped)[:, None])
    return c, log_weights(weights)


def save_id_encoder(encoder: IDEncoder, path: Path, dtype: torch.dtype) -> None:
    """Write the identity encoder; its settings are the file's metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.to(dtype).contiguous() for name, tensor in encoder.state_dict().items()}
    write_safetensors(tensors, path, {"settings": json.dumps(to_dict(encoder.settings))})


def load_id_encoder(path: Path) -> IDEncoder:
    """Read an identity encoder, strictly.

    Raises:
        WeightsError: missing or damaged, or tensors that do not fit the settings in its metadata.
    """
    tensors, metadata = read_safetensors(path), read_metadata(path)
    try:
        settings = from_dict(FaceMeSettings, json.loads(metadata["settings"]), str(path))
    except (KeyError, json.JSONDecodeError, RecipeError) as error:
        raise WeightsError(f"{path}: its metadata holds no settings of an identity encoder: {error}") from None
    encoder = IDEncoder(settings)
    load_strictly(encoder, tensors, str(path))
    return encoder.eval().requires_grad_(False)
