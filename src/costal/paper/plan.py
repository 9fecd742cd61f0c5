"""The plan of an experiment, complete before it runs: arms, rounds, repeats, and what they share."""

from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Annotated, Literal

from costal.paper.sources import PoolRule
from costal.settings import Setting, in_common, line
from costal.types import AgentSettings, Beta, CostLikelihood, Passes, QueryLength, Seed, Strategy, Training

CostKnowledge = Literal["known", "learned", "plain"]
Retraining = Literal["query", "answer"]
StopCost = Annotated[
    float | None,
    Setting(
        "A run ends after the round in which its total cost reaches this, in the data's unit.",
        gt=0,
        absent="none: a run ends after its rounds",
        example=600.0,
    ),
]
PROTOCOL = Training(4e-3, batch=16, min_steps=150, epochs=0, schedule="one_cycle", precision="float32")
"""How networks are trained for Table 1 and Figure 1: from scratch in 150 steps, whatever the number of labels.

In float32, which is fast on every machine: a CPU without bfloat16 trains nine times slower in it.
"""
CALIBRATION_SEED, FIGURE_1_SEED, TABLE_1_SEED = 1, 2, 3
"""Repeats that calibrate the base costs share nothing with those that test the claims."""
CALIBRATED_BETA = 0.2
"""Where the paper's known costs cross random selection."""


@dataclass(frozen=True, slots=True)
class Arm(Strategy):
    """One setting under comparison: a strategy, and how its costs are known.

    `cost` says where C comes from if β (or a budget) uses it: ``known`` is the true cost of each crop, ``learned`` the
    cost model's log-normal mean, ``plain`` a cost model fitted by least squares on the costs themselves. With a
    `budget`, in cost units, a query is the most information within it, not n crops. `repeats` limits an arm to the
    first repeats of the plan; its own `stop_cost` replaces the experiment's.
    """

    name: Annotated[str, line("The name of the arm.", absent="a description of its settings", example="my arm")]
    _: KW_ONLY
    beta: Beta = 0.0
    cost: Annotated[
        CostKnowledge,
        Setting("C: known (the true cost), learned (by a log-normal model), or plain (learned by least squares)."),
    ] = "learned"
    members: Annotated[int, Setting("Networks in the committee, each with T passes.", ge=1)] = 1
    budget: Annotated[
        float | None,
        Setting(
            "Each query has the crops with the most information within this cost (in the data's unit), not n.",
            gt=0,
            absent="none",
            example=50.0,
        ),
    ] = None
    repeats: Annotated[
        int | None,
        Setting("Runs of this arm, if fewer than the others.", ge=1, absent="as many as the others", example=3),
    ] = None
    stop_cost: StopCost = None
    retrain: Annotated[
        Retraining,
        Setting("When the arm learns: after each query, or after each answer, and then chooses the rest again."),
    ] = "query"

    @property
    def weighs_cost(self) -> bool:
        """Whether C influences the query."""
        return self.beta > 0 or self.budget is not None

    @property
    def learns_cost(self) -> bool:
        """Whether this arm needs a cost model: only when the cost matters and is not known."""
        return self.weighs_cost and self.cost != "known"

    @property
    def likelihood(self) -> CostLikelihood:
        """How its cost model is fitted."""
        return "least_squares" if self.cost == "plain" else "log_normal"


RANDOM_ARM = Arm("random", acquisition="random")


