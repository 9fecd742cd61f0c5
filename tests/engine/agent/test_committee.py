from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from costal.agent import classifier
from costal.agent.acquisition import ACQUISITION_FUNCTIONS, bald
from costal.agent.committee import PROJECTED, Committee, draw_masks, draw_projection, pack_heads
from costal.agent.networks import Network, initialise, to_weights
from costal.errors import AgentError
from costal.types import Agent, AgentSettings, finish

CROPS = np.random.default_rng(0).random((5, 1, 8, 8), dtype=np.float32) * np.linspace(0.2, 3, 5)[:, None, None, None]
CROPS = CROPS.astype(np.float32)


def network_of(seed):
    made = Network((1, 8, 8), 3)
    initialise(made, torch.Generator().manual_seed(seed))
    with torch.no_grad():
        made.hidden.bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(seed + 1))
        made.output.bias.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(seed + 2))
        made.output.weight.mul_(3)  # so that passes differ visibly
    return made.eval()


@pytest.fixture(scope="module")
def network():
    return network_of(3)


@pytest.fixture
def agent(network):
    return Agent(AgentSettings(3, acquisition="bald", passes=6), (1, 8, 8), (to_weights(network),))


@pytest.fixture(scope="module")
def networks(network):
    return [network, network_of(10), network_of(20)]


@pytest.fixture
def ensemble(agent, networks):
    return replace(agent, classifier=tuple(map(to_weights, networks)))


def test_masks_keep_three_quarters_of_the_features_and_half_of_the_hidden_units():
    masks = draw_masks(3872, 50, 0)
    assert sum(len(features) for features, _ in masks) / (50 * 3872) == pytest.approx(0.75, abs=0.005)
    assert sum(len(units) for _, units in masks) / (50 * 128) == pytest.approx(0.5, abs=0.025)


def test_how_many_units_a_mask_keeps_varies_as_for_independent_draws():
    kept = [len(units) for _, units in draw_masks(10, 2000, 1)]
    assert np.std(kept) == pytest.approx(np.sqrt(128 / 4), rel=0.07)


def test_masks_follow_their_seed_and_differ_between_passes():
    first, again, other = (draw_masks(100, 3, seed) for seed in (7, 7, 8))
    for (features, units), (same_features, same_units) in zip(first, again, strict=True):
        assert torch.equal(features, same_features)
        assert torch.equal(units, same_units)
    assert not torch.equal(first[0][0], other[0][0])
    assert not torch.equal(first[0][0], first[1][0])


def test_more_passes_begin_with_the_same_masks():
    few, many = draw_masks(100, 2, 7), draw_masks(100, 5, 7)
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(few, many, strict=False))


def test_packed_heads_equal_the_whole_head_under_the_same_masks(network):
    masks = draw_masks(network.hidden.in_features, 4, 11)
    with torch.inference_mode():
        features = network.trunk(torch.from_numpy(CROPS))
        logits_T_K_B = pack_heads(network, masks, "cpu", torch.float32).logits(features.T.contiguous())
        for logits_K_B, (kept, units) in zip(logits_T_K_B, masks, strict=True):
            feature_mask, hidden_mask = torch.zeros(features.shape[1]), torch.zeros(128)
            feature_mask[kept], hidden_mask[units] = 1 / 0.75, 1 / 0.5
            whole = network.head(features, feature_mask, hidden_mask)
            torch.testing.assert_close(logits_K_B.T, whole, rtol=1e-5, atol=1e-5)


def test_hidden_units_that_every_pass_drops_are_not_computed(network):
    masks = draw_masks(network.hidden.in_features, 4, 11)
    heads = pack_heads(network, masks, "cpu", torch.float32)
    assert len(heads.hidden_weight) == sum(len(units) for _, units in masks) < 4 * 128


def test_the_committees_passes_are_those_of_its_masks(network):
    committee = Committee([network], 4, 11, torch.float32)
    probs_T_B_K = committee.probs(committee.features(CROPS, "cpu"))
    masks = draw_masks(network.hidden.in_features, 4, 11)
    with torch.inference_mode():
        features = network.trunk(torch.from_numpy(CROPS)).T.contiguous()
        heads = pack_heads(network, masks, "cpu", torch.float32)
        expected = heads.logits(features).transpose(1, 2).softmax(-1)
    torch.testing.assert_close(probs_T_B_K, expected)


