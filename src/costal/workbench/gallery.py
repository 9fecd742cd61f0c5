"""The gallery of a project's crops as values: which are shown, in which order, what is offered for acceptance. Pure.

Whoever accepts predictions page by page stops seeing errors. So a page has a few wrong predictions on purpose; the
share of them that was noticed tells how well the others were looked at. They never become labels.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from costal.seeds import rng_for
from costal.types import Floats

Sort = Literal[
    "place in the frame",
    "predicted class",
    "confidence, highest first",
    "confidence, lowest first",
    "value v",
    "disagreement with the label",
    "labels to look at again",
    "similarity to a crop",
]
SORTS: tuple[Sort, ...] = get_args(Sort)
UNLABELLED, SKIPPED, EXCLUDED, LABELLED = 0, -1, -2, -3
"""In place of a class id: no answer, skipped, excluded; as a filter `LABELLED` is any class."""
LOOK_AGAIN, POOR = -4, -16
"""As a filter: labels that the others contradict; crops without a label that are poor, `POOR` less what is poor."""
PAGE_PER_PLANTED, SMALLEST_WITH_PLANTED = 20, 10
"""Of so many predictions that are offered one is wrong on purpose, and at least one of a page that has so many."""

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Similarity:
    """Features (M, F) of some crops, those of `rows_M`, ascending; only these can be compared with each other."""

    rows_M: Rows
    features_M_F: NDArray[np.floating]

    def taken(self, rows: Rows) -> "Similarity":
        """Return the features of some rows, ascending, which are counted again."""
        _, of_rows, of_similarity = np.intersect1d(rows, self.rows_M, assume_unique=True, return_indices=True)
        return Similarity(of_rows, self.features_M_F[of_similarity])


@dataclass(frozen=True, slots=True, eq=False)
class GalleryCrops:
    """N crops as columns: where each is, its label, and what the model thinks of it.

    `label_N` has class ids as they are meant today, or `UNLABELLED`, `SKIPPED`, `EXCLUDED`; `single_N` tells which
    labels were given to the crop alone. `probs_N_K` are the probabilities of the classes `class_ids`, and like
    information, cost and value NaN where no model was asked. `doubt_N` counts the labels to look at again, the most
    doubtful 1, others 0; `poor_N` has bits for what is poor (see `poor_crops`), 0 before that was looked at.
    """

    class_ids: tuple[int, ...]
    frame_id_N: Ints
    y_N: Ints
    x_N: Ints
    side_N: Ints
    label_N: Ints
    single_N: Flags
    probs_N_K: Floats
    information_N: Floats
    cost_N: Floats
    value_N: Floats
    doubt_N: Ints
    poor_N: Ints
    similarities: tuple[Similarity, ...] = ()

    def __len__(self) -> int:
        """Return N."""
        return len(self.frame_id_N)

    @property
    def confidence_N(self) -> Floats:
        """The probability of the likeliest class, NaN where no model was asked."""
        return self.probs_N_K.max(axis=1) if self.class_ids else np.full(len(self), np.nan, np.float32)

    @property
    def predicted_N(self) -> Ints:
        """The likeliest class, 0 where no model was asked."""
        if not self.class_ids:
            return np.zeros(len(self), np.int64)
        probs_N_K = np.nan_to_num(self.probs_N_K, nan=-1.0)
        predicted_N: Ints = np.array(self.class_ids, np.int64)[probs_N_K.argmax(axis=1)]
        return np.where(np.isnan(self.confidence_N), 0, predicted_N)

    @property
    def disagreement_N(self) -> Floats:
        """One minus the probability of the class that the label gives, NaN without such a label or a prediction."""
        disagreement_N = np.full(len(self), np.nan, np.float32)
        for at, class_id in enumerate(self.class_ids):
            is_it_N = self.label_N == class_id
            disagreement_N[is_it_N] = 1 - self.probs_N_K[is_it_N, at]
        return disagreement_N

    def similarity_N(self, row: int) -> Floats:
        """Return the cosine of each crop's features and those of one crop, NaN where they cannot be compared."""
        similarity_N = np.full(len(self), np.nan, np.float32)
        for each in self.similarities:
            at = int(np.searchsorted(each.rows_M, row))
            if at < len(each.rows_M) and each.rows_M[at] == row:
                features_M_F = np.asarray(each.features_M_F, np.float32)
                lengths_M = np.linalg.norm(features_M_F, axis=1)
                products_M = lengths_M * lengths_M[at]
                with np.errstate(invalid="ignore", divide="ignore"):
                    similarity_N[each.rows_M] = features_M_F @ features_M_F[at] / products_M
        return similarity_N

    def labelled(self, rows: Sequence[int], labels: Sequence[int], are_single: Sequence[bool]) -> "GalleryCrops":
        """Return the crops after some have another label."""
        label_N, single_N = self.label_N.copy(), self.single_N.copy()
        label_N[list(rows)], single_N[list(rows)] = list(labels), list(are_single)
        return replace(self.settled(rows), label_N=label_N, single_N=single_N)

    def settled(self, rows: Sequence[int]) -> "GalleryCrops":
        """Return the crops after the labels of some are not doubted any more."""
        doubt_N = self.doubt_N.copy()
        doubt_N[list(rows)] = 0
        return replace(self, doubt_N=doubt_N)

    def taken(self, rows: Rows) -> "GalleryCrops":
        """Return some of the crops, by their rows, ascending."""
        return _of_columns(
            self.class_ids, (each[rows] for each in _columns(self)), [x.taken(rows) for x in self.similarities]
        )


