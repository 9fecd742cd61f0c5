"""The gallery as values: filters, orders, similarity and pages with planted errors, by hand."""

from dataclasses import replace

import numpy as np
import pytest

from costal.workbench.gallery import (
    LABELLED,
    LOOK_AGAIN,
    SORTS,
    UNLABELLED,
    Filter,
    GalleryCrops,
    Places,
    Similarity,
    joined,
    offer,
    ordered,
    planted_count,
)

NAN = np.nan
PROBS = np.array([[0.9, 0.1], [0.4, 0.6], [NAN, NAN], [0.2, 0.8], [0.7, 0.3], [0.45, 0.55]], np.float32)
LABELS = np.array([0, 3, 3, 7, 0, -1])


@pytest.fixture
def crops():
    """Six crops of classes 3 and 7, the last of another frame; crop 2 was never scored."""
    count = len(PROBS)
    return GalleryCrops(
        (3, 7),
        np.array([1, 1, 1, 1, 1, 2]),
        np.arange(count) * 8,
        np.zeros(count, np.int64),
        np.full(count, 8),
        LABELS,
        np.array([False, True, True, False, False, True]),
        PROBS,
        np.array([1, 2, NAN, 3, 4, 5], np.float32),
        np.ones(count, np.float32),
        np.array([1, 5, NAN, 3, 2, 4], np.float32),
        np.array([0, 2, 0, 1, 0, 0]),
        np.array([1, 1, 0, 0, 2, 0]),
        (Similarity(np.array([0, 1, 3]), np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 2.0]])),),
    )


def sure(count, labelled=0, confidence=0.95, class_ids=(3, 7)):
    """Return so many crops that are surely of class 3, after some that are labelled 7 alone."""
    total = count + labelled
    probs = np.full((total, 2), 1 - confidence, np.float32)
    probs[:, 0] = confidence
    label_N = np.array([7] * labelled + [0] * count)
    nothing, zeros = np.full(total, NAN, np.float32), np.zeros(total, np.int64)
    return GalleryCrops(
        class_ids, zeros, zeros, zeros, zeros, label_N, label_N > 0, probs, nothing, nothing, nothing, zeros, zeros
    )


def test_predicted_class_and_confidence_are_those_of_the_likeliest_and_none_where_nothing_was_asked(crops):
    assert crops.predicted_N.tolist() == [3, 7, 0, 7, 3, 7]
    np.testing.assert_allclose(crops.confidence_N, [0.9, 0.6, NAN, 0.8, 0.7, 0.55], rtol=1e-6)


def test_disagreement_is_what_the_model_does_not_give_to_the_label(crops):
    np.testing.assert_allclose(crops.disagreement_N, [NAN, 0.6, NAN, 0.2, NAN, NAN], rtol=1e-6)


def test_similarity_is_the_cosine_among_crops_whose_features_can_be_compared(crops):
    np.testing.assert_allclose(crops.similarity_N(1), [0.6, 1.0, NAN, 0.8, NAN, NAN], rtol=1e-6)
    assert np.isnan(crops.similarity_N(2)).all()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (Filter(), [0, 1, 2, 3, 4, 5]),
        (Filter(frame_id=2), [5]),
        (Filter(predicted=7), [1, 3, 5]),
        (Filter(label=UNLABELLED), [0, 4]),
        (Filter(label=LABELLED), [1, 2, 3]),
        (Filter(label=3), [1, 2]),
        (Filter(label=-1), [5]),
        (Filter(frame_id=1, predicted=7, label=7), [3]),
    ],
)
def test_a_filter_shows_the_crops_that_it_names(crops, chosen, expected):
    assert ordered(crops, chosen, "place in the frame").tolist() == expected


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("place in the frame", [0, 1, 2, 3, 4, 5]),
        ("predicted class", [0, 4, 3, 1, 5, 2]),
        ("confidence, highest first", [0, 3, 4, 1, 5, 2]),
        ("confidence, lowest first", [5, 1, 4, 3, 0, 2]),
        ("value v", [1, 5, 3, 4, 0, 2]),
        ("disagreement with the label", [1, 3, 0, 2, 4, 5]),
        ("similarity to a crop", [1, 3, 0, 2, 4, 5]),
    ],
)
def test_an_order_puts_what_it_does_not_know_last(crops, sort, expected):
    assert ordered(crops, Filter(), sort, like=1).tolist() == expected
    assert sort in SORTS


def test_a_new_label_changes_neither_the_others_nor_the_crops_before(crops):
    after = crops.labelled([0, 5], [7, 3], [False, False])
    assert after.label_N.tolist() == [7, 3, 3, 7, 0, 3]
    assert after.single_N.tolist() == [False, True, True, False, False, False]
    assert crops.label_N.tolist() == LABELS.tolist()


