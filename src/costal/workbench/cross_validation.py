"""Models trained on a part of the labels, and asked about the rest: loads torch."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from costal.agent.validation import FOLDS, Ints, Validation, folds_of, validation_of
from costal.loop import learn
from costal.seeds import seed_for
from costal.types import Agent, Answer, Floats, Job, Progress

REPEATS = 2


def cross_validate(
    agent: Agent,
    answers: Sequence[Answer],
    group_N: Ints,
    overlaps_N_N: NDArray[np.bool_] | None,
    seed: int,
    device: str,
    repeats: int = REPEATS,
) -> Job[Validation]:
    """Return what models say of the labels that they were not shown; each group is left out once a repeat.

    The answers all have a label, and features where the agent has a frozen backbone. No model learns from a crop that
    overlaps one that it is asked about.
    """
    from costal.agent.classifier import classify

    class_N = np.array([int(each.class_index) for each in answers if each.class_index is not None])
    alone = [replace(each, effort=None) for each in answers]  # no cost model is trained
    probs_R_N_K = np.full((repeats, len(answers), agent.settings.class_count), np.nan, np.float32)
    for repeat in range(repeats):
        fold_N = folds_of(group_N, class_N, seed_for(seed, "repeat", repeat), FOLDS)
        for fold in range(FOLDS):
            yield Progress(repeat * FOLDS + fold, repeats * FOLDS, "Cross-validating")
            asked = fold_N == fold
            learned = ~asked if overlaps_N_N is None else ~asked & ~overlaps_N_N[:, asked].any(1)
            if not asked.any() or len(np.unique(class_N[learned])) < 2:
                continue
            own = seed_for(seed, "fold", repeat, fold)
            taught = yield from learn(agent, [alone[place] for place in np.flatnonzero(learned).tolist()], own, device)
            inputs = [_plain(agent, answers[place]) for place in np.flatnonzero(asked).tolist()]
            probs_R_N_K[repeat, asked] = yield from classify(taught, np.stack(inputs), device)
    return validation_of(probs_R_N_K, class_N, group_N)


def _plain(agent: Agent, answer: Answer) -> Floats:
    """Return what a network is asked about: the crop, or the features of it as it stands."""
    if agent.backbone is None or answer.features_V_F is None:
        return answer.crop_C_H_W
    features_F: Floats = answer.features_V_F[0].astype(np.float32)
    return features_F
