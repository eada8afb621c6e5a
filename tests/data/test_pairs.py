import dataclasses
import itertools

import numpy as np
import pytest
import torch

from keepface.data.pairs import PairSampler, PairSettings, draw_references
from keepface.data.prepare import prepare
from keepface.degrade.chains import replay
from keepface.errors import DataError
from keepface.image.files import from_uint8
from keepface.image.size import resize

from .drawn_faces import DrawnSource

ANN, BOB = {0, 2, 4, 7, 8}, {1, 5}
SETTINGS = PairSettings(shift_px=3)


@pytest.fixture(scope="module")
def sampler(pack):
    return PairSampler(pack, SETTINGS)


def plans(sampler, steps=100, size=5):
    return [sampler.plan(step, size, seed=1) for step in range(steps)]


def test_a_batch_is_a_function_of_step_and_seed_alone(pack, sampler):
    sampler.batch(0, 4, seed=9)
    one, other = sampler.batch(7, 4, seed=9), PairSampler(pack, SETTINGS).batch(7, 4, seed=9)
    assert one.plan == other.plan
    assert torch.equal(one.low, other.low)
    assert torch.equal(one.features["colour"], other.features["colour"])
    assert sampler.plan(8, 4, seed=9) != one.plan
    assert sampler.plan(7, 4, seed=10) != one.plan


