"""``costal replay``: what other settings would have saved on a project's own labels."""

from pathlib import Path
from typing import Annotated

import typer

from costal.cli.output import AsJson, tell
from costal.cli.progress import ProgressBar
from costal.paper.evidence import SPENDINGS, Saving
from costal.paper.evidence_page import saving_table
from costal.paper.plan import RANDOM_ARM
from costal.paper.replay import REPEATS, replay, sentence
from costal.types import ACQUISITION_NAMES, AcquisitionName


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay_project)


def replay_project(
    folder: Annotated[Path, typer.Argument(help="The project's folder.")],
    beta: Annotated[list[float] | None, typer.Option(min=0, max=10, help="Another β; can be repeated.")] = None,
    acquisition: Annotated[
        list[str] | None, typer.Option(help=f"Another acquisition function: {', '.join(ACQUISITION_NAMES)}.")
    ] = None,
    backbone: Annotated[list[str] | None, typer.Option(help="Another backbone: see 'costal backbone list'.")] = None,
    repeats: Annotated[int, typer.Option(min=2, help="Runs of each setting.")] = REPEATS,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Simulate how much time another β, acquisition function or backbone would have saved on a project's labels."""
    names = tuple(map(_acquisition, acquisition or ()))
    with ProgressBar() as bar:
        outcome = bar.drain(replay(folder, beta or (), names, backbone or (), repeats, device))
    text = [
        *map(sentence, outcome.savings),
        "",
        saving_table(outcome.savings, RANDOM_ARM),
        "",
        outcome.about,
        *outcome.notes,
    ]
    figures = {
        "labels": outcome.labels,
        "repeats": outcome.repeats,
        "verdict": outcome.verdict,
        "arms": [_figures(each) for each in outcome.savings],
        "notes": outcome.notes,
    }
    tell("\n".join(text), figures, as_json)


def _acquisition(name: str) -> AcquisitionName:
    if name not in ACQUISITION_NAMES:
        raise typer.BadParameter(f"'{name}' is not one of {', '.join(ACQUISITION_NAMES)}.", param_hint="--acquisition")
    return name


def _figures(saving: Saving) -> dict[str, object]:
    ratio, gain = saving.ratio, saving.mean_difference
    return {
        "arm": saving.arm.name,
        "cost_ratio": [ratio.value, ratio.low, ratio.high],
        "mean_difference": [gain.value, gain.low, gain.high],
        "accuracy_less_random": {
            f"{share:g}": [each.value, each.low, each.high]
            for share, each in zip(SPENDINGS, saving.difference_S, strict=True)
        },
        "sentence": sentence(saving),
    }
