from pathlib import Path

import pytest

from keepface.train.guided.faces import FaceCrops

from .shards import write_shard


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn people: three with three photos and two with one to train on, two with two photos for validation."""
    folder: Path = tmp_path_factory.mktemp("shards")
    write_shard(folder / "train-drawn-00.parquet", {"a": 3, "b": 3, "c": 3})
    write_shard(folder / "train-drawn-01.parquet", {"d": 1, "e": 1}, first=3)
    write_shard(folder / "val-drawn-00.parquet", {"f": 2, "g": 2}, first=5)
    return folder


@pytest.fixture(scope="session")
def crops(shards: Path) -> FaceCrops:
    return FaceCrops.read(shards, ("train",))
