from dataclasses import replace

import pytest

from costal.paper.forecast import Pace, forecast_left, measure_pace
from costal.paper.plan import RANDOM_ARM, Arm, Experiment, Plan
from costal.paper.runner import tasks
from costal.types import finish

STD = Arm("STD", acquisition="std")
PLAN = Plan(
    "small", "synthetic", (STD,), Experiment(pool_size=10), rounds=4, repeats=3, test_every=2, committee_every=4
)
TRAIN, SCORE, CLASSIFY = Pace(1, 0, 0), Pace(0, 1, 0), Pace(0, 0, 1)


def forecast(plan, pace, test_crops):
    """Return the seconds of a plan of which nothing is done."""
    return forecast_left(plan, dict.fromkeys(tasks(plan), plan.rounds + 1), pace, test_crops)


@pytest.mark.parametrize(
    ("arm", "pace", "expected"),
    [
        (STD, TRAIN, 3 * 5),
        (RANDOM_ARM, TRAIN, 3 * 5),
        (replace(STD, beta=0.3), TRAIN, 3 * 5 * 2),
        (replace(STD, beta=0.3, cost="known"), TRAIN, 3 * 5),
        (replace(STD, members=3), TRAIN, 3 * 5 * 3),
        (STD, SCORE, 3 * (4 * 10 + 100)),
        (RANDOM_ARM, SCORE, 3 * 100),
        (STD, CLASSIFY, 3 * 3 * 100),
        (replace(STD, beta=0.3), CLASSIFY, 3 * (3 * 100 + 4 * 10)),
    ],
    ids=[
        "after the start and each round",
        "random trains too",
        "a learned cost is a network more",
        "a known cost is none",
        "an ensemble",
        "pools and the last test are scored",
        "random is asked for nothing",
        "every second round is tested",
        "costs are predicted",
    ],
)
def test_a_plan_is_counted_network_by_network_and_crop_by_crop(arm, pace, expected):
    assert forecast(replace(PLAN, arms=(arm,)), pace, 100) == expected


def test_arms_and_phases_add_up():
    pace = Pace(2.0, 0.5, 0.25)
    alone = [forecast(replace(PLAN, arms=(arm,)), pace, 100) for arm in (STD, RANDOM_ARM)]
    assert forecast(replace(PLAN, arms=(STD, RANDOM_ARM)), pace, 100) == sum(alone)
    assert alone[0] == 2 * 15 + 0.5 * 420 + 0.25 * 900


def test_what_is_left_is_a_share_of_the_whole():
    pace, plan = Pace(2.0, 0.5, 0.25), replace(PLAN, arms=(STD, RANDOM_ARM), stack=2)
    left = dict.fromkeys(tasks(plan), 5)
    first, *_ = left
    assert forecast_left(plan, {**dict.fromkeys(left, 0), first: 1}, pace, 100) == pytest.approx(
        forecast(plan, pace, 100) / 15
    )


def test_an_arm_of_fewer_repeats_is_counted_for_as_many():
    pace = Pace(1.0, 0.0, 0.0)
    assert forecast(replace(PLAN, arms=(replace(STD, repeats=1), RANDOM_ARM)), pace, 100) == 4 * 5


def test_the_pace_is_that_of_a_training_a_committee_and_a_test(quick_plan, small_digits, monkeypatch):
    pace, test_crops = finish(measure_pace(quick_plan, small_digits))
    assert test_crops == len(small_digits.test()[0])
    assert min(pace.train_s, pace.score_s, pace.classify_s) > 0
