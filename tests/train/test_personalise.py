"""Tuning one person: the loss falls, a run that was cut off ends like an unbroken one, and callers hear of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from keepface.diffusion.cleaner import Cleaner, CleanerSettings
from keepface.diffusion.family import Family
from keepface.errors import DataError, RecipeError
from keepface.methods.pfstorer import PFStorer
from keepface.train.personalise import Callbacks, Tunable, TuneSettings, draw_batch, face_square, personalise
from keepface.weights.store import read_metadata, read_safetensors

from ..methods.pfstorer_toy import opened, photos_of, save_opened
from ..toy import SIDE, SIZE

QUICK = TuneSettings(steps=4, batch=2, save_every=2, degradations=("light",), preview_every=2, preview_steps=1)
PHOTOS = list(photos_of(0, 4, SIDE))


class Cut(Exception):  # noqa: N818
    """The power goes."""


@pytest.fixture
def method() -> PFStorer:
    return opened()


def test_a_run_in_two_parts_ends_in_the_same_file_as_an_unbroken_one(method: PFStorer, tmp_path: Path) -> None:
    def cut(done: int, steps: int, loss: float) -> None:
        if done == 3:
            raise Cut

    whole = personalise(method, PHOTOS, tmp_path / "whole", QUICK)
    with pytest.raises(Cut):
        personalise(method, PHOTOS, tmp_path / "parts", QUICK, callbacks=Callbacks(progress=cut))
    heard: list[int] = []
    again = personalise(
        opened(), PHOTOS, tmp_path / "parts", QUICK, callbacks=Callbacks(lambda done, *_: heard.append(done))
    )
    assert heard == [3, 4]  # from the checkpoint at step 2
    assert read_metadata(again) == read_metadata(whole)  # a fingerprint of the tensors among them
    ours, theirs = read_safetensors(again), read_safetensors(whole)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_another_seed_is_another_run(method: PFStorer, tmp_path: Path) -> None:
    first = personalise(method, PHOTOS, tmp_path / "first", QUICK)
    second = personalise(method, PHOTOS, tmp_path / "second", replace(QUICK, seed=1))
    one, other = read_safetensors(first), read_safetensors(second)
    assert one.keys() == other.keys() and not torch.equal(one["token.S*"], other["token.S*"])


def test_the_person_is_loaded_then_and_the_base_is_what_it_was(method: PFStorer, tmp_path: Path) -> None:
    base = method.base_hash()
    path = personalise(method, PHOTOS, tmp_path, QUICK)
    assert isinstance(method, Tunable) and method.base_hash() == base and method.person is not None
    assert method.person.is_open and not any(p.requires_grad for p in method.person.parameters())
    told = read_metadata(path)
    assert (told["steps"], told["rates"], told["variant"]) == ("4", "0.005, 0.0001, 0.005", "personal")
    opened().load_adapter(path)


def test_progress_and_previews_are_told_as_it_goes(method: PFStorer, tmp_path: Path) -> None:
    shown: list[tuple[int, Tensor, Tensor]] = []
    lines: list[tuple[int, int]] = []
    told = Callbacks(lambda done, steps, loss: lines.append((done, steps)), lambda *found: shown.append(found))
    personalise(method, PHOTOS, tmp_path, QUICK, callbacks=told)
    assert lines == [(1, 4), (2, 4), (3, 4), (4, 4)] and [done for done, _, _ in shown] == [2, 4]
    for _, low, restored in shown:
        assert low.shape == restored.shape == (3, 32, 32) and 0 <= float(restored.min()) <= float(restored.max()) <= 1
    assert torch.equal(shown[0][1], shown[1][1]) and not torch.equal(shown[0][2], shown[1][2])


def test_tuning_follows_the_loss_downhill(method: PFStorer, tmp_path: Path) -> None:
    settings = replace(QUICK, steps=12, save_every=10, preview_every=0)
    batches = [draw_batch(PHOTOS, None, method.family, step, settings) for step in range(4)]

    def measure() -> float:
        with torch.no_grad():
            return sum(float(method.loss(batch, "personal")["total"]) for batch in batches) / len(batches)

    method.begin_person(torch.stack([photo[:, 3:35, 3:35] for photo in PHOTOS]), "personal", settings.seed)
    before = measure()
    personalise(method, PHOTOS, tmp_path, settings)
    assert measure() < before


def test_a_photo_is_led_by_another_and_a_single_one_by_itself(method: PFStorer) -> None:
    settings, whole = replace(QUICK, batch=8), list(photos_of(0, 4))  # of the family's size: nothing is cut off
    batches = [draw_batch(whole, None, method.family, step, settings) for step in range(5)]
    for batch in batches:
        assert batch.clean.shape == (8, 3, 32, 32) and not torch.equal(batch.clean, batch.low)
        shown = [[torch.equal(square, photo) for photo in whole].index(True) for square in batch.clean]
        assert all(photo != other for photo, other in zip(shown, batch.reference.tolist(), strict=True))
    assert {int(i) for batch in batches for i in batch.reference} == {0, 1, 2, 3}
    assert draw_batch(PHOTOS[:1], None, method.family, 0, settings).reference.tolist() == [0] * 8


def test_a_method_that_learned_from_cleaned_pictures_is_tuned_on_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The cleaner here adds an eighth to every pixel; what the preview shows as given is not cleaned."""
    folder = tmp_path / "family"
    save_opened(folder)
    cleaner = Cleaner.begin(CleanerSettings(channels=(8, 8), layers=1, shrink=2), SIZE, seed=0)
    torch.nn.init.constant_(cleaner.network.conv_out.bias, 0.125)
    cleaner.save(folder, torch.float32)
    family = Family.from_pretrained(str(folder), torch.device("cpu"))
    method = PFStorer.load(replace(family, card=replace(family.card, cleaned=("pfstorer",))))
    seen: list[Tensor] = []
    loss = method.loss
    monkeypatch.setattr(method, "loss", lambda batch, phase: (seen.append(batch.low), loss(batch, phase))[1])
    given: list[Tensor] = []
    settings = replace(QUICK, steps=2)
    personalise(
        method, PHOTOS, tmp_path / "run", settings, callbacks=Callbacks(preview=lambda *found: given.append(found[1]))
    )
    drawn = [draw_batch(PHOTOS, None, method.family, step, settings).low for step in range(2)]
    assert len(seen) == 2
    for shown, low in zip(seen, drawn, strict=True):
        assert torch.allclose(shown, (low + 0.125).clamp(0, 1), atol=1e-6)
    personalise(
        PFStorer.load(family),
        PHOTOS,
        tmp_path / "plain",
        settings,
        callbacks=Callbacks(preview=lambda *found: given.append(found[1])),
    )
    assert torch.equal(given[0], given[1])
    with pytest.raises(RecipeError, match="other photos, settings or another base"):
        personalise(PFStorer.load(family), PHOTOS, tmp_path / "run", settings)


