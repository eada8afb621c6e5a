"""Find faces in photos as people have them: small, blurred, grey, lying on their side.

One pass of the cascade (mtcnn.py) finds upright faces. Where it is sure of none, the ladder tries, in this order: the
photo at twice the scale, a blurred copy (noise hides faces from the networks), and the photo turned by quarters. Each
face found is looked at once more, upright and mirrored, which takes away what a tilted head adds to its points' error.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from keepface.faces.align import transform, warp
from keepface.faces.face import Face
from keepface.faces.mtcnn import O_SIDE, Cascade, Found, Picture, Thresholds, to_network

MIRRORED = [1, 0, 2, 4, 3]  # where each of the five points is in a mirrored face


@dataclass(frozen=True)
class DetectSettings:
    """Say what to look for."""

    min_face_px: float = 20.0  # width of the smallest face, in pixels of the photo as it is searched
    max_side: int = 1280  # a longer photo is searched at this long side first; then small faces in it can be missed
    thresholds: Thresholds = Thresholds()  # of the three networks
    sure_score: float = 0.97  # with no face this sure the ladder is tried, and a turned face must be as sure
    is_thorough: bool = True  # False: one pass, no ladder


@dataclass(frozen=True)
class Rung:
    """Hold one way of searching a photo."""

    enlarge: float = 1.0
    blur: float = 0.0  # sigma of a Gaussian, in pixels of the searched photo
    turns: tuple[int, ...] = (0,)  # quarters anticlockwise; the turn with the surest face counts


AS_IS = Rung()
LADDER = (Rung(enlarge=2.0), Rung(blur=1.5))
TURNED = Rung(turns=(1, 3, 2))


class Detector:
    """Find faces; holds the networks and nothing else, so one object may serve several threads."""

    def __init__(self) -> None:
        self._cascade = Cascade()

    def detect(self, image: Float[Tensor, "3 h w"], settings: DetectSettings = DetectSettings()) -> list[Face]:
        """Find the faces of a photo, the largest first; an empty list when there is none.

        Boxes and points are in pixels of `image`; points are in the order of the upright face, however it lies.
        """
        photo = image.detach().cpu().float().permute(1, 2, 0).contiguous().numpy()  # h w 3
        faces = self._search(photo, AS_IS, settings)
        if settings.is_thorough and _surest(faces) < settings.sure_score:
            tried = [self._search(photo, rung, settings) for rung in LADDER]
            turned = self._search(photo, TURNED, settings)
            if _surest(turned) >= settings.sure_score:  # an unsure face lying on its side is mostly none
                tried.append(turned)
            faces = max(faces, *tried, key=_surest)
        return sorted(faces, key=lambda face: -face.area)

    def look_again(self, image: Float[Tensor, "3 h w"], face: Face) -> Face:
        """Return `face` with the points that O-Net sees in its place, whether it looks like a face or not.

        Where a face is known to be, as in an aligned square, no picture is too damaged to be looked at so.
        """
        photo = image.detach().cpu().float().permute(1, 2, 0).contiguous().numpy()  # h w 3
        known = Found(np.array([face.box], np.float64), np.array([face.score]), face.points[None].astype(np.float64))
        return replace(face, points=self._settled(photo, known).points[0])

    def _search(self, photo: Picture, rung: Rung, settings: DetectSettings) -> list[Face]:
        scale = min(1.0, settings.max_side / max(photo.shape[:2])) * rung.enlarge
        searched = _resized(photo, scale)
        if rung.blur:
            searched = cv2.GaussianBlur(searched, (0, 0), rung.blur)
        best: list[Face] = []
        for turn in rung.turns:
            turned = np.ascontiguousarray(np.rot90(searched, turn))
            found = self._cascade.find(to_network(turned), settings.min_face_px, settings.thresholds)
            found = self._settled(turned, found)
            faces = _faces(unturned(found, turn, turned.shape[:2]), photo.shape[:2], searched.shape[:2])
            best = max(best, faces, key=_surest)
        return best

    def _settled(self, picture: Picture, found: Found) -> Found:
        """Look again at each face, turned upright and mirrored, and take the mean of the points."""
        if not len(found.scores):
            return found
        image = torch.from_numpy(picture).permute(2, 0, 1)
        matrices = [upright(box, points) for box, points in zip(found.boxes, found.points, strict=True)]
        crops = [to_network(warp(image, matrix, O_SIDE, "reflect").permute(1, 2, 0).numpy()) for matrix in matrices]
        views = [view for crop in crops for view in (crop, crop[:, ::-1])]
        row = np.concatenate(views, axis=0)  # the views one above the other: one picture, a box each
        tops = np.arange(len(views))[:, None] * O_SIDE
        looked = self._cascade.look(row, np.hstack([0 * tops, tops, 0 * tops + O_SIDE, tops + O_SIDE]).astype(float))
        points = looked.points - np.stack([0 * tops, tops], axis=2)  # in pixels of each view
        plain, mirrored = points[0::2], points[1::2][:, MIRRORED]
        mirrored = np.stack([O_SIDE - 1 - mirrored[..., 0], mirrored[..., 1]], axis=2)
        mean = (plain + mirrored) / 2
        back = [cv2.invertAffineTransform(matrix) for matrix in matrices]
        settled = np.stack([transform(one, matrix) for one, matrix in zip(mean, back, strict=True)])
        return replace(found, points=settled)


def upright(box: Float[np.ndarray, "4"], points: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """Make the matrix to O-Net's square around the box's middle, turned so that the face stands upright."""
    side = max(box[2] - box[0], box[3] - box[1])
    across = points[1] - points[0]
    down = (points[3] + points[4] - points[0] - points[1]) / 2
    axis = across + np.array([down[1], -down[0]])  # the eyes' line and the face's, at a right angle, agree
    a = np.conj(complex(*axis)) / max(float(np.hypot(*axis)), 1e-9) * O_SIDE / side
    turn = np.array([[a.real, -a.imag], [a.imag, a.real]])
    middle = (box[:2] + box[2:]) / 2 - 0.5  # from edges to pixel centres
    return np.hstack([turn, ((O_SIDE - 1) / 2 - turn @ middle)[:, None]])


def unturned(found: Found, turn: int, shape: tuple[int, int]) -> Found:
    """Lead what was found in a picture of `shape` (height, width), turned by quarters, back to the one before."""
    height, width = shape
    boxes, points = found.boxes, found.points
    for _ in range(turn % 4):
        # A quarter anticlockwise took (x, y) to (y, height - x), where height is that of the turned picture.
        boxes = np.stack([height - boxes[:, 3], boxes[:, 0], height - boxes[:, 1], boxes[:, 2]], axis=1)
        points = np.stack([height - 1 - points[..., 1], points[..., 0]], axis=2)
        height, width = width, height
    return Found(boxes, found.scores, points)


def _surest(faces: list[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _faces(found: Found, shape: tuple[int, int], searched: tuple[int, int]) -> list[Face]:
    """Turn what was found into faces of the photo of `shape`; nets may be a hair above 1."""
    factor = np.array([shape[1] / searched[1], shape[0] / searched[0]])
    faces = []
    for box, score, points in zip(found.boxes, found.scores, found.points, strict=True):
        left, top, right, bottom = (float(edge) for edge in box * np.tile(factor, 2))
        faces.append(Face((left, top, right, bottom), (points + 0.5) * factor - 0.5, min(float(score), 1.0)))
    return faces


def _resized(photo: Picture, scale: float) -> Float[np.ndarray, "scaled_h scaled_w 3"]:
    if scale == 1:
        return photo
    height, width = (max(1, round(side * scale)) for side in photo.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    result: Picture = np.clip(cv2.resize(photo, (width, height), interpolation=method), 0, 1)
    return result
