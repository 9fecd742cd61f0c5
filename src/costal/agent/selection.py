"""Which crops to ask beyond the best n: unlike ones, those that a time budget buys, and controls drawn at random.

Crops are named by their index in the pool. Needs numpy only.

Source: Dantzig 1957 (knapsack by density).
"""

import math
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.agent.similarity import Indices, Similarity
from costal.agent.value import COST_FLOOR, select
from costal.seeds import rng_for
from costal.types import Floats

SORTED, GROWTH, FIRST = 2048, 16, 4096
"""So many of the best are sorted at first, and so many times more each time that those do not suffice."""
BLOCK, MOST_AT_ONCE = 64, 256
"""Crops of a block, and blocks that are compared at a time when many are passed over."""
COST_UNIT = 2.0**-10
"""Costs within a budget are counted in whole units of about a millisecond, rounded up. A power of two: exact."""
CHOICE, FEWEST_CHOICES = 1.25, 50
"""Unlike crops are looked for until they cost this many budgets, and are so many: choice enough."""


def best_first(candidates: Indices, value_N: Floats, seed: int) -> Iterator[Indices]:
    """Yield the candidates, best first, in blocks; no more of them are sorted than are likely to be asked for."""
    value_M = value_N[candidates]
    start, end = 0, SORTED
    while start == 0 or start < len(candidates):
        order = candidates[select(value_M, end, rng_for(seed, "ties"))]
        yield from (order[each : each + BLOCK] for each in range(start, len(order), BLOCK))
        start, end = end, end * GROWTH


def unlike(order: Iterable[Indices], like: Similarity) -> Iterator[int]:
    """Yield one crop after another of an order that comes in blocks, without those like one yielded before."""
    taken: list[int] = []
    blocks, at_once = iter(order), 1
    while some := list(islice(blocks, at_once)):
        block, before = np.concatenate(some), len(taken)
        left = block[~like.is_like_any(block, np.array(taken, dtype=np.intp))]
        for start in range(0, len(left), BLOCK):
            part = left[start : start + BLOCK]
            new = part[~like.is_like_any(part, np.array(taken[before:], dtype=np.intp))]
            alike_B_B = like.alike(new, new)
            free_B = np.ones(len(new), dtype=np.bool_)
            for here, crop in enumerate(new.tolist()):
                if free_B[here]:
                    taken.append(crop)
                    yield crop
                    free_B &= ~alike_B_B[here]
        at_once = min(2 * at_once, MOST_AT_ONCE)


def select_diverse(candidates: Indices, value_N: Floats, like: Similarity | None, most: int, seed: int) -> Indices:
    """Return the `most` best candidates, best first, none like another; if those run out, the best others follow.

    Equal values come in a random order, as in `select`. Without `like` nothing is thinned.

    Raises
    ------
    AgentError
        When `most` is less than 1 or a value is not a number.
    """
    if like is None or most < 1:
        return candidates[select(value_N[candidates], most, rng_for(seed, "ties"))]
    kept = np.fromiter(islice(unlike(best_first(candidates, value_N, seed), like), most), dtype=np.intp)
    if len(kept) == most:
        return kept
    others = without(select_diverse(candidates, value_N, None, most + len(kept), seed), kept)
    return np.concatenate([kept, others[: most - len(kept)]])


def whole_units(cost_N: ArrayLike) -> NDArray[np.int64]:
    """Return costs in whole `COST_UNIT`, rounded up: a sum of them is exact and never less than that of the costs."""
    return np.maximum(np.ceil(np.asarray(cost_N, dtype=np.float64) / COST_UNIT), 1).astype(np.int64)


def total_cost(cost_N: ArrayLike) -> float:
    """Return what crops take of a budget: the sum of their costs, each rounded up to whole `COST_UNIT`."""
    return float(whole_units(cost_N).sum()) * COST_UNIT


def within_budget(worth_M: ArrayLike, cost_M: ArrayLike, budget: float) -> Indices:
    """Return the indices of crops bought by greatest worth per cost, in that order, until no other crop fits.

    What is worth nothing is left out. Costs are counted in `COST_UNIT`. The total worth falls short of the greatest
    possible by less than the worth of one crop: of the first that did not fit.
    """
    worths, units, room = np.asarray(worth_M, dtype=np.float64), whole_units(cost_M), math.floor(budget / COST_UNIT)
    able = np.flatnonzero((worths > 0) & (units <= room))
    units, densities = units[able], worths[able] / units[able]
    bought = _greedy(_densest(densities, units, room), units, room)
    left = room - int(units[bought].sum())
    others = np.setdiff1d(np.flatnonzero(units <= left), bought)
    more = _greedy(others[np.argsort(-densities[others], kind="stable")], units, left)
    picked: Indices = able[np.concatenate([bought, more])]
    return picked


