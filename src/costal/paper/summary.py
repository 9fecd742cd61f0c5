"""The page of an experiment, in Markdown: what was run, Table 1, the claims with their verdicts, and every arm."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np

from costal.paper import evidence_page
from costal.paper.environment import Environment
from costal.paper.outcomes import (
    Interval,
    Outcome,
    Ratio,
    comparisons,
    finished,
    interval,
    outcomes,
    percent,
    random_arm,
)
from costal.paper.outcomes import table_1 as ratios_of
from costal.paper.plan import Arm, Plan
from costal.paper.rulings import Part, Verdict
from costal.paper.verdicts import RULE, verdicts

if TYPE_CHECKING:
    import pandas as pd

TITLES = {"table1": "Table 1", "figure1": "Figure 1"}
PAPER_TABLE_1 = {
    "bald": ("0.73 ± 0.16", (0.67, 0.75, 1.04, 0.59, 0.62)),
    "predictive_entropy": ("0.75 ± 0.09", (0.71, 0.85, 0.87, 0.65, 0.65)),
    "std": ("0.60 ± 0.09", (0.57, 0.53, 0.79, 0.53, 0.59)),
}
"""What the paper printed, by acquisition function: mean and standard deviation, and the ratios of its five repeats."""
PAPER_POOL, PAPER_START, MNIST_SIZE = 1000, 20, 60_000


def summary(df: "pd.DataFrame", plan: Plan, environments: Sequence[Environment] = (), unit: str = "cost units") -> str:
    """Return the whole page, from the rows of rounds.csv of an experiment that is finished or still runs.

    `environments` are those that it was run in, the first one first; `unit` is that of the costs.
    """
    sections = [
        f"# {TITLES.get(plan.name, plan.name)}",
        _warnings(df, plan),
        "## What was run",
        _what_was_run(df, plan),
    ]
    sections += _findings(df, plan, unit) if _done(df, plan) else []
    sections += ["## Notes", _notes(plan), "## Environment", _environment(environments)]
    return "\n\n".join(section for section in sections if section) + "\n"


def _findings(df: "pd.DataFrame", plan: Plan, unit: str) -> Iterable[str]:
    if random_arm(plan) and not any(arm.weighs_cost for arm in plan.arms):
        yield from (f"## Labels to reach {percent(plan.target)}", ratio_table(df, plan))
    # The claims are about arms of equal numbers of labels.
    claims = () if plan.stops_by_cost else verdicts(df, plan)
    if any(each.verdict != "not tested" for each in claims):
        yield from (f"## The paper's claims, on {_data(df, plan)}", *_claims(claims))
    if plan.stops_by_cost:
        yield from evidence_page.sections(df, plan)
    yield from ("## Every arm", arm_table(df, plan, unit))
    for baseline in _baselines(plan):
        yield from (f"## Against {baseline}", comparison_table(df, plan, baseline, unit))


def ratio_table(df: "pd.DataFrame", plan: Plan) -> str:
    """Return Table 1: the ratio of each arm in each repeat, its mean, and the paper's beside it."""
    header = ("", *range(1, plan.repeats + 1), "mean ± s.d.", "95 % interval", "never reached", "paper, 90 % on MNIST")
    rows = []
    for row in ratios_of(df, plan):
        known = row.ratio.interval
        never = f"{row.unreached} of {len(row.repeats)}; random {row.random_unreached}"
        rows.append((row.arm.name, *_cells(row, plan), _spread(known, ".2f"), _bounds(known), never, _paper(row.arm)))
    note = (
        "Labels to the target, including the initial set, divided by those of random selection in the same repeat; "
        "linear between tested rounds. If only random selection never reached the target, its labels at the end are "
        "used and the true ratio is smaller (<); if only the arm never did, the true ratio is larger (>). The mean is "
        "over the known ratios."
    )
    return f"{_table(header, rows)}\n\n{note}"


def arm_table(df: "pd.DataFrame", plan: Plan, unit: str = "cost units") -> str:
    """Return the figures of each arm: mean ± standard deviation over the repeats it finished."""
    target = percent(plan.target)
    header = (
        "", "repeats", "labels", "accuracy", f"total cost ({unit})",
        f"labels to {target}", f"cost to {target}", f"never reached {target}",
    )  # fmt: skip
    cost = _cost_form(df)
    rows = [
        (
            each.arm.name,
            f"{len(each.repeats)} of {plan.repeats_of(each.arm)}",
            f"{each.labels.interval.mean:.0f}" if each.repeats else "–",
            _spread(each.accuracy.interval, ".4f"),
            _spread(each.total_cost.interval, cost),
            _spread(each.labels_to_target.interval, ".0f"),
            _spread(each.cost_to_target.interval, cost),
            each.labels_to_target.missing,
        )
        for each in outcomes(df, plan)
    ]
    end = f"round {plan.rounds}" + (", or after the round that spent stop_cost" if plan.stops_by_cost else "")
    return f"{_table(header, rows)}\n\nLabels, accuracy and total cost are those after {end}."


