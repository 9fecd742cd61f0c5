"""The paper's five claims, each put to the runs of an experiment by a rule that was written down before they ran."""

from typing import TYPE_CHECKING

import numpy as np

from costal.paper.outcomes import (
    area,
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
from costal.paper.rulings import Part, Verdict, all_hold, any_holds, either_holds, figure_of, judge, part_of

if TYPE_CHECKING:
    import pandas as pd

MARGIN = 0.005
"""An accuracy that is surely not lower by more than this counts as equal."""
CONSIDERABLE = 0.1
"""A saving of at least this share is considerable; a loss of less is slight."""
AREA_LABELS = 300
"""Labels up to which the mean accuracy, the area under the curve, compares acquisition functions."""
PAPER_CROSSING = 0.2
"""Below this β the paper's costs exceed those of random selection; from here on β is called high."""

RULE = f"""\
Every part of a claim is a number per repeat: a difference, ratio or slope of arms that were offered the same images \
in that repeat. Its mean has a 95 % t-interval over the repeats that all of these arms finished. A part holds when the \
interval lies wholly on its side of the limit, does not hold when it lies wholly on the other, and is undecided \
otherwise, also with fewer than two repeats. A claim holds when all its parts hold, and does not hold when one part \
does not. A run that never reached the target counts with its labels at the end, if this can only make a verdict \
harder to reach. Slopes are taken over the arms that run in all repeats. Two measures decide whether STD needs \
the fewest labels: labels to the target, and the mean accuracy up to {AREA_LABELS} labels. One must show it, and the \
other must not show the opposite. If the plan has a cost fitted by least squares, the claim about learned cost is \
judged by it. "Equal" accuracy is surely not lower by more than {MARGIN}, "considerably" is at least \
{percent(CONSIDERABLE)}, "slightly" is less than that, "high" β is {PAPER_CROSSING} and above. Nothing is \
corrected for looking at several arms.\
"""

NO_ARM = ("the plan has no such arm",)


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
        part_of(plan, f"{row.arm.name} needs fewer labels than random selection (ratio below 1)", row.ratio, 1)
        for row in table_1(df, plan)
        if row.arm in arms
    ]
    fewest = [_beats(df, plan, std, arm, random) for arm in rivals]
    return Verdict(1, claim, (*fewer, *fewest))


def _beats(df: "pd.DataFrame", plan: Plan, arm: Arm, rival: Arm, random: Arm) -> Part:
    repeats = finished(df, plan, arm, rival, random)
    own, other, by_chance = (to_target(df, plan, each, repeats, "labels") for each in (arm, rival, random))
    gap = own / by_chance - other / by_chance
    more = area(df, arm, repeats, AREA_LABELS) - area(df, rival, repeats, AREA_LABELS)
    return Part(
        f"{arm.name} needs fewer labels than {rival.name} (difference of the two ratios below 0, or mean accuracy up "
        f"to {AREA_LABELS} labels above 0)",
        either_holds(judge(gap), judge(more, side="above")),
        (f"ratios {figure_of(plan, gap, '+.3f')}", f"accuracy {figure_of(plan, more, '+.4f')}"),
    )


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
            parts.append(part_of(plan, says, own - by_chance, side="above", form="+,.1f", arms=(arm,)))
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
        text += f"; in {already_R.sum()} it is not higher even at β = {beta_A[0]:g}"
    if never := int(np.isnan(crossed_R).sum()):
        text += f"; in {never} it stays above up to β = {beta_A[-1]:g}"
    return f"{text}. Where it crosses depends on the base costs."


def _cheaper_as_beta_rises(df: "pd.DataFrame", plan: Plan) -> Verdict:
    claim = (
        "Raising β lowers cost and, when high, accuracy; some β reaches accuracy equal or superior to that of random "
        "selection at considerably lower cost."
    )
    arms, random, early = known_arms(plan), random_arm(plan), _early(plan)
    if not arms:
        return Verdict(3, claim)
    whole = _in_all_repeats(plan, arms)
    says = f"Total cost after round {plan.rounds} falls with β (slope below 0)"
    parts = [part_of(plan, says, slopes(df, plan, whole, "total_cost", plan.rounds), form="+,.1f")]
    high = tuple(arm for arm in whole if arm.beta >= PAPER_CROSSING)
    says = f"Accuracy after round {early} falls with β from {PAPER_CROSSING} on (slope below 0)"
    if len(high) > 1:
        parts.append(part_of(plan, says, slopes(df, plan, high, "accuracy", early), form="+.3f"))
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
        text = f"accuracy {more.interval:+.4f}, cost × {figure_of(plan, share, '.3f', (arm,))}"
        figures.append(f"β = {arm.beta:g} ({rulings[-1]}): {text}")
    return Part(says, any_holds(rulings), tuple(figures))