def select_diverse_within_budget(
    candidates: Indices, worth_N: Floats, cost_N: Floats, budget: float, like: Similarity | None, seed: int
) -> Indices:
    """Return the candidates of greatest total worth within the budget, see `within_budget`; none like another.

    Only if the unlike ones leave budget over, others follow. Without `like` nothing is thinned.
    """

    def bought(crops: Indices, budget: float) -> Indices:
        return crops[within_budget(worth_N[crops], cost_N[crops], budget)]

    if like is None:
        return bought(candidates, budget)
    able = candidates[(worth_N[candidates] > 0) & (whole_units(cost_N[candidates]) * COST_UNIT <= budget)]
    kept: list[int] = []
    spent = 0.0
    density_N = (worth_N / np.maximum(cost_N, COST_FLOOR)).astype(np.float32)
    for crop in unlike(best_first(able, density_N, seed), like):
        kept.append(crop)
        spent += float(cost_N[crop])
        if spent >= CHOICE * budget and len(kept) >= FEWEST_CHOICES:
            break
    picked = bought(np.array(kept, dtype=np.intp), budget)
    if len(picked) < len(kept):
        return picked
    return np.concatenate([picked, bought(without(able, picked), budget - total_cost(cost_N[picked]))])


def _densest(density_M: NDArray[np.float64], units_M: NDArray[np.int64], room: int) -> Indices:
    """Return the crops of greatest worth per cost, greatest first: all, or enough that they do not all fit."""
    count = FIRST
    while count < len(density_M):
        densest = np.argpartition(-density_M, count)[:count]
        if units_M[densest].sum() > room:
            return densest[np.argsort(-density_M[densest], kind="stable")]
        count *= 8
    return np.argsort(-density_M, kind="stable")


def _greedy(order: Indices, units_M: NDArray[np.int64], room: int) -> Indices:
    """Return one crop after another of an order that still fits."""
    picked = [order[:0]]
    while len(order := order[units_M[order] <= room]):
        spent = np.cumsum(units_M[order])
        count = int(np.searchsorted(spent, room, side="right"))
        picked.append(order[:count])
        room -= int(spent[count - 1])
        order = order[count:]
    return np.concatenate(picked)


def draw_controls(
    candidates: Indices,
    share: float,
    n: int,
    rng: np.random.Generator,
    number_N: NDArray[np.float64] | None = None,
) -> Indices:
    """Return the controls of a query of n: drawn from all candidates alike, in random order, whatever their scores.

    Each of the n slots is a control with probability `share`: there are floor(share n) of them, or one more. With
    numbers `number_N` in [0, 1) for all crops, only those below `share` may be controls, and the smallest come first;
    there are more of them where the other candidates are fewer than the slots that are left.
    """
    slots = share * min(n, len(candidates))
    count = math.floor(slots) + int(rng.random() < slots - math.floor(slots))
    if number_N is None:
        return rng.choice(candidates, count, replace=False)
    reserved = reserved_for_controls(candidates, share, number_N)
    count = max(count, min(n, len(candidates)) - (len(candidates) - len(reserved)))
    return reserved[np.argsort(number_N[reserved], kind="stable")][:count]


def reserved_for_controls(candidates: Indices, share: float, number_N: NDArray[np.float64] | None) -> Indices:
    """Return the candidates that may be asked as controls alone; none without numbers."""
    return candidates[:0] if number_N is None else candidates[number_N[candidates] < share]


def draw_controls_within(
    candidates: Indices,
    cost_N: Floats,
    share: float,
    budget: float,
    rng: np.random.Generator,
    number_N: NDArray[np.float64] | None = None,
) -> Indices:
    """Return the controls of a query with a time budget, see `draw_controls`, all of which fit.

    Drawn from the candidates that fit alone, where n is what the budget buys at their mean cost; at most as many as it
    buys of the dearest, for to draw again, or to stop at the first that does not fit, would prefer the cheap.
    """
    units, room = whole_units(cost_N[candidates]), math.floor(budget / COST_UNIT)
    fits = units <= room
    if not fits.any():
        return candidates[:0]
    n = int(room // units[fits].mean())
    return draw_controls(candidates[fits], share, n, rng, number_N)[: room // int(units[fits].max())]


def without(crops: Indices, left_out: Indices) -> Indices:
    """Return the crops but those left out, in their order."""
    return crops[~np.isin(crops, left_out)] if len(left_out) else crops


def mixed_in(best: Indices, controls: Indices, rng: np.random.Generator) -> tuple[Indices, NDArray[np.bool_]]:
    """Return a query of both, the best in their order and controls at random positions, and which are controls."""
    count = len(best) + len(controls)
    control_n = np.zeros(count, dtype=np.bool_)
    control_n[rng.choice(count, len(controls), replace=False)] = True
    picked_n = np.empty(count, dtype=np.intp)
    picked_n[control_n], picked_n[~control_n] = controls, best
    return picked_n, control_n
