"""The experiment on microscopy: simulated STED fields, a frame a round, and an expert who gets practised and tired."""

import functools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.frames.grid import crops
from costal.frames.normalise import intensity_range, normalise
from costal.frames.simulate import CLASS_NAMES, SimulatedField, simulate_field, simulated_effort_s
from costal.paper.sources import Crops, Dataset, Indices, md5
from costal.seeds import rng_for, seed_for
from costal.types import Floats

STED = "simulated STED fields"
CROP, CROPS_ACROSS, PIXEL_UM = 32, 16, 0.03  # six pixels a ring period, five periods a crop
PER_FRAME = CROPS_ACROSS**2
TRAIN_FRAMES, TEST_FRAMES = 100_000, 6
PRACTICE, PRACTICE_ANSWERS = 0.5, 40.0
FATIGUE, FATIGUE_ANSWERS = 0.2, 300.0
_KEPT_FRAMES = 64  # about a megabyte each: all arms of a repeat ask for the same one


@dataclass(frozen=True, slots=True)
class _Frame:
    """A field, and its crops normalised as at the microscope."""

    field: SimulatedField
    crops_N_C_H_W: Floats


def sted_dataset(seed: int = 0) -> Dataset:
    """Return simulated STED frames of 16 x 16 crops of 32 px: 100,000 to draw from and 6 for tests.

    Frames are rendered on request; each is normalised by its own intensity range, as a project does by default. Efforts
    are seconds: those of `simulated_effort_s`, which grow with the contour in a crop and have a noise that (index,
    repeat) fixes, times `drift`.
    """
    first_test = TRAIN_FRAMES * PER_FRAME

    def effort(indices: Indices, repeat: int, order: int | Indices) -> Floats:
        alone_N = np.zeros(len(indices), np.float32)
        for frame, rows, places in _by_frame(indices):
            noise_seed = seed_for(seed, "sted", "effort", frame, repeat)
            alone_N[rows] = simulated_effort_s(_frame(seed, frame).field, noise_seed)[places]
        return (alone_N * drift(order)).astype(np.float32)

    shown = np.arange(PER_FRAME)
    first = _take(seed, shown)
    return Dataset(
        STED,
        CLASS_NAMES,
        (1, CROP, CROP),
        "s",
        first_test,
        take=lambda indices: _take(seed, indices),
        test=lambda: _take(seed, np.arange(first_test, first_test + TEST_FRAMES * PER_FRAME)),
        effort=effort,
        fingerprint=md5([first[0].tobytes(), first[1].tobytes(), effort(shown, 0, np.arange(PER_FRAME)).tobytes()]),
        per_frame=PER_FRAME,
    )


def few_fields(frames: int, seed: int = 0) -> Dataset:
    """Return the first STED frames, as many as `frames`; each repeat draws its frames for tests from them.

    All repeats share their crops, so a frozen backbone looks at each of them once.

    Raises
    ------
    DatasetError
        When there are too few frames to draw from.
    """
    if not TEST_FRAMES < frames <= TRAIN_FRAMES:
        raise DatasetError(
            f"{frames} STED frames are too few or too many: {TEST_FRAMES} are for tests. "
            f"Use sted:N with N from {TEST_FRAMES + 1} to {TRAIN_FRAMES}."
        )
    whole = sted_dataset(seed)

    def split(repeat: int) -> Dataset:
        order = rng_for(seed, "sted", "frames for tests", repeat).permutation(frames)
        test_I, frame_I = (_indices(part) for part in (order[:TEST_FRAMES], order[TEST_FRAMES:]))
        return replace(
            whole,
            train_size=len(frame_I),
            take=lambda indices: whole.take(frame_I[indices]),
            test=lambda: whole.take(test_I),
            effort=lambda indices, repeat, order: whole.effort(frame_I[indices], repeat, order),
            fingerprint=f"{whole.fingerprint} {frames}",
            notes=(f"Each repeat draws {TEST_FRAMES} of {frames} frames for tests.",),
            split=split,
        )

    return split(0)


def _indices(frames: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the indices of all crops of some frames."""
    of_each: NDArray[np.int64] = (frames[:, np.newaxis] * PER_FRAME + np.arange(PER_FRAME)).ravel()
    return of_each


def drift(order: int | Indices) -> NDArray[np.float64]:
    """Return the factor on the seconds of an expert who has answered `order` crops before, whatever is in the crop.

    ``1 + 0.5 exp(-order / 40) + 0.2 (1 - exp(-order / 300))``: practice makes the first answers half as long again,
    and nearly vanishes within a hundred and a half; fatigue adds slowly up to a fifth. 1.5 at first, least (1.09) after
    135 answers, 1.15 after 400.
    """
    answers = np.asarray(order, np.float64)
    practice: NDArray[np.float64] = PRACTICE * np.exp(-answers / PRACTICE_ANSWERS)
    return 1 + practice + FATIGUE * (1 - np.exp(-answers / FATIGUE_ANSWERS))


def _take(seed: int, indices: Indices) -> Crops:
    crops_N_C_H_W = np.zeros((len(indices), 1, CROP, CROP), np.float32)
    class_N = np.zeros(len(indices), np.int64)
    for frame, rows, places in _by_frame(indices):
        shown = _frame(seed, frame)
        crops_N_C_H_W[rows], class_N[rows] = shown.crops_N_C_H_W[places], shown.field.classes_N[places]
    return crops_N_C_H_W, class_N


def _by_frame(indices: Indices) -> list[tuple[int, NDArray[np.intp], Indices]]:
    """Return each frame of the indices, which of the indices it has, and their places in it."""
    frames_N, places_N = np.divmod(np.asarray(indices), PER_FRAME)
    groups = [(int(frame), np.flatnonzero(frames_N == frame)) for frame in np.unique(frames_N)]
    return [(frame, rows, places_N[rows]) for frame, rows in groups]


@functools.lru_cache(_KEPT_FRAMES)
def _frame(seed: int, number: int) -> _Frame:
    side = CROPS_ACROSS * CROP
    field = simulate_field((side, side), CROP, seed_for(seed, "sted", number), pixel_um=PIXEL_UM)
    plane_C_Y_X = field.pixels_Y_X[np.newaxis]
    cut_N_C_H_W = np.concatenate(list(crops(plane_C_Y_X, field.grid)))
    return _Frame(field, normalise(cut_N_C_H_W, intensity_range(plane_C_Y_X)))
