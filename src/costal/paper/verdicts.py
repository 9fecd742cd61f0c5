"""The paper's five claims, each put to the runs of an experiment by a rule that was written down before they ran."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from costal.paper.outcomes import (
    Quantity,
    at_end,
    finished,
    first_crossing,
    interval,
    is_plain,
    known_arms,
    mean_over_rounds,
    percent,
    random_arm,
    slopes,
    table_1,
    to_target,
)
from costal.paper.plan import Arm, Plan

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.005
"""An accuracy that is surely not lower by more than this counts as equal."""
CONSIDERABLE = 0.1
"""A saving of at least this share is considerable; a loss of less is slight."""
PAPER_CROSSING = 0.2
"""Below this β the paper's costs exceed those of random selection; from here on β is called high."""

RULE = f"""\
Every part of a claim is a number per repeat: a difference, ratio or slope of arms that were offered the same images \
in that repeat. Its mean has a 95 % t-interval over the repeats that all of these arms finished. A part holds when the \
interval lies wholly on its side of the limit, does not hold when it lies wholly on the other, and is undecided \
otherwise, with fewer than two repeats too. A claim holds when all its parts hold, and does not when one does not. A \
run that never reached the target counts with the labels it had at the end, where that can only make a verdict harder \
to reach. "Equal" accuracy is surely not lower by more than {MARGIN}, "considerably" is at least \
{percent(CONSIDERABLE)}, "slightly" is less than that, "high" β is {PAPER_CROSSING} and above. Nothing is corrected \
for looking at several arms.\
"""

Ruling = Literal["holds", "does not hold", "undecided", "not tested"]
Side = Literal["below", "above"]
NO_ARM = ("the plan has no such arm",)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a claim: what it says, whether that holds, and the numbers behind it."""

    says: str
    verdict: Ruling
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a claim; `notes` are numbers that belong to it and decide nothing."""

    number: int
    claim: str
    parts: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Ruling:
        """Whether all parts hold; not tested when no arms of the plan can tell."""
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


def any_holds(rulings: Iterable[Ruling]) -> Ruling:
    """Return "holds" if one does, "does not hold" if none does, else "undecided"."""
    every = set(rulings)
    if "holds" in every:
        return "holds"
    return "does not hold" if every == {"does not hold"} else "undecided"


def verdicts(df: "pd.DataFrame", plan: Plan) -> tuple[Verdict, ...]:
    """Return the verdicts on the five claims, from the rows of rounds.csv: "not tested" where the plan lacks arms."""
    return (
        _fewer_labels(df, plan),
        _dearer_below_the_crossing(df, plan),
        _cheaper_as_beta_rises(df, plan),
        _matters_less_later(df, plan),
        _learned_costs(df, plan),
    )


def _fewer_labels(df: "pd.DataFrame", plan: Plan) -> Verdict:
    claim = (
        f"Every acquisition function needs fewer labels than random selection to reach {percent(plan.target)}, "
        "and STD needs the fewest."
    )
    random = random_arm(plan)
    arms = [arm for arm in plan.arms if is_plain(arm) and not arm.weighs_cost]
    std = next((arm for arm in arms if arm.acquisition == "std"), None)
    if random is None or std is None or len(arms) < 2:
        return Verdict(1, claim)
    rivals = [arm for arm in arms if arm != std]
    fewer = [
        _part(plan, f"{row.arm.name} needs fewer labels than random selection (ratio below 1)", row.ratio, 1)
        for row in table_1(df, plan)
        if row.arm in arms
    ]
    fewest = [
        _part(
            plan,
            f"{std.name} needs fewer labels than {arm.name} (difference of the two ratios below 0)",
            _gap(df, plan, std, arm, random),
            form="+.3f",
        )
        for arm in rivals
    ]
    return Verdict(1, claim, (*fewer, *fewest))


def _gap(df: "pd.DataFrame", plan: Plan, arm: Arm, rival: Arm, random: Arm) -> Quantity:
    repeats = finished(df, plan, arm, rival, random)
    own, other, by_chance = (to_target(df, plan, each, repeats, "labels") for each in (arm, rival, random))
    return own / by_chance - other / by_chance


