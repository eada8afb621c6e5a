"""The published systems, by the name they are chosen with."""

from typing import Any

from keepface.methods.faceme import FaceMe, FaceMeSettings
from keepface.methods.method import Defaults, Phase
from keepface.methods.ridfr import PHASES as RIDFR_PHASES
from keepface.methods.ridfr import RIDFR, RIDFRSettings

METHODS: dict[str, Any] = {"faceme": FaceMe, "ridfr": RIDFR}
SETTINGS: dict[str, Any] = {"faceme": FaceMeSettings, "ridfr": RIDFRSettings}
DEFAULTS = {"faceme": Defaults(), "ridfr": Defaults(start="noise", guidance=1.0, temperature=1.0)}
PHASES = {"faceme": {"base": Phase(has_low=False)}, "ridfr": RIDFR_PHASES}  # phases that ask for nothing are left out
