"""The three small networks that find faces, and what turns their numbers into boxes and points.

    Zhang et al. 2016, "Joint Face Detection and Alignment using Multi-task Cascaded Convolutional Networks"  [MTCNN]

P-Net looks through a 12 px window at every scale of an image pyramid; R-Net looks at what it proposes in 24 px, O-Net
at what is left in 48 px, and gives the five points. Boxes here are half-open: left, top, right, bottom in pixels, with
left = 0 at the picture's edge. Pictures are `h w 3` arrays, RGB, -1 to 1 (`to_network`).
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float, Int

from keepface.errors import WeightsError
from keepface.faces.padding import pad_behind
from keepface.weights.store import find

P_CELL, P_STRIDE = 12, 2  # P-Net's window and the step between windows, in pixels of the scaled picture
R_SIDE, O_SIDE = 24, 48
PYRAMID = 0.709  # from one scale to the next: half the area  [MTCNN, Sec. III]
NMS_SCALE, NMS_PROPOSALS, NMS_FINAL = 0.5, 0.7, 0.7  # overlaps above which the weaker box goes
BATCH = 256  # crops looked at together; bounds the memory, changes nothing

Boxes = Float[np.ndarray, "n 4"]
Scores = Float[np.ndarray, "n"]
Picture = Float[np.ndarray, "h w 3"]


@dataclass(frozen=True, eq=False)
class Found:
    """Hold what one pass found: boxes, scores 0 to 1, and five (x, y) points each, pixel centres at whole numbers."""

    boxes: Float[np.ndarray, "n 4"]
    scores: Float[np.ndarray, "n"]
    points: Float[np.ndarray, "n 5 2"]

    def __getitem__(self, keep: np.ndarray) -> "Found":
        return Found(self.boxes[keep], self.scores[keep], self.points[keep])


@dataclass(frozen=True)
class Thresholds:
    """Say how sure each network must be for a box to go on. [MTCNN; values of its authors' code]"""

    proposal: float = 0.6
    refinement: float = 0.7
    output: float = 0.7


class Cascade:
    """Run P-, R- and O-Net one after the other; one object may serve several threads. [MTCNN, Sec. II]"""

    def __init__(self) -> None:
        self._p_net = _Network(find("mtcnn-pnet"), ("conv2d_4", "softmax"))
        self._r_net = _Network(find("mtcnn-rnet"), ("dense_2", "softmax_1"))
        self._o_net = _Network(find("mtcnn-onet"), ("dense_5", "dense_6", "softmax_2"))

    def find(self, picture: Picture, min_face_px: float, thresholds: Thresholds) -> Found:
        """Find the faces of at least `min_face_px` pixels in one upright picture."""
        boxes = self.propose(picture, min_face_px, thresholds.proposal)
        boxes = self.refine(picture, boxes, thresholds.refinement)
        return self.output(picture, boxes, thresholds.output)

    def propose(self, picture: Picture, min_face_px: float, threshold: float) -> Boxes:
        """Slide P-Net over the pyramid; give square boxes on whole pixels."""
        boxes, scores, moves = [np.zeros((0, 4))], [np.zeros(0)], [np.zeros((0, 4))]
        for size in pyramid(picture.shape[:2], min_face_px):
            scaled = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
            # The networks were trained on pictures with x before y: transpose in, transpose out.
            move, chance = self._p_net(scaled.transpose(1, 0, 2)[None])
            factor = np.array(picture.shape[1::-1]) / np.array(size[::-1])
            cells, score, move = _cells(chance[0, :, :, 1], move[0], threshold, factor)
            keep = suppress(cells, score, NMS_SCALE)
            boxes.append(cells[keep])
            scores.append(score[keep])
            moves.append(move[keep])
        box, score, move = np.concatenate(boxes), np.concatenate(scores), np.concatenate(moves)
        keep = suppress(box, score, NMS_PROPOSALS)
        return squared(moved(box[keep], move[keep]))

    def refine(self, picture: Picture, boxes: Boxes, threshold: float) -> Float[np.ndarray, "left 4"]:
        """Let R-Net drop and move boxes."""
        if not len(boxes):
            return boxes
        move, chance = self._r_net(crops(picture, boxes, R_SIDE))
        sure = chance[:, 1] > threshold
        boxes, score, move = boxes[sure], chance[sure, 1], move[sure]
        keep = suppress(boxes, score, NMS_PROPOSALS)
        return squared(moved(boxes[keep], move[keep]))

    def output(self, picture: Picture, boxes: Boxes, threshold: float) -> Found:
        """Let O-Net drop and move boxes, and place the points."""
        seen = self.look(picture, boxes)
        seen = seen[seen.scores > threshold]
        return seen[suppress(seen.boxes, seen.scores, NMS_FINAL, "smaller")]

    def look(self, picture: Picture, boxes: Boxes) -> Found:
        """Give O-Net's box, score and points for each square box, dropping none."""
        if not len(boxes):
            return Found(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
        move, point, chance = self._o_net(crops(picture, boxes, O_SIDE))
        share = point.reshape(-1, 2, 5).transpose(0, 2, 1)  # n 5 (x y), 0 to 1 in the box
        sides = boxes[:, 2:] - boxes[:, :2]
        points = boxes[:, None, :2] + share * sides[:, None] - 0.5  # from edges to pixel centres
        return Found(moved(boxes, move), chance[:, 1].astype(np.float64), points)


class _Network:
    """Run one ONNX file; OpenCV's networks keep state, so one thread at a time."""

    def __init__(self, path: Path, outputs: tuple[str, ...]) -> None:
        try:
            self._net = cv2.dnn.readNetFromONNX(np.frombuffer(pad_behind(path.read_bytes()), dtype=np.uint8))
        except (OSError, ValueError, cv2.error) as error:
            raise WeightsError(f"{path}: OpenCV {cv2.__version__} can't read this network: {error}") from None
        self._outputs = list(outputs)
        self._lock = threading.Lock()

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """Run `n x y 3` in parts of BATCH; give the outputs, whole."""
        parts = []
        with self._lock:
            for start in range(0, len(batch), BATCH):
                self._net.setInput(np.ascontiguousarray(batch[start : start + BATCH], dtype=np.float32))
                parts.append([np.array(item) for item in self._net.forward(self._outputs)])
        return [np.concatenate(items) for items in zip(*parts, strict=True)]


def to_network(picture: Picture) -> Picture:
    """Bring 0..1 to the networks' range, (value - 127.5) / 128 of 8-bit values. [values of MTCNN's code]"""
    scaled: Picture = ((picture * 255 - 127.5) / 128).astype(np.float32)
    return scaled


def pyramid(shape: Sequence[int], min_face_px: float) -> list[tuple[int, int]]:
    """List the (height, width) at which faces of min_face_px, 1.41 min_face_px, ... fill P-Net's window.

    Sides are even, so that no pooling has to pad.
    """
    sizes, scale = [], P_CELL / min_face_px
    while min(shape) * scale >= P_CELL:
        sizes.append((2 * int(np.ceil(shape[0] * scale / 2)), 2 * int(np.ceil(shape[1] * scale / 2))))
        scale *= PYRAMID
    return sizes


def moved(boxes: Boxes, moves: Boxes) -> Boxes:
    """Shift each edge by its share of the box's side. [MTCNN, Eq. 2]"""
    sides = boxes[:, 2:] - boxes[:, :2]
    result: Boxes = boxes + moves * np.concatenate([sides, sides], axis=1)
    return result


def squared(boxes: Boxes) -> Boxes:
    """Grow each box to a square on whole pixels around its middle."""
    sides = boxes[:, 2:] - boxes[:, :2]
    side = np.maximum(np.round(sides.max(axis=1, keepdims=True)), 1)
    start = np.round((boxes[:, :2] + boxes[:, 2:] - side) / 2)
    return np.concatenate([start, start + side], axis=1)


def suppress(
    boxes: Boxes, scores: Scores, overlap: float, against: Literal["union", "smaller"] = "union"
) -> Int[np.ndarray, "m"]:
    """Give the indices that stay, strongest first, when boxes that overlap a stronger one too far are dropped.

    The overlap is the common area over that of the `union`, or over that of the `smaller` box.
    """
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    left = np.argsort(-scores, kind="stable")
    keep = []
    while len(left):
        best, left = left[0], left[1:]
        keep.append(best)
        low, high = np.maximum(boxes[best, :2], boxes[left, :2]), np.minimum(boxes[best, 2:], boxes[left, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        whole = area[best] + area[left] - common if against == "union" else np.minimum(area[best], area[left])
        left = left[common <= overlap * whole]
    return np.array(keep, dtype=np.int64)


def crops(picture: Picture, boxes: Boxes, side: int) -> Float[np.ndarray, "n {side} {side} 3"]:
    """Cut square boxes on whole pixels, zero beyond the picture, averaged or enlarged to `side`, x before y."""
    height, width = picture.shape[:2]
    result = np.zeros((len(boxes), side, side, 3), dtype=np.float32)
    for index, (left, top, right, bottom) in enumerate(boxes.astype(np.int64)):
        part = np.zeros((bottom - top, right - left, 3), dtype=np.float32)
        x_0, x_1 = max(left, 0), min(right, width)
        y_0, y_1 = max(top, 0), min(bottom, height)
        if x_0 < x_1 and y_0 < y_1:
            part[y_0 - top : y_1 - top, x_0 - left : x_1 - left] = picture[y_0:y_1, x_0:x_1]
        result[index] = cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA).transpose(1, 0, 2)
    return result


def _cells(
    chance: Float[np.ndarray, "x y"], move: Float[np.ndarray, "x y 4"], threshold: float, factor: Float[np.ndarray, "2"]
) -> tuple[Boxes, Scores, Boxes]:
    """Turn P-Net's map into boxes of the picture; `factor` is picture over scaled picture, for x and y."""
    x, y = np.nonzero(chance >= threshold)
    start = P_STRIDE * np.stack([x, y], axis=1)
    boxes = np.concatenate([start * factor, (start + P_CELL) * factor], axis=1)
    return boxes, chance[x, y].astype(np.float64), move[x, y].astype(np.float64)
