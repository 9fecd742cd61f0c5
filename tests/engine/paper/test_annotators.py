import numpy as np
import pytest
from scipy.stats import spearmanr

from costal.paper.annotators import PACE, TURN, as_given, pearson_of, turn_of, with_annotators
from costal.paper.sources import Dataset
from costal.types import Answer

COUNT, CROPS = 4, 2000


def source():
    """Return crops whose log efforts are those of a normal distribution of mean 2 and spread 0.7."""
    log_effort_N = 2 + 0.7 * np.random.default_rng(0).standard_normal(CROPS)
    return Dataset(
        "crops", ("a", "b"), (1, 4, 4), "s", CROPS,
        take=lambda indices: (np.zeros((len(indices), 1, 4, 4), np.float32), indices % 2),
        test=lambda: (np.zeros((1, 1, 4, 4), np.float32), np.zeros(1, np.int64)),
        effort=lambda indices, _repeat, _order: np.exp(log_effort_N[indices]).astype(np.float32),
        fingerprint="",
    )  # fmt: skip


@pytest.mark.parametrize("agreement", [0.3, 0.45, 0.6])
def test_two_annotators_agree_in_rank_as_far_as_is_asked(agreement):
    dataset, rows = with_annotators(source(), COUNT, agreement, 0, 0), np.arange(CROPS)
    efforts = [dataset.effort(rows, 0, TURN * each) for each in range(COUNT)]
    ranks = [spearmanr(efforts[0], other)[0] for other in efforts[1:]]
    assert np.mean(ranks) == pytest.approx(agreement, abs=0.05)
    spreads = [np.log(each).std() for each in efforts]
    assert np.mean(spreads) == pytest.approx(0.7, rel=0.1)
    assert np.std([np.log(each).mean() for each in efforts]) < 3 * PACE


def test_the_effort_is_that_of_whose_turn_it_is():
    dataset, rows = with_annotators(source(), COUNT, 0.45, 0, 0), np.arange(20)
    each = dataset.effort(rows, 0, 5 + np.arange(20))
    first, second, third = (dataset.effort(rows, 0, order) for order in (0, TURN, 2 * TURN))
    assert each.tolist() == [*first[:5], *second[5:15], *third[15:]]


def test_one_annotator_is_the_data_set_as_it_is():
    whole = source()
    assert with_annotators(whole, 1, 0.45, 0, 0) is whole
    answers = (Answer(np.zeros((1, 4, 4), np.float32), 0, 1.0, order=7),)
    (given,) = as_given(answers, 1)
    assert (given.class_index, given.effort, given.annotator, given.order) == (0, 1.0, "", 7)


def test_turns_of_ten_go_round_and_each_counts_the_own_answers():
    assert turn_of(7, 1) == ("", 7)
    turns = [turn_of(order, COUNT) for order in (0, 9, 10, 39, 40, 55)]
    assert turns == [
        ("annotator 1", 0), ("annotator 1", 9), ("annotator 2", 0), ("annotator 4", 9), ("annotator 1", 10),
        ("annotator 2", 15),
    ]  # fmt: skip


def test_answers_carry_who_gave_them():
    blank = np.zeros((1, 4, 4), np.float32)
    given = as_given([Answer(blank, 0, 1.0, order=order) for order in (9, 10)], 2)
    assert [(each.annotator, each.order) for each in given] == [("annotator 1", 9), ("annotator 2", 0)]


def test_the_rank_correlation_of_normal_variables_has_its_correlation():
    assert pearson_of(0) == 0
    assert pearson_of(1) == pytest.approx(1)
