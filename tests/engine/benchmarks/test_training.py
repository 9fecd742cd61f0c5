import json
from dataclasses import replace

import numpy as np
import pytest

from costal.errors import AgentError, DatasetError
from costal.paper.datasets import load_dataset
from costal.types import Training, finish
from tests.benchmarks import training as session
from tests.benchmarks.peers import Lot, Tuning, bald_of, train_in_turn
from tests.benchmarks.stopwatch import Spent
from tests.benchmarks.training import PEER, STACK, TrainingRequest, compare_training

pytestmark = pytest.mark.slow

QUICK = Training(4e-3, batch=16, min_steps=2, epochs=0, schedule="one_cycle")
REQUEST = TrainingRequest(2, 80, "cpu", 0, "synthetic", test_crops=20, training=QUICK)


@pytest.fixture(scope="module")
def no_tuning():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "tuned", lambda lot, training, device: Tuning(1, False))
        patch.setattr(session, "SCORED_CROPS", 20)
        patch.setattr(session, "ROUND_LABELS", 40)
        yield


@pytest.fixture(scope="module")
def found(no_tuning):
    return finish(compare_training(REQUEST))


def test_both_train_on_each_count_once_and_on_all_labels_in_every_repeat_in_turns(found):
    taken = [(turn.repeat, turn.labels, turn.path) for turn in found.turns]
    assert taken == [
        (0, 10, STACK), (0, 10, PEER), (0, 20, PEER), (0, 20, STACK), (0, 40, STACK), (0, 40, PEER),
        (0, 80, PEER), (0, 80, STACK), (1, 80, PEER), (1, 80, STACK), (2, 80, STACK), (2, 80, PEER),
    ]  # fmt: skip


def test_figures_are_json_and_name_what_they_depend_on(found):
    figures = json.loads(json.dumps(found.figures, allow_nan=False))
    assert {"commit", "processor", "torch", "numpy", "python"} <= figures["machine"].keys()
    assert figures["request"]["training"]["min_steps"] == 2
    assert set(figures["forecast_s"]) == {"table1", "figure1"}
    assert found.unit == "CPU s"


def test_curves_have_the_models_of_all_repeats_at_their_end(found):
    assert [(at.labels, at.models) for at in found.parity] == [(10, 2), (20, 2), (40, 2), (80, 6)]
    last = [np.mean(turn.accuracy_M) for turn in found.turns if (turn.path, turn.labels) == (PEER, 80)]
    assert found.parity[-1].peer_mean == pytest.approx(np.mean(last))


@pytest.mark.usefixtures("no_tuning")
def test_the_ratio_is_of_the_seconds_with_all_labels_repeat_by_repeat(monkeypatch):
    def turn(request, path, repeat, lots, test, tuning):
        labels = len(lots[0].class_N)
        spent = Spent(1.0 if path == STACK else 2.0 + repeat, 0.0) if labels == 80 else Spent(50.0, 0.0)
        return session.Turn(path, repeat, labels, spent, (0.5, 0.6))

    monkeypatch.setattr(session, "_turn", turn)
    found = finish(compare_training(REQUEST))
    assert (found.ratio_least, found.ratio, found.ratio_most) == (2.0, 3.0, 4.0)
    assert (found.stack_s, found.peer_s, found.pace.train_s) == (0.5, 1.5, 0.5)


def test_repeats_have_labels_and_seeds_of_their_own():
    dataset = load_dataset("synthetic")
    lots = [lot for repeat in range(2) for lot in session._lots(dataset, REQUEST, repeat)]
    assert len({lot.seed for lot in lots}) == len({lot.crops_N_C_H_W.tobytes() for lot in lots}) == 4
    again = session._lots(dataset, REQUEST, 1)[0]
    assert again.seed == lots[2].seed
    np.testing.assert_array_equal(again.crops_N_C_H_W, lots[2].crops_N_C_H_W)


@pytest.mark.parametrize(
    ("change", "error"),
    [({"device": "tpu"}, AgentError), ({"data": "nowhere"}, DatasetError)],
    ids=["device", "data"],
)
def test_what_is_not_here_is_refused_before_any_work(change, error):
    with pytest.raises(error):
        next(compare_training(replace(REQUEST, **change)))


def test_a_round_is_trained_scored_and_tested_by_each_way(found):
    ours, *others = found.rounds
    assert (ours.name, ours.ratio) == ("costal", 1)
    assert [each.name for each in others] == ["plain loops", "plain loops, trunk once"]
    for each in found.rounds:
        assert min(each.train, each.score, each.test) > 0
        assert 0 < each.accuracy < 1


@pytest.mark.parametrize("trunk_once", [True, False])
def test_the_peer_asks_dropout_passes_of_what_it_trained(trunk_once):
    lot = Lot(np.random.default_rng(0).random((10, 1, 28, 28), dtype=np.float32), np.arange(10), 3)
    (network,) = train_in_turn([lot], QUICK, "cpu", Tuning(1, False))
    found = np.stack([bald_of(network, lot.crops_N_C_H_W, 20, QUICK, "cpu", trunk_once) for _ in range(2)])
    assert found.shape == (2, 10)
    assert (found > 0).all()
    assert not np.array_equal(found[0], found[1])
    assert not network.training
