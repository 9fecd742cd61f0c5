from dataclasses import replace

import numpy as np
import pytest

from costal.errors import DatasetError
from costal.frames.grid import crop_at
from costal.frames.normalise import intensity_range, normalise
from costal.frames.simulate import CLASS_NAMES, simulated_effort_s
from costal.paper import sted
from costal.paper.datasets import load_dataset
from costal.paper.expert import SimulatedExpert
from costal.paper.sources import initial_indices, pool_indices
from costal.paper.sted import PER_FRAME, drift, few_fields, sted_dataset


@pytest.fixture(scope="module")
def dataset():
    return sted_dataset()


def test_a_frame_is_cut_and_normalised_by_its_own_range_as_at_the_microscope(dataset):
    field = sted._frame(0, 3).field
    plane = field.pixels_Y_X[np.newaxis]
    crops, classes = dataset.take(3 * PER_FRAME + np.arange(PER_FRAME))
    assert crops.shape == (PER_FRAME, *dataset.crop_shape)
    assert classes.tolist() == field.classes_N.tolist()
    expected = normalise(crop_at(plane, field.grid, 77), intensity_range(plane))
    np.testing.assert_array_equal(crops[77], expected)


def test_crops_are_those_of_their_indices_in_any_order_and_number(dataset):
    rows = np.array([5 * PER_FRAME + 1, 2, 5 * PER_FRAME, 2])
    crops, classes = dataset.take(rows)
    for row, crop, each in zip(rows, crops, classes, strict=True):
        alone, its_class = dataset.take(np.array([row]))
        np.testing.assert_array_equal(crop, alone[0])
        assert each == its_class[0]


def test_a_round_offers_a_whole_frame_with_every_class_in_it(dataset):
    pool = pool_indices(dataset, 0, 0, 1, PER_FRAME)
    assert set(dataset.classes(pool).tolist()) == set(range(len(CLASS_NAMES)))
    start = initial_indices(dataset, 0, 0)
    assert np.bincount(dataset.classes(start)).tolist() == [2, 2, 2, 2]
    assert not np.isin(start, pool).any()


def test_forty_rounds_of_five_repeats_share_no_frame(dataset):
    unseen = replace(dataset, class_of=lambda rows: rows % len(CLASS_NAMES))
    frames = [pool_indices(unseen, 0, repeat, number, PER_FRAME)[0] for repeat in range(5) for number in range(1, 41)]
    assert len(set(frames)) == 200


def test_test_crops_are_from_frames_that_no_round_offers(dataset):
    crops, classes = dataset.test()
    assert len(crops) == len(classes) == 6 * PER_FRAME
    first, _ = dataset.take(np.arange(dataset.train_size, dataset.train_size + 1))
    np.testing.assert_array_equal(crops[:1], first)


def test_efforts_are_those_of_the_field_times_the_drift(dataset):
    alone = simulated_effort_s(sted._frame(0, 0).field, sted.seed_for(0, "sted", "effort", 0, 2))
    assert dataset.effort(np.array([4, 9]), 2, 0) == pytest.approx(alone[[4, 9]] * 1.5, rel=1e-5)


def test_the_noise_of_an_effort_hangs_on_crop_and_repeat_and_not_on_order_or_company(dataset):
    rows = np.array([0, 7, 7 + PER_FRAME])
    now, later = dataset.effort(rows, 0, 0), dataset.effort(rows[::-1], 0, 200)[::-1]
    np.testing.assert_allclose(later / now, np.full(3, drift(200) / drift(0)), rtol=1e-5)
    ratio = dataset.effort(rows, 1, 0) / now
    assert len(set(ratio.tolist())) == 3


@pytest.mark.parametrize(("order", "expected"), [(0, 1.5), (40, 1.2089), (400, 1.1473), (10**6, 1.2)])
def test_drift_is_practice_and_fatigue(order, expected):
    assert drift(order) == pytest.approx(expected, abs=1e-4)


def test_drift_falls_and_then_rises():
    steps = np.diff(drift(np.arange(500)))
    least = int(np.argmax(steps > 0))
    assert least == 135
    assert drift(least) == pytest.approx(1.09, abs=0.005)
    assert (steps[:least] < 0).all()
    assert (steps[least:] > 0).all()


def test_the_expert_needs_longer_for_the_first_answers(dataset):
    expert, rows = SimulatedExpert(), np.zeros(100, int)
    _, seconds = expert.answer(dataset, rows, 0, 0)
    np.testing.assert_allclose(seconds / seconds[0], drift(np.arange(100)) / 1.5, rtol=1e-5)


def test_rings_take_longer_than_fibres_than_puncta_than_background(dataset):
    _, classes = dataset.test()
    seconds = dataset.effort(np.arange(dataset.train_size, dataset.train_size + len(classes)), 0, 100)
    medians = [float(np.median(seconds[classes == each])) for each in range(4)]
    assert medians == sorted(medians)
    assert medians[3] > 3 * medians[0]


def test_it_is_chosen_by_name_and_another_seed_is_another_source(dataset):
    assert load_dataset("sted").fingerprint == dataset.fingerprint != sted_dataset(1).fingerprint
    assert dataset.effort_unit == "s"


def test_few_fields_are_parted_anew_in_each_repeat():
    source, tests = few_fields(9), set()
    for repeat in range(4):
        own = source.of(repeat)
        drawn, tested = own.take(np.arange(own.train_size)[::PER_FRAME])[0], own.test()[0][::PER_FRAME]
        assert (len(drawn), len(tested)) == (3, 6)
        firsts = {crop.tobytes() for crop in drawn}
        assert not firsts & {crop.tobytes() for crop in tested}
        tests.add(frozenset(firsts))
    assert len(tests) > 1


def test_too_few_fields_are_refused():
    with pytest.raises(DatasetError, match="from 7"):
        few_fields(6)