def comparison_table(df: "pd.DataFrame", plan: Plan, baseline: str, unit: str = "cost units") -> str:
    """Return by how much each other arm differs from a baseline, in pairs, with 95 % intervals.

    Raises
    ------
    CostalError
        If the plan has no arm of that name.
    """
    target = percent(plan.target)
    header = (
        "", "repeats", "accuracy", f"total cost ({unit})", f"labels to {target}", f"cost to {target} ({unit})",
    )  # fmt: skip
    rows = [_comparison(each, f"+{_cost_form(df)}") for each in comparisons(df, plan, baseline)]
    note = (
        f"Mean of the paired differences, arm minus {baseline}, with its 95 % interval. An interval without 0 shows a "
        "difference; of many intervals, a few leave out 0 by chance. A count in brackets: the repeats in which "
        "both arms reached the target."
    )
    return f"{_table(header, rows)}\n\n{note}"


def _comparison(each: Outcome, cost: str) -> tuple[object, ...]:
    def priced(of: Interval, form: str) -> str:
        return f"{of:{form}}" + (f" ({of.count})" if of.count < len(each.repeats) else "")

    return (
        each.arm.name,
        len(each.repeats),
        f"{each.accuracy.interval:+.4f}",
        f"{each.total_cost.interval:{cost}}",
        priced(each.labels_to_target.interval, "+.0f"),
        priced(each.cost_to_target.interval, cost),
    )


def _baselines(plan: Plan) -> tuple[str, ...]:
    """Return the names of the baselines: random selection and, if others weigh cost, the first arm without cost."""
    random = random_arm(plan)
    uniform = next((arm for arm in plan.arms if arm != random and not arm.weighs_cost), None)
    arms = [random, uniform if any(arm.weighs_cost for arm in plan.arms) else None]
    names = tuple(arm.name for arm in arms if arm is not None)
    return names or tuple(arm.name for arm in plan.arms[:1] if len(plan.arms) > 1)


def _warnings(df: "pd.DataFrame", plan: Plan) -> str:
    warnings = []
    if plan.is_quick:
        warnings.append(
            "> **A quick run, smaller than the experiment it is named after: "
            "it shows that everything works, not what the paper found.**"
        )
    done, total = _done(df, plan), plan.run_count
    if done < total:
        warnings.append(f"> **Not finished: {done} of {total} runs. The others are left out of every table.**")
    return "\n>\n".join(warnings)


def _done(df: "pd.DataFrame", plan: Plan) -> int:
    return sum(len(finished(df, plan, arm)) for arm in plan.arms)


def _data(df: "pd.DataFrame", plan: Plan) -> str:
    return str(df["data"].iloc[0]) if len(df) else plan.data


def _setting(arm: Arm) -> str:
    words: list[str] = [arm.acquisition]
    if arm.acquisition != "random" or arm.weighs_cost:
        words.append(f"α = {arm.alpha:g}, β = {arm.beta:g}")
    words += [arm.rule.replace("_", " ")] if arm.rule != "paper" else []
    if arm.weighs_cost:
        words.append(f"{arm.cost} cost")
    if arm.budget is not None:
        words.append(f"a cost of {arm.budget:g} per round instead of n crops")
    if arm.members > 1:
        words.append(f"{arm.members} members")
    words += [f"{percent(arm.control_share)} at random"] if arm.control_share else []
    return ", ".join((*words, "diverse") if arm.diverse else words)


def _what_was_run(df: "pd.DataFrame", plan: Plan) -> str:
    shared = plan.experiment
    start = int(df.loc[df["round"] == 0, "labels"].min()) if (df["round"] == 0).any() else PAPER_START
    pools = "never offered twice" if shared.pools == "disjoint" else "offered again when the unseen run out"
    bases = ", ".join(f"{cost:g}" for cost in shared.base_cost_K)
    tested = "every round" if plan.test_every == 1 else f"every {plan.test_every} rounds"
    return "\n".join(
        (
            f"- Data: {_data(df, plan)}.",
            f"- Arms: {'; '.join(f'**{arm.name}** ({_setting(arm)})' for arm in plan.arms)}.",
            f"- {plan.rounds} rounds of N = {shared.pool_size} crops ({pools}), of which n = {shared.n} are labelled, "
            f"after {start} labels at the start. T = {shared.passes} passes. Tested {tested}.",
            f"- {plan.repeats} repeats of {len(plan.arms)} arms, seed {shared.seed}; "
            f"{_done(df, plan)} of {plan.run_count} runs finished. Requested device: {shared.device}.",
            f"- Training: {_protocol(plan)}.",
            *_limits(plan),
            *_annotators(plan),
            f"- Base costs of the classes: {bases if any(shared.base_cost_K) else 'none'}.",
        )
    )


