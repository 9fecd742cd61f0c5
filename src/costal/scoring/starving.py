"""Whether a class is starved: predicted for many crops, and hardly asked because it takes long."""

import numpy as np
from numpy.typing import NDArray

from costal.agent.value import value
from costal.labels.project import Project
from costal.scoring.scores import FrameScores
from costal.types import Floats

FEWEST_ASKED = 30
"""The next crops in which a class is looked for: three queries of ten, or one longer query."""
COMMON, RARE = 0.1, 0.25
"""A class is common from this share of the predictions on, and rare among the next crops below this part of it."""


def starving_text(
    frame_scores: FrameScores, project: Project, candidates_M: NDArray[np.intp], value_N: Floats | None
) -> str:
    """Return a sentence on the class that is starved most, "" where none is.

    Of the candidate crops, those that are scored and have no label, so many as three queries are taken by their value.
    A class is starved when it is predicted for a tenth of the candidates or more, for less than a quarter of that share
    of the crops taken, for more of them if cost did not count, and when it is dearer than the others.
    """
    scores, choices = frame_scores.scores, project.choices
    if scores is None or value_N is None or scores.cost_is_uniform or not choices.beta:
        return ""
    next_count = max(FEWEST_ASKED, 3 * choices.n)
    if len(candidates_M) < 2 * next_count:
        return ""  # nearly all are asked soon, whatever they cost
    probs_M_K, cost_M = scores.probs_N_K[candidates_M], scores.cost_N[candidates_M]
    if np.isnan(probs_M_K).any():
        return ""  # random selection asks no committee
    class_M = probs_M_K.argmax(axis=1)
    worth_M = value(scores.information_N[candidates_M], cost_M, choices.alpha, 0.0)
    by_value, by_information = (
        class_M[np.argpartition(-each, next_count)[:next_count]] for each in (value_N[candidates_M], worth_M)
    )
    names = [each.name for each in project.offered]
    shares = {}
    for index in np.unique(class_M).tolist():
        share, now, without = (float((each == index).mean()) for each in (class_M, by_value, by_information))
        own_s, others_s = cost_M[class_M == index].mean(), cost_M[class_M != index]
        takes_long = bool(len(others_s)) and own_s > others_s.mean()
        if share >= COMMON and now < RARE * share and without > now and takes_long:
            shares[index] = (share, round(now * next_count), float(own_s), float(others_s.mean()))
    if not shares:
        return ""
    index, (share, count, own_s, others_s) = max(shares.items(), key=lambda each: each[1][0])
    amount = "none" if not count else f"only {count}"
    return (
        f"The next queries neglect '{names[index]}': it is predicted for {share:.0%} of the unlabelled crops, but for "
        f"{amount} of the next {next_count} to label, because its crops take long ({own_s:.2g} s, others "
        f"{others_s:.2g} s). Move the slider towards informative, or click crops of this class on the image."
    )
