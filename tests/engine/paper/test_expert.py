import numpy as np
import pytest

from costal.errors import AgentError
from costal.paper.expert import SimulatedExpert, perimeter

CLASSES = np.array([0, 7, 7])


def square(side, grey=255):
    image = np.zeros((28, 28), dtype=np.uint8)
    image[5 : 5 + side, 5 : 5 + side] = grey
    return image


@pytest.mark.parametrize("side", [3, 5, 10])
def test_the_perimeter_of_a_square_runs_through_its_border_pixels(side):
    assert perimeter(square(side)) == 4 * (side - 1)


@pytest.mark.parametrize(("grey", "expected"), [(127, 0), (128, 36)])
def test_a_digit_is_what_is_brighter_than_half(grey, expected):
    assert perimeter(square(10, grey)) == expected


def test_a_hole_adds_its_own_outline():
    ring = square(9)
    ring[8:11, 8:11] = 0
    assert perimeter(ring) > perimeter(square(9))


def test_the_expert_gives_the_true_class_at_base_cost_and_perimeter():
    images = np.stack([square(3), square(5), square(10)])
    expert = SimulatedExpert(tuple(float(10 * k) for k in range(10)))
    labels, costs = expert.answer(images, CLASSES)
    assert labels.tolist() == [0, 7, 7]
    assert costs.tolist() == [0 + 8, 70 + 16, 70 + 36]
    assert costs.dtype == np.float32


def test_without_base_costs_the_perimeter_is_the_cost():
    _, costs = SimulatedExpert().answer(np.stack([square(3)]), CLASSES[:1])
    assert costs.tolist() == [8]


@pytest.mark.parametrize(
    "base_costs",
    [(1.0,) * 9, (), (1.0,) * 9 + (-1.0,), (1.0,) * 9 + (float("inf"),), (1.0,) * 9 + (float("nan"),)],
    ids=["nine", "none", "negative", "infinite", "not a number"],
)
def test_base_costs_that_cannot_be_are_refused(base_costs):
    with pytest.raises(AgentError, match="must be 10 numbers of 0 or more"):
        SimulatedExpert(base_costs)
