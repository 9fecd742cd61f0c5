"""``costal bench``: what the product costs, beside what a user would write instead."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from costal.bench.committee import CommitteeFigures, CommitteeRequest, compare_committee
from costal.bench.imports import DOCKS, ImportFigures, bench_imports
from costal.bench.machine import Machine
from costal.bench.training import (
    FEWEST_LABELS,
    FEWEST_MODELS,
    ROUND_LABELS,
    SCORED_CROPS,
    TrainingFigures,
    TrainingRequest,
    compare_training,
)
from costal.cli.frame import Device
from costal.cli.output import AsJson, tell
from costal.cli.terminal import has_display, writing
from costal.errors import CostalError
from costal.types import Job, Result

Data = Annotated[str, typer.Option(help="auto, mnist, synthetic, or a folder that holds MNIST/raw.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
Out = Annotated[Path | None, typer.Option("--out", help="JSON file for all figures.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(no_args_is_help=True, help="Measure speed and cost on this machine, beside peers.")
    group.command()(committee)
    group.command()(training)
    group.command()(gui)
    group.command("import")(imports)
    app.add_typer(group, name="bench")


def committee(
    passes: Annotated[int, typer.Option("--passes", "-T", min=2, max=1000, help="MC-dropout passes.")] = 50,
    repeats: Annotated[int, typer.Option(min=1, max=100, help="How often each way is taken.")] = 3,
    data: Data = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Ask a committee about crops, and in turns by what a user would install or write instead.

    Prints what each takes for crops of several sizes, how far ours is from the fewest operations at this machine's
    measured rate, and whether it says the same. Peers that are not installed are named: pip install
    "napari-costal[bench]".
    """
    _require_place(out)
    found = _told(compare_committee(CommitteeRequest(passes, repeats=repeats, device=device, data=data, seed=seed)))
    _keep(found.figures, out)
    tell("\n".join([*_about(found.machine), "", *_committee_text(found)]), found.figures, as_json)


