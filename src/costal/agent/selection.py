"""Which crops to ask beyond the best n: unlike ones, those that a time budget buys, and controls drawn at random.

Crops are named by their index in the pool. Needs numpy only; the time budget needs scipy's solver.

Source: Dantzig 1957 (knapsack by density); Balas & Zemel 1980 (its core).
"""

import math
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import ArrayLike, NDArray

from costal.agent.likeness import Indices, Likeness
from costal.agent.value import COST_FLOOR, select
from costal.seeds import rng_for
from costal.types import Floats

SORTED, GROWTH, FIRST = 2048, 16, 4096
"""So many of the best are sorted at first, and so many times more each time that those do not suffice."""
BLOCK, MOST_AT_ONCE = 64, 256
"""Crops of a block, and blocks that are compared at a time when many are passed over."""
COST_UNIT = 2.0**-10
"""Costs within a budget are counted in whole units of about a millisecond, rounded up. A power of two: exact."""
NEAR_ENOUGH = 1e-3
"""A total worth within this share of its upper bound is not improved: no prediction knows better."""
LARGEST_CORE, SOLVER_S = 1000, 0.1
CHOICE, FEWEST_CHOICES = 1.25, 50
"""Unlike crops are looked for until they cost this many budgets, and are so many: choice enough for the solver."""


def best_first(candidates: Indices, value_N: Floats, seed: int) -> Iterator[Indices]:
    """Yield the candidates, best first, in blocks; no more of them are sorted than are likely to be asked for."""
    value_M = value_N[candidates]
    start, end = 0, SORTED
    while start == 0 or start < len(candidates):
        order = candidates[select(value_M, end, rng_for(seed, "ties"))]
        yield from (order[each : each + BLOCK] for each in range(start, len(order), BLOCK))
        start, end = end, end * GROWTH


def unlike(order: Iterable[Indices], like: Likeness) -> Iterator[int]:
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


def thinned(candidates: Indices, value_N: Floats, like: Likeness | None, most: int, seed: int) -> Indices:
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
    others = without(thinned(candidates, value_N, None, most + len(kept), seed), kept)
    return np.concatenate([kept, others[: most - len(kept)]])


def whole_units(cost_N: ArrayLike) -> NDArray[np.int64]:
    """Return costs in whole `COST_UNIT`, rounded up: a sum of them is exact and never less than that of the costs."""
    return np.maximum(np.ceil(np.asarray(cost_N, dtype=np.float64) / COST_UNIT), 1).astype(np.int64)


def total_cost(cost_N: ArrayLike) -> float:
    """Return what crops take of a budget: the sum of their costs, each rounded up to whole `COST_UNIT`."""
    return float(whole_units(cost_N).sum()) * COST_UNIT


def within_budget(worth_M: ArrayLike, cost_M: ArrayLike, budget: float) -> Indices:
    """Return the indices of greatest total worth whose total cost is within the budget, greatest worth per cost first.

    What is worth nothing is left out; no other crop would fit. Costs are counted in `COST_UNIT`. The total is within
    `NEAR_ENOUGH` of the greatest one, and falls short by a single crop's worth at most if `SOLVER_S` do not suffice.
    """
    worths, units, room = np.asarray(worth_M, dtype=np.float64), whole_units(cost_M), math.floor(budget / COST_UNIT)
    able = np.flatnonzero((worths > 0) & (units <= room))
    if len(able) == 0:
        return able
    # The solver stops within an absolute error, so worth is measured by the greatest.
    worths, units = worths[able] / worths[able].max(), units[able]
    densities = worths / units
    chosen = _fullest(worths, units, room)
    left = room - int(units[chosen].sum())
    others = np.setdiff1d(np.flatnonzero(units <= left), chosen)
    chosen = np.concatenate([chosen, _greedy(others[np.argsort(-densities[others], kind="stable")], units, left)])
    return able[chosen[np.argsort(-densities[chosen], kind="stable")]]


def thinned_within_budget(
    candidates: Indices, worth_N: Floats, cost_N: Floats, budget: float, like: Likeness | None, seed: int
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


def _fullest(worth_M: NDArray[np.float64], units_M: NDArray[np.int64], room: int) -> Indices:
    """Return the crops of greatest total worth that fit; each of them fits alone and is worth something.

    What the greedy choice lacks of the bound settles all crops but a few: the solver is asked about those.
    """
    density_M = worth_M / units_M
    order = _densest(density_M, units_M, room)
    spent = np.cumsum(units_M[order])
    count = int(np.searchsorted(spent, room, side="right"))
    if count == len(order):
        return order
    greedy = _greedy(order, units_M, room)
    price = density_M[order[count]]
    bound = worth_M[order[:count]].sum() + price * (room - spent[count - 1])
    lacking, allowed = bound - worth_M[greedy].sum(), NEAR_ENOUGH * bound
    if lacking <= allowed:
        return greedy
    gain_M = worth_M - price * units_M
    core = np.flatnonzero(np.abs(gain_M) <= lacking)
    if len(core) > LARGEST_CORE:
        core = core[np.argpartition(np.abs(gain_M[core]), LARGEST_CORE)[:LARGEST_CORE]]
    settled = np.setdiff1d(np.flatnonzero(gain_M > 0), core)
    rest, left = bound - worth_M[settled].sum(), room - int(units_M[settled].sum())
    solution = np.concatenate([settled, core[_solved(worth_M[core], units_M[core], left, allowed / rest)]])
    is_better = worth_M[solution].sum() > worth_M[greedy].sum()
    # The solver's own tolerance is above zero: its answer is counted again.
    return solution if is_better and units_M[solution].sum() <= room else greedy


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


def _solved(worth_M: NDArray[np.float64], units_M: NDArray[np.int64], room: int, gap: float) -> Indices:
    """Return the crops that the solver chooses, within a share `gap` of the best; none if its time does not suffice."""
    # Imported here: it takes half a second, and only a time budget needs it.
    from scipy.optimize import Bounds, LinearConstraint, milp

    solution = milp(
        -worth_M,
        integrality=np.ones(len(worth_M), dtype=np.intp),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(units_M[None].astype(np.float64), ub=room),
        options={"time_limit": SOLVER_S, "mip_rel_gap": gap},
    )
    return np.flatnonzero(solution.x > 0.5) if solution.x is not None else np.empty(0, dtype=np.intp)


def draw_controls(candidates: Indices, share: float, n: int, rng: np.random.Generator) -> Indices:
    """Return the controls of a query of n: drawn from all candidates alike, in random order, whatever their scores.

    Each of the n slots is a control with probability `share`: there are floor(share n) of them, or one more.
    """
    slots = share * min(n, len(candidates))
    count = math.floor(slots) + int(rng.random() < slots - math.floor(slots))
    return rng.choice(candidates, count, replace=False)


def draw_controls_within(
    candidates: Indices, cost_N: Floats, share: float, budget: float, rng: np.random.Generator
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
    return draw_controls(candidates[fits], share, n, rng)[: room // int(units[fits].max())]


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
