"""Load a family and a method once, then restore squares and photos as often as wanted."""

from collections.abc import Callable, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from keepface.device import choose_device, choose_dtype
from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings
from keepface.engine.photo import restore_photo
from keepface.engine.references import Picture
from keepface.engine.references import References as PersonReferences
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.errors import RecipeError
from keepface.identity.embed import FeatureCache, IdentityEmbedder, IdentityFeatures
from keepface.identity.recogniser import JUDGE, RECOGNISERS, Recogniser
from keepface.image.colour import adain_colour_fix, wavelet_colour_fix
from keepface.methods import DEFAULTS, METHODS
from keepface.methods.method import Defaults, Method, References

ColourFix = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]], Float[Tensor, "b 3 h w"]]
COLOUR_FIXES: dict[str, ColourFix] = {
    "wavelet": wavelet_colour_fix,
    "adain": adain_colour_fix,
    "none": lambda restored, _: restored,
}


class Restorer:
    """A method over a family with the frozen networks around it; it keeps no state between calls."""

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

    def restore(
        self,
        photo: Picture,
        references: PersonReferences | Sequence[Picture] = (),
        settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
        seed: int = 0,
        is_aligned: bool | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Restoration:
        """Restore one photo led by other photos of its person; see `keepface.engine.photo.restore_photo`."""
        return restore_photo(self, photo, references, settings, seed, is_aligned, progress)

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

        Item i depends on its own picture, references and seed alone, whatever it is batched with.

        Args:
            references: one sequence an item; an empty one restores without identity.
            weights: 0..1 for each reference; `None` is 1 for all. `settings.identity` scales them all.
        """
        given = weights if weights is not None else [[1.0] * len(items) for items in references]
        people = [
            References.stack([item.vectors for item in items], [w * settings.identity for w in scale])
            for items, scale in zip(references, given, strict=True)
        ]
        card, own = self.method.family.card, DEFAULTS.get(self.method.name, Defaults())
        guidance = _chosen(settings.guidance, own.guidance, card.guidance)
        temperature = _chosen(settings.temperature, own.temperature, card.temperature)
        sampler = SamplerSettings(settings.sampler, settings.steps, own.start, temperature, settings.fidelity)
        for step in self.method.restore(low, people, sampler, guidance, seeds):
            if progress:
                progress(step.index, step.total)
        restored = self.method.family.decode(step.x_t)
        return COLOUR_FIXES[settings.colour](restored, low.float().cpu()).clamp(0, 1)


def _chosen(call: float | None, method: float | None, family: float) -> float:
    """Take the call's value, else the method's own, else the family's."""
    return next((value for value in (call, method) if value is not None), family)