def test_a_crop_is_found_by_its_place_and_no_other_is(crops):
    places = Places(crops.taken(np.array([4, 2, 5, 0])))
    assert [places.row(each) for each in ((1, 32, 0, 8), (1, 16, 0, 8), (2, 40, 0, 8), (1, 0, 0, 8))] == [0, 1, 2, 3]
    assert [places.row(each) for each in ((1, 8, 0, 8), (1, 0, 0, 16), (3, 0, 0, 8), (1, 0, 1, 8))] == [None] * 4


def test_crops_of_two_frames_joined_and_taken_apart_keep_their_features(crops):
    twice = joined([crops, crops.taken(np.array([1, 2, 3]))])
    assert twice.frame_id_N.tolist() == [1, 1, 1, 1, 1, 2, 1, 1, 1]
    assert [each.rows_M.tolist() for each in twice.similarities] == [[0, 1, 3], [6, 8]]
    np.testing.assert_allclose(twice.similarity_N(6)[[6, 8]], [1.0, 0.8], rtol=1e-6)
    assert np.isnan(twice.similarity_N(6)[:6]).all()


@pytest.mark.parametrize(("size", "planted"), [(0, 0), (9, 0), (10, 1), (20, 1), (29, 1), (40, 2), (100, 5)])
def test_one_in_twenty_is_planted_and_at_least_one_of_ten(size, planted):
    assert planted_count(size) == planted


def test_a_page_offers_the_surest_predictions_and_labelled_crops_under_a_wrong_class():
    crops = sure(100, labelled=30)
    page = offer(crops, Filter(), 0.9, 40, seed=1)
    assert len(page) == 40
    assert page.planted_n.sum() == 2
    planted, genuine = page.rows_n[page.planted_n], page.rows_n[~page.planted_n]
    assert (crops.label_N[planted] == 7).all()
    assert (page.shown_n[page.planted_n] == 3).all(), "the label says 7"
    assert sorted(genuine) == list(range(30, 68))
    assert (page.shown_n[~page.planted_n] == 3).all()


def test_a_page_follows_its_seed():
    crops = sure(100, labelled=30)
    one, again, other = (offer(crops, Filter(), 0.9, 40, seed) for seed in (1, 1, 2))
    assert one.rows_n.tolist() == again.rows_n.tolist()
    assert one.rows_n.tolist() != other.rows_n.tolist()


def test_without_labels_a_sure_crop_is_planted_under_a_class_that_is_not_predicted():
    page = offer(sure(12), Filter(), 0.9, 40, seed=0)
    assert len(page) == 12
    assert page.shown_n[page.planted_n].tolist() == [7]
    assert len(set(page.rows_n.tolist())) == 12


def test_among_predictions_of_one_class_the_planted_ones_are_shown_as_that_class_too():
    page = offer(sure(30, labelled=5), Filter(predicted=3), 0.9, 20, seed=0)
    assert set(page.shown_n.tolist()) == {3}
    assert page.planted_n.sum() == 1


def test_labels_that_were_given_with_others_are_no_source_of_planted_errors():
    crops = sure(30, labelled=5)
    page = offer(replace(crops, single_N=np.zeros(35, np.bool_)), Filter(predicted=3), 0.9, 20, seed=0)
    assert not page.planted_n.any()
    assert len(page) == 20


def test_only_sure_predictions_of_the_filter_without_a_label_are_offered(crops):
    assert offer(crops, Filter(), 0.65, 40, 0).rows_n.tolist() in ([0, 4], [4, 0])
    assert offer(crops, Filter(predicted=7), 0.65, 40, 0).rows_n.tolist() == []
    assert len(offer(crops, Filter(frame_id=2), 0.65, 40, 0)) == 0


def test_what_is_accepted_leaves_out_planted_labelled_and_refused_crops():
    crops = sure(38, labelled=30)
    page = offer(crops, Filter(), 0.9, 40, seed=1)
    planted, genuine = page.rows_n[page.planted_n], page.rows_n[~page.planted_n]
    refused, corrected = int(genuine[0]), int(genuine[1])
    after = crops.labelled([corrected], [7], [False])
    rows, class_ids = page.genuine(after, {refused})
    assert sorted(rows) == sorted(set(genuine.tolist()) - {refused, corrected})
    assert set(class_ids.tolist()) == {3}
    assert page.caught({refused, corrected}) == 0
    assert page.caught({int(planted[0]), refused}) == 1
    assert page.caught(set(planted.tolist())) == 2


def test_labels_to_look_at_again_come_in_the_order_of_their_doubts(crops):
    assert ordered(crops, Filter(label=LOOK_AGAIN), "labels to look at again").tolist() == [3, 1]
    assert ordered(crops, Filter(), "labels to look at again").tolist()[:2] == [3, 1]


def test_a_label_that_is_changed_or_kept_is_doubted_no_more(crops):
    assert crops.labelled([3], [3], [False]).doubt_N.tolist() == [0, 2, 0, 0, 0, 0]
    assert crops.settled([1]).doubt_N.tolist() == [0, 0, 0, 1, 0, 0]