class Places:
    """Finds the rows of crops by frame id, y, x and side."""

    def __init__(self, crops: GalleryCrops) -> None:
        columns = crops.frame_id_N, crops.y_N, crops.x_N, crops.side_N
        self._order_N = np.lexsort(columns[::-1])
        self._columns = [each[self._order_N] for each in columns]

    def row(self, place: tuple[int, int, int, int]) -> int | None:
        """Return the row of a crop, None when it is not there."""
        first, end = 0, len(self._order_N)
        for column_N, wanted in zip(self._columns, place, strict=True):
            among = column_N[first:end]
            end = first + int(np.searchsorted(among, wanted, "right"))
            first += int(np.searchsorted(among, wanted, "left"))
        return int(self._order_N[first]) if first < end else None


def joined(parts: Sequence[GalleryCrops]) -> GalleryCrops:
    """Return the crops of one part or more, of the same classes, one after another."""
    starts = np.cumsum([0, *(len(each) for each in parts)])
    similarities = [
        Similarity(each.rows_M + start, each.features_M_F)
        for part, start in zip(parts, starts, strict=False)
        for each in part.similarities
    ]
    columns = (np.concatenate(each) for each in zip(*map(_columns, parts), strict=True))
    return _of_columns(parts[0].class_ids, columns, similarities)


def _columns(crops: GalleryCrops) -> list[NDArray[Any]]:
    return [getattr(crops, each.name) for each in fields(crops) if "_N" in each.name]


def _of_columns(
    class_ids: tuple[int, ...], columns: Iterable[NDArray[Any]], similarities: Iterable[Similarity]
) -> GalleryCrops:
    return GalleryCrops(class_ids, *columns, tuple(similarities))  # type: ignore[call-arg, arg-type]  # the columns, in order


@dataclass(frozen=True, slots=True)
class Filter:
    """Which crops are shown: of a frame, predicted as a class, with a label; None does not restrict.

    `label` is a class id, `UNLABELLED`, `SKIPPED`, `EXCLUDED`, `LABELLED`, `LOOK_AGAIN`, or `POOR` less a bit.
    """

    frame_id: int | None = None
    predicted: int | None = None
    label: int | None = None

    def flags(self, crops: GalleryCrops) -> Flags:
        """Return which crops (N,) are shown."""
        flags_N = np.ones(len(crops), np.bool_)
        if self.frame_id is not None:
            flags_N &= crops.frame_id_N == self.frame_id
        if self.predicted is not None:
            flags_N &= crops.predicted_N == self.predicted
        if self.label is not None:
            flags_N &= self._has_label(crops, self.label)
        return flags_N

    @property
    def poor(self) -> int:
        """What is poor about the crops that are shown, as a bit; 0 where that does not matter."""
        return POOR - self.label if self.label is not None and self.label < POOR else 0

    def _has_label(self, crops: GalleryCrops, label: int) -> Flags:
        if self.poor:
            return np.asarray((crops.label_N == UNLABELLED) & ((crops.poor_N & self.poor) > 0))
        if label == LOOK_AGAIN:
            return np.asarray(crops.doubt_N > 0)
        has_it_N: Flags = crops.label_N > 0 if label == LABELLED else crops.label_N == label
        return has_it_N


def ordered(crops: GalleryCrops, chosen: Filter, sort: Sort, like: int | None = None) -> Rows:
    """Return the rows that a filter shows, in order; crops that the order does not know come last, by their place.

    `like` is the row that others are compared with.
    """
    rows = np.flatnonzero(chosen.flags(crops))
    keys = _keys(crops, sort, like)
    if not keys:
        return rows
    lacking = np.isnan(keys[0][rows])
    return rows[np.lexsort((*(key[rows] for key in reversed(keys)), lacking))]


