"""What is published, beside an experiment's own arms: TypiClust and DropQuery, as scikit-activeml has them.

They choose among the same crops of the same repeats from the same features, know no cost, and the product's heads learn
from what they choose.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from costal.agent.backbones import features_of, load_backbone
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.files import write_atomically
from costal.paper.archive import row_of, table
from costal.paper.datasets import load_dataset
from costal.paper.evidence import savings
from costal.paper.evidence_page import saving_table
from costal.paper.experiment import Exam, answered, begin, close_round, report_of, to_answers
from costal.paper.expert import SimulatedExpert
from costal.paper.outcomes import random_arm
from costal.paper.plan import Arm, Plan
from costal.paper.plan_file import load_plan
from costal.paper.run_lock import PLAN_FILE
from costal.paper.sources import Dataset, pool_indices
from costal.seeds import seed_for
from costal.types import Job, Progress, finish

PEERS = ("TypiClust", "DropQuery")
COLUMNS = (
    "data", "arm", "repeat", "round", "labels", "accuracy", "committee_accuracy", "total_cost", "mean_information",
    "mean_value", "predicted_cost", "measured_cost", "cost_bias_picked", "cost_bias_pool", "cost_rank_pool",
    "class_counts", "chosen_costs", "recalls",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PeersRequest:
    """The folder of a finished run whose first `repeats` the peers go through."""

    run: Path
    repeats: int = 10


def chosen_by(peer: str, known_X: np.ndarray, class_N: np.ndarray, pool_X: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Return which n of the pool a peer chooses, best first."""
    from skactiveml.classifier import SklearnClassifier
    from skactiveml.pool import DropQuery, TypiClust
    from sklearn.linear_model import LogisticRegression

    both = np.concatenate([known_X, pool_X])
    both = (both - both.mean(0)) / (both.std(0) + 1e-6)
    labels = np.concatenate([class_N.astype(float), np.full(len(pool_X), np.nan)])
    kmeans = {"n_init": 1, "random_state": seed}
    if peer == "TypiClust":
        picked = TypiClust(random_state=seed, cluster_algo_dict=kmeans).query(both, labels, batch_size=n)
    else:
        classes = sorted(set(class_N.tolist()))
        head = SklearnClassifier(LogisticRegression(C=0.1, max_iter=300), classes=classes, random_state=seed)
        picked = DropQuery(random_state=seed, cluster_algo_dict=kmeans).query(both, labels, head, batch_size=n)
    return np.asarray(picked) - len(known_X)


def compare_peers(request: PeersRequest) -> Job[str]:
    """Return a table of the peers beside random selection, and keep their rounds in ``peers.csv`` of the run."""
    plan = load_plan(request.run / PLAN_FILE)
    dataset = load_dataset(plan.data, plan.labels, plan.edges)
    rows: list[Sequence[object]] = []
    repeats = min(request.repeats, plan.repeats)
    for number, (peer, repeat) in enumerate((peer, each) for each in range(repeats) for peer in PEERS):
        yield Progress(number, repeats * len(PEERS), f"{peer} {repeat}")
        rows += _rounds(plan, dataset.of(repeat), peer, repeat)
        write_atomically(request.run / "peers.csv", table(COLUMNS, rows).encode())
    return peers_table(request.run, plan)


def peers_table(run: Path, plan: Plan) -> str:
    """Return what the peers, and the run's own arms in the same repeats, come to beside random selection."""
    peers = pd.read_csv(run / "peers.csv")
    own = pd.read_csv(run / "rounds.csv")
    both = pd.concat([own[own["repeat"].isin(peers["repeat"].unique())], peers], ignore_index=True)
    arms = tuple(Arm(peer, acquisition="std", beta=0.0) for peer in PEERS)
    base = random_arm(plan)
    assert base is not None
    return saving_table(savings(both, replace(plan, arms=(*plan.arms, *arms)), base), base)


def _rounds(plan: Plan, dataset: Dataset, peer: str, repeat: int) -> Iterator[Sequence[object]]:
    """Yield the rows of one run of a peer."""
    shared, expert = plan.experiment, SimulatedExpert(plan.experiment.base_cost_K)
    arm = Arm(peer, acquisition="random", backbone=EFFICIENTNET_LITE0)
    state, exam = begin(shared, arm, repeat, dataset, expert), Exam(dataset.test(), recalls=plan.recalls)
    for number in range(plan.rounds + 1):
        if number:
            pool = pool_indices(
                dataset, shared.seed, repeat, number, shared.pool_size, shared.pools, state.query_indices
            )
            known = np.concatenate(state.query_indices)
            seed = seed_for(shared.seed, peer, repeat, number) % 2**31
            picked = chosen_by(
                peer, _features(dataset, known), dataset.classes(known), _features(dataset, pool), shared.n, seed
            )
            asked = pool[picked]
            labels, costs = expert.answer(dataset, asked, repeat, len(state.answers))
            state = answered(state, asked, to_answers(dataset.take(asked)[0], labels, costs, len(state.answers)))
        ((state, report),) = finish(close_round(shared, [state], [None], [exam]))
        told = replace(report_of(state), accuracy=report.accuracy)
        yield (*row_of(dataset.name, told), " ".join(f"{recall:.4f}" for recall in report.recall_K))
        if (plan.stop_cost_of(arm) or np.inf) <= state.total_cost:
            return


def _features(dataset: Dataset, indices: np.ndarray) -> np.ndarray:
    return finish(features_of(load_backbone(LITE0_CARD), dataset.take(indices)[0], "cpu", dataset.is_rgb))
