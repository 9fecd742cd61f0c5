"""The test set: a quarter of each class, or a quarter of the frames, drawn again in each repeat."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.paper.sources import PER_CLASS_AT_START, Dataset, Indices, LabelledCrops, md5, scarce
from costal.seeds import rng_for

TEST_SHARE = 0.25
DRAWS = 200
"""How many splits are tried until the frames to draw from have the initial set of an experiment."""


def from_labelled(
    name: str,
    class_names: tuple[str, ...],
    effort_unit: str,
    labelled: LabelledCrops,
    notes: tuple[str, ...] = (),
    seed: int = 0,
    censored_N: NDArray[np.bool_] | None = None,
) -> Dataset:
    """Return crops held in memory as a source; a quarter of each class, rounded down and drawn by `seed`, is for tests.

    A crop costs its measured effort, in any repeat and order.

    Raises
    ------
    DatasetError
        When a class has fewer than two crops, or none has the four that would leave one for tests.
    """
    counts = np.bincount(labelled.class_N, minlength=len(class_names))
    if (counts < PER_CLASS_AT_START).any():
        raise scarce(
            name, [each for each, count in zip(class_names, counts, strict=True) if count < PER_CLASS_AT_START]
        )
    shuffled = rng_for(seed, "test set").permutation(len(labelled.class_N))
    by_class = [shuffled[labelled.class_N[shuffled] == each] for each in range(len(class_names))]
    tested = np.sort(np.concatenate([rows[: int(TEST_SHARE * len(rows))] for rows in by_class]))
    drawn = np.setdiff1d(shuffled, tested)
    if len(tested) == 0:
        raise DatasetError(f"{name} has no class with 4 crops, so no crop would be left for tests. Label more crops.")
    split = f"{len(tested)} of {len(shuffled)} crops, a quarter of each class, are kept for tests."
    fingerprint = md5(array.tobytes() for array in (labelled.crops_N_C_H_W, labelled.class_N, labelled.cost_N))
    whole = _parted(name, class_names, effort_unit, labelled, drawn, tested, fingerprint)
    is_censored = None if censored_N is None else lambda indices: censored_N[drawn[indices]]
    return replace(whole, notes=(split, *notes), is_censored=is_censored)


def from_frames(
    name: str, class_names: tuple[str, ...], effort_unit: str, labelled: LabelledCrops, frame_N: Indices, seed: int = 0
) -> Dataset:
    """Return crops held in memory as a source whose frames are for tests or to draw from, as a whole.

    Crops of one frame look alike. Each repeat draws its own quarter of the frames, at least one, for tests, and repeats
    the draw until two crops of each class are left.

    Raises
    ------
    DatasetError
        When there is one frame only, or none of `DRAWS` splits leaves two crops of each class.
    """
    if len(np.unique(frame_N)) < 2:
        raise DatasetError(
            f"{name} has crops of only one frame, so no frame would be left for tests. Add another frame."
        )

    def split(repeat: int) -> Dataset:
        tested, drawn, tested_frames = _whole_frames(name, class_names, labelled.class_N, frame_N, seed, repeat)
        note = (
            f"{len(tested)} of {len(frame_N)} crops, those of {tested_frames} of {len(np.unique(frame_N))} frames, are "
            "kept for tests; each repeat draws other frames."
        )
        whole = _parted(name, class_names, effort_unit, labelled, drawn, tested, fingerprint)
        return replace(whole, notes=(note,), split=split)

    parts = (labelled.crops_N_C_H_W, labelled.class_N, labelled.cost_N, np.asarray(frame_N, np.int64))
    fingerprint = md5(array.tobytes() for array in parts)
    return split(0)


def _parted(
    name: str,
    class_names: tuple[str, ...],
    effort_unit: str,
    labelled: LabelledCrops,
    drawn: Indices,
    tested: Indices,
    fingerprint: str,
) -> Dataset:
    """Return crops held in memory as a source: those that may be drawn, and those for tests."""
    return Dataset(
        name,
        class_names,
        labelled.crops_N_C_H_W.shape[1:],
        effort_unit,
        len(drawn),
        take=lambda indices: labelled.of(drawn[indices]),
        test=lambda: labelled.of(tested),
        effort=lambda indices, _repeat, _order: labelled.cost_N[drawn[indices]],
        fingerprint=fingerprint,
        class_of=lambda indices: labelled.class_N[drawn[indices]],
    )


def _whole_frames(
    name: str, class_names: tuple[str, ...], class_N: NDArray[np.int64], frame_N: Indices, seed: int, repeat: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Return the crops of a repeat that are for tests, those to draw from, and how many frames are for tests."""
    frames, lacking = np.unique(frame_N), np.zeros(len(class_names), np.int64)
    for draw in range(DRAWS):
        order = rng_for(seed, "frames for tests", repeat, draw).permutation(frames)
        test_frames = order[: max(1, round(TEST_SHARE * len(frames)))]
        is_test = np.isin(frame_N, test_frames)
        counts = np.bincount(class_N[~is_test], minlength=len(class_names))
        if (counts >= PER_CLASS_AT_START).all():
            return np.flatnonzero(is_test), np.flatnonzero(~is_test), len(test_frames)
        lacking += counts < PER_CLASS_AT_START
    raise scarce(name, [each for each, times in zip(class_names, lacking, strict=True) if times])
