from pathlib import Path

import pytest

from keepface.data.prepare import Pack, prepare

from .drawn_faces import DrawnSource, MeanColour

PEOPLE = ["ann", "bob", "ann", "cy", "ann", "bob", "dee", "ann", "ann", "eve"]


@pytest.fixture(scope="session")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Pack:
    folder: Path = tmp_path_factory.mktemp("packs") / "drawn"
    return prepare(DrawnSource(PEOPLE), folder, 64, MeanColour(), variants=2)