def _keys(crops: GalleryCrops, sort: Sort, like: int | None) -> tuple[NDArray[np.floating], ...]:
    """Return what is sorted by, ascending, the first key first."""
    if sort == "confidence, highest first":
        return (-crops.confidence_N,)
    if sort == "confidence, lowest first":
        return (crops.confidence_N,)
    if sort == "value v":
        return (-crops.value_N,)
    if sort == "disagreement with the label":
        return (-crops.disagreement_N,)
    if sort == "labels to look at again":
        return (np.where(crops.doubt_N > 0, crops.doubt_N, np.nan),)
    if sort == "predicted class":
        place_of = {class_id: float(at) for at, class_id in enumerate(crops.class_ids)}
        places_N = np.array([place_of.get(int(each), np.nan) for each in crops.predicted_N])
        return places_N, -crops.confidence_N
    if sort == "similarity to a crop" and like is not None:
        similarity_N = crops.similarity_N(like)
        similarity_N[like] = 2.0  # the crop itself comes first, whatever rounding says
        return (-similarity_N,)
    return ()


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """Predictions that are offered together: rows of the gallery, the class shown with each, and which are planted."""

    rows_n: Rows
    shown_n: Ints
    planted_n: Flags

    def __len__(self) -> int:
        """Return how many are offered."""
        return len(self.rows_n)

    def genuine(self, crops: GalleryCrops, left_out: Collection[int]) -> tuple[Rows, Ints]:
        """Return the rows that are accepted, and their classes: no planted ones, none left out or labelled since."""
        keeps_n = ~self.planted_n & ~np.isin(self.rows_n, list(left_out))
        keeps_n &= crops.label_N[self.rows_n] == UNLABELLED
        return self.rows_n[keeps_n], self.shown_n[keeps_n]

    def caught(self, noticed: Collection[int]) -> int:
        """Return how many of the planted ones are among the rows that the expert left out or corrected."""
        return int(np.isin(self.rows_n[self.planted_n], list(noticed)).sum())


def planted_count(size: int) -> int:
    """Return how many of so many predictions are wrong on purpose."""
    return max(round(size / PAGE_PER_PLANTED), int(size >= SMALLEST_WITH_PLANTED))


def offer(crops: GalleryCrops, chosen: Filter, least: float, size: int, seed: int) -> Page:
    """Return a page of at most `size` predictions of at least this confidence, the surest first; some are wrong.

    Only crops without a label are offered, of the filter's frame and predicted class. What is planted are crops of the
    same frames with a label of their own, shown with another class; where these do not suffice, other crops that the
    model is sure of, shown with the class that it believes in least. Where they stand follows from `seed`.
    """
    among_N = Filter(chosen.frame_id).flags(crops)
    is_sure_N = among_N & (crops.label_N == UNLABELLED) & (crops.confidence_N >= least)
    is_wanted_N = is_sure_N if chosen.predicted is None else is_sure_N & (crops.predicted_N == chosen.predicted)
    rows = np.flatnonzero(is_wanted_N)
    rows = rows[np.argsort(-crops.confidence_N[rows], kind="stable")]
    rng = rng_for(seed, "planted")
    size = min(size, len(rows))
    planted = planted_count(size) if len(crops.class_ids) > 1 else 0
    genuine = rows[: size - planted]
    is_source_N = crops.single_N & np.isin(crops.label_N, crops.class_ids)
    is_source_N &= np.isin(crops.frame_id_N, crops.frame_id_N[rows])
    is_other_N = is_sure_N.copy()
    is_other_N[genuine] = False
    if chosen.predicted is not None:
        is_source_N &= crops.label_N != chosen.predicted
        is_other_N &= crops.predicted_N != chosen.predicted
    sources = np.concatenate([rng.permutation(np.flatnonzero(each)) for each in (is_source_N, is_other_N)])[:planted]
    wrong_n = [chosen.predicted or _wrong_class(crops, row, rng) for row in sources.tolist()]
    genuine = rows[: size - len(sources)] if len(sources) < planted else genuine
    rows_n = np.concatenate([genuine, sources]).astype(np.intp)
    shown_n = np.concatenate([crops.predicted_N[genuine], np.array(wrong_n, np.int64)])
    order = rng.permutation(len(rows_n))
    return Page(rows_n[order], shown_n[order], (np.arange(len(rows_n)) >= len(genuine))[order])


def _wrong_class(crops: GalleryCrops, row: int, rng: np.random.Generator) -> int:
    """Return a class that a crop is not of: any but its label, or the one that the model believes in least."""
    label = int(crops.label_N[row])
    if label == UNLABELLED:
        return crops.class_ids[int(crops.probs_N_K[row].argmin())]
    return int(rng.choice([each for each in crops.class_ids if each != label]))
