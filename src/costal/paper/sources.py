"""Sources of labelled crops, and which of their crops an experiment starts with and a round offers."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from costal.errors import DatasetError
from costal.seeds import rng_for
from costal.types import Floats

PER_CLASS_AT_START = 2
_BLOCK = 1000  # crops whose classes are looked up at once for the initial set

Indices = NDArray[np.integer]
Crops = tuple[Floats, NDArray[np.int64]]
PoolRule = Literal["disjoint", "redraw"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled crops to draw pools from, numbered from 0 to `train_size`, and a test set apart from them.

    `take` returns crops (N, C, H, W), float32 as the networks take them, and classes (N,) of the given indices; `test`
    those of the test set. ``effort(indices, repeat, order)`` is the cost of each crop, in `effort_unit`, to an expert
    who has answered `order` others before: one number for all crops, or one for each. `fingerprint` is the MD5 of what
    the crops were read from or made by. With `per_frame`, that many indices in a row are one frame, and a round's pool
    is a whole frame. `class_of` returns the classes alone, where that is cheaper than `take`. `notes` are sentences
    about what was left out, and how the test set was chosen; `is_rgb` says that the three channels are colours of one
    image. ``split(repeat)`` draws new test crops for each repeat; without it all repeats have one test set.
    ``is_censored(indices)`` says for which crops the effort is a lower bound; without it, for none. `annotators` take
    turns.
    """

    name: str
    class_names: tuple[str, ...]
    crop_shape: tuple[int, int, int]
    effort_unit: str
    train_size: int
    take: Callable[[Indices], Crops]
    test: Callable[[], Crops]
    effort: Callable[[Indices, int, int | Indices], Floats]
    fingerprint: str
    per_frame: int | None = None
    class_of: Callable[[Indices], NDArray[np.int64]] | None = None
    notes: tuple[str, ...] = ()
    is_rgb: bool = False
    split: Callable[[int], "Dataset"] | None = None
    is_censored: Callable[[Indices], NDArray[np.bool_]] | None = None
    annotators: int = 1

    def of(self, repeat: int) -> "Dataset":
        """Return the data set of a repeat: the indices and the test set that this one has."""
        return self if self.split is None else self.split(repeat)

    def censored(self, indices: Indices) -> NDArray[np.bool_]:
        """Return for which of these crops the effort is a lower bound."""
        return np.zeros(len(indices), np.bool_) if self.is_censored is None else self.is_censored(indices)

    def classes(self, indices: Indices) -> NDArray[np.int64]:
        """Return the classes (N,) of the given indices."""
        return self.take(indices)[1] if self.class_of is None else self.class_of(indices)


@dataclass(frozen=True, slots=True)
class LabelledCrops:
    """Normalised crops (N, C, H, W) with the class and the cost (N,) of each."""

    crops_N_C_H_W: Floats
    class_N: NDArray[np.int64]
    cost_N: Floats

    def of(self, rows: Indices) -> Crops:
        """Return some of the crops and their classes."""
        return self.crops_N_C_H_W[rows], self.class_N[rows]


