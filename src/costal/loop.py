"""The one loop: `propose` a query, `learn` from the answers. The plugin, the CLI and the experiment call these two."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from costal.agent.backbones import answers_with_features, pool_with_features
from costal.agent.cards import card_of, training_of
from costal.agent.selection import (
    draw_controls,
    draw_controls_within,
    mixed_in,
    reserved_for_controls,
    select_diverse,
    select_diverse_within_budget,
    total_cost,
    without,
)
from costal.agent.similarity import similarity
from costal.agent.value import value
from costal.errors import AgentError
from costal.seeds import rng_for, seed_for
from costal.types import Agent, AgentSettings, Answer, CostModel, Floats, Job, Pool, Precision, Query, Scores, Training

FIXED = 2
"""The first crops of a query stay: the one on the screen, and the one that is prepared."""


def new_agent(settings: AgentSettings, crop_shape: tuple[int, int, int], is_rgb: bool = False) -> Agent:
    """Return an agent that knows nothing yet, with the backbone that its settings name.

    Raises
    ------
    AgentError
        When there is no such backbone.
    """
    notes = ("No crop is labelled yet. Label crops of at least two classes.",)
    return Agent(settings, crop_shape, notes=notes, backbone=card_of(settings.backbone), is_rgb=is_rgb)


def score(agent: Agent, pool: Pool, seed: int, device: str = "auto") -> Job[Scores]:
    """Return information, cost and class probabilities of every crop of the pool.

    With the acquisition function ``random`` information is drawn from `seed`, no committee is used and the
    probabilities are NaN.

    Raises
    ------
    AgentError
        When a committee is needed and the agent has none, with the reason; when crops do not fit the agent.
    """
    from costal.agent.devices import choose_device, describe_device, precision_of, unused_gpu

    if len(pool.inputs) == 0:
        raise AgentError("The pool is empty: every crop is labelled or excluded. Choose another frame.")
    device = choose_device(device)
    pool = yield from pool_with_features(agent, pool, device)
    crops = pool.inputs
    notes = [note for note in (unused_gpu(), _precision_note(agent, precision_of(device))) if note]
    features_N_F = None
    if agent.settings.acquisition == "random":
        information_N = random_information(seed, len(crops))
        probs_N_K = np.full((len(crops), agent.settings.class_count), np.nan, dtype=np.float32)
    else:
        from costal.agent.classifier import ask_committee

        output, batch_setup = yield from ask_committee(agent, crops, seed_for(seed, "masks"), device)
        information_N, probs_N_K, features_N_F = output.information_N, output.probs_N_K, output.features_N_F
        device = batch_setup.device
        notes += [batch_setup.note] if batch_setup.note else []
    cost_N, spread = np.ones(len(crops), dtype=np.float32), 0.0
    if agent.cost_model is not None:
        from costal.agent.cost import predict_cost

        cost_N, spread = yield from predict_cost(agent.cost_model, agent.input_shape, pool, device)
    cost_N = cost_N + acquisition_cost(agent.settings, probs_N_K)
    uniform = agent.cost_model is None and bool(np.ptp(cost_N) == 0)
    notes = [*agent.notes, *notes]
    return Scores(
        information_N, cost_N, probs_N_K, uniform, describe_device(device), tuple(notes), features_N_F, spread
    )


def _precision_note(agent: Agent, here: Precision) -> str:
    """Return a note if features have another precision than those of the training."""
    if agent.backbone is None or not agent.classifier or agent.precision == here:
        return ""
    return (
        f"The model learned from features in {agent.precision}, but this machine computes them in {here}: scores may "
        "differ a little. Train here to use one precision."
    )


def random_information(seed: int, count: int) -> Floats:
    """Return the information (N,) that the acquisition function ``random`` gives to this many crops."""
    return np.random.default_rng(seed_for(seed, "information")).random(count, dtype=np.float32)


def acquisition_cost(settings: AgentSettings, probs_N_K: Floats) -> Floats:
    """Return the known cost (N,) of acquiring each crop: that of its class, weighted by the class probabilities."""
    if not any(settings.acquisition_cost_K):
        return np.zeros(len(probs_N_K), dtype=np.float32)
    per_class_K = np.asarray(settings.acquisition_cost_K, dtype=np.float32)
    return np.nan_to_num(probs_N_K, nan=1 / settings.class_count) @ per_class_K


def choose(
    scores: Scores,
    settings: AgentSettings,
    seed: int,
    candidates: NDArray[np.intp] | None = None,
    places_N_2: NDArray[np.integer] | None = None,
    control_number_N: NDArray[np.float64] | None = None,
) -> Query:
    """Return the query that these scores and settings give: the n of greatest v, or the most ΣI^α that a budget buys.

    Only `candidates` (crop indices; default all) may be picked, while values are given for every crop. `places_N_2` are
    the crops' rows and columns, by which diverse settings know neighbours; those of different frames lie at least two
    apart. Ties and controls are drawn from `seed`; controls depend on no I, α or β, and are not thinned. With
    `control_number_N` crops below the control share are queried as controls only (see `labels.controls`).

    Raises
    ------
    AgentError
        When n is less than 1 or a score is not a number; when there is a budget and the cost is uniform, or it buys
        nothing.
    """
    value_N = value(scores.information_N, scores.cost_N, settings.alpha, settings.beta, settings.rule, scores.probs_N_K)
    if candidates is None:
        candidates = np.arange(len(value_N))
    rng = rng_for(seed, "controls")
    like = similarity(scores.features_N_F, places_N_2, rng_for(seed, "pairs")) if settings.diverse else None
    reserved = reserved_for_controls(candidates, settings.control_share, control_number_N)
    if settings.budget is None:
        controls = draw_controls(candidates, settings.control_share, settings.n, rng, control_number_N)
        others = without(candidates, np.union1d(controls, reserved))
        best = select_diverse(others, value_N, like, settings.n, seed)[: settings.n - len(controls)]
    else:
        _require_learned_cost(scores)
        share, budget = settings.control_share, settings.budget
        controls = draw_controls_within(candidates, scores.cost_N, share, budget, rng, control_number_N)
        others = without(candidates, np.union1d(controls, reserved))
        left = settings.budget - total_cost(scores.cost_N[controls])
        worth_N = value(scores.information_N, scores.cost_N, settings.alpha, 0.0)
        best = select_diverse_within_budget(others, worth_N, scores.cost_N, left, like, seed)
        _require_bought(len(controls) + len(best), scores.cost_N[candidates], settings.budget)
    picked_n, control_n = mixed_in(best, controls, rng)
    return Query(picked_n, value_N, scores, control_n)


def rest_of_query(
    scores: Scores,
    settings: AgentSettings,
    seed: int,
    rest: tuple[NDArray[np.intp], NDArray[np.bool_]],
    others: NDArray[np.intp],
    places_N_2: NDArray[np.integer] | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the rest of a query by new scores, best first, and which of its crops are controls.

    `rest` are those that were to come, and which are controls: these keep their places. The other places go to the best
    of the other crops of the rest and of `others`, which are not controls; in a query by budget only to those of the
    rest, because they were bought together.
    """
    picked_m, control_m = rest
    own = picked_m[~control_m]
    if not len(own):
        return picked_m, control_m
    candidates = np.union1d(own, others) if settings.budget is None else np.sort(own)
    alone = replace(settings, n=len(own), budget=None, control_share=0.0)
    best = choose(scores, alone, seed, candidates, places_N_2).picked_n
    renewed_m = picked_m.copy()
    renewed_m[~control_m] = best
    return renewed_m, control_m


