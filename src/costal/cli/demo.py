"""``costal demo``: the mosaic experiment, in a window or headless."""

from pathlib import Path
from typing import Annotated

import typer

from costal.cli.running import run_experiment
from costal.cli.terminal import has_display
from costal.files import new_file
from costal.paper.archive import read_round
from costal.paper.datasets import load_dataset
from costal.paper.mosaic import to_images
from costal.paper.plan import RANDOM_ARM, Arm, Experiment, Plan
from costal.paper.report import mosaic_figure, picks_figure
from costal.settings import LARGEST
from costal.types import ACQUISITION_NAMES


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    headless: Annotated[bool, typer.Option("--headless", help="Run without a window, and write figures.")] = False,
    data: Annotated[str, typer.Option(help="auto, mnist, synthetic, or a folder with MNIST/raw.")] = "auto",
    rounds: Annotated[int, typer.Option(min=1, help="Rounds to run headless.")] = 10,
    pool_size: Annotated[int, typer.Option("--pool-size", "-N", min=1, max=60_000, help="Images per round.")] = 1000,
    n: Annotated[int, typer.Option("-n", min=1, max=LARGEST, help="Images labelled per round.")] = 10,
    passes: Annotated[
        int, typer.Option("--passes", "-T", min=1, max=LARGEST, help="MC-dropout passes of the committee.")
    ] = 50,
    acquisition: Annotated[str, typer.Option(help=", ".join(ACQUISITION_NAMES))] = "std",
    alpha: Annotated[float, typer.Option(min=0, max=100, help="Exponent of information.")] = 1.0,
    beta: Annotated[float, typer.Option(min=0, max=100, help="Exponent of the learned cost; 0 ignores it.")] = 0.3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of all random choices.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    out: Annotated[Path, typer.Option(help="Folder for figures and tables (headless).")] = Path("out"),
) -> None:
    """Show active learning on MNIST, or on synthetic digits if MNIST is not found, beside random selection.

    Opens napari with the MNIST mosaic widget running. Without a display, or with --headless, it writes the mosaic with
    its heatmap, the picked crops and the learning curves as PNG and the rounds as CSV into --out; a stopped run in
    --out is continued.
    """
    if acquisition not in ACQUISITION_NAMES:
        raise typer.BadParameter(
            f"'{acquisition}' is not one of {', '.join(ACQUISITION_NAMES)}.", param_hint="--acquisition"
        )
    experiment = Experiment(seed=seed, pool_size=pool_size, n=n, passes=passes, device=device)
    arm = Arm(f"{acquisition}, β = {beta:g}", acquisition=acquisition, alpha=alpha, beta=beta)
    if not headless and has_display():
        from napari_costal.window import open_mosaic

        open_mosaic(data, experiment, arm)
        return
    if not headless:
        print("No display: running headless.")
    plan = Plan("demo", data, (arm, RANDOM_ARM), experiment, rounds, repeats=1, committee_every=rounds)
    run_experiment(plan, out, None, resume=True)
    write_round_figures(plan, out)


def write_round_figures(plan: Plan, out: Path) -> None:
    """Write the last round of a plan's first arm as pictures."""
    dataset, kept = load_dataset(plan.data), read_round(out, plan.arms[0].name, 0, plan.rounds)
    if kept.query is None:
        return
    crops, classes = dataset.take(kept.pool_N)
    images, names = to_images(crops), [dataset.class_names[each] for each in classes]
    figures = {
        "mosaic.png": mosaic_figure(dataset.name, images, kept.query),
        "picks.png": picks_figure(dataset.name, images, names, kept.query),
    }
    for name, figure in figures.items():
        with new_file(out / name) as file:
            figure.savefig(file, dpi=110, format="png")
    print(f"Wrote mosaic.png and picks.png to {out}")
