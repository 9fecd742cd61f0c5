"""``costal reproduce`` and ``costal experiment``: the paper's table and figure, and experiments of one's own."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from costal.cli.output import AsJson, tell
from costal.cli.running import run_experiment
from costal.paper.base_costs import BASE_COSTS, derive_base_costs
from costal.paper.plan import Plan, figure_1, quick, table_1
from costal.paper.plan_file import load_plan, template

Out = Annotated[
    Path | None, typer.Option(help="Folder for results; a run that it holds is resumed.", show_default="out/NAME")
]
Data = Annotated[
    str | None, typer.Option(help="mnist, synthetic, sted, or a folder (see the README).", show_default="as planned")
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", show_default="as planned")]
Resume = Annotated[bool, typer.Option(help="Go on with a run that --out holds.")]
Dask = Annotated[str | None, typer.Option(help="local:K processes, tcp://... or tls://... or a scheduler file.")]
Quick = Annotated[bool, typer.Option("--quick", help="A smaller experiment that ends within minutes.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Reproduce the paper: Table 1, Figure 1, and their base costs.")
    group.command()(table1)
    group.command()(figure1)
    group.command("base-costs")(base_costs)
    app.add_typer(group, name="reproduce")
    app.command()(experiment)


def table1(
    out: Out = None,
    data: Data = None,
    is_quick: Quick = False,
    device: Device = None,
    dask: Dask = None,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Table 1: how many labels each acquisition function needs to reach 90 %, against random selection."""
    _reproduce(table_1(), out, data, is_quick, device, dask, resume, as_json)


def figure1(
    out: Out = None,
    data: Data = None,
    is_quick: Quick = False,
    device: Device = None,
    dask: Dask = None,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Figure 1: accuracy against total cost, for known costs at several β, learned costs, and random selection."""
    _reproduce(figure_1(BASE_COSTS), out, data, is_quick, device, dask, resume, as_json)


def base_costs(
    run: Annotated[Path, typer.Argument(help="The folder of a run of Table 1, of which the STD arm is finished.")],
    as_json: AsJson = False,
) -> None:
    """Derive the base cost of each class from how often STD asked for it: the more informative, the dearer."""
    found = derive_base_costs(run)
    tell(found.text, {"base_costs": found.base_cost_K, "queried": found.count_K}, as_json)


def experiment(
    file: Annotated[Path | None, typer.Argument(help="An experiment file; see --template.", show_default=False)] = None,
    is_template: Annotated[
        bool, typer.Option("--template", help="Print an experiment file that runs as it is.")
    ] = False,
    out: Out = None,
    data: Data = None,
    is_quick: Quick = False,
    device: Device = None,
    dask: Dask = None,
    resume: Resume = True,
    as_json: AsJson = False,
) -> None:
    """Compare arms of your own choice, on digits, on simulated STED fields, or on a labelled project."""
    if is_template:
        print(template(), end="")
        return
    if file is None:
        raise typer.BadParameter("Give an experiment file, or --template to print one.", param_hint="FILE")
    _reproduce(load_plan(file), out, data, is_quick, device, dask, resume, as_json)


def _reproduce(
    plan: Plan,
    out: Path | None,
    data: str | None,
    is_quick: bool,
    device: str | None,
    dask: str | None,
    resume: bool,
    as_json: bool,
) -> None:
    plan = replace(plan, data=data or plan.data)
    if device is not None:
        plan = replace(plan, experiment=replace(plan.experiment, device=device))
    run_experiment(quick(plan) if is_quick else plan, out or Path("out") / plan.name, dask, resume, as_json)