def _require_learned_cost(scores: Scores) -> None:
    if scores.cost_is_uniform:
        raise AgentError(
            "A time budget needs predicted efforts, but so far all crops have the same cost. Label crops until 10 "
            "efforts are measured, or choose a number of crops."
        )


def _require_bought(count: int, cost_M: Floats, budget: float) -> None:
    if count == 0 and len(cost_M):
        raise AgentError(
            f"A budget of {budget:g} selects no crop: the lowest predicted cost is {cost_M.min():.3g}, and crops "
            "without information are not selected. Choose a larger budget, or a number of crops."
        )


def propose(
    agent: Agent, pool: Pool, seed: int, device: str = "auto", known_cost_N: Floats | None = None
) -> Job[Query]:
    """Return the n crops of greatest value in the pool, best first, with all scores (see `score`).

    Costs that are known (N,) take the place of predicted ones.
    """
    scores = yield from score(agent, pool, seed, device)
    if known_cost_N is not None:
        scores = replace(scores, cost_N=known_cost_N, cost_is_uniform=False)
    return choose(scores, agent.settings, seed)


def learn(agent: Agent, answers: list[Answer], seed: int, device: str = "auto") -> Job[Agent]:
    """Return the agent retrained on `answers`, which are all answers so far (see `learn_together`)."""
    (learned,) = yield from learn_together([agent], [answers], [seed], device)
    return learned


