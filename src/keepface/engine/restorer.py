"""Load a family and a method once, then restore squares and photos as often as wanted."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from keepface.device import choose_device, choose_dtype
from keepface.diffusion.cleaner import FOLDER as CLEANER
from keepface.diffusion.cleaner import Cleaner
from keepface.diffusion.family import Family
from keepface.diffusion.sampler import SamplerSettings
from keepface.engine.colour_fix import COLOUR_FIXES, fix_large
from keepface.engine.matching import People
from keepface.engine.provenance import Options, made_by, mark
from keepface.engine.references import Picture
from keepface.engine.references import References as PersonReferences
from keepface.engine.result import Restoration
from keepface.engine.settings import RestoreSettings
from keepface.engine.whole import Sampling, Tiled, restore_any, sample_tiles
from keepface.errors import RecipeError
from keepface.identity.embed import FeatureCache, IdentityEmbedder, IdentityFeatures
from keepface.identity.recogniser import JUDGE, RECOGNISERS, Recogniser
from keepface.image.colour import wavelet_colour_fix
from keepface.image.size import resize
from keepface.methods import BUNDLED, DEFAULT, METHODS, ONE_PASS, default_method, method_names, sampling_of
from keepface.methods.method import Method, OnePass, Personal, References, ReferenceSet, sample_squares

MANY = 50  # steps of the samplers that need them [FaceMe, Implementation Details]


class Restorer:
    """A method over a family with the frozen networks around it; nothing but these is kept between calls."""

    def __init__(self, method: Method | OnePass, embedder: IdentityEmbedder, judge: Recogniser) -> None:
        self.method, self.embedder, self.judge = method, embedder, judge
        self._leads_all = True  # a person that the method has learned also leads where no references do

    @classmethod
    def from_pretrained(
        cls,
        family: str | Path = BUNDLED,
        method: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        cache: Path | None = None,
        adapter: Path | bytes | None = None,
        low_memory: bool = False,
    ) -> "Restorer":
        """Load a method over a family, which is named by its bundled name, a folder or a hub id.

        The method `guided` has no family: it takes its own weights, or those of the folder that is named instead.

        Args:
            method: guided, faceme, ridfr or pfstorer; `None` is guided, and faceme over a family that is named.
            device: cpu, cuda, cuda:N or mps; `None` takes the fastest there is.
            dtype: float32, bf16 or fp16; `None` is fp16 on CUDA and float32 elsewhere.
            cache: folder that keeps the references' features between calls; `None` keeps none.
            adapter: file, or its bytes, of a person that the method has learned over this family.
            low_memory: for families larger than the device's memory: layers are brought to it one by one, and faces
                and both passes of guidance computed one after the other.

        Raises:
            RecipeError: an unknown method, device or precision.
            WeightsError: the family, the method's part of it or the adapter is missing or damaged, or the adapter was
                learned over another base.
        """
        method = default_method(family) if method is None else method
        if method not in method_names():
            raise RecipeError(f"method {method!r} is unknown; use one of {', '.join(method_names())}")
        place = choose_device(device)
        kept = FeatureCache(cache) if cache else None
        if method in ONE_PASS:
            if dtype not in (None, "float32"):
                raise RecipeError(f"precision is {dtype!r}; method {method!r} computes in float32: leave it out")
            if adapter is not None:
                raise RecipeError(_no_adapters(method))
            folder = None if family == BUNDLED else Path(family)
            return cls(ONE_PASS[method].load(folder, place), IdentityEmbedder.load(kept), RECOGNISERS[JUDGE]())
        loaded = Family.from_pretrained(family, place, choose_dtype(dtype, place), low_memory)
        embedder = IdentityEmbedder.load(kept, loaded)
        restorer = cls(METHODS[method].load(loaded), embedder, RECOGNISERS[JUDGE]())
        if adapter is not None:
            restorer.load_adapter(adapter)
        return restorer

    def load_adapter(self, adapter: Path | bytes) -> None:
        """Load a person's file, or its bytes, in the place of whoever was loaded.

        That person leads from then on, with or without references, as strongly as `settings.identity` says; references
        only choose the face and tell its likeness.

        Raises:
            RecipeError: the method learns nobody.
            WeightsError: it is missing or damaged, or was learned over another base; whoever was loaded stays.
        """
        if not isinstance(self.method, Personal):
            raise RecipeError(_no_adapters(self.method.name))
        self.method.load_adapter(adapter)

    def for_chosen_faces(self) -> "Restorer":
        """Return a restorer over the same networks that takes squares without references for nobody's.

        With it the learned person leads the face that references chose and no other.
        """
        return self._of_chosen_faces if self._leads_all and isinstance(self.method, Personal) else self

    @cached_property
    def _of_chosen_faces(self) -> "Restorer":
        other = Restorer(self.method, self.embedder, self.judge)
        other._leads_all = False
        return other

    @property
    def size(self) -> int:
        """Return the side of the method's square in pixels."""
        return self.method.size if isinstance(self.method, OnePass) else self.method.family.size

    @cached_property
    def cleaner(self) -> Cleaner:
        """Return the family's pre-cleaner, loaded when it is first asked for; a `WeightsError` if there is none."""
        assert not isinstance(self.method, OnePass), "a one-pass method needs no pre-cleaner"
        return Cleaner.load(self.method.family)

    def cleans(self, settings: RestoreSettings, by_tiles: bool = False) -> bool:
        """Tell whether the pre-cleaner runs first: as asked, else as the family learned this method.

        Tiles are cleaned only where that is asked for: pre-cleaners learn on faces, and draw them into blurred tiles of
        anything.
        """
        if isinstance(self.method, OnePass):
            return False
        if settings.clean is None:
            return not by_tiles and self.method.name in self.method.family.card.cleaned
        return settings.clean

    def steps(self, settings: RestoreSettings) -> int:
        """Return how many steps a face takes: as asked, else the method's or the family's own number; or the one."""
        if isinstance(self.method, OnePass):
            return 1
        if settings.sampler != "unipc":
            return settings.steps or MANY
        return settings.steps or sampling_of(self.method.family.card, self.method.name).steps

    def restore(
        self,
        photo: Picture,
        references: PersonReferences | People | Sequence[Picture] = (),
        settings: RestoreSettings = RestoreSettings(),  # noqa: B008 - frozen
        seed: int = 0,
        is_aligned: bool | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Restoration:
        """Restore one photo led by other photos of its person; see `keepface.engine.whole.restore_any`.

        The result says in its XMP that a model painted in it; see `keepface.engine.provenance`.
        """
        restoration = restore_any(self, photo, references, settings, seed, is_aligned, progress)
        return mark(restoration, made_by(self.method), Options(settings, seed, is_aligned))

    def clean_squares(self, low: Float[Tensor, "b 3 s s"]) -> Float[Tensor, "b 3 s s"] | None:
        """Clean squares (RGB, 0..1) and draw nothing anew; `None` for a family without a pre-cleaner.

        A one-pass method restores them by the photo alone.
        """
        if isinstance(self.method, OnePass):
            return self.method.restore_squares(low, [ReferenceSet()] * len(low))
        folder = self.method.family.folder
        if folder is None or not (folder / CLEANER).is_dir():
            return None
        return wavelet_colour_fix(self.cleaner.clean(low), low.float().cpu()).clamp(0, 1)

    def enlarge_square(
        self,
        low: Float[Tensor, "3 s s"],
        references: Sequence[IdentityFeatures],
        weights: Sequence[float],
        settings: RestoreSettings,
        side: int,
    ) -> Float[Tensor, "3 t t"] | None:
        """Restore a square at `side` px with the references' finer detail, which is weaker with more fidelity.

        `None` for other methods, and where references guide at less than their full strength.
        """
        strengths = [settings.identity * weight for weight in weights]
        if not isinstance(self.method, OnePass) or max(strengths, default=0.0) < 1.0:
            return None
        made = self.method.restore_large(low, ReferenceSet(tuple(references), tuple(strengths)), side)
        return torch.lerp(made, resize(low.float().cpu(), (side, side), "bicubic"), settings.fidelity or 0.0)

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

        Item i depends on its own picture, references and seed alone, whatever it is batched with. Where `cleans` says
        so the method is shown cleaned squares; colours still come from the squares as given.

        Args:
            references: one sequence an item; an empty one restores without identity, or by whoever the method learned.
            weights: 0..1 for each reference; `None` is 1 for all. `settings.identity` scales them all.

        Raises:
            WeightsError: the family has no pre-cleaner, and `settings.clean` asks for it.
        """
        given = weights if weights is not None else [[1.0] * len(items) for items in references]
        if isinstance(self.method, OnePass):
            sets = [
                ReferenceSet(tuple(items), tuple(settings.identity * weight for weight in own))
                for items, own in zip(references, given, strict=True)
            ]
            _refuse_sampling(self.method.name, settings)
            return self.method.restore_squares(low, sets, settings.fidelity or 0.0)
        shown = self.cleaner.clean(low) if self.cleans(settings) else low
        people = [self._led_by(*item, settings.identity) for item in zip(references, given, strict=True)]
        sampler, guidance = self._sampler(settings)
        structure = self._structure(low, references, given, settings)
        asked = (shown, people, sampler, guidance, seeds)
        steps = self.method.restore(*asked) if structure is None else sample_squares(self.method, *asked, structure)
        for step in steps:
            if progress:
                progress(step.index, step.total)
        restored = self.method.family.decode(step.x_t)
        return COLOUR_FIXES[settings.colour](restored, low.float().cpu()).clamp(0, 1)

    def _structure(
        self,
        low: Float[Tensor, "b 3 s s"],
        references: Sequence[Sequence[IdentityFeatures]],
        weights: Sequence[Sequence[float]],
        settings: RestoreSettings,
    ) -> Float[Tensor, "b 3 s s"] | None:
        """Return the squares that sampling starts from; `None` for the degraded squares themselves."""
        if settings.structure == "photo":
            return None
        assert not isinstance(self.method, OnePass), "refused before"
        if sampling_of(self.method.family.card, self.method.name).start != "low":
            raise RecipeError(
                f"structure is {settings.structure!r}, and method {self.method.name!r} starts from noise; leave "
                "--structure out, or choose --method faceme"
            )
        sets = [ReferenceSet(tuple(items), tuple(own)) for items, own in zip(references, weights, strict=True)]
        large = resize(low.float().cpu(), (self._guided.size, self._guided.size), "bicubic")
        return resize(self._guided.restore_squares(large, sets), (self.size, self.size), "bicubic")

    @cached_property
    def _guided(self) -> OnePass:
        one_pass: OnePass = ONE_PASS[DEFAULT].load()
        return one_pass

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

        Of the family's size it is what `restore_squares` gives with the same `settings.clean`, `None` being False here.
        """
        if isinstance(self.method, OnePass):
            raise RecipeError(
                f"method {self.method.name!r} restores upright face squares, and no tiles; leave out --tile"
            )
        given = weights if weights is not None else [1.0] * len(references)
        led_by = self._led_by(references, given, settings.identity)
        sampling = Sampling(*self._sampler(settings), settings.tile_overlap, settings.tile_batch)
        is_cleaned = self.cleans(settings, by_tiles=True)
        shown = self.cleaner.clean_large(low, self.size, settings.tile_batch) if is_cleaned else low
        tiled = sample_tiles(self.method, shown, led_by, sampling, seed, progress)
        fix_large(settings.colour, tiled.pixels, low.float().cpu())
        return tiled

    def _led_by(
        self, items: Sequence[IdentityFeatures], weights: Sequence[float], strength: float
    ) -> References | None:
        """Return what leads a square: the person that the method learned, else its references."""
        if isinstance(self.method, Personal) and self.method.has_person:
            return References.learned(strength) if items or self._leads_all else None
        return References.stack([item.vectors for item in items], [weight * strength for weight in weights])

    def _sampler(self, settings: RestoreSettings) -> tuple[SamplerSettings, float]:
        """Return how to sample, and with what guidance."""
        assert not isinstance(self.method, OnePass), "a one-pass method draws no samples"
        own = sampling_of(self.method.family.card, self.method.name)
        temperature = own.temperature if settings.temperature is None else settings.temperature
        fidelity = own.fidelity if settings.fidelity is None else settings.fidelity
        sampler = SamplerSettings(settings.sampler, self.steps(settings), own.start, temperature, fidelity)
        return sampler, own.guidance if settings.guidance is None else settings.guidance


def _no_adapters(method: str) -> str:
    fitting = [name for name, kind in METHODS.items() if hasattr(kind, "load_adapter")]
    return f"method {method!r} is led by references, not by adapters: --method {' or '.join(fitting)}"


def _refuse_sampling(method: str, settings: RestoreSettings) -> None:
    """Refuse settings that only a method which draws samples can follow."""
    asked = [name for name in ("steps", "guidance", "temperature") if getattr(settings, name) is not None]
    asked += [
        name
        for name, is_asked in (
            ("sampler", settings.sampler != "unipc"),
            ("clean", settings.clean),
            ("structure", settings.structure != "photo"),
        )
        if is_asked
    ]
    if asked:
        raise RecipeError(
            f"{' and '.join(asked)}: method {method!r} makes its result in one pass and has no such setting; leave it "
            "out, or choose --method faceme"
        )
