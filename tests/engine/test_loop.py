import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from costal.agent.cost import FEWEST_EFFORTS
from costal.agent.value import select
from costal.errors import AgentError
from costal.loop import acquisition_cost, choose, learn, learn_together, new_agent, propose, rest_of_query, score
from costal.seeds import rng_for
from costal.types import Agent, AgentSettings, Pool, Scores, finish

SHAPE = (1, 28, 28)


@pytest.fixture
def agent(quick_settings, digit_answers):
    return finish(learn(new_agent(quick_settings, SHAPE), list(digit_answers), 1, "cpu"))


def scores_of(information, cost):
    count = len(information)
    return Scores(np.float32(information), np.float32(cost), np.full((count, 2), 0.5, np.float32), False, "cpu")


def assert_close_agents(first, second, atol):
    assert replace(first, classifier=(), cost_model=None) == replace(second, classifier=(), cost_model=None)
    assert (first.cost_model is None) == (second.cost_model is None)
    pairs = list(zip(first.classifier, second.classifier, strict=True))
    if first.cost_model is not None:
        assert replace(first.cost_model, weights={}) == replace(second.cost_model, weights={})
        pairs.append((first.cost_model.weights, second.cost_model.weights))
    for one, other in pairs:
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_allclose(one[name], other[name], rtol=0, atol=atol)


def assert_equal_agents(first, second):
    assert_close_agents(first, second, atol=0)


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
    assert scores.features_N_F.shape == (12, 32)
    assert 0 < scores.cost_spread < 10


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
    assert agent.classifier == ()
    with pytest.raises(AgentError, match=f"cannot predict.*{counted}"):
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
    assert (first.scores.features_N_F, first.scores.cost_spread) == (None, 0.0)


def test_the_learned_cost_of_a_single_crop_is_not_called_uniform(agent, digit_pool):
    assert not finish(score(agent, Pool(digit_pool[:1]), 0, "cpu")).cost_is_uniform


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
    before = {name: array.copy() for name, array in agent.classifier[0].items()}
    finish(learn(agent, list(digit_answers), 9, "cpu"))
    for name, array in before.items():
        np.testing.assert_array_equal(agent.classifier[0][name], array)


@pytest.fixture
def crowded_gpu(monkeypatch):
    """Return the attempts to train classifiers (networks, device, batch) beside a GPU that is always full."""
    from costal.agent import classifier

    real, tried = classifier.train_classifiers, []

    def crowded(tasks, training, device):
        tried.append((len(tasks), device, training.batch))
        if device == "cuda":
            raise torch.OutOfMemoryError("simulated")
        return (yield from real(tasks, training, device))

    monkeypatch.setattr(classifier, "train_classifiers", crowded)
    monkeypatch.setattr("costal.agent.devices.choose_device", lambda wanted: wanted)
    return tried


def test_a_full_gpu_while_training_gives_way_to_the_cpu_and_is_told(quick_settings, digit_answers, crowded_gpu):
    settings = replace(quick_settings, training=replace(quick_settings.training, batch=4))
    agent = finish(learn(new_agent(settings, SHAPE), list(digit_answers), 0, "cuda"))
    assert crowded_gpu == [(1, "cuda", 4), (1, "cuda", 2), (1, "cuda", 1), (1, "cpu", 32)]
    assert "continued on the CPU" in " ".join(agent.notes)
    assert agent.settings == settings


# learning together


def test_a_full_gpu_halves_the_batch_of_all_that_learn_together_and_each_is_told(
    quick_settings, digit_answers, crowded_gpu
):
    settings = replace(quick_settings, training=replace(quick_settings.training, batch=2))
    agents = finish(learn_together([new_agent(settings, SHAPE)] * 3, [digit_answers] * 3, range(3), "cuda"))
    assert crowded_gpu == [(3, "cuda", 2), (3, "cuda", 1), (3, "cpu", 32)]
    for agent in agents:
        assert "continued on the CPU" in " ".join(agent.notes)
        assert agent.settings == settings


def test_agents_that_learn_together_learn_what_each_learns_alone(quick_settings, digit_answers):
    """Two that share stacks, one with fewer labels, one without a cost model and one that knows a single class."""
    blind = [replace(each, effort=None) for each in digit_answers]
    single = [replace(each, class_index=3) for each in digit_answers]
    answers = [list(digit_answers), blind, digit_answers[:15], single, [*reversed(digit_answers)]]
    agents = [
        new_agent(quick_settings, SHAPE),
        new_agent(quick_settings, SHAPE),
        new_agent(replace(quick_settings, members=2), SHAPE),
        new_agent(quick_settings, SHAPE),
        new_agent(replace(quick_settings, cost_likelihood="least_squares"), SHAPE),
    ]
    together = finish(learn_together(agents, answers, [4, 5, 6, 7, 8], "cpu"))
    assert [len(each.classifier) for each in together] == [1, 1, 2, 0, 1]
    assert [each.cost_model is None for each in together] == [False, True, False, False, False]
    for agent, own, seed, learned in zip(agents, answers, [4, 5, 6, 7, 8], together, strict=True):
        assert_close_agents(learned, finish(learn(agent, list(own), seed, "cpu")), atol=1e-4)