def test_a_batch_is_a_function_of_step_and_seed_alone(method: PFStorer) -> None:
    one, same, other = (draw_batch(PHOTOS, None, method.family, step, QUICK) for step in (5, 5, 6))
    for name in ("clean", "low", "reference", "eps", "t"):
        assert torch.equal(getattr(one, name), getattr(same, name))
    assert not torch.equal(one.eps, other.eps)


def test_squares_of_any_side_are_cut_from_a_larger_photo_and_hold_most_of_its_face(method: PFStorer) -> None:
    """Each pixel says where it is, so that a square tells its own place: red is x, green y, in pixels of the photo."""
    side, size = 64, SIZE
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    photo = torch.stack([x, y, torch.zeros(side, side)]) / (side - 1)
    settings = replace(QUICK, batch=8)
    sides, overlaps = [], []
    for step in range(30):
        for square in draw_batch([photo], None, method.family, step, settings).clean:
            columns, rows = square[0].mean(0) * (side - 1), square[1].mean(1) * (side - 1)
            cut = float(columns[-4] - columns[3]) * size / (size - 7)  # without the rim, where the filter is cut off
            left, top = (float(line[size // 2 - 1 : size // 2 + 1].mean()) - (cut - 1) / 2 for line in (columns, rows))
            sides.append(cut)
            # A face of 0.52 by 0.71 of its square, which is the photo without its margin.
            wide, high = 0.52 * side / 1.5, 0.71 * side / 1.5
            across = min(left + cut, (side + wide) / 2) - max(left, (side - wide) / 2)
            down = min(top + cut, (side + high) / 2) - max(top, (side - high) / 2)
            overlaps.append(max(across, 0) * max(down, 0) / (wide * high))
    assert size - 1 < min(sides) < size + 3 and side - 3 < max(sides) < side + 1
    assert 0.6 <= min(overlaps) < 0.8
    middle = face_square(photo, size)  # the photo without its margin of 1.5: 43 of 64 pixels
    assert middle.shape == (3, size, size)
    torch.testing.assert_close(middle[0].mean(), torch.tensor(0.5), atol=0.02, rtol=0)
    assert float(middle[0, :, -1].mean() - middle[0, :, 0].mean()) == pytest.approx(42 / 63, abs=0.03)


def test_the_whole_unet_is_tuned_with_other_people_beside(method: PFStorer, tmp_path: Path) -> None:
    settings, others = replace(QUICK, variant="dreambooth", steps=2), photos_of(7)
    path = personalise(method, PHOTOS, tmp_path, settings, prior=others)
    assert any(name.startswith("unet.") for name in read_safetensors(path))
    with pytest.raises(DataError, match="variant 'dreambooth' needs squares of other people"):
        personalise(method, PHOTOS, tmp_path / "other", settings)
    with pytest.raises(DataError, match="variant 'personal' takes no squares of other people"):
        personalise(method, PHOTOS, tmp_path / "other", QUICK, prior=others)


def test_what_can_not_be_tuned_is_refused_with_the_reason(method: PFStorer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there are no photos; give 3 to 5"):
        personalise(method, [], tmp_path, QUICK)
    with pytest.raises(DataError, match="photo 2 is 30 x 32 px; the family needs 32 x 32"):
        personalise(method, [PHOTOS[0], PHOTOS[1][:, :32, :30]], tmp_path, QUICK)
    with pytest.raises(RecipeError, match="save_every is 11; it must be from 1 to 10"):
        TuneSettings(save_every=11)
    with pytest.raises(RecipeError, match="degradation 'rain' is unknown"):
        TuneSettings(degradations=("rain",))


def test_a_folder_begun_with_other_photos_is_refused(method: PFStorer, tmp_path: Path) -> None:
    personalise(method, PHOTOS, tmp_path, QUICK)
    with pytest.raises(RecipeError, match="begun with other photos, settings or another base"):
        personalise(method, PHOTOS[:3], tmp_path, QUICK)
