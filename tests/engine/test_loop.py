from dataclasses import replace

import numpy as np
import pytest
import torch

from costal.errors import AgentError
from costal.loop import acquisition_cost, choose, learn, new_agent, propose, score
from costal.types import Agent, Pool, Scores, finish

SHAPE = (1, 28, 28)


@pytest.fixture
def agent(quick_settings, digit_answers):
    return finish(learn(new_agent(quick_settings, SHAPE), list(digit_answers), 1, "cpu"))


def scores_of(information, cost):
    count = len(information)
    return Scores(np.float32(information), np.float32(cost), np.full((count, 2), 0.5, np.float32), False, "cpu")


def assert_equal_agents(first, second):
    for one, other in (
        (first.classifier, second.classifier),
        (first.cost_model.weights, second.cost_model.weights),
    ):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


def test_a_round_asks_n_crops_of_the_pool_best_first(agent, digit_pool):
    query = finish(propose(agent, Pool(digit_pool), 1, "cpu"))
    assert len(set(query.picked_n.tolist())) == 3
    values = query.value_N[query.picked_n]
    assert values.tolist() == sorted(query.value_N.tolist(), reverse=True)[:3]


def test_scores_of_a_trained_agent_are_in_their_ranges(agent, digit_pool):
    scores = finish(score(agent, Pool(digit_pool), 1, "cpu"))
    assert scores.information_N.shape == scores.cost_N.shape == (12,)
    assert (scores.information_N >= -1e-6).all()
    assert (scores.cost_N > 0).all()
    np.testing.assert_allclose(scores.probs_N_K.sum(1), 1, rtol=1e-5)
    assert not scores.cost_is_uniform
    assert scores.device == "cpu"


def test_a_round_follows_its_seed_and_not_the_global_generators(quick_settings, digit_answers, digit_pool):
    def play(seed):
        agent = finish(learn(new_agent(quick_settings, SHAPE), list(digit_answers), seed, "cpu"))
        return agent, finish(propose(agent, Pool(digit_pool), seed, "cpu"))

    torch.manual_seed(1)
    first_agent, first = play(4)
    torch.manual_seed(2)
    again_agent, again = play(4)
    _, other = play(5)
    assert_equal_agents(first_agent, again_agent)
    np.testing.assert_array_equal(first.picked_n, again.picked_n)
    np.testing.assert_array_equal(first.value_N, again.value_N)
    assert (first.value_N != other.value_N).any()


def test_information_does_not_depend_on_what_else_is_in_the_pool(agent, digit_pool):
    whole = finish(score(agent, Pool(digit_pool), 1, "cpu"))
    part = finish(score(agent, Pool(digit_pool[3:7]), 1, "cpu"))
    np.testing.assert_allclose(part.information_N, whole.information_N[3:7], atol=1e-5)
    np.testing.assert_allclose(part.cost_N, whole.cost_N[3:7], rtol=1e-5)


@pytest.mark.parametrize(("classes", "counted"), [([], "0 labels of 0 classes"), ([3, 3], "2 labels of 1 class")])
def test_below_two_classes_the_committee_is_refused_with_the_reason(
    quick_settings, digit_answers, digit_pool, classes, counted
):
    answers = [replace(answer, class_index=each) for answer, each in zip(digit_answers, classes, strict=False)]
    agent = finish(learn(new_agent(quick_settings, SHAPE), answers, 0, "cpu"))
    assert agent.classifier is None
    with pytest.raises(AgentError, match=f"cannot be asked.*{counted}"):
        finish(propose(agent, Pool(digit_pool), 0, "cpu"))


def test_an_agent_that_never_learned_says_what_to_do(quick_settings, digit_pool):
    with pytest.raises(AgentError, match=r"No crop is labelled yet. Label crops of at least two classes"):
        finish(propose(new_agent(quick_settings, SHAPE), Pool(digit_pool), 0, "cpu"))


def test_random_acquisition_needs_no_classifier_and_follows_its_seed(quick_settings, digit_pool):
    agent = new_agent(replace(quick_settings, acquisition="random"), SHAPE)
    first, again, other = (finish(propose(agent, Pool(digit_pool), seed, "cpu")) for seed in (1, 1, 2))
    assert first.picked_n.tolist() == again.picked_n.tolist()
    assert first.picked_n.tolist() != other.picked_n.tolist()
    assert np.isnan(first.scores.probs_N_K).all()
    assert first.scores.cost_is_uniform


def test_an_empty_pool_is_refused(agent, digit_pool):
    with pytest.raises(AgentError, match="The pool is empty"):
        finish(score(agent, Pool(digit_pool[:0]), 0, "cpu"))


def test_crops_of_another_shape_are_refused_with_both_shapes(agent):
    with pytest.raises(AgentError, match=r"crops of \(1, 28, 28\) \(C, H, W\), not \(2, 28, 28\)"):
        finish(score(agent, Pool(np.zeros((1, 2, 28, 28), np.float32)), 0, "cpu"))


