import cv2
import numpy as np
import pytest

from keepface.data.copies import find_copies, signature


def drawn(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.random((n, n, 3)), (128, 128), interpolation=cv2.INTER_CUBIC) for n in (6, 16, 32)]
    return (np.clip(sum(layers) / 3, 0, 1) * 255).astype(np.uint8)


def grey_and_darker(square: np.ndarray) -> np.ndarray:
    grey = (square.astype(float) @ [0.299, 0.587, 0.114]) ** 1.2 * 0.25
    return np.repeat(grey[..., None], 3, axis=2).clip(0, 255).astype(np.uint8)


def test_a_signature_is_a_unit_vector():
    assert np.linalg.norm(signature(drawn(0))) == pytest.approx(1, abs=1e-5)


def test_grey_and_tone_do_not_hide_a_copy_but_another_picture_is_none():
    assert signature(drawn(0)) @ signature(grey_and_darker(drawn(0))) > 0.9
    assert abs(signature(drawn(0)) @ signature(drawn(1))) < 0.3


def test_copies_point_to_the_first_of_them_within_a_person_only():
    squares = [drawn(0), drawn(1), grey_and_darker(drawn(0)), drawn(0), drawn(2)]
    people = {"ann": (0, 1, 2), "bob": (3,), "cy": (4,)}
    assert find_copies(people, squares.__getitem__) == {0: 0, 1: 1, 2: 0, 3: 3, 4: 4}


def test_a_flat_picture_has_a_signature_too():
    assert np.isfinite(signature(np.full((64, 64, 3), 40, np.uint8))).all()
