"""What cross-validation on labelled crops tells: who is left out together, and what follows from the predictions.

Crops of one frame, or neighbours in it, look alike; so whole groups of them are left out together, and the interval
counts groups that are right or wrong as a whole for what they are: less than so many independent crops.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costal.agent.metrics import Calibration, calibration, share_interval
from costal.seeds import rng_for
from costal.types import Floats

FOLDS = 5
COARSEST_BLOCK, FEWEST_BLOCKS = 8, 10
"""The side of a spatial block in crops at first, and how many blocks there must be; smaller blocks are tried."""
TEMPERATURES = np.geomspace(0.2, 5.0, 65)
NEVER_SURER = 1e-6

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Validation:
    """What cross-validation says of N labels; `share` is the accuracy, `low` and `high` its 95 % interval.

    `confusion_K_K` counts labels by true and by predicted class, averaged over the repeats; `recall_K` is the share of
    each class that was predicted right (NaN for one without labels). `temperature` is the T with which p^(1/T),
    normalised, fits best; `calibration` is that of the probabilities after it, `raw_error` the calibration error
    before. `probs_N_K` are the probabilities of each crop by models that had not learned from it, after it too.
    """

    count: int
    groups: int
    share: float
    low: float
    high: float
    confusion_K_K: NDArray[np.float64]
    recall_K: NDArray[np.float64]
    temperature: float
    calibration: Calibration
    raw_error: float
    probs_N_K: Floats


def frame_groups(frame_N: Ints, class_N: Ints) -> Ints | None:
    """Return the groups of labels when frames are left out; None where a class is in one frame only."""
    frames = {int(each): set(frame_N[class_N == each].tolist()) for each in np.unique(class_N)}
    return frame_N if all(len(each) > 1 for each in frames.values()) else None


def block_groups(frame_N: Ints, y_N: Ints, x_N: Ints, side: int, class_N: Ints) -> Ints | None:
    """Return the groups of labels when square blocks of frames are left out, as large as the labels allow.

    None where even single crops are too few, or a class has one label only.
    """
    for crops in range(COARSEST_BLOCK, 0, -1):
        places = np.column_stack([frame_N, y_N // (crops * side), x_N // (crops * side)])
        group_N: Ints = np.unique(places, axis=0, return_inverse=True)[1].reshape(-1)
        if group_N.max(initial=-1) + 1 >= FEWEST_BLOCKS and frame_groups(group_N, class_N) is not None:
            return group_N
    return None


def folds_of(group_N: Ints, class_N: Ints, seed: int, count: int) -> Ints:
    """Return the fold of each label, whole groups in one fold, so that classes are spread as evenly as groups allow."""
    rng = rng_for(seed, "folds")
    groups, inverse_N = np.unique(group_N, return_inverse=True)
    counts_G_K = np.zeros((len(groups), int(class_N.max()) + 1))
    np.add.at(counts_G_K, (inverse_N, class_N), 1)
    counts_G_K /= np.maximum(counts_G_K.sum(0), 1)  # a rare class weighs as much as a common one
    fold_G, load_F_K = np.zeros(len(groups), np.int64), np.zeros((count, counts_G_K.shape[1]))
    order = rng.permutation(len(groups))
    for group in order[np.argsort(-counts_G_K[order].sum(1), kind="stable")]:
        after_F = ((load_F_K + counts_G_K[group]) ** 2).sum(1) - (load_F_K**2).sum(1)
        fold_G[group] = int(np.argmin(after_F))
        load_F_K[fold_G[group]] += counts_G_K[group]
    return fold_G[inverse_N]


def validation_of(probs_R_N_K: Floats, class_N: Ints, group_N: Ints) -> Validation:
    """Return the figures of the probabilities that were given in R repeats; those that are NaN do not count."""
    known_N: NDArray[np.bool_] = np.asarray(np.isfinite(probs_R_N_K).all((0, 2)))
    probs_R_N_K, class_N, group_N = probs_R_N_K[:, known_N], class_N[known_N], group_N[known_N]
    best_R_N = probs_R_N_K.argmax(2)
    correct_N = (best_R_N == class_N).mean(0)
    classes = probs_R_N_K.shape[2]
    confusion_K_K = np.zeros((classes, classes))
    for best_N in best_R_N:
        np.add.at(confusion_K_K, (class_N, best_N), 1 / len(best_R_N))
    temperature = fitted_temperature(probs_R_N_K, class_N)
    cooled_R_N_K = at_temperature(probs_R_N_K, temperature)
    probs_N_K = np.full((len(known_N), classes), np.nan, np.float32)
    probs_N_K[known_N] = cooled_R_N_K.mean(0)
    right_R_N = best_R_N == class_N
    share, low, high = grouped_interval(correct_N, group_N)
    with np.errstate(invalid="ignore"):
        recall_K = np.diag(confusion_K_K) / confusion_K_K.sum(1)
    return Validation(
        int(known_N.sum()),
        len(np.unique(group_N)),
        share,
        low,
        high,
        confusion_K_K,
        recall_K,
        temperature,
        calibration(cooled_R_N_K.max(2).ravel(), right_R_N.ravel()),
        calibration(probs_R_N_K.max(2).ravel(), right_R_N.ravel()).expected_error,
        probs_N_K,
    )


def grouped_interval(correct_N: NDArray[np.float64], group_N: Ints) -> tuple[float, float, float]:
    """Return the accuracy of labels, each right to a share in [0, 1], with its 95 % interval; NaN without labels.

    Wilson's interval for as many independent labels as tell as much: their number divided by the design effect, the
    variance of the mean as groups vary over that of independent labels (at least 1). Few groups tell their variance
    badly: Student's t takes the place of the normal quantile.

    Source
    ------
    Kish 1965, *Survey Sampling*, sections 6.4 and 8.2 (the variance of a ratio over clusters).
    """
    count = len(correct_N)
    if not count:
        return float("nan"), float("nan"), float("nan")
    share = float(correct_N.mean())
    from scipy import stats

    _, inverse_N = np.unique(group_N, return_inverse=True)
    apart_G = np.bincount(inverse_N, correct_N - share)
    independent = share * (1 - share) / count
    if len(apart_G) < 2 or independent == 0:
        return share, *share_interval(share, count)
    clustered = len(apart_G) / (len(apart_G) - 1) * float((apart_G**2).sum()) / count**2
    wider = (stats.t.ppf(0.975, len(apart_G) - 1) / stats.norm.ppf(0.975)) ** 2
    return share, *share_interval(share, count / float(max(clustered / independent, 1.0) * wider))


def fitted_temperature(probs_R_N_K: Floats, class_N: Ints) -> float:
    """Return the temperature with which the probabilities of the true classes are likeliest.

    Source
    ------
    Guo, Pleiss, Sun, Weinberger 2017, *On Calibration of Modern Neural Networks*, section 4.2.
    """
    if probs_R_N_K.size == 0:
        return 1.0
    rows = np.arange(len(class_N))
    losses = [
        -np.log(at_temperature(probs_R_N_K, each)[:, rows, class_N] + NEVER_SURER).mean() for each in TEMPERATURES
    ]
    return float(TEMPERATURES[int(np.argmin(losses))])


def at_temperature(probs: Floats, temperature: float) -> Floats:
    """Return probabilities (..., K) at a temperature: below 1 surer, above 1 less sure; they sum to one."""
    powers = np.maximum(probs, NEVER_SURER).astype(np.float64) ** (1 / temperature)
    cooled: Floats = (powers / powers.sum(-1, keepdims=True)).astype(np.float32)
    return cooled


def doubtful(probs_N_K: Floats, class_N: Ints) -> Ints:
    """Return the labels that the others contradict, the surest contradiction first.

    A label is doubtful when another class is likelier than its own. First come those where that class reaches the mean
    probability of the labels of that class, then the others; each by the margin between the two.

    Source
    ------
    Northcutt, Jiang, Chuang 2021, *Confident Learning*, sections 3.1 and 3.2 (ranked by normalised margin).
    """
    known = np.flatnonzero(np.isfinite(probs_N_K).all(1))
    probs, classes = probs_N_K[known], class_N[known]
    count = probs_N_K.shape[1]
    threshold_K = np.array([probs[classes == k, k].mean() if (classes == k).any() else np.inf for k in range(count)])
    own = probs[np.arange(len(probs)), classes]
    others = np.where(np.arange(count) == classes[:, None], -np.inf, probs)
    sure = np.where(others >= threshold_K, others, -np.inf).max(1) > own
    margin = own - others.max(1)
    doubted = np.flatnonzero(margin < 0)
    return known[doubted[np.lexsort((margin[doubted], ~sure[doubted]))]]