def test_too_few_efforts_leave_the_cost_uniform_and_the_agent_says_so(quick_settings, digit_answers, digit_pool):
    answers = [replace(answer, effort=None) for answer in digit_answers]
    agent = finish(learn(new_agent(quick_settings, SHAPE), answers, 0, "cpu"))
    assert agent.cost_model is None
    scores = finish(score(agent, Pool(digit_pool), 0, "cpu"))
    assert scores.cost_is_uniform
    assert scores.cost_N.tolist() == [1.0] * 12
    assert "β has no effect" in " ".join(scores.notes)


def test_skipped_crops_are_not_counted_as_labels(quick_settings, digit_answers):
    answers = [*digit_answers[:20], *(replace(each, class_index=None) for each in digit_answers[20:])]
    agent = finish(learn(new_agent(quick_settings, SHAPE), answers, 0, "cpu"))
    assert agent.label_count == 20
    assert agent.cost_model.effort_count == 24


def test_learning_leaves_the_agent_it_began_with_as_it_was(agent, digit_answers):
    before = {name: array.copy() for name, array in agent.classifier.items()}
    finish(learn(agent, list(digit_answers), 9, "cpu"))
    for name, array in before.items():
        np.testing.assert_array_equal(agent.classifier[name], array)


def test_a_full_gpu_while_training_gives_way_to_the_cpu_and_is_told(quick_settings, digit_answers, monkeypatch):
    from costal.agent import classifier

    real, tried = classifier.train_classifier, []

    def crowded(answers, settings, before, seed, device):
        tried.append((device, settings.training.batch))
        if device == "cuda":
            raise torch.OutOfMemoryError("simulated")
        return (yield from real(answers, settings, before, seed, device))

    monkeypatch.setattr(classifier, "train_classifier", crowded)
    monkeypatch.setattr("costal.agent.devices.choose_device", lambda wanted: wanted)
    settings = replace(quick_settings, training=replace(quick_settings.training, batch=4))
    agent = finish(learn(new_agent(settings, SHAPE), list(digit_answers), 0, "cuda"))
    assert tried == [("cuda", 4), ("cuda", 2), ("cuda", 1), ("cpu", 32)]
    assert "went on with the CPU" in " ".join(agent.notes)
    assert agent.settings == settings


# choosing


def test_alpha_and_beta_only_recombine_the_same_scores(quick_settings):
    scores = scores_of([0.1, 0.9, 0.5], [1, 81, 16])
    settings = replace(quick_settings, n=1)
    picks = [choose(scores, replace(settings, beta=beta), 0).picked_n.tolist() for beta in (0.0, 1.0)]
    assert picks == [[1], [0]]


def test_only_candidates_are_picked_while_every_crop_has_a_value(quick_settings):
    scores = scores_of([0.9, 0.8, 0.1, 0.2, 0.3], [1] * 5)
    query = choose(scores, replace(quick_settings, beta=0.0), 0, np.array([2, 4]))
    assert query.picked_n.tolist() == [4, 2]
    np.testing.assert_allclose(query.value_N, [0.9, 0.8, 0.1, 0.2, 0.3])


def test_ties_are_drawn_from_the_seed(quick_settings):
    scores = scores_of([0.5] * 50, [1] * 50)
    first, again, other = (choose(scores, quick_settings, seed).picked_n.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


# the known cost of acquiring


PROBS_N_K = np.array([[1, 0], [0.25, 0.75], [np.nan, np.nan]], dtype=np.float32)


def test_the_acquisition_cost_is_that_of_the_classes_by_their_probability(quick_settings):
    settings = replace(quick_settings, class_count=2, acquisition_cost_K=(2.0, 10.0))
    np.testing.assert_allclose(acquisition_cost(settings, PROBS_N_K), [2, 0.25 * 2 + 0.75 * 10, 6])


@pytest.mark.parametrize("costs", [(), (0.0, 0.0)])
def test_without_acquisition_costs_nothing_is_added(quick_settings, costs):
    settings = replace(quick_settings, class_count=2, acquisition_cost_K=costs)
    assert acquisition_cost(settings, PROBS_N_K).tolist() == [0, 0, 0]


def test_a_known_acquisition_cost_lets_beta_act_before_efforts_are_known(agent, digit_pool):
    settings = replace(agent.settings, acquisition_cost_K=tuple(float(k) for k in range(10)))
    costly = Agent(settings, agent.crop_shape, agent.classifier, None)
    scores = finish(score(costly, Pool(digit_pool), 0, "cpu"))
    assert not scores.cost_is_uniform
    np.testing.assert_allclose(scores.cost_N, 1 + scores.probs_N_K @ np.arange(10), rtol=1e-5)