def _matters_less_later(df: "pd.DataFrame", plan: Plan) -> Verdict:
    early, arms = _early(plan), _in_all_repeats(plan, known_arms(plan))
    claim = f"The trade-off between cost and accuracy matters less at round {plan.rounds} than earlier."
    if len(arms) < 2 or early == plan.rounds:
        return Verdict(4, claim)
    before, after = (slopes(df, plan, arms, "accuracy", at) for at in (early, plan.rounds))
    says = (
        f"Accuracy falls more steeply with β after round {early} than after round {plan.rounds} "
        "(difference of the slopes below 0)"
    )
    note = f"The slopes are {before.interval:+.4f} and {after.interval:+.4f} per unit of β."
    return Verdict(4, claim, (part_of(plan, says, before - after, form="+.4f"),), (note,))


def _learned_costs(df: "pd.DataFrame", plan: Plan) -> Verdict:
    claim = (
        "Learned cost costs less than random selection and than uniform cost (β = 0); predicted costs are "
        "underestimates on average; it is slightly less cost-efficient than known cost at the same β."
    )
    candidates = [arm for arm in plan.arms if is_plain(arm) and arm.beta > 0 and arm.learns_cost]
    if not candidates:
        return Verdict(5, claim)
    judged = next((arm for arm in candidates if arm.cost == "plain"), candidates[0])
    notes = [
        f"For comparison only, {arm.name} ({part.verdict}): {part.says}: {figure}"
        for arm in candidates
        if arm != judged
        for part in _parts_of_learned(df, plan, arm)
        for figure in part.figures
    ]
    return Verdict(5, claim, _parts_of_learned(df, plan, judged), tuple(notes))


def _parts_of_learned(df: "pd.DataFrame", plan: Plan, learned: Arm) -> tuple[Part, ...]:
    alike = [arm for arm in plan.arms if is_plain(arm) and arm.acquisition == learned.acquisition]
    uniform = next((arm for arm in alike if not arm.weighs_cost), None)
    known = next((arm for arm in alike if arm.beta == learned.beta and arm.cost == "known"), None)
    parts = [_cheaper(df, plan, learned, "random selection", random_arm(plan))]
    parts.append(_cheaper(df, plan, learned, "uniform cost (β = 0)", uniform))
    for column, crops in (("cost_bias_picked", "crops picked"), ("cost_bias_pool", "whole pool")):
        says = f"Predicted minus true cost of the {crops}, mean over rounds, is below 0"
        parts.append(part_of(plan, says, mean_over_rounds(df, plan, learned, column), form="+.3f"))
    return (*parts, *_efficiency(df, plan, learned, known))


def _cheaper(df: "pd.DataFrame", plan: Plan, learned: Arm, than: str, rival: Arm | None) -> Part:
    says = f"{learned.name} costs less than {than} after round {plan.rounds} (difference below 0)"
    if rival is None:
        return Part(says, "not tested", NO_ARM)
    own, other = at_end(df, plan, (learned, rival), "total_cost")
    return part_of(plan, says, own - other, form="+,.1f")


def _efficiency(df: "pd.DataFrame", plan: Plan, learned: Arm, known: Arm | None) -> tuple[Part, Part]:
    less = f"{learned.name} gives less accuracy per cost than known cost after round {plan.rounds} (ratio below 1)"
    slightly = f"Only slightly less (ratio above {1 - CONSIDERABLE:g})"
    if known is None:
        return Part(less, "not tested", NO_ARM), Part(slightly, "not tested", NO_ARM)
    accuracy, known_accuracy = at_end(df, plan, (learned, known), "accuracy")
    cost, known_cost = at_end(df, plan, (learned, known), "total_cost")
    ratio = (accuracy / cost) / (known_accuracy / known_cost)
    return part_of(plan, less, ratio, 1), part_of(plan, slightly, ratio, 1 - CONSIDERABLE, "above")


def _early(plan: Plan) -> int:
    """Return the first round looked at, the last where the plan names none."""
    return min((*plan.looked_at, plan.rounds))


def _in_all_repeats(plan: Plan, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
    return tuple(arm for arm in arms if plan.repeats_of(arm) == plan.repeats)
