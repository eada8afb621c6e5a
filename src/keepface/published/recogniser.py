"""A published recogniser as part of a family: insightface's file as it is, once its vectors fit."""

import shutil
from pathlib import Path

from keepface.errors import WeightsError
from keepface.identity.arcface import FILES, ArcFace


def copy_recogniser(pack: str, source: Path, folder: Path, dim: int) -> None:
    """Copy the recogniser of an insightface pack into a new folder.

    Raises:
        WeightsError: it is damaged, or its vectors have other than `dim` values.
    """
    folder.mkdir()
    shutil.copyfile(source, folder / FILES[pack])
    if (found := ArcFace(pack, folder).dim) != dim:
        raise WeightsError(f"{source}: its vectors have {found} values; the method's identity part takes {dim}")