def _dearer_below_the_crossing(df: "pd.DataFrame", plan: Plan) -> Verdict:
    claim = f"For β < {PAPER_CROSSING} the total cost is above that of random selection at the same number of labels."
    random, arms = random_arm(plan), known_arms(plan)
    if random is None or not arms:
        return Verdict(2, claim)
    parts = []
    for arm in arms:
        if arm.beta < PAPER_CROSSING:
            own, by_chance = at_end(df, plan, (arm, random), "total_cost")
            says = f"β = {arm.beta:g} costs more than random selection after round {plan.rounds} (difference above 0)"
            parts.append(_part(plan, says, own - by_chance, side="above", form="+,.1f"))
    return Verdict(2, claim, tuple(parts), (crossing(df, plan, random, arms),))


def crossing(df: "pd.DataFrame", plan: Plan, random: Arm, arms: tuple[Arm, ...]) -> str:
    """Return in words at which β the total cost of known-cost arms falls to that of random selection.

    `arms` are in order of β; between two of them cost is taken to be linear.
    """
    by_chance, *own = (each.value_R for each in at_end(df, plan, (random, *arms), "total_cost"))
    saved_A_R = by_chance - np.array(own)
    beta_A = [arm.beta for arm in arms]
    crossed_R = np.array([first_crossing(beta_A, saved_A, 0) for saved_A in saved_A_R.T], np.float64)
    already_R = saved_A_R[0] >= 0
    between = interval(crossed_R[~np.isnan(crossed_R) & ~already_R])
    text = (
        f"Cost falls to that of random selection at β = {between:.3f}, in {between.count} of {len(by_chance)} repeats"
    )
    if already_R.any():
        text += f"; in {already_R.sum()} it is no higher at β = {beta_A[0]:g} already"
    if never := int(np.isnan(crossed_R).sum()):
        text += f"; in {never} it stays above up to β = {beta_A[-1]:g}"
    return f"{text}. Where it crosses hangs on the base costs."


def _cheaper_as_beta_rises(df: "pd.DataFrame", plan: Plan) -> Verdict:
    claim = (
        "Raising β lowers cost and, when high, accuracy; some β reaches accuracy equal or superior to that of random "
        "selection at considerably lower cost."
    )
    arms, random, early = known_arms(plan), random_arm(plan), _early(plan)
    if not arms:
        return Verdict(3, claim)
    says = f"Total cost after round {plan.rounds} falls with β (slope below 0)"
    parts = [_part(plan, says, slopes(df, plan, arms, "total_cost", plan.rounds), form="+,.1f")]
    high = tuple(arm for arm in arms if arm.beta >= PAPER_CROSSING)
    says = f"Accuracy after round {early} falls with β from {PAPER_CROSSING} on (slope below 0)"
    if len(high) > 1:
        parts.append(_part(plan, says, slopes(df, plan, high, "accuracy", early), form="+.3f"))
    else:
        parts.append(Part(says, "not tested", NO_ARM))
    parts.append(_some_beta(df, plan, random, tuple(arm for arm in arms if arm.beta > 0)))
    return Verdict(3, claim, tuple(parts))


def _some_beta(df: "pd.DataFrame", plan: Plan, random: Arm | None, arms: tuple[Arm, ...]) -> Part:
    says = (
        f"After round {plan.rounds} some β > 0 is as accurate as random selection (difference above −{MARGIN}) "
        f"at considerably lower cost (ratio below {1 - CONSIDERABLE:g})"
    )
    if random is None:
        return Part(says, "not tested", NO_ARM)
    rulings, figures = [], []
    for arm in arms:
        accuracy, accuracy_by_chance = at_end(df, plan, (arm, random), "accuracy")
        cost, cost_by_chance = at_end(df, plan, (arm, random), "total_cost")
        more, share = accuracy - accuracy_by_chance, cost / cost_by_chance
        rulings.append(all_hold((judge(more, -MARGIN, "above"), judge(share, 1 - CONSIDERABLE))))
        text = f"accuracy {more.interval:+.4f}, cost × {_figure(plan, share, '.3f')}"
        figures.append(f"β = {arm.beta:g} ({rulings[-1]}): {text}")
    return Part(says, any_holds(rulings), tuple(figures))


