"""The ruling on a part of a claim, by the interval of one number per repeat."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from costal.paper.outcomes import Quantity, interval
from costal.paper.plan import Arm, Plan

Ruling = Literal["holds", "does not hold", "undecided", "not tested"]
Side = Literal["below", "above"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a claim: what it says, whether that holds, and the numbers behind it."""

    says: str
    verdict: Ruling
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a claim; `notes` are related numbers that decide nothing."""

    number: int
    claim: str
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Ruling:
        """Whether all parts hold; not tested when the plan lacks the arms for it."""
        return all_hold(part.verdict for part in self.parts)

    @property
    def figures(self) -> tuple[str, ...]:
        """All numbers, part by part, then the notes."""
        return (*(each for part in self.parts for each in part.figures), *self.notes)


def judge(quantity: Quantity, limit: float = 0.0, side: Side = "below") -> Ruling:
    """Return whether the interval of a quantity lies on this side of the limit."""
    low, high = interval(quantity.low_R).low, interval(quantity.high_R).high
    if not (high < limit or low > limit):
        return "undecided"
    return "holds" if (high < limit) == (side == "below") else "does not hold"


def all_hold(rulings: Iterable[Ruling]) -> Ruling:
    """Return "holds" if every one does, "does not hold" if one does not, "not tested" if none is, else "undecided"."""
    every = set(rulings)
    if "does not hold" in every:
        return "does not hold"
    if every <= {"not tested"}:
        return "not tested"
    return "holds" if every == {"holds"} else "undecided"


def either_holds(one: Ruling, other: Ruling) -> Ruling:
    """Return the ruling of two measures together: "undecided" when they contradict each other."""
    every = {one, other} - {"undecided"}
    return every.pop() if len(every) == 1 else "undecided"


def any_holds(rulings: Iterable[Ruling]) -> Ruling:
    """Return "holds" if one does, "does not hold" if none does, else "undecided"."""
    every = set(rulings)
    if "holds" in every:
        return "holds"
    return "does not hold" if every == {"does not hold"} else "undecided"


def part_of(
    plan: Plan,
    says: str,
    quantity: Quantity,
    limit: float = 0.0,
    side: Side = "below",
    form: str = ".3f",
    arms: Iterable[Arm] = (),
) -> Part:
    """Return a part that one quantity decides, of these arms: the plan's repeats unless one of them has fewer."""
    return Part(says, judge(quantity, limit, side), (figure_of(plan, quantity, form, arms),))


def figure_of(plan: Plan, quantity: Quantity, form: str, arms: Iterable[Arm] = ()) -> str:
    """Return a quantity in words: mean, interval, over how many of the repeats that these arms run in."""
    known, count = quantity.interval, len(quantity.value_R)
    planned = min((plan.repeats, *map(plan.repeats_of, arms)))
    text = f"{known:{form}} over {known.count} of {planned} repeats"
    if count < planned:
        text += f", {planned - count} not finished"
    if quantity.missing:
        text += f", {quantity.missing} not known"
        bounds = (("at least", interval(quantity.low_R)), ("at most", interval(quantity.high_R)))
        text += "".join(
            f"; with the unknown repeats {word} {bound:{form}}" for word, bound in bounds if not np.isnan(bound.mean)
        )
    return text
