import numpy as np
import pytest

from costal.errors import AgentError
from costal.paper.expert import SimulatedExpert
from costal.paper.sources import Dataset

CLASS_OF = np.array([0, 2, 2, 1])


@pytest.fixture
def tiring():
    """Return four crops of three classes: crop i takes 10 i at first, and a second longer for each answer before."""
    return Dataset(
        "shapes",
        ("a", "b", "c"),
        (1, 4, 4),
        "s",
        4,
        take=lambda rows: (np.zeros((len(rows), 1, 4, 4), np.float32), CLASS_OF[rows]),
        test=lambda: (np.zeros((0, 1, 4, 4), np.float32), CLASS_OF[:0]),
        effort=lambda rows, repeat, order: (1000 * repeat + 10 * rows + order).astype(np.float32),
        fingerprint="",
    )


def test_the_expert_gives_the_true_class_at_base_cost_and_effort(tiring):
    labels, costs = SimulatedExpert((100.0, 200.0, 300.0)).answer(tiring, np.array([1, 0, 3]), 0, 0)
    assert labels.tolist() == [2, 0, 1]
    assert costs.tolist() == [300 + 10, 100 + 0 + 1, 200 + 30 + 2]
    assert costs.dtype == np.float32


def test_each_crop_is_answered_after_those_before_it(tiring):
    _, costs = SimulatedExpert().answer(tiring, np.array([2, 2, 2]), 0, 5)
    assert costs.tolist() == [25, 26, 27]


def test_the_cost_of_a_crop_is_what_it_is_if_it_comes_next(tiring):
    assert SimulatedExpert().cost(tiring, np.array([2, 2, 0]), 1, 5).tolist() == [1025, 1025, 1005]


@pytest.mark.parametrize("none", [(), (0.0,) * 10], ids=["empty", "zeros of another length"])
def test_without_base_costs_the_effort_is_the_cost(tiring, none):
    assert SimulatedExpert(none).cost(tiring, np.array([3, 1]), 0, 0).tolist() == [30, 10]


def test_base_costs_for_other_classes_are_refused_with_both_counts(tiring):
    with pytest.raises(AgentError, match=r"shapes has 3 classes \(a, b, c\), but there are 2 base costs"):
        SimulatedExpert((1.0, 2.0)).answer(tiring, np.array([0]), 0, 0)


@pytest.mark.parametrize("wrong", [-1.0, float("inf"), float("nan")])
def test_base_costs_that_cannot_be_are_refused(wrong):
    with pytest.raises(AgentError, match="must be numbers of 0 or more"):
        SimulatedExpert((1.0, wrong))