def md5(parts: Iterable[bytes]) -> str:
    """Return the MD5 of these bytes one after another, in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def initial_indices(dataset: Dataset, seed: int, repeat: int) -> NDArray[np.int64]:
    """Return the indices of the crops labelled at the start: 2 of each class, drawn at random.

    If crops come in frames, they are drawn from the repeat's first frame, and missing classes from the next ones.

    Raises
    ------
    DatasetError
        When a class has fewer than two crops.
    """
    return _start(dataset, seed, repeat)[0]


def _start(dataset: Dataset, seed: int, repeat: int) -> tuple[NDArray[np.int64], int]:
    """Return the initial set and how many blocks, or frames, of the drawing order it used."""
    lacking_K = np.full(len(dataset.class_names), PER_CLASS_AT_START)
    blocks: list[NDArray[np.int64]] = []
    for used, block in enumerate(_blocks(dataset, seed, repeat), 1):
        classes = dataset.classes(block)
        rows = np.concatenate([np.flatnonzero(classes == each)[:count] for each, count in enumerate(lacking_K)])
        blocks.append(block[np.sort(rows)])
        lacking_K -= np.bincount(classes[rows], minlength=len(lacking_K))
        if not lacking_K.any():
            return np.concatenate(blocks), used
    raise scarce(dataset.name, [each for each, count in zip(dataset.class_names, lacking_K, strict=True) if count])


def scarce(name: str, lacking: list[str]) -> DatasetError:
    """Return the error that names the classes with too few crops."""
    return DatasetError(
        f"{name} has fewer than {PER_CLASS_AT_START} crops to draw from in: {', '.join(lacking)}. "
        f"An experiment starts with {PER_CLASS_AT_START} of each class: add crops, or leave the class out."
    )


def _blocks(dataset: Dataset, seed: int, repeat: int) -> Iterator[NDArray[np.int64]]:
    """Yield all crops of a repeat in the order they are drawn in: frame by frame where there are frames."""
    order = _drawing_order(dataset, seed, repeat)
    if dataset.per_frame is None:
        yield from (order[start : start + _BLOCK] for start in range(0, len(order), _BLOCK))
        return
    rng = rng_for(seed, "initial", repeat)
    for frame in order:
        yield frame * dataset.per_frame + rng.permutation(dataset.per_frame)


def _drawing_order(dataset: Dataset, seed: int, repeat: int, *turn: int) -> NDArray[np.int64]:
    """Return all crops, or all frames where crops come in frames, shuffled."""
    return rng_for(seed, "pools", repeat, *turn).permutation(dataset.train_size // (dataset.per_frame or 1))


def pool_indices(
    dataset: Dataset,
    seed: int,
    repeat: int,
    round_number: int,
    pool_size: int,
    rule: PoolRule = "disjoint",
    labelled: tuple[Indices, ...] = (),
) -> NDArray[np.int64]:
    """Return the indices of round `round_number` (from 1): pools and the initial set share no crop.

    With ``rule="redraw"`` that holds while `pool_size` crops are left that no round has offered. Then a new turn
    begins: all crops without a label are shuffled and offered again, in pools that share no crop within the turn.
    `labelled` has the indices that were labelled in each round, round 0 first; rounds of the same turn make no
    difference. Where crops come in frames the pool is the next frame of the repeat, whatever the rule.

    Raises
    ------
    DatasetError
        When the data set is too small, with the arithmetic, or a pool is not as large as a frame.
    """
    initial, used = _start(dataset, seed, repeat)
    if dataset.per_frame is not None:
        return _frame_indices(dataset, seed, repeat, used + round_number, pool_size)
    if rule == "redraw":
        return _redrawn(dataset, seed, repeat, round_number, pool_size, (initial, *labelled[1:]))
    needed = round_number * pool_size + len(initial)
    if needed > dataset.train_size:
        raise DatasetError(
            f"{round_number} disjoint pools of {pool_size} images and {len(initial)} initial images need {needed:,}, "
            f"but {dataset.name} has {dataset.train_size:,}. Use fewer rounds or pools of at most "
            f"{(dataset.train_size - len(initial)) // round_number}."
        )
    order = _drawing_order(dataset, seed, repeat)
    fresh = order[~np.isin(order, initial)]
    return fresh[(round_number - 1) * pool_size : round_number * pool_size]


def _redrawn(
    dataset: Dataset, seed: int, repeat: int, round_number: int, pool_size: int, labelled: tuple[Indices, ...]
) -> NDArray[np.int64]:
    """Return a round's pool; all crops without a label are shuffled again whenever too few are left."""
    turn, rounds_before = 0, 0
    order = _drawing_order(dataset, seed, repeat)
    while len(labelled) > rounds_before:
        fresh = order[~np.isin(order, np.concatenate(labelled[: rounds_before + 1]))]
        pools = len(fresh) // pool_size
        if pools == 0:
            raise DatasetError(
                f"A pool of {pool_size} images is too large: before round {rounds_before + 1}, {dataset.name} has only "
                f"{len(fresh):,} unlabelled images left. Use smaller pools or fewer rounds."
            )
        if round_number <= rounds_before + pools:
            return fresh[(round_number - 1 - rounds_before) * pool_size :][:pool_size]
        turn, rounds_before = turn + 1, rounds_before + pools
        order = _drawing_order(dataset, seed, repeat, turn)
    raise ValueError(
        f"labelled ends at round {len(labelled) - 1}; round {round_number} needs it to round {rounds_before}"
    )


def _frame_indices(dataset: Dataset, seed: int, repeat: int, place: int, pool_size: int) -> NDArray[np.int64]:
    """Return all crops of the frame at a place (from 1) of the repeat's order."""
    side = dataset.per_frame or 0
    if pool_size != side:
        raise DatasetError(
            f"{dataset.name} come in frames of {side} crops, and the pool of a round is one frame: set pool_size = "
            f"{side}, not {pool_size}."
        )
    frames = _drawing_order(dataset, seed, repeat)
    if place > len(frames):
        raise DatasetError(
            f"The initial labels and the rounds up to this one need {place:,} frames, but {dataset.name} has "
            f"{len(frames):,}. Use fewer rounds."
        )
    first: np.int64 = frames[place - 1] * side
    return first + np.arange(side)
