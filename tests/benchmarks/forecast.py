"""How long a whole experiment takes on this device, worked out from what one round of it took."""

from dataclasses import dataclass

from costal.paper.plan import Arm, Plan


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds to train one network of a stack, and for one crop: to be scored by a committee, and to be classified."""

    train_s: float
    score_s: float
    classify_s: float


def forecast(plan: Plan, pace: Pace, test_crops: int) -> float:
    """Return an estimate of the seconds for all rounds of a plan: trained, scored and tested, and nothing else.

    A committee of as many passes as the one that was timed is assumed, and that a training takes as long whatever the
    number of labels.
    """
    return sum(plan.repeats_of(arm) * _of_arm(plan, arm, pace, test_crops) for arm in plan.arms)


def _of_arm(plan: Plan, arm: Arm, pace: Pace, test_crops: int) -> float:
    """Return the seconds of an arm's repeat."""
    networks = arm.members + arm.learns_cost
    scored = 0 if arm.acquisition == "random" else plan.rounds * plan.experiment.pool_size * arm.members
    priced = plan.rounds * plan.experiment.pool_size if arm.learns_cost else 0
    numbers = range(plan.rounds + 1)
    tests = sum(map(plan.tests_mean, numbers)) * test_crops * arm.members
    committee_tests = sum(map(plan.tests_committee, numbers)) * test_crops * arm.members
    return (
        len(numbers) * networks * pace.train_s
        + (scored + committee_tests) * pace.score_s
        + (priced + tests) * pace.classify_s
    )