@dataclass(frozen=True, slots=True)
class Experiment:
    """What all arms share: seed, N images a round, n of them labelled, T passes, device, training and base costs.

    ``pools="disjoint"`` never offers an image twice; ``"redraw"`` shuffles all images without a label again when those
    that were never offered run out.
    """

    seed: Seed = 0
    pool_size: Annotated[int, Setting("N: how many crops the pool of a round has.", ge=1)] = 1000
    n: QueryLength = 10
    passes: Passes = 50
    device: Annotated[str, line("auto, cpu, mps, cuda, or cuda:1 for the second GPU.")] = "auto"
    training: Training = field(default_factory=Training)
    pools: Annotated[
        PoolRule,
        Setting(
            "disjoint: no crop is offered twice. redraw: unlabelled crops are offered again when all were offered."
        ),
    ] = "disjoint"
    base_cost_K: Annotated[
        tuple[float, ...],
        Setting(
            "Known extra cost of a crop of each class, in the data's unit (cost units or s); [] for none.",
            ge=0,
            key="base_costs",
        ),
    ] = ()
    annotators: Annotated[int, Setting("Simulated annotators, who answer ten crops each in turn.", ge=1)] = 1
    agreement: Annotated[
        float,
        Setting("Rank correlation of two annotators' efforts for the same crops, if there are several.", ge=0, le=1),
    ] = 0.45
    stop_cost: StopCost = None

    def settings(self, arm: Arm, class_count: int) -> AgentSettings:
        """Return the settings of an arm's agent."""
        own = in_common(self, AgentSettings) | in_common(arm, AgentSettings)
        return AgentSettings(class_count, cost_likelihood=arm.likelihood, **own)


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment to run: every arm `repeats` times over `rounds` rounds.

    `stack` and `threads` are fixed here, because floating-point sums depend on them. The mean network and the committee
    are always tested at the end, the mean network also at the start.
    """

    name: Annotated[str, line("The name of the results.", absent="the name of the file", example="my experiment")]
    data: Annotated[
        str,
        line("mnist, synthetic, sted, sted:N, auto, or a folder: with MNIST/raw, with class folders, or a project."),
    ] = "mnist"
    arms: tuple[Arm, ...] = ()
    experiment: Experiment = field(default_factory=Experiment)
    rounds: Annotated[int, Setting("Rounds of a run, after its initial labels.", ge=1)] = 48
    repeats: Annotated[int, Setting("Runs of each arm, each with other initial labels and other pools.", ge=1)] = 5
    stack: Annotated[
        int, Setting("Runs that train together, as one batch. The last digits of the results depend on it.", ge=1)
    ] = 1
    threads: Annotated[int, Setting("Processor threads. The last digits of the results depend on it.", ge=1)] = 1
    test_every: Annotated[int, Setting("The mean network (no dropout) is tested after every so many rounds.", ge=1)] = 1
    committee_every: Annotated[
        int, Setting("The committee is tested after every so many rounds; this takes longer.", ge=1)
    ] = 24
    looked_at: Annotated[
        tuple[int, ...], Setting("Rounds that are always tested and reported, besides the last.", ge=1)
    ] = ()
    target: Annotated[float, Setting("The test accuracy for which labels and cost are reported.", gt=0, le=1)] = 0.9
    recalls: Annotated[bool, Setting("Whether each test stores the recall of each class too.")] = False
    labels: Annotated[
        str | None,
        line(
            "A CSV file with the columns file and class, used instead of class folders.",
            absent="the folders",
            example="classes.csv",
        ),
    ] = None
    edges: Annotated[
        tuple[float, ...],
        Setting(
            "If the file of labels has numbers: the lowest number of each class except the first. []: the numbers are "
            "class names.",
            ge=0,
        ),
    ] = ()
    is_quick: Annotated[bool, Setting("Marks all results as those of a smaller experiment (set by --quick).")] = False

    def stop_cost_of(self, arm: Arm) -> float | None:
        """Return the total cost at which an arm's runs end, None where they end after their rounds."""
        return self.experiment.stop_cost if arm.stop_cost is None else arm.stop_cost

    @property
    def stops_by_cost(self) -> bool:
        """Whether an arm's runs can end by their cost."""
        return any(self.stop_cost_of(arm) is not None for arm in self.arms)

    def is_spent(self, arm: Arm, total_cost: float) -> bool:
        """Return whether a run of an arm ends by its cost, rounded to four digits as it is stored."""
        stop_cost = self.stop_cost_of(arm)
        return stop_cost is not None and round(total_cost, 4) >= stop_cost

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
    arms = (
        Arm("STD", acquisition="std"),
        Arm("BALD", acquisition="bald"),
        Arm("Entropy", acquisition="predictive_entropy"),
        RANDOM_ARM,
    )
    shared = Experiment(TABLE_1_SEED, training=PROTOCOL)
    return Plan("table1", data, arms, shared, rounds=48, repeats=15, test_every=5, committee_every=48)


def figure_1(base_cost_K: tuple[float, ...], data: str = "mnist") -> Plan:
    """Return the plan of Figure 1: STD with known costs at several β, with learned ones at β = 0.3, and random.

    A cost is learned in two ways: as a log-normal one, and by least squares, which is the likeliest for the paper.
    Every β that a claim names has all repeats, those between have three.
    """
    known = tuple(
        Arm(
            f"known, β = {beta:g}",
            acquisition="std",
            beta=beta,
            cost="known",
            repeats=3 if beta in (0.1, 0.4) else None,
        )
        for beta in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    )
    learned = (
        Arm("learned, β = 0.3", acquisition="std", beta=0.3),
        Arm("learned by least squares, β = 0.3", acquisition="std", beta=0.3, cost="plain"),
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
    """Return a smaller plan that ends within three minutes on one core, and says that it is smaller.

    Arms with fewer repeats than the others are left out.
    """
    whole = plan.experiment
    pool_size = (
        whole.pool_size if plan.data.partition(":")[0] == "sted" else min(200, whole.pool_size)
    )  # there a pool is a whole frame
    training = replace(PROTOCOL, min_steps=50)
    shared = replace(whole, pool_size=pool_size, n=min(whole.n, pool_size), passes=20, training=training)
    most = max(plan.repeats_of(arm) for arm in plan.arms)
    arms = tuple(replace(arm, repeats=None) for arm in plan.arms if plan.repeats_of(arm) == most)
    smaller = replace(plan, arms=arms, rounds=6, repeats=2, target=0.8, test_every=3, looked_at=(3,))
    return replace(smaller, experiment=shared, is_quick=True)
