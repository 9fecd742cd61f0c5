import numpy as np

from costal.loop import new_agent
from costal.types import AgentSettings, Answer, Training, finish
from costal.workbench.cross_validation import cross_validate


def test_models_are_asked_about_crops_that_they_did_not_learn_from():
    """Labels at random can be learned by heart, but not predicted."""
    rng = np.random.default_rng(0)
    settings = AgentSettings(2, passes=2, training=Training(batch=8, min_steps=15, epochs=0))
    agent = new_agent(settings, (1, 16, 16))
    class_N = rng.integers(0, 2, 40)
    crops = rng.random((40, 1, 16, 16), dtype=np.float32)
    random = [Answer(crop, int(each), None) for crop, each in zip(crops, class_N, strict=True)]
    plain = [Answer(np.full((1, 16, 16), each, np.float32), int(each), None) for each in class_N]
    shares = [
        finish(cross_validate(agent, answers, np.arange(40), None, 0, "cpu", repeats=1)).share
        for answers in (random, plain)
    ]
    assert shares[0] < 0.8
    assert shares[1] == 1.0


def test_no_model_learns_from_a_crop_that_overlaps_one_it_is_asked_about():
    """Each crop overlaps its twin alone, of another class: a model that had seen the twin would be wrong."""
    settings = AgentSettings(2, passes=2, training=Training(batch=8, min_steps=20, epochs=0))
    agent = new_agent(settings, (1, 16, 16))
    answers = [Answer(np.full((1, 16, 16), number % 2, np.float32), number % 2, None) for number in range(12)]
    everything = np.ones((12, 12), np.bool_)
    found = finish(cross_validate(agent, answers, np.arange(12), everything, 0, "cpu", repeats=1))
    assert found.count == 0
