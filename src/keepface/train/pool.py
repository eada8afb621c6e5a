"""From a prepared pack and a trained family to the pack with its pool of references."""

from dataclasses import dataclass
from pathlib import Path

from keepface.data.likeness import PersonJudge
from keepface.data.pool_pack import PoolParts, PoolSummary, write_pool
from keepface.data.pools import LandmarkPose, PoolSettings
from keepface.data.prepare import Pack, Progress
from keepface.device import choose_device, choose_dtype
from keepface.diffusion.family import Family
from keepface.errors import DataError, RecipeError, WeightsError
from keepface.faces.detect import Detector
from keepface.identity.crop_features import CropFeatures
from keepface.identity.recogniser import JUDGE, RECOGNISERS
from keepface.methods import METHODS, SETTINGS
from keepface.train.synthesiser import Generative, MethodSynthesiser, SynthesisSettings


@dataclass(frozen=True)
class PoolRun:
    """A pool's settings: which published system draws, how it draws, and what is good enough."""

    method: str
    pool: PoolSettings = PoolSettings()
    synthesis: SynthesisSettings = SynthesisSettings()
    device: str | None = None  # `None` takes the fastest there is


def run_pool(
    pack_folder: Path, out: Path, family: str | Path, run: PoolRun, progress: Progress | None = None
) -> PoolSummary:
    """Write a pack whose rows are the old ones and the synthesised references that passed.

    The judge is a recogniser that does not lead the model. The same call goes on where it was stopped.

    Raises:
        DataError: no pack, one without features, or squares of another size than the family's.
        OutputExistsError: `out` holds something else, or a pool with other settings.
        RecipeError: an unknown method or device, or a setting out of range.
        WeightsError: the family is missing, damaged, or not trained as far as the settings need.
    """
    pack = Pack(pack_folder)
    device = choose_device(run.device)
    loaded = Family.from_pretrained(family, device, choose_dtype(None, device))
    if pack.size != loaded.size:
        raise DataError(
            f"{pack_folder}: squares of {pack.size} px; the family needs {loaded.size}: "
            f"keepface data prepare SOURCE OUT --size {loaded.size}"
        )
    method = load_generator(run.method, loaded, run.synthesis)
    parts = PoolParts(
        synthesiser=MethodSynthesiser(method, pack, run.synthesis),
        judge=PersonJudge(pack, RECOGNISERS[JUDGE](), Detector()),
        features=CropFeatures.load(device),
        estimator=LandmarkPose(),
    )
    return write_pool(pack, out, parts, run.pool, progress)


def load_generator(name: str, family: Family, settings: SynthesisSettings) -> Generative:
    """Load a method as far as the settings need it: from noise alone, a family that has no ControlNet yet will do.

    Raises:
        RecipeError: the method is unknown, or draws no faces from noise alone.
        WeightsError: the family was not trained for it, or not as far as this.
    """
    if name not in METHODS:
        raise RecipeError(f"method {name!r} is unknown; use one of {', '.join(METHODS)}")
    drawing = [known for known, method in METHODS.items() if hasattr(method, "synthesise")]
    if name not in drawing:
        raise RecipeError(f"method {name!r} draws no new faces; use one of {', '.join(drawing)}")
    if family.folder is None or not (family.folder / name).is_dir():
        raise WeightsError(f"family {family.card.name!r} has no {name} weights; train them: keepface train")
    if settings.pose_strength == 0:
        fresh: Generative = METHODS[name].begin(family, SETTINGS[name](), seed=0)
        return fresh
    try:
        loaded: Generative = METHODS[name].load(family)
        return loaded
    except WeightsError as error:
        raise WeightsError(f"{error}; poses need the family's ControlNet, do without: --pose-strength 0") from None