def training(
    models: Annotated[int, typer.Option(min=FEWEST_MODELS, max=1000, help="Models that are trained together.")] = 20,
    labels: Annotated[int, typer.Option(min=FEWEST_LABELS, max=10_000, help="Labels of each model.")] = 260,
    seconds: Annotated[float, typer.Option(min=0, help="For how long it is repeated; three times at least.")] = 120,
    data: Data = "auto",
    seed: Seed = 0,
    device: Device = "auto",
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Train models as one stack and, in turns, one after another in a plain PyTorch loop.

    Prints the throughput of both, their learning curves, and how long Table 1 and Figure 1 would take here. On a CPU
    CPU seconds count, for others may have their share of the seconds on the clock.
    """
    _require_place(out)
    request = TrainingRequest(models, labels, device, seconds, data, seed)
    found = _told(compare_training(request))
    _keep(found.figures, out)
    tell("\n".join([*_about(found.machine), "", *_as_text(found)]), found.figures, as_json)


def gui(
    crops: Annotated[
        list[int] | None, typer.Option("--crops", min=100, max=4_000_000, help="Crops of a frame; may be repeated.")
    ] = None,
    moves: Annotated[int, typer.Option(min=4, max=1000, help="Moves of the slider on each frame.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the made-up scores.")] = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Move the slider of Label crops and choose queries, on frames of 10,000 to 1,000,000 crops.

    Opens napari with the real widgets and made-up scores. Of a move the GUI thread's own work is counted, the painting
    by the graphics driver is not; of a selection all threads.
    """
    _require_place(out)
    if not has_display():
        raise CostalError("There is no display to open a window on. Run it under xvfb-run.")
    from napari_costal._bench_gui import CROPS, bench_gui

    found = _told(bench_gui(tuple(crops or CROPS), moves, seed))
    _keep(found.figures, out)
    lines = ["     crops                              CPU ms     worst   clock ms     worst"]
    lines += [
        f"{each.crops:10,}  {each.name:28} {each.cpu_ms:9.1f} {each.cpu_worst_ms:9.1f}  {each.wall_ms:9.1f} "
        f"{each.wall_worst_ms:9.1f}"
        for each in found.paces
    ]
    tell("\n".join([*_about(found.machine), "", *lines]), found.figures, as_json)


def imports(
    runs: Annotated[int, typer.Option(min=1, max=100, help="Fresh processes for each figure; the best counts.")] = 5,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Start the command line, the packages and the plugin's docks in fresh processes.

    Says how late the window's heart beats while the engine process imports torch. Without a display docks are left out.
    """
    _require_place(out)
    found = _told(bench_imports(runs, DOCKS if has_display() else ()))
    _keep(found.figures, out)
    tell("\n".join([*_about(found.machine), "", *_as_starts(found)]), found.figures, as_json)


def _as_starts(found: ImportFigures) -> list[str]:
    lines = [f"the best of {found.starts[0].runs}           clock s     CPU s"]
    lines += [f"  {each.name:22} {each.wall_s:9.3f} {each.cpu_s:9.3f}" for each in found.starts]
    if not found.docks:
        return lines
    lines += ["", "opening in napari         clock s     CPU s   torch?   late at rest   while torch loads, worst ms"]
    return lines + [
        f"  {each.name:22} {each.wall_s:9.3f} {each.cpu_s:9.3f}   {'yes' if each.imported_torch else 'no':6} "
        f"{each.rest_worst_ms:14.1f} {each.torch_worst_ms:19.1f}"
        for each in found.docks
    ]


def _told(job: Job[Result]) -> Result:
    """Return the job's result, with a line on the error stream for each of its stages.

    A bar that draws itself anew would be measured too.
    """
    while True:
        try:
            print(next(job).message, file=sys.stderr)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def _require_place(out: Path | None) -> None:
    """Find out now, not after the work, that the figures cannot be written."""
    if out is not None:
        with writing(out):
            is_there = out.exists()
            out.open("a").close()
            if not is_there:
                out.unlink()


def _keep(figures: dict[str, object], out: Path | None) -> None:
    if out is not None:
        with writing(out):
            out.write_text(json.dumps(figures, indent=1, allow_nan=False) + "\n", encoding="utf-8", newline="\n")


def _about(here: Machine) -> list[str]:
    there = here.environment
    load = "" if here.load is None else f", load {here.load:g}"
    return [
        f"{there.device}: {there.processor}, {here.cores} cores{load}, {there.system}",
        f"costal {there.costal} ({here.commit[:12] or 'no commit'}), torch {there.torch}, numpy {there.numpy}, "
        f"Python {there.python}",
    ]


def _committee_text(found: CommitteeFigures) -> list[str]:
    unit, agreement = found.unit, found.agreement
    lines = []
    for (channels, side, count), limit, factor in zip(found.request.shapes, found.limits, found.of_limit, strict=True):
        lines += [f"{count} crops of {channels} x {side} x {side}, {found.request.passes} passes, in {unit}"]
        lines += [
            f"  {row.name:24} {row.seconds:9.3f}  ({row.least:.3f} to {row.most:.3f})  {row.ratio:6.1f} x"
            for row in found.rows
            if (row.channels, row.side) == (channels, side)
        ]
        lines += [
            f"  fewest operations: {limit.operations / 1e9:.1f} GFLOP at {limit.rate / 1e9:.0f} GFLOP/s in "
            f"{limit.precision}: {limit.seconds:.3f}; ours is {factor:.2f} x that",
            "",
        ]
    ranks = ", ".join(f"{name} {rank:.5f}" for name, rank in found.rank_correlation.items())
    lines += [
        f"I of {agreement.crops} crops over {agreement.seeds} mask seeds, beside ordinary dropout: means within two "
        f"standard errors for {agreement.within:.0%}, spread {agreement.spread_ratio:.3f} x",
        f"Rank correlation with float64: {ranks}",
    ]
    return [*lines, f"Not installed: {', '.join(found.missing)}"] if found.missing else lines


def _as_text(found: TrainingFigures) -> list[str]:
    request, tuning, unit = found.request, found.tuning, found.unit
    layout = "channels last" if tuning.channels_last else "contiguous"
    threads = "1 thread" if tuning.threads == 1 else f"{tuning.threads} threads"
    lines = [
        f"{request.models} models of {request.labels} labels, {found.repeats} repeats, {request.training.precision}",
        f"  one stack          {found.stack_s:9.4f} {unit} a model  {1 / found.stack_s:9.2f} models a {unit}",
        f"  one after another  {found.peer_s:9.4f} {unit} a model  {1 / found.peer_s:9.2f} models a {unit}"
        f"  ({layout}, {threads})",
        f"  the stack's throughput is {found.ratio:.2f} x the peer's "
        f"({found.ratio_least:.2f} to {found.ratio_most:.2f} over the repeats)",
        "",
        "labels  models  stack            peer             difference, 95 %",
    ]
    lines += [
        f"{at.labels:6}  {at.models:6}  {at.stack_mean:.4f} ± {at.stack_spread:.4f}  {at.peer_mean:.4f} ± "
        f"{at.peer_spread:.4f}  {at.low:+.4f} to {at.high:+.4f}  {'same' if at.agrees else 'NOT the same'}"
        for at in found.parity
    ]
    lines += ["", f"A round: {ROUND_LABELS} labels trained on, {SCORED_CROPS} crops scored, all tests, in {unit}"]
    lines += [
        f"  {each.name:24} train {each.train:7.3f}  score {each.score:7.3f}  test {each.test:7.3f}  accuracy "
        f"{each.accuracy:.4f}  ours takes {each.ratio:.2f} x"
        for each in found.rounds
    ]
    hours = ", ".join(f"{name} {seconds / 60:.1f}" for name, seconds in found.forecast_s.items())
    kind = "minutes of one core" if unit == "CPU s" else "minutes"
    return [*lines, "", f"Whole experiments, estimated from these figures, in {kind}: {hours}"]