def learn_together(
    agents: Sequence[Agent], answers: Sequence[Sequence[Answer]], seeds: Sequence[int], device: str = "auto"
) -> Job[list[Agent]]:
    """Return each agent retrained on its own answers, which are all its answers so far.

    Their networks train as one stack where shapes and numbers of crops are equal; all have one `Training`. Where
    labels or efforts do not suffice, that model is missing and `notes` say why.

    Raises
    ------
    AgentError
        When training diverges, or agents differ in their `Training`: those passed in are still good.
    """
    if any(agent.settings.training != agents[0].settings.training for agent in agents):
        raise AgentError("Agents that learn together need the same [training]. Give them the same settings.")
    alike: dict[Training, list[int]] = {}
    for place, agent in enumerate(agents):
        alike.setdefault(training_of(agent), []).append(place)
    learned: dict[int, Agent] = {}
    for training, places in alike.items():
        trios = [(agents[place], answers[place], seeds[place]) for place in places]
        learned |= zip(places, (yield from _learn_alike(trios, training, device)), strict=True)
    return [learned[place] for place in range(len(agents))]


def _learn_alike(
    trios: Sequence[tuple[Agent, Sequence[Answer], int]], training: Training, device: str
) -> Job[list[Agent]]:
    """Return agents that are trained in one way retrained on their answers, with the seed of each."""
    from costal.agent.classifier import classifier_tasks, reason_no_classifier, train_classifiers
    from costal.agent.cost import annotators_of, cost_task, reason_uniform_cost, train_cost_models, usable_efforts
    from costal.agent.devices import BatchSetup, choose_device, precision_of
    from costal.agent.stacks import in_stacks

    batch_setup = BatchSetup(choose_device(device), training.batch)
    complete = []
    for agent, own, seed in trios:
        complete.append((agent, (yield from answers_with_features(agent, own, batch_setup.device)), seed))
    trios = complete
    labelled = [[int(each.class_index) for each in own if each.class_index is not None] for _, own, _ in trios]
    tasks = [
        [] if reason_no_classifier(labels) else classifier_tasks(*trio)
        for labels, trio in zip(labelled, trios, strict=True)
    ]
    classifiers, batch_setup = yield from in_stacks(tasks, training, batch_setup, train_classifiers)
    del tasks  # what many labels take in memory is not needed twice
    costly = [[] if reason_uniform_cost(trio[1]) else [cost_task(*trio)] for trio in trios]
    costs, batch_setup = yield from in_stacks(costly, training, batch_setup, train_cost_models)
    learned = []
    for (agent, own, _), labels, classifier, cost in zip(trios, labelled, classifiers, costs, strict=True):
        notes = (reason_no_classifier(labels), reason_uniform_cost(own), batch_setup.note)
        likelihood = agent.settings.cost_likelihood
        cost_model = CostModel(cost[0], annotators_of(own), len(usable_efforts(own)), likelihood) if cost else None
        learned.append(
            replace(
                agent,
                classifier=tuple(classifier),
                cost_model=cost_model,
                label_count=len(labels),
                notes=tuple(note for note in notes if note),
                precision=precision_of(batch_setup.device) if agent.backbone is not None else agent.precision,
            )
        )
    return learned
