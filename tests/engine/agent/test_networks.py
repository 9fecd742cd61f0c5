import numpy as np
import pytest
import torch

from costal.agent.networks import (
    Network,
    dropout_mask,
    feature_count,
    feature_side,
    initialise,
    load_weights,
    reducing_blocks,
    to_weights,
)
from costal.errors import AgentError


def network_of(shape=(1, 8, 8), outputs=3, seed=0):
    network = Network(shape, outputs)
    initialise(network, torch.Generator().manual_seed(seed))
    return network.eval()


def test_the_papers_network_has_513994_parameters_and_3872_features():
    network = Network((1, 28, 28), 10)
    assert sum(each.numel() for each in network.parameters()) == 513_994
    assert network.hidden.in_features == 3_872


@pytest.mark.parametrize(
    ("crop", "blocks", "side"),
    [(8, 0, 1), (28, 0, 11), (38, 0, 16), (39, 0, 16), (40, 1, 6), (64, 1, 12), (81, 1, 16), (82, 2, 6), (165, 2, 16),
     (166, 3, 6)],
)  # fmt: skip
def test_reducing_blocks_bring_the_feature_map_to_16_pixels_or_less(crop, blocks, side):
    assert reducing_blocks(crop) == blocks
    assert feature_side(crop) == side
    with torch.device("meta"):
        features = Network((1, crop, crop), 2).trunk(torch.zeros(1, 1, crop, crop))
    assert features.shape == (1, 32 * side**2) == (1, feature_count(crop))


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels_and_outputs_fits(channels):
    outputs = network_of((channels, 12, 12), 4)(torch.zeros(3, channels, 12, 12))
    assert outputs.shape == (3, 4)


@pytest.mark.parametrize("shape", [(1, 7, 7), (0, 28, 28), (1, 28, 27)], ids=["too small", "no channel", "not square"])
def test_a_crop_that_does_not_fit_is_refused_with_the_smallest_side(shape):
    with pytest.raises(AgentError, match="at least 8 px"):
        Network(shape, 2)


def test_weights_go_out_and_in_again_unchanged():
    there = network_of(seed=1)
    here = network_of(seed=2)
    load_weights(here, to_weights(there))
    crops = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(here(crops), there(crops), rtol=0, atol=0)


def test_weights_taken_out_are_a_copy():
    network = network_of()
    weights = to_weights(network)
    before = weights["output.weight"].copy()
    with torch.no_grad():
        network.output.weight.add_(1)
    np.testing.assert_array_equal(weights["output.weight"], before)


@pytest.mark.parametrize(
    ("shape", "outputs", "name"),
    [((1, 8, 8), 4, "output.bias"), ((2, 8, 8), 3, "trunk.0.weight"), ((1, 10, 10), 3, "hidden.weight")],
    ids=["another class count", "another channel count", "another crop"],
)
def test_weights_of_other_shapes_are_refused_by_name(shape, outputs, name):
    with pytest.raises(AgentError, match=rf"does not fit: {name} has shape .* Train a new model"):
        load_weights(network_of(), to_weights(network_of(shape, outputs)))


def test_missing_weights_are_refused_by_name():
    weights = dict(to_weights(network_of()))
    del weights["hidden.bias"]
    with pytest.raises(AgentError, match=r"hidden.bias has shape none"):
        load_weights(network_of(), weights)


def test_initial_weights_follow_their_seed_and_biases_are_zero():
    first, again, other = (to_weights(network_of(seed=seed)) for seed in (1, 1, 2))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["trunk.0.weight"] != other["trunk.0.weight"]).all()
    assert not any(first[name].any() for name in first if name.endswith("bias"))


def test_masks_in_the_head_drop_and_scale_by_hand():
    network = network_of()
    features = torch.rand(2, 32, generator=torch.Generator().manual_seed(0))
    feature_mask, hidden_mask = torch.zeros(32), torch.zeros(128)
    feature_mask[:5], hidden_mask[7] = 2.0, 3.0
    hidden = torch.relu(network.hidden.weight[7, :5] @ (2 * features[:, :5].T) + network.hidden.bias[7])
    by_hand = 3 * hidden[:, None] * network.output.weight[:, 7] + network.output.bias
    torch.testing.assert_close(network.head(features, feature_mask, hidden_mask), by_hand)


def test_a_dropout_mask_holds_zeros_and_the_inverse_of_what_is_kept():
    mask = dropout_mask((200, 500), 0.25, torch.Generator().manual_seed(0))
    assert mask.unique().tolist() == pytest.approx([0, 4 / 3])
    assert mask.mean().item() == pytest.approx(1, abs=0.01)