def _matters_less_later(df: "pd.DataFrame", plan: Plan) -> Verdict:
    early, arms = _early(plan), known_arms(plan)
    claim = f"The trade-off between cost and accuracy matters less at round {plan.rounds} than earlier."
    if not arms or early == plan.rounds:
        return Verdict(4, claim)
    before, after = (slopes(df, plan, arms, "accuracy", at) for at in (early, plan.rounds))
    says = (
        f"Accuracy falls more steeply with β after round {early} than after round {plan.rounds} "
        "(difference of the slopes below 0)"
    )
    note = f"The slopes are {before.interval:+.4f} and {after.interval:+.4f} per unit of β."
    return Verdict(4, claim, (_part(plan, says, before - after, form="+.4f"),), (note,))


def _learned_costs(df: "pd.DataFrame", plan: Plan) -> Verdict:
    claim = (
        "Learned cost costs less than random selection and than uniform cost (β = 0); predicted costs are "
        "underestimates on average; it is slightly less cost-efficient than known cost at the same β."
    )
    learned = next((arm for arm in plan.arms if is_plain(arm) and arm.beta > 0 and arm.cost == "learned"), None)
    if learned is None:
        return Verdict(5, claim)
    alike = [arm for arm in plan.arms if is_plain(arm) and arm.acquisition == learned.acquisition]
    uniform = next((arm for arm in alike if not arm.weighs_cost), None)
    known = next((arm for arm in alike if arm.beta == learned.beta and arm.cost == "known"), None)
    parts = [_cheaper(df, plan, learned, "random selection", random_arm(plan))]
    parts.append(_cheaper(df, plan, learned, "uniform cost (β = 0)", uniform))
    for column, crops in (("cost_bias_picked", "crops picked"), ("cost_bias_pool", "whole pool")):
        says = f"Predicted less true cost of the {crops}, mean over rounds, is below 0"
        parts.append(_part(plan, says, mean_over_rounds(df, plan, learned, column), form="+.3f"))
    return Verdict(5, claim, (*parts, *_efficiency(df, plan, learned, known)))


def _cheaper(df: "pd.DataFrame", plan: Plan, learned: Arm, than: str, rival: Arm | None) -> Part:
    says = f"{learned.name} costs less than {than} after round {plan.rounds} (difference below 0)"
    if rival is None:
        return Part(says, "not tested", NO_ARM)
    own, other = at_end(df, plan, (learned, rival), "total_cost")
    return _part(plan, says, own - other, form="+,.1f")


def _efficiency(df: "pd.DataFrame", plan: Plan, learned: Arm, known: Arm | None) -> tuple[Part, Part]:
    less = f"{learned.name} gives less accuracy per cost than known cost after round {plan.rounds} (ratio below 1)"
    slightly = f"Only slightly less (ratio above {1 - CONSIDERABLE:g})"
    if known is None:
        return Part(less, "not tested", NO_ARM), Part(slightly, "not tested", NO_ARM)
    accuracy, known_accuracy = at_end(df, plan, (learned, known), "accuracy")
    cost, known_cost = at_end(df, plan, (learned, known), "total_cost")
    ratio = (accuracy / cost) / (known_accuracy / known_cost)
    return _part(plan, less, ratio, 1), _part(plan, slightly, ratio, 1 - CONSIDERABLE, "above")


def _early(plan: Plan) -> int:
    """Return the first round looked at, the last where the plan names none."""
    return min((*plan.looked_at, plan.rounds))


def _part(
    plan: Plan, says: str, quantity: Quantity, limit: float = 0.0, side: Side = "below", form: str = ".3f"
) -> Part:
    return Part(says, judge(quantity, limit, side), (_figure(plan, quantity, form),))


def _figure(plan: Plan, quantity: Quantity, form: str) -> str:
    known, count = quantity.interval, len(quantity.value_R)
    text = f"{known:{form}} over {known.count} of {plan.repeats} repeats"
    if count < plan.repeats:
        text += f", {plan.repeats - count} not finished"
    if quantity.missing:
        text += f", {quantity.missing} not known"
        bounds = (("at least", interval(quantity.low_R)), ("at most", interval(quantity.high_R)))
        text += "".join(f"; over all {word} {bound:{form}}" for word, bound in bounds if not np.isnan(bound.mean))
    return text
