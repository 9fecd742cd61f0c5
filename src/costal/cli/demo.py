"""``costal demo``: the mosaic experiment, in a window or headless."""

from pathlib import Path
from typing import Annotated

import typer

from costal.cli.progress import ProgressBar
from costal.cli.terminal import has_display, writing
from costal.errors import DatasetError
from costal.labels.project import LARGEST
from costal.paper.datasets import load_dataset, pool_indices
from costal.paper.experiment import RANDOM_ARM, Arm, Experiment, RoundReport, play_round, start
from costal.paper.expert import SimulatedExpert
from costal.paper.report import curves_figure, mosaic_figure, picks_figure, write_rounds, write_timings
from costal.types import ACQUISITION_NAMES


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Run without a window, and write figures.")] = False,
    data: Annotated[str, typer.Option(help="auto, mnist, synthetic, or a folder that holds MNIST/raw.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds to run headless.")] = 10,
    pool_size: Annotated[int, typer.Option("--pool-size", "-N", min=1, max=60_000, help="Images a round.")] = 1000,
    n: Annotated[int, typer.Option("-n", min=1, max=LARGEST, help="Images labelled a round.")] = 10,
    passes: Annotated[
        int, typer.Option("--passes", "-T", min=1, max=LARGEST, help="MC-dropout passes of the committee.")
    ] = 50,
    acquisition: Annotated[str, typer.Option(help=", ".join(ACQUISITION_NAMES))] = "std",
    alpha: Annotated[float, typer.Option(min=0, max=100, help="Exponent of information.")] = 1.0,
    beta: Annotated[float, typer.Option(min=0, max=100, help="Exponent of the learned cost; 0 ignores it.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for figures and tables (headless).")] = Path("out"),
) -> None:
    """Watch the loop run on MNIST, or on synthetic digits where MNIST is not found, beside a random arm.

    Opens napari with the MNIST mosaic widget running. Without a display, or with --headless, it writes the mosaic with
    its heatmap, the picked crops and the learning curves as PNG and the rounds as CSV into --out.
    """
    if acquisition not in ACQUISITION_NAMES:
        raise typer.BadParameter(
            f"'{acquisition}' is not one of {', '.join(ACQUISITION_NAMES)}.", param_hint="--acquisition"
        )
    experiment = Experiment(seed=seed, pool_size=pool_size, n=n, passes=passes, device=device)
    arm = Arm(f"{acquisition}, β = {beta:g}", acquisition, alpha, beta)
    if not headless and has_display():
        from napari_costal.window import open_mosaic

        open_mosaic(data, experiment, arm)
        return
    if not headless:
        print("No display: running headless.")
    run_headless(experiment, arm, data, rounds, out)


def run_headless(experiment: Experiment, arm: Arm, data: str, rounds: int, out: Path) -> None:
    """Run the arm and the random arm for some rounds, and write what they came to after each."""
    dataset = load_dataset(data)
    oracle = SimulatedExpert()
    pool_indices(dataset, experiment.seed, experiment.repeat, rounds, experiment.pool_size)  # refuse before any work
    if experiment.n > experiment.pool_size:
        raise DatasetError(f"{experiment.n} images cannot be chosen from {experiment.pool_size}. Lower -n or raise -N.")
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        (out / "rounds.csv").open("a").close()  # find out now, not after the first round
    print(f"{dataset.name}: {rounds} rounds of {experiment.n} from {experiment.pool_size}, seed {experiment.seed}")
    reports: list[RoundReport] = []
    with ProgressBar() as bar:
        states = []
        for each in (arm, RANDOM_ARM):
            state, report = bar.drain(start(experiment, each, dataset, oracle), f"start, {each.name}")
            states.append(state)
            reports.append(report)
        for number in range(1, rounds + 1):
            for place, state in enumerate(states):
                job = play_round(experiment, state, dataset, oracle)
                states[place], report, proposal = bar.drain(job, f"round {number} of {rounds}, {state.arm.name}")
                reports.append(report)
                if state.arm is arm:
                    asked = proposal
            print("  ".join([f"round {number:2}", *(describe(each) for each in reports[-2:])]))
            with writing(out):
                write_rounds(out / "rounds.csv", dataset.name, sorted(reports, key=lambda each: each.arm))
                write_timings(out / "timings.csv", sorted(reports, key=lambda each: each.arm))
    for name, figure in (
        ("mosaic", mosaic_figure(dataset.name, asked)),
        ("picks", picks_figure(dataset.name, asked)),
        ("curves", curves_figure(dataset.name, reports)),
    ):
        with writing(out):
            figure.savefig(out / f"{name}.png", dpi=110)
    print(f"Wrote rounds.csv, timings.csv, mosaic.png, picks.png and curves.png to {out}")


def describe(report: RoundReport) -> str:
    """Return a round's outcome in a few words."""
    return f"{report.arm}: {report.labels} labels, accuracy {report.accuracy:.3f}, cost {report.total_cost:.0f}"
