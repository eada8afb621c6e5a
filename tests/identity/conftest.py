import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

FACES = Path(__file__).resolve().parents[2].parent / "shared" / "faces"
PEOPLE = 6
SIDE = 256


@pytest.fixture(scope="session")
def people() -> list[list[torch.Tensor]]:
    """Two aligned squares (neutral, smiling) of each of a few people, from the data beside the repository."""
    shard = FACES / "val-london-00.parquet"
    if not shard.exists():
        pytest.skip(f"there is no {shard.name} in shared/faces beside the repository")
    parquet = pytest.importorskip("pyarrow.parquet")
    found: dict[str, list[torch.Tensor]] = {}
    for row in parquet.read_table(shard, columns=["image", "identity"]).to_pylist():
        if row["identity"] in found or len(found) < PEOPLE:
            found.setdefault(row["identity"], []).append(square(row["image"]["bytes"]))
    return list(found.values())


def square(encoded: bytes) -> torch.Tensor:
    """Decode a crop and cut its margin of 1.2 off."""
    image = Image.open(io.BytesIO(encoded)).convert("RGB")
    rim = image.width * (1 - 1 / 1.2) / 2
    image = image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, (rim, rim, image.width - rim, image.height - rim))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
