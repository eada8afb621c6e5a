"""Load a family and a method once, then restore squares and photos as often as wanted."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from keepface.device import choose_device, choose_dtype
from keepface.diffusion.cleaner import Cleaner
from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings
from keepface.engine.colour_fix import COLOUR_FIXES, fix_large
from keepface.engine.matching import People
from keepface.engine.references import Picture
from keepface.engine.references import References as PersonReferences
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import Sampling, Tiled, restore_any, sample_tiles
from keepface.errors import RecipeError
from keepface.identity.embed import FeatureCache, IdentityEmbedder, IdentityFeatures
from keepface.identity.recogniser import JUDGE, RECOGNISERS, Recogniser
from keepface.methods import DEFAULTS, METHODS
from keepface.methods.method import Defaults, Method, References


class Restorer:
    """A method over a family with the frozen networks around it; nothing but these is kept between calls."""

    def __init__(self, method: Method, embedder: IdentityEmbedder, judge: Recogniser) -> None:
        self.method, self.embedder, self.judge = method, embedder, judge

    @classmethod
    def from_pretrained(
        cls,
        family: str | Path = "compact",
        method: str = "faceme",
        device: str | None = None,
        dtype: str | None = None,
        cache: Path | None = None,
    ) -> "Restorer":
        """Load a family by its bundled name, a folder or a hub id.

        Args:
            device: cpu, cuda, cuda:N or mps; `None` takes the fastest there is.
            dtype: float32, bf16 or fp16; `None` is fp16 on CUDA and float32 elsewhere.
            cache: folder that keeps the references' features between calls; `None` keeps none.

        Raises:
            RecipeError: an unknown method, device or precision.
            WeightsError: the family or the method's part of it is missing or damaged.
        """
        if method not in METHODS:
            raise RecipeError(f"method {method!r} is unknown; use one of {', '.join(METHODS)}")
        place = choose_device(device)
        loaded = Family.from_pretrained(family, place, choose_dtype(dtype, place))
        embedder = IdentityEmbedder.load(FeatureCache(cache) if cache else None)
        return cls(METHODS[method].load(loaded), embedder, RECOGNISERS[JUDGE]())

    @property
    def size(self) -> int:
        """Return the side of the family's square in pixels."""
        return self.method.family.size

    @cached_property
    def cleaner(self) -> Cleaner:
        """Return the family's pre-cleaner, loaded when it is first asked for; a `WeightsError` if there is none."""
        return Cleaner.load(self.method.family)

    def restore(
        self,
        photo: Picture,
        references: PersonReferences | People | Sequence[Picture] = (),
        settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
        seed: int = 0,
        is_aligned: bool | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Restoration:
        """Restore one photo led by other photos of its person; see `keepface.engine.whole.restore_any`."""
        return restore_any(self, photo, references, settings, seed, is_aligned, progress)

    def restore_squares(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[Sequence[IdentityFeatures]],
        settings: RestoreSettings,
        seeds: Sequence[int],
        weights: Sequence[Sequence[float]] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float[Tensor, "b 3 s s"]:
        """Restore aligned squares of the family's size (RGB, 0..1), each led by its own references.

        Item i depends on its own picture, references and seed alone, whatever it is batched with. With
        `settings.clean` the method is shown cleaned squares; colours still come from the squares as given.

        Args:
            references: one sequence an item; an empty one restores without identity.
            weights: 0..1 for each reference; `None` is 1 for all. `settings.identity` scales them all.

        Raises:
            WeightsError: the family has no pre-cleaner, and `settings.clean` asks for it.
        """
        shown = self.cleaner.clean(low) if settings.clean else low
        given = weights if weights is not None else [[1.0] * len(items) for items in references]
        people = [
            References.stack([item.vectors for item in items], [w * settings.identity for w in scale])
            for items, scale in zip(references, given, strict=True)
        ]
        sampler, guidance = self._sampler(settings)
        for step in self.method.restore(shown, people, sampler, guidance, seeds):
            if progress:
                progress(step.index, step.total)
        restored = self.method.family.decode(step.x_t)
        return COLOUR_FIXES[settings.colour](restored, low.float().cpu()).clamp(0, 1)

    def restore_tiles(
        self,
        low: Float[Tensor, "3 h w"],
        references: Sequence[IdentityFeatures],
        settings: RestoreSettings,
        seed: int,
        weights: Sequence[float] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Tiled:
        """Restore a picture of any size (RGB, 0..1) by tiles, all of them led by the same references.

        Of the family's size it is what `restore_squares` gives.
        """
        given = weights if weights is not None else [1.0] * len(references)
        led_by = References.stack([item.vectors for item in references], [w * settings.identity for w in given])
        sampling = Sampling(*self._sampler(settings), settings.tile_overlap, settings.tile_batch)
        shown = self.cleaner.clean_large(low, self.size, settings.tile_batch) if settings.clean else low
        tiled = sample_tiles(self.method, shown, led_by, sampling, seed, progress)
        fix_large(settings.colour, tiled.pixels, low.float().cpu())
        return tiled

    def _sampler(self, settings: RestoreSettings) -> tuple[SamplerSettings, float]:
        """Return how to sample, and with what guidance."""
        card, own = self.method.family.card, DEFAULTS.get(self.method.name, Defaults())
        guidance = _chosen(settings.guidance, own.guidance, card.guidance)
        temperature = _chosen(settings.temperature, own.temperature, card.temperature)
        return SamplerSettings(settings.sampler, settings.steps, own.start, temperature, settings.fidelity), guidance


def _chosen(call: float | None, method: float | None, family: float) -> float:
    """Take the call's value, else the method's own, else the family's."""
    return next((value for value in (call, method) if value is not None), family)
