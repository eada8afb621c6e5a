"""The published systems, by the name they are chosen with."""

from typing import Any

from keepface.methods.faceme import FaceMe, FaceMeSettings
from keepface.methods.method import Defaults, Phase
from keepface.methods.pfstorer import PHASES as PFSTORER_PHASES
from keepface.methods.pfstorer import PFStorer, PFStorerSettings
from keepface.methods.ridfr import PHASES as RIDFR_PHASES
from keepface.methods.ridfr import RIDFR, RIDFRSettings

METHODS: dict[str, Any] = {"faceme": FaceMe, "ridfr": RIDFR, "pfstorer": PFStorer}
SETTINGS: dict[str, Any] = {"faceme": FaceMeSettings, "ridfr": RIDFRSettings, "pfstorer": PFStorerSettings}
DEFAULTS = {
    "faceme": Defaults(),
    "ridfr": Defaults(start="noise", steps=20, guidance=1.0, temperature=1.0, fidelity=0.0),
    "pfstorer": Defaults(steps=20, guidance=1.0, temperature=1.0, fidelity=0.0, takes_any_crop=True),
}
PHASES = {  # phases that ask for nothing are left out
    "faceme": {"base": Phase(has_low=False)},
    "ridfr": RIDFR_PHASES,
    "pfstorer": PFSTORER_PHASES,
}
