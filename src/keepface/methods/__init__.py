"""The methods, by the name they are chosen with: the published systems over a diffusion family, and `guided`."""

from pathlib import Path
from typing import Any

from keepface.diffusion.family import FamilyCard, OwnSampling
from keepface.methods.faceme import FaceMe, FaceMeSettings
from keepface.methods.guided.files import WEIGHTS
from keepface.methods.guided.guided import Guided
from keepface.methods.method import Defaults, Phase, Sampling
from keepface.methods.pfstorer import PHASES as PFSTORER_PHASES
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.methods.ridfr import PHASES as RIDFR_PHASES
from keepface.methods.ridfr import RIDFR, RIDFRSettings

METHODS: dict[str, Any] = {"faceme": FaceMe, "ridfr": RIDFR, "pfstorer": PFStorer}
ONE_PASS: dict[str, Any] = {"guided": Guided}  # methods that need no family
DEFAULT = "guided"
BUNDLED = "compact"  # the family that comes with the package
SETTINGS: dict[str, Any] = {"faceme": FaceMeSettings, "ridfr": RIDFRSettings, "pfstorer": PFStorerSettings}
DEFAULTS = {
    "faceme": Defaults(),
    "ridfr": Defaults(start="noise", guidance=1.0),
    "pfstorer": Defaults(guidance=1.0, takes_any_crop=True),
}
PHASES = {  # phases that ask for nothing are left out
    "faceme": {"base": Phase(has_low=False)},
    "ridfr": RIDFR_PHASES,
    "pfstorer": PFSTORER_PHASES,
}


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, the default first."""
    return (*ONE_PASS, *METHODS)


def title_of(name: str) -> str:
    """Return a method's name as tables show it."""
    title: str = {**ONE_PASS, **METHODS}[name].__name__
    return title


def default_method(family: str | Path) -> str:
    """Return the method where none is named: `guided`; over a diffusion family that is named, FaceMe."""
    return DEFAULT if str(family) == BUNDLED or (Path(family) / WEIGHTS).is_file() else "faceme"


def sampling_of(card: FamilyCard, name: str) -> Sampling:
    """Settle how a method samples over a family: what the card says of the method, else the method, else the card."""
    method = DEFAULTS.get(name, Defaults())
    told = (card.by_method.get(name, OwnSampling()), method, card)

    def first(key: str) -> Any:
        return next(value for value in (getattr(item, key) for item in told) if value is not None)

    return Sampling(method.start, first("steps"), first("guidance"), first("temperature"), first("fidelity"))
