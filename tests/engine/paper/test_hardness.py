import pytest

from costal.agent.classifier import classify
from costal.agent.metrics import accuracy
from costal.loop import learn, new_agent
from costal.paper.datasets import synthetic_dataset
from costal.paper.digits import render, to_crops
from costal.paper.sources import initial_indices
from costal.types import AgentSettings, Answer, finish


@pytest.fixture(scope="module")
def unseen_digits():
    return render(0, range(60_000, 61_000))


def accuracy_after(indices, digits):
    images, classes = render(0, indices)
    answers = [Answer(crop, int(label), None) for crop, label in zip(to_crops(images), classes, strict=True)]
    agent = finish(learn(new_agent(AgentSettings(10), (1, 28, 28)), answers, 0, "cpu"))
    return accuracy(finish(classify(agent, to_crops(digits[0]), "cpu")), digits[1])


@pytest.mark.slow
def test_20_synthetic_digits_do_not_suffice(unseen_digits):
    assert 0.3 < accuracy_after(initial_indices(synthetic_dataset(), 0, 0), unseen_digits) < 0.8


@pytest.mark.slow
def test_1000_synthetic_digits_suffice(unseen_digits):
    assert 0.93 < accuracy_after(range(1000), unseen_digits) < 0.995