def test_learning_together_twice_gives_the_same_agents(quick_settings, digit_answers):
    agents, answers = [new_agent(quick_settings, SHAPE)] * 3, [digit_answers, digit_answers[::-1], digit_answers[:15]]
    first, again = (finish(learn_together(agents, answers, [1, 2, 3], "cpu")) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert_equal_agents(one, other)


def test_agents_that_would_train_otherwise_cannot_learn_together(quick_settings, digit_answers):
    other = replace(quick_settings, training=replace(quick_settings.training, batch=3))
    agents = [new_agent(settings, SHAPE) for settings in (quick_settings, other)]
    with pytest.raises(AgentError, match="need the same"):
        finish(learn_together(agents, [digit_answers] * 2, [0, 1], "cpu"))


def test_one_that_diverges_stops_all_that_learn_together_and_leaves_them_as_they_were(
    quick_settings, digit_answers, agent
):
    before = {name: array.copy() for name, array in agent.classifier[0].items()}
    broken = [replace(each, crop_C_H_W=each.crop_C_H_W * np.nan) for each in digit_answers]
    with pytest.raises(AgentError, match=r"Training the classifier diverged at step .* learning rate below 0\.001"):
        finish(learn_together([agent] * 3, [digit_answers, broken, digit_answers], range(3), "cpu"))
    for name, array in before.items():
        np.testing.assert_array_equal(agent.classifier[0][name], array)


# an ensemble


@pytest.fixture
def ensemble(quick_settings, digit_answers):
    return finish(learn(new_agent(replace(quick_settings, members=3), SHAPE), list(digit_answers), 1, "cpu"))


def test_the_first_member_of_an_ensemble_is_the_single_agents_classifier_and_the_others_differ(ensemble, agent):
    assert len(ensemble.classifier) == 3
    first = replace(ensemble, settings=agent.settings, classifier=ensemble.classifier[:1])
    assert_close_agents(first, agent, atol=1e-4)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        for name in ("trunk.0.weight", "hidden.weight", "output.weight"):
            assert abs(ensemble.classifier[one][name] - ensemble.classifier[other][name]).max() > 0.01


def test_an_ensemble_scores_with_all_its_members(ensemble, digit_pool):
    scores = finish(score(ensemble, Pool(digit_pool), 1, "cpu"))
    own = [
        finish(score(replace(ensemble, classifier=(each,)), Pool(digit_pool), 1, "cpu")) for each in ensemble.classifier
    ]
    np.testing.assert_allclose(scores.probs_N_K.sum(1), 1, rtol=1e-5)
    assert all(abs(scores.probs_N_K - each.probs_N_K).max() > 1e-3 for each in own)
    assert (scores.information_N >= -1e-6).all()
    np.testing.assert_allclose(scores.cost_N, own[0].cost_N)


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


def test_settings_left_alone_pick_the_n_of_greatest_value_and_no_control(quick_settings):
    rng = np.random.default_rng(0)
    scores = scores_of(rng.integers(4, size=200) / 4, rng.integers(1, 4, size=200))
    query = choose(scores, quick_settings, 5, places_N_2=PLACES_200)
    assert query.picked_n.tolist() == select(query.value_N, 3, rng_for(5, "ties")).tolist()
    assert query.control_n.tolist() == [False] * 3


# diversity

PLACES_200 = np.stack(np.divmod(np.arange(200), 20), axis=1)


def smooth_scores(seed=0):
    """Return scores of 10 x 20 crops whose neighbours have about the same information and features."""
    rng = np.random.default_rng(seed)
    rows, cols = PLACES_200.T
    information = 1 + np.sin(rows / 3) + np.cos(cols / 4) + rng.normal(0, 0.01, 200)
    features = np.stack([np.sin(rows / 3), np.cos(cols / 4), rng.normal(0, 0.1, 200)], axis=1)
    return replace(scores_of(information, rng.lognormal(1, 0.5, 200)), features_N_F=features.astype(np.float32))


def touching(picked):
    apart = np.abs(PLACES_200[picked][:, None] - PLACES_200[picked]).max(-1)
    return int((apart[np.triu_indices(len(picked), 1)] <= 1).sum())


@pytest.mark.parametrize("budget", [None, 25.0], ids=["n crops", "a budget"])
def test_a_diverse_query_has_no_neighbours_where_a_plain_one_has(quick_settings, budget):
    settings = replace(quick_settings, n=10, beta=0.0, budget=budget)
    plain, diverse = (
        choose(smooth_scores(), replace(settings, diverse=each), 0, places_N_2=PLACES_200) for each in (False, True)
    )
    assert touching(plain.picked_n) > 0
    assert touching(diverse.picked_n) == 0
    assert len(diverse.picked_n) == 10 or budget
    assert diverse.picked_n[0] == plain.picked_n[0] or budget


def test_a_diverse_query_is_full_even_where_all_crops_are_alike(quick_settings):
    scores = replace(scores_of([0.1, 0.2, 0.3], [1] * 3), features_N_F=np.ones((3, 4), np.float32))
    query = choose(scores, replace(quick_settings, diverse=True), 0, places_N_2=PLACES_200[:3])
    assert query.picked_n.tolist() == [2, 1, 0]


def test_without_features_or_places_diversity_changes_nothing(quick_settings):
    scores = replace(smooth_scores(), features_N_F=None)
    plain, diverse = (choose(scores, replace(quick_settings, n=50, diverse=each), 3) for each in (False, True))
    assert plain.picked_n.tolist() == diverse.picked_n.tolist()


# the control share


def test_controls_take_the_place_of_some_of_the_best(quick_settings):
    scores = smooth_scores()
    settings = replace(quick_settings, n=20, control_share=0.1)
    query = choose(scores, settings, 0)
    assert len(set(query.picked_n.tolist())) == 20
    assert query.control_n.sum() == 2
    left = np.setdiff1d(np.arange(200), query.picked_n[query.control_n])
    best = left[np.argsort(-query.value_N[left])][:18]
    assert query.picked_n[~query.control_n].tolist() == best.tolist()


@pytest.mark.parametrize("budget", [None, 60.0], ids=["n crops", "a budget"])
def test_controls_are_uniform_and_blind_to_information_alpha_and_beta(quick_settings, budget):
    cost = np.float32([1, 2, 3, 4, 5, 6, 7, 8])
    settings = replace(quick_settings, n=4, control_share=0.5, budget=budget)
    counts = np.zeros(8)
    for seed in range(800):
        rng = np.random.default_rng(seed)
        result = [
            choose(
                scores_of(rng.random(8), cost), replace(settings, alpha=alpha, beta=beta, diverse=seed % 2 == 0), seed
            )
            for alpha, beta in ((1.0, 0.0), (3.0, 2.0))
        ]
        first, other = (sorted(query.picked_n[query.control_n].tolist()) for query in result)
        assert first == other
        counts[first] += 1
    assert stats.chisquare(counts).pvalue > 0.001


def test_controls_are_drawn_from_the_candidates_alone(quick_settings):
    candidates = np.array([3, 50, 51, 120, 199])
    settings = replace(quick_settings, n=4, control_share=0.5)
    for seed in range(30):
        query = choose(smooth_scores(), settings, seed, candidates)
        assert set(query.picked_n.tolist()) < set(candidates.tolist())
        assert (len(query.picked_n), query.control_n.sum()) == (4, 2)


@pytest.mark.parametrize("diverse", [False, True])
def test_a_query_may_be_all_controls(quick_settings, diverse):
    query = choose(smooth_scores(), replace(quick_settings, n=6, control_share=1.0, diverse=diverse), 0)
    assert query.control_n.tolist() == [True] * 6


def test_reserved_crops_are_asked_as_controls_alone_the_smallest_numbers_first(quick_settings):
    number_N = np.random.default_rng(0).random(200)
    settings = replace(quick_settings, n=20, control_share=0.1)
    reserved = np.flatnonzero(number_N < 0.1)
    for seed in range(10):
        query = choose(smooth_scores(), settings, seed, control_number_N=number_N)
        controls = query.picked_n[query.control_n]
        assert sorted(controls) == sorted(reserved[np.argsort(number_N[reserved])][:2])
        assert not np.isin(query.picked_n[~query.control_n], reserved).any()


@pytest.mark.parametrize("budget", [None, 1e6], ids=["n crops", "a budget"])
def test_when_only_reserved_crops_are_left_all_of_them_are_asked(quick_settings, budget):
    number_N = np.where(np.arange(200) < 5, 0.01, 0.5)
    settings = replace(quick_settings, n=20, control_share=0.1, budget=budget)
    query = choose(smooth_scores(), settings, 0, np.arange(5), control_number_N=number_N)
    assert sorted(query.picked_n) == [0, 1, 2, 3, 4]
    assert query.control_n.all()


def test_controls_stay_where_they_are_while_the_slider_moves(quick_settings):
    settings = replace(quick_settings, n=12, control_share=0.25)
    queries = [choose(smooth_scores(), replace(settings, beta=beta), 4) for beta in (0.0, 0.5, 2.0)]
    assert len({tuple(query.control_n) for query in queries}) == 1
    assert len({tuple(query.picked_n[query.control_n]) for query in queries}) == 1
    assert len({tuple(query.picked_n) for query in queries}) == 3


# a time budget


def test_a_budget_collects_more_information_than_the_top_n_in_the_same_minutes(quick_settings):
    rng = np.random.default_rng(0)
    scores = scores_of(rng.random(300), rng.lognormal(1, 0.8, 300))
    top = choose(scores, replace(quick_settings, n=30, beta=0.0), 0).picked_n
    minutes = math.fsum(scores.cost_N[top].astype(float))
    bought = choose(scores, replace(quick_settings, budget=minutes), 0).picked_n
    assert math.fsum(scores.cost_N[bought].astype(float)) <= minutes
    assert scores.information_N[bought].sum() > 1.5 * scores.information_N[top].sum()
    for beta in (0.3, 1.0):
        order = choose(scores, replace(quick_settings, n=300, beta=beta), 0).picked_n
        ranked = order[np.cumsum(scores.cost_N[order].astype(float)) <= minutes]
        assert scores.information_N[bought].sum() > scores.information_N[ranked].sum()


def test_a_budget_counts_information_to_the_power_of_alpha(quick_settings):
    scores = scores_of([0.5, 0.3, 0.3], [4, 2, 2])
    picks = [
        sorted(choose(scores, replace(quick_settings, budget=4.0, alpha=alpha), 0).picked_n.tolist())
        for alpha in (1, 2)
    ]
    assert picks == [[1, 2], [0]]


@given(budget=st.floats(15, 200), share=st.floats(0, 1), diverse=st.booleans(), seed=st.integers(0, 100))
def test_a_budget_is_never_exceeded_with_controls_and_diversity(budget, share, diverse, seed):
    scores = smooth_scores(seed)
    settings = AgentSettings(2, budget=budget, control_share=share, diverse=diverse)
    query = choose(scores, settings, seed, places_N_2=PLACES_200)
    assert math.fsum(scores.cost_N[query.picked_n].astype(float)) <= budget
    assert len(set(query.picked_n.tolist())) == len(query.picked_n) == len(query.control_n) > 0


def test_a_budget_without_predicted_efforts_is_refused_with_the_remedy(quick_settings):
    scores = replace(scores_of([0.1, 0.2], [1, 1]), cost_is_uniform=True)
    with pytest.raises(AgentError, match=f"until {FEWEST_EFFORTS} efforts are measured, or choose a number of crops"):
        choose(scores, replace(quick_settings, budget=20.0), 0)


@pytest.mark.parametrize(("information", "cost"), [([0.5, 0.5], [30, 25]), ([0.0, 0.0], [3, 1])])
def test_a_budget_that_buys_nothing_is_refused_with_the_cheapest(quick_settings, information, cost):
    with pytest.raises(AgentError, match=f"A budget of 20 selects no crop: the lowest predicted cost is {min(cost)},"):
        choose(scores_of(information, cost), replace(quick_settings, budget=20.0), 0)


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


REST = np.array([1, 5, 2]), np.array([False, True, False])


@pytest.mark.parametrize(
    ("budget", "picked"),
    [(None, [3, 5, 2]), (60.0, [2, 5, 1])],
    ids=["the best of all", "those that were bought together"],
)
def test_what_is_still_to_come_of_a_query_is_the_best_by_new_scores_and_controls_keep_their_places(budget, picked):
    scores = scores_of([9.0, 1.0, 2.0, 3.0, 0.5, 8.0], np.ones(6))
    settings = AgentSettings(2, n=10, beta=0.0, control_share=0.5, budget=budget)
    rest_n, control_n = rest_of_query(scores, settings, 0, REST, np.array([3, 4]))  # 0 is answered
    assert rest_n.tolist() == picked
    assert control_n.tolist() == [False, True, False]


def test_controls_alone_are_not_chosen_anew():
    scores = scores_of([1.0, 2.0, 3.0], np.ones(3))
    rest = np.array([0, 1]), np.array([True, True])
    assert rest_of_query(scores, AgentSettings(2), 0, rest, np.array([2])) == rest
