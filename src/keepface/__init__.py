"""Restore the photo, keep the face: personalised face restoration led by other photos of the person."""

import importlib

__version__ = "0.1.0"

_HOMES = {
    "Restorer": "keepface.engine.restorer",
    "RestoreSettings": "keepface.engine.settings",
    "Restoration": "keepface.engine.result",
}

__all__ = ["RestoreSettings", "Restoration", "Restorer", "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that `import keepface` and `keepface --help` load no torch. [PEP 562]"""
    if name not in _HOMES:
        raise AttributeError(f"module 'keepface' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