def test_a_batch_is_its_plan_carried_out(pack, sampler):
    batch = sampler.batch(3, 4, seed=0)
    for i, target in enumerate(batch.plan):
        clean = from_uint8(pack.square(target.photo, target.offset, target.flip))
        assert torch.equal(batch.clean[i], clean)
        assert torch.equal(batch.low[i], replay(target.draw, clean))
        assert np.allclose(batch.landmarks[i], pack.points(target.photo, target.offset, target.flip))
        for row, feature in zip(target.references, batch.features["nose"][i], strict=True):
            assert torch.equal(feature, pack.features["nose"][row // 10, row % 10])
    assert torch.allclose(batch.detail_px, torch.tensor([100.0 + t.photo for t in batch.plan]) * 64 / 76)


def test_every_epoch_sees_each_target_once_whatever_the_batch(sampler):
    photos = [target.photo for plan in plans(sampler, steps=20, size=3) for target in plan]
    epochs = [photos[start : start + 10] for start in range(0, 60, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_a_batch_larger_than_the_pack_runs_on_into_the_next_epoch(sampler):
    counts = np.bincount([target.photo for target in sampler.plan(2, 25, seed=0)], minlength=10)
    assert set(counts) <= {2, 3}


def test_references_show_the_same_person(pack, sampler):
    for target in itertools.chain(*plans(sampler)):
        assert {pack.identities[row % 10] for row in target.references} == {pack.identities[target.photo]}


def test_the_count_is_shared_by_a_batch_and_even_from_1_to_4(sampler):
    counts = [{len(target.references) for target in plan} for plan in plans(sampler, 300)]
    assert all(len(count) == 1 for count in counts)
    shares = np.bincount([count.pop() for count in counts], minlength=5)[1:] / 300
    assert np.allclose(shares, 0.25, atol=4 * (0.25 * 0.75 / 300) ** 0.5)


def test_who_has_enough_photos_is_led_by_different_ones(sampler):
    for target in itertools.chain(*plans(sampler)):
        if target.photo in ANN:
            assert len(set(target.references)) == len(target.references)


def test_who_has_one_photo_is_led_by_its_changed_forms(sampler):
    lone = [target for target in itertools.chain(*plans(sampler)) if target.photo not in ANN | BOB]
    assert lone
    assert all(row in (10 + target.photo, 20 + target.photo) for target in lone for row in target.references)


def test_the_own_photo_leads_as_often_as_the_pools_say(pack, sampler):
    # ann: 1 of 5 photos; bob: 1 of 2; three people have one photo only
    assert sampler.own_share() == pytest.approx((5 * 1 / 5 + 2 * 1 / 2 + 3 * 1) / 10)
    own = torch.cat([sampler.batch(step, 10, seed=0).is_own[:, 0] for step in range(40)]).float()
    assert own.mean().item() == pytest.approx(0.5, abs=4 * (0.25 / 400) ** 0.5)
    without = PairSampler(pack, dataclasses.replace(SETTINGS, own_in_pool=False))
    assert without.own_share() == pytest.approx(3 / 10)
    assert not any(target.photo in target.references for target in itertools.chain(*plans(without)))


def test_a_copy_of_the_target_is_no_reference_when_there_is_another_photo(tmp_path):
    source = DrawnSource(["ann", "ann", "ann"])
    pack = prepare(source, tmp_path / "pack", 64)
    images = np.load(tmp_path / "pack" / "images.npy")
    images[1] = (images[0] @ np.array([0.299, 0.587, 0.114]))[..., None]  # the same photo in grey
    np.save(tmp_path / "pack" / "images.npy", images)
    pack = type(pack)(tmp_path / "pack")
    sampler = PairSampler(pack, dataclasses.replace(SETTINGS, own_in_pool=False))
    led_by = {target.photo: set(target.references) for target in sampler.plan(0, 3, seed=0)}
    assert led_by == {0: {2}, 1: {2}, 2: led_by[2]}
    assert led_by[2] <= {0, 1}


@pytest.mark.parametrize("per", ["batch", "sample"])
def test_identity_is_dropped_as_often_as_asked_for_a_batch_or_for_each(pack, per):
    sampler = PairSampler(pack, dataclasses.replace(SETTINGS, identity_dropout=0.5, dropout_per=per))
    dropped = np.array([[target.is_dropped for target in plan] for plan in plans(sampler, 300, 4)])
    assert dropped.mean() == pytest.approx(0.5, abs=4 * 0.5 / 300**0.5)
    mixed = (dropped.any(1) & ~dropped.all(1)).mean()
    assert mixed == (0 if per == "batch" else pytest.approx(1 - 2 * 0.5**4, abs=0.1))


def test_offsets_fill_their_range_and_half_the_targets_are_mirrored(sampler):
    targets = list(itertools.chain(*plans(sampler, 200)))
    assert {x for target in targets for x in target.offset} == set(range(-3, 4))
    assert np.mean([target.flip for target in targets]) == pytest.approx(0.5, abs=4 * 0.5 / 1000**0.5)


def test_synthetic_photos_are_references_and_never_targets(tmp_path):
    pack = prepare(DrawnSource(["ann", "ann", "bob"]), tmp_path / "pack", 64)
    pack.sources = ["drawn", "synthetic", "drawn"]
    sampler = PairSampler(pack, dataclasses.replace(SETTINGS, own_in_pool=False))
    targets = list(itertools.chain(*plans(sampler, 10)))
    assert {target.photo for target in targets} == {0, 2}
    assert all(set(target.references) == {1} for target in targets if target.photo == 0)


def test_a_pack_without_features_gives_batches_without(tmp_path):
    pack = prepare(DrawnSource(["ann", "bob"]), tmp_path / "pack", 64)
    batch = PairSampler(pack, SETTINGS).batch(0, 2, seed=0)
    assert batch.features == {}
    assert batch.is_own.all()


def test_a_shift_beyond_the_margin_or_a_floor_above_all_photos_is_refused(pack):
    with pytest.raises(DataError, match="margin of 6 px is the most"):
        PairSampler(pack, PairSettings(shift_px=7))
    with pytest.raises(DataError, match="nothing to train on"):
        PairSampler(pack, PairSettings(min_native_px=1000.0))


# ---- squares of any side and place ----

RANDOM = PairSettings(crop="random", flip=0.5)
SMALL = 32  # px, of a pack of 64


def test_random_squares_have_any_side_from_the_familys_to_the_packs_at_any_place(pack):
    cuts = [target.cut for plan in plans(PairSampler(pack, RANDOM, SMALL), 60, 10) for target in plan]
    sides = [side for _, _, side in cuts]
    assert set(sides) == set(range(32, 65)) and np.mean(sides) == pytest.approx(48, abs=4 * 9.5 / 600**0.5)
    assert all(min(left, top) >= 0 and max(left, top) + side <= 76 for left, top, side in cuts)
    assert min(left for left, *_ in cuts) == 0 and max(left + side for left, _, side in cuts) == 76


def test_a_random_batch_is_its_plan_carried_out_and_its_detail_and_points_go_with_the_square(pack):
    sampler = PairSampler(pack, RANDOM, SMALL)
    batch = sampler.batch(3, 8, seed=0)
    assert batch.clean.shape == batch.low.shape == (8, 3, SMALL, SMALL)
    assert {target.flip for target in batch.plan} == {True, False}
    for i, target in enumerate(batch.plan):
        left, top, side = target.cut
        cut = from_uint8(np.array(pack.images[target.photo, top : top + side, left : left + side]))
        clean = resize(cut.flip(2) if target.flip else cut, (SMALL, SMALL))
        assert torch.equal(batch.clean[i], clean)
        assert torch.equal(batch.low[i], replay(target.draw, clean))  # degraded after it was cut
        assert float(batch.detail_px[i]) == pytest.approx((100 + target.photo) * side / 76)
        x, y = pack.landmarks[target.photo].T
        x, y = ((x - left + 0.5) / side, (y - top + 0.5) / side)  # shares of the square
        x = 1 - x[[1, 0, 2, 4, 3]] if target.flip else x
        y = y[[1, 0, 2, 4, 3]] if target.flip else y
        assert np.allclose(batch.landmarks[i], np.stack([x, y], 1) * SMALL - 0.5, atol=1e-3)


def test_a_random_batch_is_a_function_of_step_and_seed_alone(pack):
    one, other = (PairSampler(pack, RANDOM, SMALL).batch(7, 4, seed=9) for _ in range(2))
    assert one.plan == other.plan and torch.equal(one.low, other.low)
    assert PairSampler(pack, RANDOM, SMALL).plan(8, 4, seed=9) != one.plan


def test_squares_that_can_not_be_cut_are_refused_with_what_to_type(pack):
    with pytest.raises(DataError, match=r"of 64 px; random crops of 64 px .* --size 128, or .* batch.crop=aligned"):
        PairSampler(pack, RANDOM)
    with pytest.raises(DataError, match=r"squares of 64 px; the family needs 32: keepface data prepare .* --size 32"):
        PairSampler(pack, SETTINGS, SMALL)


def test_a_small_pool_is_filled_by_repeats_and_every_photo_of_it_is_used():
    drawn = [draw_references((5, 6), 4, 4, np.random.default_rng(seed)) for seed in range(50)]
    assert all(set(rows) == {5, 6} for rows in drawn)


def test_where_others_are_asked_for_only_people_who_have_them_are_targets_and_nobody_leads_oneself(pack):
    settings = dataclasses.replace(SETTINGS, min_others=2, min_references=2, max_references=2)
    targets = list(itertools.chain(*plans(PairSampler(pack, settings))))
    assert {target.photo for target in targets} == ANN
    for target in targets:
        one, other = target.references
        assert len({one, other, target.photo}) == 3 and {one, other} <= ANN


def test_copies_are_not_counted_as_others(tmp_path):
    pack = prepare(DrawnSource(["ann", "ann", "ann"]), tmp_path / "pack", 64)
    settings = dataclasses.replace(SETTINGS, min_others=2)
    assert PairSampler(pack, settings).targets == (0, 1, 2)
    images = np.load(tmp_path / "pack" / "images.npy")
    images[1] = images[0]
    np.save(tmp_path / "pack" / "images.npy", images)
    with pytest.raises(DataError, match="nobody has 3 different photos"):
        PairSampler(type(pack)(tmp_path / "pack"), settings)


def test_one_reference_and_two_begin_with_the_same(pack):
    """So naive fine-tuning and alignment differ in their losses alone."""
    one, two = (
        PairSampler(pack, dataclasses.replace(SETTINGS, min_others=2, min_references=n, max_references=n)).plan(3, 4, 0)
        for n in (1, 2)
    )
    assert [target.references[0] for target in one] == [target.references[0] for target in two]
    assert [target.draw for target in one] == [target.draw for target in two]
