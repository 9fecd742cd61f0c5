"""Where two models disagree on a frame: the crops that got another class by the newer one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.scoring.kept import SCORED
from costal.scoring.scores import FrameScores


@dataclass(frozen=True, slots=True)
class ClassChanges:
    """Of each crop (N,) whether its predicted class is another one; `compared` crops were scored by both models."""

    changed_N: NDArray[np.bool_]
    compared: int
    before: int
    now: int

    @property
    def text(self) -> str:
        """What changed, as a sentence."""
        count = int(self.changed_N.sum())
        if not count:
            return f"Model {self.now} predicts the class of every crop of this frame as model {self.before} did."
        return (
            f"{count:,} of {self.compared:,} crops of this frame changed class from model {self.before} to model "
            f"{self.now}."
        )


def class_changes(before: FrameScores | None, now: FrameScores | None) -> ClassChanges | None:
    """Return how the predicted classes of a frame differ, None where no two models with the same classes scored it."""
    if before is None or now is None or before.scores is None or now.scores is None:
        return None
    if before.scores.probs_N_K.shape != now.scores.probs_N_K.shape or before.generation == now.generation:
        return None
    both_N = np.ones(len(now.scores.probs_N_K), np.bool_)
    for each in (before, now):
        if each.skipped_N is not None:
            both_N &= each.skipped_N == SCORED
    changed_N = both_N & (before.scores.predicted_class_N != now.scores.predicted_class_N)
    return ClassChanges(changed_N, int(both_N.sum()), before.generation, now.generation)
