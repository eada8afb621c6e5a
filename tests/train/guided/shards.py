"""Parquet shards of drawn faces, in the columns of real ones."""

from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
from pyarrow import parquet

from keepface.image.files import to_uint8

from ...toy import POINTS, draw_face

SIDE = 308  # px of a crop, whose middle is a square of 256 px


def write_shard(path: Path, people: dict[str, int], first: int = 0, native_px: float = 400.0) -> None:
    """Write crops of drawn people, so many photos of each."""
    rows = []
    for number, (identity, photos) in enumerate(people.items(), first):
        for photo in range(photos):
            pixels = to_uint8(draw_face(number, photo, SIDE))
            encoded = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
            rows.append(
                {
                    "image": {"bytes": encoded, "path": None},
                    "identity": identity,
                    "source": "drawn" if photos > 1 else "single",
                    "native_px": native_px,
                    "inside": 1.0,
                    "landmarks": (POINTS * SIDE).astype(np.float32).ravel().tolist(),
                }
            )
    parquet.write_table(pa.Table.from_pylist(rows), path)