@pytest.fixture(scope="module")
def over_seeds(network):
    """Information (S, N) and mean probabilities (S, N, K) of S committees, ours and by ordinary dropout passes."""
    seeds, passes = 500, 15
    committees = [Committee([network], passes, seed) for seed in range(seeds)]
    ours = [committee.probs(committee.features(CROPS, "cpu")) for committee in committees]
    plain = []
    torch.manual_seed(0)
    with torch.inference_mode():
        features = network.trunk(torch.from_numpy(CROPS)).expand(passes, -1, -1)
        for _ in range(seeds):
            hidden = torch.relu(network.hidden(F.dropout(features, 0.25)))
            plain.append(network.output(F.dropout(hidden, 0.5)).softmax(-1))
    return ours, plain


@pytest.mark.parametrize("name", ACQUISITION_FUNCTIONS)
def test_mean_and_spread_of_information_agree_with_ordinary_dropout_passes(over_seeds, name):
    (ours, plain) = (
        np.stack([ACQUISITION_FUNCTIONS[name](probs).numpy() for probs in committee]) for committee in over_seeds
    )
    error = np.sqrt((ours.var(0) + plain.var(0)) / len(ours))
    assert (error > 0).all()
    assert (abs(ours.mean(0) - plain.mean(0)) < 4 * error).all()
    np.testing.assert_allclose(ours.std(0), plain.std(0), rtol=0.2)


