"""What an experiment compares, said in full before it runs: arms, rounds, repeats, and what all of them share."""

from dataclasses import dataclass, field, replace
from typing import Literal

from costal.agent.cards import GAL2017
from costal.paper.sources import PoolRule
from costal.types import AcquisitionName, AgentSettings, CostLikelihood, Training

CostKnowledge = Literal["known", "learned", "plain"]
PROTOCOL = Training(4e-3, batch=16, min_steps=150, epochs=0, schedule="one_cycle", precision="float32")
"""How networks are trained for Table 1 and Figure 1: from scratch in 150 steps, whatever the number of labels.

In float32, for that is fast on every machine: a CPU without bfloat16 needs nine times as long to train in it.
"""
CALIBRATION_SEED, FIGURE_1_SEED, TABLE_1_SEED = 1, 2, 3
"""Repeats that calibrate the base costs share nothing with those that test the claims."""
CALIBRATED_BETA = 0.2
"""Where the paper's known costs cross random selection."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One setting under comparison.

    `cost` is what C is made of while β (or a budget) lets it matter: ``known`` is the true cost of each crop,
    ``learned`` the cost model's log-normal mean, ``plain`` a cost model fitted by least squares on the costs
    themselves. With a `budget`, in cost units, a round asks for the most information that it buys, not for n crops.
    An arm with `repeats` runs in that many of the plan's, the first ones. `backbone` names what it sees through.
    """

    name: str
    acquisition: AcquisitionName
    alpha: float = 1.0
    beta: float = 0.0
    cost: CostKnowledge = "learned"
    diverse: bool = False
    control_share: float = 0.0
    members: int = 1
    budget: float | None = None
    backbone: str = GAL2017
    repeats: int | None = None

    @property
    def weighs_cost(self) -> bool:
        """Whether C has a say in what is asked."""
        return self.beta > 0 or self.budget is not None

    @property
    def learns_cost(self) -> bool:
        """Whether this arm needs a cost model: only when the cost matters and is not known."""
        return self.weighs_cost and self.cost != "known"

    @property
    def likelihood(self) -> CostLikelihood:
        """How its cost model is fitted."""
        return "least_squares" if self.cost == "plain" else "log_normal"


RANDOM_ARM = Arm("random", "random")


@dataclass(frozen=True, slots=True)
class Experiment:
    """What all arms share: seed, N images a round, n of them labelled, T passes, device, training and base costs.

    ``pools="disjoint"`` never offers an image twice; ``"redraw"`` shuffles all images without a label anew when those
    that were never offered run out.
    """

    seed: int = 0
    pool_size: int = 1000
    n: int = 10
    passes: int = 50
    device: str = "auto"
    training: Training = field(default_factory=Training)
    pools: PoolRule = "disjoint"
    base_cost_K: tuple[float, ...] = ()

    def settings(self, arm: Arm, class_count: int) -> AgentSettings:
        """Return the settings of an arm's agent."""
        return AgentSettings(
            class_count,
            arm.acquisition,
            arm.alpha,
            arm.beta,
            self.passes,
            self.n,
            self.training,
            diverse=arm.diverse,
            control_share=arm.control_share,
            budget=arm.budget,
            members=arm.members,
            cost_likelihood=arm.likelihood,
            backbone=arm.backbone,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment to run: every arm `repeats` times over `rounds` rounds.

    `stack` arms and repeats train as one stack on `threads` threads: fixed here, for floating-point sums depend on
    them. The mean network is tested every `test_every` rounds, at the rounds `looked_at`, at the start and at the end,
    the committee every `committee_every` rounds and at the end. `target` is the accuracy whose price in labels and cost
    is told. `is_quick` says that it is smaller than the experiment it is named after.
    """

    name: str
    data: str
    arms: tuple[Arm, ...]
    experiment: Experiment = field(default_factory=Experiment)
    rounds: int = 48
    repeats: int = 5
    stack: int = 1
    threads: int = 1
    test_every: int = 1
    committee_every: int = 24
    looked_at: tuple[int, ...] = ()
    target: float = 0.9
    is_quick: bool = False

    def repeats_of(self, arm: Arm) -> int:
        """Return how many repeats an arm runs in."""
        return self.repeats if arm.repeats is None else min(arm.repeats, self.repeats)

    @property
    def run_count(self) -> int:
        """How many runs the plan has: the repeats of all arms."""
        return sum(map(self.repeats_of, self.arms))

    def tests_mean(self, round_number: int) -> bool:
        """Return whether the mean network is tested after this round."""
        return round_number % self.test_every == 0 or round_number in (*self.looked_at, self.rounds)

    def tests_committee(self, round_number: int) -> bool:
        """Return whether the committee is tested after this round."""
        return round_number == self.rounds or (round_number > 0 and round_number % self.committee_every == 0)


def table_1(data: str = "mnist") -> Plan:
    """Return the plan of Table 1: three acquisition functions against random, no cost."""
    arms = (Arm("STD", "std"), Arm("BALD", "bald"), Arm("Entropy", "predictive_entropy"), RANDOM_ARM)
    shared = Experiment(TABLE_1_SEED, training=PROTOCOL)
    return Plan("table1", data, arms, shared, rounds=48, repeats=15, test_every=5, committee_every=48)


def figure_1(base_cost_K: tuple[float, ...], data: str = "mnist") -> Plan:
    """Return the plan of Figure 1: STD with known costs at several β, with learned ones at β = 0.3, and random.

    A cost is learned in two ways: as a log-normal one, and by least squares, which is the likeliest for the paper.
    Every β that a claim names has all repeats, those between have three.
    """
    known = tuple(
        Arm(f"known, β = {beta:g}", "std", beta=beta, cost="known", repeats=3 if beta in (0.1, 0.4) else None)
        for beta in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    )
    learned = (
        Arm("learned, β = 0.3", "std", beta=0.3),
        Arm("learned by least squares, β = 0.3", "std", beta=0.3, cost="plain"),
    )
    shared = Experiment(FIGURE_1_SEED, training=PROTOCOL, pool_size=612, base_cost_K=base_cost_K)
    return Plan(
        "figure1",
        data,
        (RANDOM_ARM, *known, *learned),
        shared,
        rounds=98,
        repeats=8,
        test_every=5,
        committee_every=98,
        looked_at=(50,),
    )


def calibration(base_cost_K: tuple[float, ...], data: str = "mnist") -> Plan:
    """Return the plan by which the scale of base costs is found: Figure 1's known costs at `CALIBRATED_BETA`."""
    whole = figure_1(base_cost_K, data)
    arms = tuple(arm for arm in whole.arms if arm.cost == "known" and arm.beta == CALIBRATED_BETA)
    shared = replace(whole.experiment, seed=CALIBRATION_SEED)
    return replace(whole, name="calibration", arms=arms, experiment=shared, repeats=2, test_every=98, looked_at=())


def quick(plan: Plan) -> Plan:
    """Return a smaller plan that ends within minutes on two cores, and says that it is smaller."""
    whole = plan.experiment
    pool_size = whole.pool_size if plan.data == "sted" else min(200, whole.pool_size)  # there a pool is a whole frame
    training = replace(PROTOCOL, min_steps=60)
    shared = replace(whole, pool_size=pool_size, n=min(whole.n, pool_size), passes=20, training=training)
    arms = tuple(replace(arm, repeats=None) for arm in plan.arms)
    smaller = replace(plan, arms=arms, rounds=10, repeats=2, target=0.8, test_every=1, looked_at=(5,))
    return replace(smaller, experiment=shared, is_quick=True)
