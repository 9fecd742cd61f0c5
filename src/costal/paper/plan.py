"""What an experiment compares, said in full before it runs: arms, rounds, repeats, and what all of them share."""

from dataclasses import dataclass, field, replace
from typing import Literal

from costal.agent.cards import GAL2017
from costal.paper.sources import PoolRule
from costal.types import AcquisitionName, AgentSettings, CostLikelihood, Training

CostKnowledge = Literal["known", "learned", "plain"]
PROTOCOL = Training(4e-3, batch=16, min_steps=150, epochs=0, schedule="one_cycle", precision="bfloat16")
"""How networks are trained for Table 1 and Figure 1: from scratch in 150 steps, whatever the number of labels."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One setting under comparison.

    `cost` is what C is made of while β (or a budget) lets it matter: ``known`` is the true cost of each crop,
    ``learned`` the cost model's log-normal mean, ``plain`` a cost model fitted by least squares on the costs
    themselves. With a `budget`, in cost units, a round asks for the most information that it buys, not for n crops.
    `backbone` names what it sees through.
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

    def tests_mean(self, round_number: int) -> bool:
        """Return whether the mean network is tested after this round."""
        return round_number % self.test_every == 0 or round_number in (*self.looked_at, self.rounds)

    def tests_committee(self, round_number: int) -> bool:
        """Return whether the committee is tested after this round."""
        return round_number == self.rounds or (round_number > 0 and round_number % self.committee_every == 0)


def table_1(data: str = "mnist") -> Plan:
    """Return the plan of Table 1: three acquisition functions against random, no cost."""
    arms = (Arm("STD", "std"), Arm("BALD", "bald"), Arm("Entropy", "predictive_entropy"), RANDOM_ARM)
    return Plan("table1", data, arms, Experiment(training=PROTOCOL), rounds=48, repeats=5)


def figure_1(base_cost_K: tuple[float, ...], data: str = "mnist") -> Plan:
    """Return the plan of Figure 1: STD with known costs at several β, with learned ones at β = 0.3, and random."""
    known = tuple(
        Arm(f"known, β = {beta:g}", "std", beta=beta, cost="known") for beta in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    )
    arms = (RANDOM_ARM, *known, Arm("learned, β = 0.3", "std", beta=0.3))
    shared = Experiment(training=PROTOCOL, pool_size=612, base_cost_K=base_cost_K)
    return Plan("figure1", data, arms, shared, rounds=98, repeats=3, test_every=14, committee_every=98, looked_at=(50,))


def quick(plan: Plan) -> Plan:
    """Return a smaller plan that ends within minutes on two cores, and says that it is smaller."""
    whole = plan.experiment
    pool_size = whole.pool_size if plan.data == "sted" else min(200, whole.pool_size)  # there a pool is a whole frame
    training = replace(PROTOCOL, min_steps=60)
    shared = replace(whole, pool_size=pool_size, n=min(whole.n, pool_size), passes=20, training=training)
    smaller = replace(plan, rounds=10, repeats=2, target=0.8, test_every=1, looked_at=(5,))
    return replace(smaller, experiment=shared, is_quick=True)
