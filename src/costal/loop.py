"""The one loop: `propose` a query, `learn` from the answers. The plugin, the CLI and the experiment call these two."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from costal.agent.value import select, value
from costal.errors import AgentError
from costal.seeds import seed_for
from costal.types import Agent, AgentSettings, Answer, CostModel, Floats, Job, Pool, Query, Scores, Weights

if TYPE_CHECKING:
    from costal.agent.devices import Footing


def new_agent(settings: AgentSettings, crop_shape: tuple[int, int, int]) -> Agent:
    """Return an agent that knows nothing yet."""
    return Agent(settings, crop_shape, notes=("No crop is labelled yet. Label crops of at least two classes.",))


def score(agent: Agent, pool: Pool, seed: int, device: str = "auto") -> Job[Scores]:
    """Return information, cost and class probabilities of every crop of the pool.

    With the acquisition function ``random`` information is drawn from `seed`, no committee is asked and the
    probabilities are NaN.

    Raises
    ------
    AgentError
        When a committee is needed and the agent has none, with the reason; when crops do not fit the agent.
    """
    from costal.agent.devices import choose_device, describe_device, unused_gpu

    crops = pool.crops_N_C_H_W
    if crops.shape[1:] != agent.crop_shape:
        raise AgentError(f"The agent was made for crops of {agent.crop_shape} (C, H, W), not {crops.shape[1:]}.")
    if len(crops) == 0:
        raise AgentError("The pool is empty: every crop is labelled or excluded. Choose another frame.")
    device = choose_device(device)
    notes = [note for note in (unused_gpu(),) if note]
    if agent.settings.acquisition == "random":
        information_N = np.random.default_rng(seed_for(seed, "information")).random(len(crops), dtype=np.float32)
        probs_N_K = np.full((len(crops), agent.settings.class_count), np.nan, dtype=np.float32)
    else:
        from costal.agent.classifier import ask_committee

        information_N, probs_N_K, footing = yield from ask_committee(agent, crops, seed_for(seed, "masks"), device)
        device = footing.device
        notes += [footing.note] if footing.note else []
    cost_N = np.ones(len(crops), dtype=np.float32)
    if agent.cost_model is not None:
        from costal.agent.cost import predict_cost

        cost_N = yield from predict_cost(agent.cost_model, agent.crop_shape, pool, device)
    cost_N = cost_N + acquisition_cost(agent.settings, probs_N_K)
    uniform = bool(np.ptp(cost_N) == 0)
    return Scores(information_N, cost_N, probs_N_K, uniform, describe_device(device), (*agent.notes, *notes))


def acquisition_cost(settings: AgentSettings, probs_N_K: Floats) -> Floats:
    """Return the known cost (N,) of acquiring each crop: that of its class, weighted by the class probabilities."""
    if not any(settings.acquisition_cost_K):
        return np.zeros(len(probs_N_K), dtype=np.float32)
    per_class_K = np.asarray(settings.acquisition_cost_K, dtype=np.float32)
    return np.nan_to_num(probs_N_K, nan=1 / settings.class_count) @ per_class_K


def choose(scores: Scores, settings: AgentSettings, seed: int, candidates: NDArray[np.intp] | None = None) -> Query:
    """Return the query that these scores and α, β, n give; ties in an order drawn from `seed`.

    Only `candidates` (crop indices; default all) may be picked, while values are given for every crop.
    """
    value_N = value(scores.information_N, scores.cost_N, settings.alpha, settings.beta)
    rng = np.random.default_rng(seed_for(seed, "ties"))
    if candidates is None:
        candidates = np.arange(len(value_N))
    return Query(candidates[select(value_N[candidates], settings.n, rng)], value_N, scores)


def propose(agent: Agent, pool: Pool, seed: int, device: str = "auto") -> Job[Query]:
    """Return the n crops of greatest value in the pool, best first, with all scores (see `score`)."""
    scores = yield from score(agent, pool, seed, device)
    return choose(scores, agent.settings, seed)


def learn(agent: Agent, answers: list[Answer], seed: int, device: str = "auto") -> Job[Agent]:
    """Return the agent retrained on `answers`, which are all answers so far.

    Where labels or efforts do not suffice, that model is missing and `notes` say why.

    Raises
    ------
    AgentError
        When training diverges: the agent passed in is still good.
    """
    from costal.agent.classifier import train_classifier, why_refused
    from costal.agent.cost import train_cost_model, why_uniform
    from costal.agent.devices import Footing, choose_device, with_room

    settings = agent.settings
    labelled = [int(answer.class_index) for answer in answers if answer.class_index is not None]
    notes = [note for note in (why_refused(labelled), why_uniform(answers)) if note]
    classifier = None
    footing = Footing(choose_device(device), settings.training.batch)
    if not why_refused(labelled):

        def train(there: Footing) -> Job[Weights]:
            return train_classifier(answers, on_footing(settings, there), agent.classifier, seed, there.device)

        classifier, footing = yield from with_room(footing, train)

    def train_cost(there: Footing) -> Job[CostModel | None]:
        return train_cost_model(answers, on_footing(settings, there), seed, there.device)

    cost_model, footing = yield from with_room(footing, train_cost)
    notes += [footing.note] if footing.note else []
    return replace(agent, classifier=classifier, cost_model=cost_model, label_count=len(labelled), notes=tuple(notes))


def on_footing(settings: AgentSettings, footing: "Footing") -> AgentSettings:
    """Return the settings with the batch size of a footing."""
    return replace(settings, training=replace(settings.training, batch=footing.batch))
