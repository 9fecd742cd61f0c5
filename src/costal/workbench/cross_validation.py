"""Models trained on a part of the labels, and asked about the rest: loads torch."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from costal.agent.validation import FOLDS, Ints, Validation, folds_of, validation_of
from costal.loop import learn_together
from costal.seeds import rng_for, seed_for
from costal.types import Agent, Answer, Floats, Job, Progress

REPEATS = 2
FRACTIONS = (0.25, 0.5)
"""Parts of the labels, the oldest ones, that the learning curve has points for besides all of them."""
MOST_TOGETHER = 1000
"""Labels from which on models are trained one after another: a stack of them would take too much memory."""

Flags = NDArray[np.bool_]
Lessons = Sequence[Sequence[Answer]]
Ask = Callable[[Agent, Lessons, Sequence[Floats], Sequence[int], str], Job[list[Floats]]]
"""Returns what models say that each learned from one lesson: of its own inputs, with its own seed."""


def committees(
    agent: Agent, tasks: Lessons, inputs: Sequence[Floats], seeds: Sequence[int], device: str
) -> Job[list[Floats]]:
    """Return the mean probabilities (N, K) of each committee for its own inputs, after all were trained together."""
    from costal.agent.classifier import ask_committee

    together = len(tasks) if max(map(len, tasks)) <= MOST_TOGETHER else 1
    probs = []
    for first in range(0, len(tasks), together):
        own = slice(first, first + together)
        taught = yield from learn_together(
            [agent] * len(tasks[own]), _equal(tasks[own], seeds[own]), seeds[own], device
        )
        for each, inputs_of_fold, seed in zip(taught, inputs[own], seeds[own], strict=True):
            output, _ = yield from ask_committee(each, inputs_of_fold, seed_for(seed, "masks"), device)
            probs.append(output.probs_N_K)
    return probs


def _equal(tasks: Lessons, seeds: Sequence[int]) -> list[list[Answer]]:
    """Return lessons of one length, for only these train as one stack: the shorter ones repeat some of their own."""
    longest = max(map(len, tasks))
    return [
        [*own, *(own[row] for row in rng_for(seed, "repeats").choice(len(own), longest - len(own)).tolist())]
        for own, seed in zip(tasks, seeds, strict=True)
    ]


def cross_validate(
    agent: Agent,
    answers: Sequence[Answer],
    group_N: Ints,
    overlaps_N_N: Flags | None,
    seed: int,
    device: str,
    repeats: int = REPEATS,
    ask: Ask = committees,
) -> Job[Validation]:
    """Return what committees say of the labels that they were not shown; each group is left out once a repeat.

    The answers all have a label, and features where the agent has a frozen backbone. No model learns from a crop that
    overlaps one that it is asked about.
    """
    probs_R_N_K = []
    for repeat in range(repeats):
        yield Progress(repeat, repeats, "Cross-validating")
        probs_N_K, _ = yield from predicted(agent, answers, group_N, overlaps_N_N, seed, device, repeat, ask=ask)
        probs_R_N_K.append(probs_N_K)
    return validation_of(np.stack(probs_R_N_K), classes_of(answers), group_N)


def predicted(
    agent: Agent,
    answers: Sequence[Answer],
    group_N: Ints,
    overlaps_N_N: Flags | None,
    seed: int,
    device: str,
    repeat: int = 0,
    fraction: float = 1.0,
    ask: Ask = committees,
) -> Job[tuple[Floats, float]]:
    """Return the probabilities (N, K) of each label by a committee that was not shown it, NaN where there was none.

    The committees learn from this `fraction` of the labels, the oldest ones, as far as these are not left out; the
    second value is from how many, on average. All fractions leave out the same.
    """
    class_N, count = classes_of(answers), len(answers)
    alone = [replace(each, effort=None) for each in answers]  # no cost model is trained
    probs_N_K = np.full((count, agent.settings.class_count), np.nan, np.float32)
    fold_N = folds_of(group_N, class_N, seed_for(seed, "repeat", repeat), FOLDS)
    tasks, inputs, seeds, places = list[list[Answer]](), list[Floats](), list[int](), list[Ints]()
    for fold in range(FOLDS):
        is_asked_N = fold_N == fold
        learned = ~is_asked_N if overlaps_N_N is None else ~is_asked_N & ~overlaps_N_N[:, is_asked_N].any(1)
        learned &= np.arange(count) < round(fraction * count)
        if not is_asked_N.any() or len(np.unique(class_N[learned])) < 2:
            continue
        tasks.append([alone[place] for place in np.flatnonzero(learned).tolist()])
        places.append(np.flatnonzero(is_asked_N))
        inputs.append(np.stack([_plain(agent, answers[place]) for place in places[-1].tolist()]))
        seeds.append(seed_for(seed, "fold", repeat, fold))
    probs = (yield from ask(agent, tasks, inputs, seeds, device)) if tasks else []
    for own, probs_n_K in zip(places, probs, strict=True):
        probs_N_K[own] = probs_n_K
    return probs_N_K, float(np.mean([len(each) for each in tasks])) if tasks else 0.0


def learning_curve(
    agent: Agent,
    answers: Sequence[Answer],
    group_N: Ints,
    overlaps_N_N: Flags | None,
    seed: int,
    device: str,
    ask: Ask = committees,
) -> Job[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return which labels (S, N) models predict right that learned from S parts of them, and from how many (S,).

    The last part is all labels. Labels that no model of some part was asked about are wrong in it.
    """
    class_N, right_S_N, learned_S = classes_of(answers), list[Flags](), list[float]()
    arguments = agent, answers, group_N, overlaps_N_N, seed, device, 0
    for fraction in (*FRACTIONS, 1.0):
        yield Progress(len(learned_S), len(FRACTIONS) + 1, "Learning from fewer labels")
        probs_N_K, learned = yield from predicted(*arguments, fraction, ask)
        known_N = np.isfinite(probs_N_K).all(1)
        right_S_N.append(known_N & (np.nan_to_num(probs_N_K, nan=-1).argmax(1) == class_N))
        learned_S.append(learned)
    return np.stack(right_S_N).astype(np.float64), np.array(learned_S)


def classes_of(answers: Sequence[Answer]) -> Ints:
    """Return the class index of each answer that has one."""
    return np.array([int(each.class_index) for each in answers if each.class_index is not None], np.int64)


def _plain(agent: Agent, answer: Answer) -> Floats:
    """Return what a network is asked about: the crop, or the features of it as it stands."""
    if agent.backbone is None or answer.features_V_F is None:
        return answer.crop_C_H_W
    features_F: Floats = answer.features_V_F[0].astype(np.float32)
    return features_F
