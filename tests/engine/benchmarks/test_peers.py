from dataclasses import replace

import numpy as np
import pytest
import torch

from costal.paper.digits import render, to_crops
from costal.types import Training
from tests.benchmarks import peers
from tests.benchmarks.peers import Lot, Tuning, classes_of, train_in_turn, tuned
from tests.benchmarks.stopwatch import Spent

pytestmark = pytest.mark.slow

TRAINING = Training(4e-3, batch=16, min_steps=3, epochs=0, schedule="one_cycle")
PLAIN = Tuning(1, False)


@pytest.fixture(scope="module")
def lots():
    images, classes = render(0, range(400))
    crops = to_crops(images)
    return [Lot(crops[:200], classes[:200], 1), Lot(crops[200:], classes[200:], 2)]


def weights(network):
    return {name: each.detach().numpy().copy() for name, each in network.named_parameters()}


def assert_equal_weights(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_the_peer_has_the_product_s_number_of_parameters(lots):
    (network,) = train_in_turn(lots[:1], TRAINING, "cpu", PLAIN)
    assert sum(each.numel() for each in network.parameters()) == 513_994


def test_the_peer_learns_what_is_there_to_learn(lots):
    (network,) = train_in_turn(lots[:1], replace(TRAINING, min_steps=150, precision="bfloat16"), "cpu", PLAIN)
    found = classes_of(network, lots[1].crops_N_C_H_W, TRAINING, "cpu")
    assert (found == lots[1].class_N).mean() > 0.8


def test_a_network_depends_on_its_lot_and_not_on_those_before_it(lots):
    together = train_in_turn(lots, TRAINING, "cpu", PLAIN)
    (alone,) = train_in_turn(lots[1:], TRAINING, "cpu", PLAIN)
    assert_equal_weights(weights(together[1]), weights(alone))


def test_training_leaves_the_caller_s_generator_and_threads_alone(lots):
    torch.manual_seed(3)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(3)
    train_in_turn(lots[:1], TRAINING, "cpu", Tuning(threads + 1, True))
    assert torch.rand(1) == expected
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("is_last", [True, False], ids=["channels last", "contiguous"])
def test_the_memory_format_is_that_of_the_tuning(lots, is_last):
    (network,) = train_in_turn(lots[:1], TRAINING, "cpu", Tuning(1, is_last))
    assert network[2].weight.is_contiguous(memory_format=torch.channels_last) is is_last


@pytest.mark.parametrize("schedule", ["constant", "one_cycle"])
def test_the_last_rate_is_that_of_the_schedule(lots, monkeypatch, schedule):
    made, adam = [], torch.optim.Adam

    def kept(*arguments, **options):
        made.append(adam(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(torch.optim, "Adam", kept)
    train_in_turn(lots[:1], replace(TRAINING, schedule=schedule), "cpu", PLAIN)
    (group,) = made[0].param_groups
    assert (group["lr"] == pytest.approx(4e-3)) is (schedule == "constant")


@pytest.mark.parametrize("best", [Tuning(1, True), Tuning(1, False), Tuning(2, True), Tuning(2, False)], ids=str)
def test_the_tuning_that_takes_least_is_taken(lots, monkeypatch, best):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    used = []
    monkeypatch.setattr(peers, "train_in_turn", lambda lots, training, device, tuning: used.append(tuning))

    def timed(work, device):
        work()
        return None, Spent(0.5 if used[-1] == best else 1.0, 0.0)

    monkeypatch.setattr(peers, "timed", timed)
    assert tuned(lots[0], TRAINING, "cpu") == best


def test_a_lot_s_first_crops_keep_their_classes_and_seed(lots):
    first = lots[0].first(7)
    np.testing.assert_array_equal(first.crops_N_C_H_W, lots[0].crops_N_C_H_W[:7])
    np.testing.assert_array_equal(first.class_N, lots[0].class_N[:7])
    assert first.seed == lots[0].seed
