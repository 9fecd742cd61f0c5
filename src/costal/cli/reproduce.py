"""``costal reproduce`` and ``costal experiment``: the paper's table and figure, and experiments of one's own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from inspect import Signature, signature
from pathlib import Path
from typing import Annotated, Any

import typer

from costal.cli.output import AsJson, tell
from costal.cli.progress import ProgressBar
from costal.cli.running import run_experiment
from costal.cli.terminal import WHERE_TO_RUN
from costal.files import write_atomically
from costal.paper.base_costs import BASE_COSTS, derive_base_costs
from costal.paper.calibration import calibrated, calibration_plans, folder_of
from costal.paper.datasets import load_dataset
from costal.paper.plan import Plan, figure_1, quick, table_1
from costal.paper.plan_file import load_plan, template


@dataclass(frozen=True, slots=True)
class Choices:
    """The options besides the plan of every command that runs an experiment."""

    out: Annotated[
        Path | None, typer.Option(help="Folder for results; a run in it is resumed.", show_default="out/NAME")
    ] = None
    data: Annotated[
        str | None,
        typer.Option(help="mnist, synthetic, sted, or a folder (see docs/experiments.md).", show_default="as planned"),
    ] = None
    labels: Annotated[
        Path | None,
        typer.Option(help="A CSV file with the classes of a folder of images, instead of class folders."),
    ] = None
    quick: Annotated[bool, typer.Option("--quick", help="A smaller experiment that ends within minutes.")] = False
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.", show_default="as planned")] = None
    dask: Annotated[str | None, typer.Option(help=WHERE_TO_RUN)] = None
    resume: Annotated[bool, typer.Option(help="Continue a run in --out.")] = True
    as_json: AsJson = False

    def run(self, plan: Plan) -> None:
        """Run the plan as chosen."""
        labels = plan.labels if self.labels is None else str(self.labels)
        plan = replace(plan, data=self.data or plan.data, labels=labels)
        if self.device is not None:
            plan = replace(plan, experiment=replace(plan.experiment, device=self.device))
        plan = quick(plan) if self.quick else plan
        run_experiment(plan, self.out or Path("out") / plan.name, self.dask, self.resume, self.as_json)


def with_choices(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with each of `Choices` as an option of its own, in place of its last parameter."""
    own, offered = [*signature(command).parameters.values()][:-1], signature(Choices).parameters

    @wraps(command)
    def run(**options: Any) -> None:
        chosen = Choices(**{name: options.pop(name) for name in offered})
        command(**options, choices=chosen)

    parameters = [*own, *offered.values()]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Reproduce the paper: Table 1, Figure 1, and their base costs.")
    group.command()(with_choices(table1))
    group.command()(with_choices(figure1))
    group.command("base-costs")(base_costs)
    group.command("scale")(scale)
    app.add_typer(group, name="reproduce")
    app.command()(with_choices(experiment))


def table1(choices: Choices) -> None:
    """Table 1: how many labels each acquisition function needs to reach 90 %, against random selection."""
    choices.run(table_1())


def figure1(choices: Choices) -> None:
    """Figure 1: accuracy against total cost, for known costs at several β, learned costs, and random selection."""
    choices.run(figure_1(BASE_COSTS))


def base_costs(
    run: Annotated[Path, typer.Argument(help="The folder of a run of Table 1 whose STD arm is finished.")],
    as_json: AsJson = False,
) -> None:
    """Derive the base cost of each class from how often STD queried it: informative classes cost more."""
    costs = derive_base_costs(run)
    tell(costs.text, {"base_costs": costs.base_cost_K, "queried": costs.count_K}, as_json)


def scale(
    out: Annotated[Path, typer.Option(help="Folder for its runs; runs in it are resumed.")] = Path("out/calibration"),
    as_json: AsJson = False,
) -> None:
    """Find the scale of the base costs at which known costs at β = 0.2 cost as much as random selection."""
    for factor, plan in calibration_plans():
        run_experiment(plan, folder_of(out, factor), None, True)
    with ProgressBar() as bar:
        calibration = bar.drain(calibrated(out, load_dataset("mnist")))
    write_atomically(out / "scale.md", calibration.text.encode())
    tell(calibration.text, {"scale": calibration.scale, "base_costs": calibration.base_cost_K}, as_json)


def experiment(
    file: Annotated[Path | None, typer.Argument(help="An experiment file; see --template.", show_default=False)] = None,
    is_template: Annotated[
        bool, typer.Option("--template", help="Print an experiment file that runs as it is.")
    ] = False,
    *,
    choices: Choices,
) -> None:
    """Compare settings (arms) of your choice on digits, on simulated STED fields, or on a labelled project."""
    if is_template:
        print(template(), end="")
        return
    if file is None:
        raise typer.BadParameter("Give an experiment file, or --template to print one.", param_hint="FILE")
    choices.run(load_plan(file))
