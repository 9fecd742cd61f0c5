import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from costal.agent.networks import Network, initialise
from costal.types import finish
from tests.benchmarks import committee
from tests.benchmarks.committee import OURS, CommitteeRequest, compare_committee
from tests.benchmarks.committee_peers import PEERS, plain_loop, trunk_once
from tests.benchmarks.limit import copy_rate, head_operations, limit_of, product_rate, trunk_operations

SMALL = CommitteeRequest(passes=4, shapes=((1, 28, 40), (2, 12, 8)), repeats=2, device="cpu", data="synthetic")
FROM_TORCH = tuple(peer for peer in PEERS if not peer.package)


def network_of(side=28):
    network = Network((1, side, side), 10)
    initialise(network, torch.Generator().manual_seed(0))
    return network.eval()


@pytest.fixture(scope="module")
def figures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(committee, "PEERS", (*FROM_TORCH, replace(PEERS[0], name="of another world", package="no_such")))
        patch.setattr(committee, "AGREEMENT_SEEDS", 6)
        patch.setattr(committee, "OVERHEAD_SIDE", 16)
        patch.setattr(committee, "PROTOCOL", replace(committee.PROTOCOL, min_steps=5))
        return finish(compare_committee(SMALL))


def test_the_digits_trunk_takes_sixteen_and_a_half_million_operations():
    first, second = 25 * 25 * 32 * 16, 22 * 22 * 32 * 32 * 16
    assert trunk_operations(network_of(), 28) == 2 * (first + second)


def test_larger_crops_pass_the_reducing_blocks_first():
    sides_and_weights = [(31, 32 * 16), (28, 32 * 32 * 16), (25, 32 * 32 * 16)]
    assert trunk_operations(network_of(64), 64) == sum(2 * side**2 * weights for side, weights in sides_and_weights)


def test_of_the_heads_three_eighths_of_the_hidden_layer_and_half_of_the_output_are_left():
    assert head_operations(network_of(), 50) == 2 * 50 * (3872 * 128 * 3 / 8 + 64 * 10)


def test_the_limit_is_the_operations_at_the_measured_rate():
    limit = limit_of(network_of(), 7, 3, 28, "cpu")
    assert limit.operations == 7 * (trunk_operations(network_of(), 28) + head_operations(network_of(), 3))
    assert limit.seconds == limit.operations / limit.rate
    assert limit.rate > 1e8


def test_rates_are_what_a_device_does_in_a_second():
    assert 1e8 < product_rate("cpu", torch.float32) < 1e15
    assert 1e7 < copy_rate("cpu") < 1e14


@pytest.mark.parametrize("peer", FROM_TORCH, ids=lambda peer: peer.name)
def test_a_peers_information_varies_around_that_of_the_other_peers(peer):
    torch.manual_seed(0)
    crops = torch.rand(40, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    found, other = (
        np.stack([ask(network_of(12), crops, 20) for _ in range(20)])
        for ask in (peer.ask, trunk_once if peer.ask is plain_loop else plain_loop)
    )
    assert found.shape == (20, 40)
    error = np.sqrt((found.var(0) + other.var(0)) / 20)
    assert np.mean(abs(found.mean(0) - other.mean(0)) < 2 * error) > 0.8


def test_each_way_is_measured_for_each_shape_and_ours_is_one(figures):
    ways = {OURS, *(peer.name for peer in FROM_TORCH)}
    for channels, side, count in SMALL.shapes:
        rows = [row for row in figures.rows if (row.channels, row.side) == (channels, side)]
        assert {row.name for row in rows} == ways
        assert {row.crops for row in rows} == {count}
        assert all(0 < row.least <= row.seconds <= row.most for row in rows)
        assert [row.ratio for row in rows if row.name == OURS] == [1]
        assert [row.seconds for row in rows] == sorted((row.seconds for row in rows), reverse=True)


def test_peers_that_are_not_installed_are_named(figures):
    assert figures.missing == ("of another world",)


def test_our_information_has_the_mean_and_the_spread_of_ordinary_dropout(figures):
    assert figures.agreement.within > 0.7
    assert figures.agreement.spread_ratio == pytest.approx(1, abs=0.5)


def test_crops_are_ranked_as_in_float64(figures):
    assert len(figures.rank_correlation) == 4
    assert min(figures.rank_correlation.values()) > 0.99


def test_the_overhead_is_of_the_whole_score_over_its_committee(figures):
    found = figures.overhead
    assert (found.crops, found.side) == (144, 16)
    assert found.whole > 0
    assert found.ratio == pytest.approx(found.whole / found.committee, rel=0.5)


def test_the_figures_can_be_written(figures):
    found = json.loads(json.dumps(figures.figures, allow_nan=False))
    ours = (row for row in figures.rows if row.name == OURS)
    for times, row, limit in zip(found["of_limit"], ours, figures.limits, strict=True):
        assert times == pytest.approx(row.seconds / limit.seconds, rel=0.5)
    assert found["machine"]["cores"] >= 1
