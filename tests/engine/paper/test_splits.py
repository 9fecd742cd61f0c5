import numpy as np
import pytest

from costal.errors import DatasetError
from costal.paper.sources import LabelledCrops, initial_indices, pool_indices
from costal.paper.splits import from_frames

FRAMES, PER_FRAME = 8, 3
FRAME_N = np.repeat(np.arange(FRAMES), PER_FRAME)
CLASS_N = np.tile([0, 0, 1], FRAMES)


def source(class_N=CLASS_N, frame_N=FRAME_N, names=("a", "b"), seed=0):
    """Return crops whose pixels tell their frame."""
    crops = np.broadcast_to(frame_N[:, None, None, None], (len(frame_N), 1, 4, 4)).astype(np.float32)
    labelled = LabelledCrops(crops, np.asarray(class_N), np.arange(len(frame_N), dtype=np.float32))
    return from_frames("cells", names, "s", labelled, frame_N, seed)


def frames_of(crops):
    return set(crops[:, 0, 0, 0].astype(int).tolist())


def test_no_frame_is_both_for_tests_and_drawn_from():
    for repeat in range(10):
        own = source().of(repeat)
        tested, drawn = frames_of(own.test()[0]), frames_of(own.take(np.arange(own.train_size))[0])
        assert not tested & drawn
        assert (len(tested), len(drawn)) == (2, 6)


def test_each_repeat_draws_other_frames_and_draws_them_again():
    draws = [tuple(sorted(frames_of(source().of(repeat).test()[0]))) for repeat in range(10)]
    assert len(set(draws)) > 3
    assert draws == [tuple(sorted(frames_of(source().of(repeat).test()[0]))) for repeat in range(10)]


def test_the_data_set_as_it_comes_is_that_of_repeat_0():
    assert frames_of(source().test()[0]) == frames_of(source().of(0).test()[0])


def test_costs_and_classes_go_with_the_crops_that_are_drawn():
    own = source().of(3)
    rows = np.arange(own.train_size)
    costs = own.effort(rows, 3, 0).astype(int)
    assert own.classes(rows).tolist() == CLASS_N[costs].tolist()
    assert own.take(rows)[0][:, 0, 0, 0].astype(int).tolist() == FRAME_N[costs].tolist()


def test_a_repeat_starts_with_two_of_each_class_and_offers_its_own_crops():
    own = source().of(4)
    assert np.bincount(own.classes(initial_indices(own, 0, 4))).tolist() == [2, 2]
    assert set(pool_indices(own, 0, 4, 1, 5)) <= set(range(own.train_size))


def test_a_class_of_few_frames_is_left_to_draw_from():
    rare = np.where(FRAME_N < 2, [0, 0, 1] * FRAMES, 0)  # class b is in two frames only, with one crop each
    for repeat in range(20):
        own = source(rare).of(repeat)
        assert (own.classes(np.arange(own.train_size)) == 1).sum() == 2


def test_a_class_that_no_split_leaves_two_crops_of_is_named():
    with pytest.raises(DatasetError, match="fewer than 2 crops to draw from in: b"):
        source(np.where(np.arange(len(FRAME_N)) == 0, 1, 0))


def test_crops_of_one_frame_cannot_be_split():
    with pytest.raises(DatasetError, match="only one frame"):
        source(frame_N=np.zeros_like(FRAME_N))


def test_other_frames_are_other_data():
    assert source().fingerprint != source(frame_N=FRAME_N[::-1].copy()).fingerprint
