"""The results of a run, finished or not, written from its stored rounds: tables, pages and figures."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from costal.files import write_atomically
from costal.paper.archive import read_rows, write_tables
from costal.paper.plan import Plan
from costal.paper.run_lock import kept_environments
from costal.paper.runner import run_names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")


@dataclass(frozen=True, slots=True)
class Written:
    """The files that were written, and the run in a few sentences."""

    files: tuple[str, ...]
    headlines: tuple[str, ...]


def write_results(folder: Path, plan: Plan, unit: str) -> Written:
    """Write the results of the finished rounds in a run's folder, with costs in this unit.

    Equal runs give equal bytes.

    Raises
    ------
    CostalError
        When a kept round is damaged, or the folder cannot be written to.
    """
    import pandas as pd

    from costal.paper.evidence_page import spending_curves
    from costal.paper.figures import figure_1, learning_curves
    from costal.paper.summary import summary

    names = run_names(plan)
    write_tables(folder, names)
    files = ["rounds.csv", "timings.csv"]
    if not read_rows(folder, names[:1]):
        return Written(tuple(files), ("No round is finished yet.",))
    df = pd.read_csv(folder / "rounds.csv")
    page = summary(df, plan, kept_environments(folder), unit)
    write_atomically(folder / "summary.md", page.encode())
    figures = {"curves": (spending_curves if plan.stops_by_cost else learning_curves)(df, plan, unit)}
    if plan.looked_at:
        figures["figure1"] = figure_1(df, plan, unit)
    for name, figure in figures.items():
        for form in FORMATS:
            write_atomically(folder / f"{name}.{form}", _drawn(figure, form))
    return Written(
        (*files, "summary.md", *(f"{name}.{form}" for name in figures for form in FORMATS)), headlines(df, plan)
    )


def headlines(df: "pd.DataFrame", plan: Plan) -> tuple[str, ...]:
    """Return a line for each arm, and one for each claim that the plan tests."""
    from costal.paper.outcomes import outcomes
    from costal.paper.verdicts import verdicts

    smaller = (f"A smaller experiment than {plan.name}: its figures are not the paper's.",) if plan.is_quick else ()
    arms = (
        f"{each.arm.name}: {len(each.repeats)} of {plan.repeats_of(each.arm)} repeats finished, accuracy "
        f"{each.accuracy.interval:.3f}, labels to {plan.target:.0%} {each.labels_to_target.interval:.0f}, total cost "
        f"{each.total_cost.interval:.0f}"
        for each in outcomes(df, plan)
    )
    claims = () if plan.stops_by_cost else verdicts(df, plan)
    tested = (each for each in claims if each.verdict != "not tested")
    return (*smaller, *arms, *(f"Claim {each.number}, {each.claim}: {each.verdict}" for each in tested))


def _drawn(figure: "Figure", form: str) -> bytes:
    """Return a figure's file without its date and with names drawn from a fixed salt, so that equal ones are equal."""
    import matplotlib

    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "costal"}):
        figure.savefig(content, format=form, dpi=110, metadata={"Date": None} if form == "svg" else {})
    return content.getvalue()