def _limits(plan: Plan) -> Iterable[str]:
    limits = {arm.name: plan.stop_cost_of(arm) for arm in plan.arms}
    if not plan.stops_by_cost:
        return
    if len(set(limits.values())) == 1:
        yield f"- A run ends after the round in which its total cost reaches {next(iter(limits.values())):g}."
        return
    texts = (f"{name} {'none' if limit is None else f'{limit:g}'}" for name, limit in limits.items())
    yield f"- A run ends after the round in which its total cost reaches its limit: {', '.join(texts)}."


def _annotators(plan: Plan) -> Iterable[str]:
    shared = plan.experiment
    if shared.annotators > 1:
        yield (
            f"- {shared.annotators} simulated annotators answer in turn; the efforts of two for the same crops have a "
            f"rank correlation of {shared.agreement:g}."
        )


def _protocol(plan: Plan) -> str:
    training = plan.experiment.training
    steps = f"{training.min_steps} steps"
    if training.epochs:
        steps = f"the larger of {steps} and {training.epochs} epochs"
    words = [
        "from scratch in every round",
        f"Adam at {training.learning_rate:g} ({training.schedule.replace('_', ' ')})",
        f"{steps} of {training.batch} crops",
        training.precision,
    ]
    words += [
        word for word, on in (("augmented", training.augment), ("classes weighted", training.class_weights)) if on
    ]
    return ", ".join(words)


def _claims(claims: Sequence[Verdict]) -> Iterable[str]:
    yield RULE
    yield _table(("", "claim", "verdict"), [(each.number, each.claim, f"**{each.verdict}**") for each in claims])
    for each in claims:
        if each.parts:
            lines = [line for part in each.parts for line in _part_lines(part)]
            yield "\n".join((f"Claim {each.number}:\n", *lines, *(f"- {note}" for note in each.notes)))


def _part_lines(part: Part) -> tuple[str, ...]:
    first = f"- **{part.verdict}**: {part.says}:"
    if len(part.figures) == 1:
        return (f"{first} {part.figures[0]}.",)
    return (first, *(f"  - {figure}." for figure in part.figures))


def _notes(plan: Plan) -> str:
    notes = [
        "Accuracy is that of the mean network (no dropout) on the test set; the committee's is in rounds.csv.",
        "Total cost does not count the initial set; numbers of labels do.",
        "Standard deviations are divided by n (the number of repeats), as in the paper; those of intervals by n - 1.",
    ]
    needed = plan.rounds * PAPER_POOL
    if plan.name == "figure1" and needed + PAPER_START > MNIST_SIZE:
        remedy = (
            f"pools are of {plan.experiment.pool_size}"
            if plan.experiment.pools == "disjoint"
            else "images without a label are offered again"
        )
        notes.append(
            f"The paper's disjoint pools of N = {PAPER_POOL} do not fit: {plan.rounds} × {PAPER_POOL} = {needed:,} is "
            f"more than the {MNIST_SIZE:,} images of MNIST. Here {remedy}."
        )
    return "\n".join(f"- {each}" for each in notes)


def _environment(environments: Sequence[Environment]) -> str:
    if not environments:
        return "Not recorded."
    begun, *later = environments
    lines = [f"- {name}: {entry}" for name, entry in asdict(begun).items()]
    for other in later:
        changed = ", ".join(f"{name} {entry}" for name, entry in begun.changes(other).items())
        lines.append(f"- continued with {changed}")
    return "\n".join(lines)


def _cells(row: Ratio, plan: Plan) -> list[str]:
    """Return an entry for each repeat of the plan."""
    cells = ["not finished"] * plan.repeats
    known = zip(row.repeats, row.ratio.value_R, row.ratio.low_R, row.ratio.high_R, strict=True)
    for repeat, value, low, high in known:
        bounds = (("", value), ("< ", high), ("> ", low))
        cells[repeat] = next((f"{sign}{number:.2f}" for sign, number in bounds if not np.isnan(number)), "–")
    return cells


def _paper(arm: Arm) -> str:
    printed, ratios = PAPER_TABLE_1.get(arm.acquisition, ("", ()))
    return f"{printed} {_bounds(interval(ratios))}" if printed else ""


def _spread(of: Interval, form: str) -> str:
    if not of.count:
        return "–"
    return f"{of.mean:{form}}" if np.isnan(of.spread) else f"{of.mean:{form}} ± {of.spread:{form}}"


def _bounds(of: Interval) -> str:
    return "–" if np.isnan(of.low) else f"[{of.low:.2f}, {of.high:.2f}]"


def _cost_form(df: "pd.DataFrame") -> str:
    return ",.0f" if len(df) and df["total_cost"].max() >= 1000 else ",.1f"


def _table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    def line(cells: Iterable[object]) -> str:
        return f"| {' | '.join(str(cell).replace('|', '/') for cell in cells)} |"

    return "\n".join((line(header), line("---" for _ in header), *map(line, rows)))