def test_mean_probabilities_agree_with_ordinary_dropout_passes(over_seeds):
    (ours, plain) = (np.stack([probs.mean(0).numpy() for probs in committee]) for committee in over_seeds)
    error = np.sqrt((ours.var(0) + plain.var(0)) / len(ours))
    assert (abs(ours.mean(0) - plain.mean(0)) < 4 * error).all()


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_result_does_not_depend_on_the_batch_size(agent, monkeypatch, batch):
    whole, _ = finish(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    monkeypatch.setattr(classifier, "BATCH", batch)
    output, batch_setup = finish(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    assert batch_setup.batch == batch
    np.testing.assert_allclose(output.information_N, whole.information_N, atol=1e-5)
    np.testing.assert_allclose(output.probs_N_K, whole.probs_N_K, atol=1e-5)
    np.testing.assert_allclose(output.features_N_F, whole.features_N_F, atol=1e-5)


def test_information_is_the_acquisition_function_of_the_passes(agent, network):
    output, _ = finish(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    committee = Committee([network], 6, 5)
    passes = committee.probs(committee.features(CROPS, "cpu"))
    np.testing.assert_allclose(output.information_N, bald(passes).numpy(), atol=1e-6)
    np.testing.assert_allclose(output.probs_N_K, passes.mean(0).numpy(), atol=1e-6)


@pytest.mark.parametrize("members", [1, 3])
def test_the_trunk_runs_once_per_crop_and_network(ensemble, monkeypatch, members):
    seen = []
    monkeypatch.setattr(classifier, "BATCH", 2)
    build = classifier.build_classifiers

    def counting(*of):
        made = build(*of)
        for place, each in enumerate(made):
            each.trunk.register_forward_hook(lambda _, crops, found, place=place: seen.append((place, len(found))))
        return made

    monkeypatch.setattr(classifier, "build_classifiers", counting)
    agent = replace(ensemble, classifier=ensemble.classifier[:members])
    finish(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    assert seen == [(place, count) for count in (2, 3) for place in range(members)]


def test_features_are_the_trunks_projected_alike_whatever_the_seed_and_the_pool(agent, network):
    whole, _ = finish(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    part, _ = finish(classifier.ask_committee(agent, CROPS[2:], 99, "cpu"))
    assert whole.features_N_F.dtype == np.float32
    assert whole.features_N_F.shape == (5, PROJECTED)
    np.testing.assert_allclose(part.features_N_F, whole.features_N_F[2:], atol=1e-5)
    with torch.inference_mode():
        expected = network.trunk(torch.from_numpy(CROPS)) @ draw_projection(network.hidden.in_features).T
    np.testing.assert_allclose(whole.features_N_F, expected.numpy(), atol=0.02 * expected.norm(dim=1).max())


def test_the_projection_keeps_distances_about_as_johnson_and_lindenstrauss_say():
    points = torch.randn(40, 3872, generator=torch.Generator().manual_seed(1))
    before, after = (torch.pdist(each) for each in (points, points @ draw_projection(3872).T))
    ratio = (after / before).numpy()
    assert ratio.mean() == pytest.approx(1, abs=0.05)
    assert np.sqrt(np.mean((ratio - 1) ** 2)) == pytest.approx(np.sqrt(1 / (2 * PROJECTED)), rel=0.4)


def test_few_features_are_not_made_more():
    assert draw_projection(8).shape == (8, 8)


def test_progress_counts_the_crops(agent, monkeypatch):
    monkeypatch.setattr(classifier, "BATCH", 2)
    told = list(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    assert [(each.done, each.total) for each in told] == [(0, 5), (2, 5)]


@pytest.mark.parametrize("count", [6, 9, 64, 200])
def test_what_is_said_of_digits_does_not_depend_on_the_batch_size(small_digits, count):
    network = Network((1, 28, 28), 10)
    initialise(network, torch.Generator().manual_seed(0))
    agent = Agent(AgentSettings(10, acquisition="bald", passes=6), (1, 28, 28), (to_weights(network),))
    crops, _ = small_digits.take(np.arange(count))
    whole, _ = finish(classifier.ask_committee(agent, crops, 5, "cpu"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier, "BATCH", count - 1 if count < 64 else 21)
        found, _ = finish(classifier.ask_committee(agent, crops, 5, "cpu"))
    np.testing.assert_allclose(found.information_N, whole.information_N, atol=1e-5)


def test_an_agent_without_a_classifier_gives_its_reason():
    agent = Agent(AgentSettings(3), (1, 8, 8), notes=("Label crops of another class.",))
    with pytest.raises(AgentError, match=r"cannot predict. Label crops of another class"):
        finish(classifier.ask_committee(agent, CROPS, 0, "cpu"))


def test_the_mean_network_drops_nothing(agent, network):
    with torch.inference_mode():
        expected = network(torch.from_numpy(CROPS)).softmax(-1).numpy()
    np.testing.assert_allclose(finish(classifier.classify(agent, CROPS, "cpu")), expected, atol=0.01)


# an ensemble


def test_the_committee_of_an_ensemble_has_the_passes_of_each_network_the_first_as_if_alone(networks):
    committee, alone = Committee(networks, 4, 11), Committee(networks[:1], 4, 11)
    probs_T_B_K = committee.probs(committee.features(CROPS, "cpu"))
    assert probs_T_B_K.shape == (3 * 4, 5, 3)
    torch.testing.assert_close(probs_T_B_K.sum(-1), torch.ones(12, 5))
    torch.testing.assert_close(probs_T_B_K[:4], alone.probs(alone.features(CROPS, "cpu")), rtol=0, atol=0)


def test_each_network_of_an_ensemble_answers_with_its_own_weights(networks):
    """Averaged over many masks a network's passes lie about its mean network, and nearer to it than to the others'."""
    committee = Committee(networks, 300, 0)
    probs_M_B_K = committee.probs(committee.features(CROPS, "cpu")).view(3, 300, 5, 3).mean(1)
    with torch.inference_mode():
        means = [network(torch.from_numpy(CROPS)).softmax(-1) for network in networks]
    distance_M_M = torch.stack([(probs_M_B_K - mean).abs().mean((1, 2)) for mean in means])
    assert distance_M_M.argmin(0).tolist() == [0, 1, 2]


def test_networks_of_an_ensemble_are_thinned_by_masks_of_their_own(network):
    committee = Committee([network, network], 6, 11)
    probs_T_B_K = committee.probs(committee.features(CROPS, "cpu"))
    assert len({each.numpy().tobytes() for each in probs_T_B_K}) == 12


def test_the_information_of_an_ensemble_is_that_of_all_its_passes(ensemble, networks):
    output, _ = finish(classifier.ask_committee(ensemble, CROPS, 5, "cpu"))
    committee = Committee(networks, 6, 5)
    passes = committee.probs(committee.features(CROPS, "cpu"))
    np.testing.assert_allclose(output.information_N, bald(passes).numpy(), atol=1e-6)
    np.testing.assert_allclose(output.probs_N_K, passes.mean(0).numpy(), atol=1e-6)


def test_likeness_in_an_ensemble_is_judged_by_its_first_network(ensemble, agent):
    whole, _ = finish(classifier.ask_committee(ensemble, CROPS, 5, "cpu"))
    first, _ = finish(classifier.ask_committee(agent, CROPS, 5, "cpu"))
    np.testing.assert_allclose(whole.features_N_F, first.features_N_F, atol=1e-6)


def test_an_ensemble_classifies_by_the_average_of_its_mean_networks(ensemble):
    own = [
        finish(classifier.classify(replace(ensemble, classifier=(each,)), CROPS, "cpu")) for each in ensemble.classifier
    ]
    assert abs(own[0] - own[1]).max() > 0.05
    np.testing.assert_allclose(finish(classifier.classify(ensemble, CROPS, "cpu")), np.mean(own, 0), atol=1e-6)


def test_a_network_of_an_ensemble_that_does_not_fit_is_refused(ensemble):
    broken = {name: array for name, array in ensemble.classifier[2].items() if name != "hidden.bias"}
    with pytest.raises(AgentError, match=r"hidden.bias has shape none"):
        finish(classifier.classify(replace(ensemble, classifier=(*ensemble.classifier[:2], broken)), CROPS, "cpu"))
