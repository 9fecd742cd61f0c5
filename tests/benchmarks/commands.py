"""The benchmarks as commands: what the product costs, beside what a user would write instead."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from costal.cli.frame import Device
from costal.cli.output import AsJson, tell
from costal.cli.terminal import has_display
from costal.errors import CostalError
from costal.files import explained, require_place, write_atomically
from costal.types import Job, Result
from tests.benchmarks.committee import CommitteeRequest, compare_committee
from tests.benchmarks.frames import FramesRequest, compare_frames, draw_growth
from tests.benchmarks.imports import DOCKS, bench_imports
from tests.benchmarks.loop import LoopRequest, bench_loop
from tests.benchmarks.machine import Figures
from tests.benchmarks.tables import about, committee_table, frames_table, starts_table, training_table
from tests.benchmarks.training import (
    FEWEST_LABELS,
    FEWEST_MODELS,
    TrainingRequest,
    compare_training,
)

Data = Annotated[str, typer.Option(help="auto, mnist, synthetic, or a folder that holds MNIST/raw.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of every random choice.")]
Out = Annotated[Path | None, typer.Option("--out", help="JSON file for all figures.")]


def make_app() -> typer.Typer:
    """Return the command line of the benchmarks."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        help="Measure speed and cost on this machine, beside peers.",
    )
    app.command()(committee)
    app.command()(training)
    app.command()(frames)
    app.command()(loop)
    app.command()(gui)
    app.command("import")(imports)
    app.command()(evidence)
    app.command("all")(everything)
    return app


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

    Prints what each takes for crops of several sizes, how far ours is from its operations alone at this machine's
    measured rate, and whether it says the same. Peers that are not installed are named: pip install
    "napari-costal[bench]".
    """
    _require_place(out)
    found = _told(compare_committee(CommitteeRequest(passes, repeats=repeats, device=device, data=data, seed=seed)))
    _report(found, committee_table(found), out, as_json)


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
    _report(found, training_table(found), out, as_json)


def frames(
    side: Annotated[int, typer.Option(min=128, help="Pixels a side of the image.")] = 20_000,
    sparse_side: Annotated[int, typer.Option(min=128, help="Pixels a side of the sparse image.")] = 100_000,
    crop: Annotated[int, typer.Option(min=8, help="Pixels a side of a crop.")] = 64,
    passes: Annotated[int, typer.Option("-T", min=1, help="Passes of the committee.")] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="How often the two take turns.")] = 3,
    peer_share: Annotated[float, typer.Option(min=0.001, max=1, help="Of the crop rows, for the peer.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random choice.")] = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Score a large OME-Zarr lazily and, in turns, by a script of dask and torch; each time in a new process.

    Prints CPU milliseconds a crop and the most memory of both, the memory that a sparse image takes, how long stopping
    takes, and what a rerun scores again. Beside --out a PNG shows CPU seconds over crops.
    """
    _require_place(out)
    found = _told(compare_frames(FramesRequest(side, sparse_side, crop, passes, repeats, peer_share, seed=seed)))
    if out is not None:
        draw_growth(found, out.with_suffix(".png"))
    _report(found, frames_table(found), out, as_json)


def loop(
    frames: Annotated[int, typer.Option(min=1, max=1000, help="Frames of 1024 px that are applied to.")] = 50,
    most_labels: Annotated[int, typer.Option(min=0, help="The largest training; 0 leaves it out.")] = 100_000,
    device: Device = "auto",
    seed: Seed = 0,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Take one turn of the loop through a frozen backbone: look at crops, retrain, score again, apply.

    Each part beside what was asked of it, and the most memory when it was done.
    """
    _require_place(out)
    found = _told(bench_loop(LoopRequest(frames, most_labels, device, seed)))
    lines = [f"{'':42} {found.unit:>9} {'asked':>9} {'MB':>7}"]
    for name, taken in found.parts.items():
        lines.append(f"{name:42} {taken:9.3f} {found.asked.get(name, float('nan')):9.2f} {found.memory_mb[name]:7.0f}")
        lines += [f"    {part:38} {share:9.3f}" for part, share in found.split[name].items()]
    _report(found, lines, out, as_json)


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
    from tests.benchmarks.gui import CROPS, bench_gui

    found = _told(bench_gui(tuple(crops or CROPS), moves, seed))
    lines = ["     crops                              CPU ms     worst   clock ms     worst"]
    lines += [
        f"{each.crops:10,}  {each.name:28} {each.cpu_ms:9.1f} {each.cpu_worst_ms:9.1f}  {each.wall_ms:9.1f} "
        f"{each.wall_worst_ms:9.1f}"
        for each in found.paces
    ]
    _report(found, lines, out, as_json)


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
    _report(found, starts_table(found), out, as_json)


def everything(
    out: Annotated[Path, typer.Option("--out", help="Folder for the figures of all.")] = Path("benchmarks"),
    device: Device = "auto",
) -> None:
    """Run all benchmarks, one after another; that of the window only where there is a display. Takes an hour or so."""
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    committee(device=device, out=out / "committee.json")
    training(device=device, out=out / "training.json")
    frames(out=out / "frames.json")
    loop(device=device, out=out / "loop.json")
    imports(out=out / "import.json")
    if has_display():
        gui(out=out / "gui.json")


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
        require_place(out)


def _report(found: Figures, table: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Keep the figures where they are wanted, and tell them."""
    if out is not None:
        write_atomically(out, (json.dumps(found.figures, indent=1, allow_nan=False) + "\n").encode())
    tell("\n".join([*about(found.machine), "", *table]), found.figures, as_json)


def evidence(
    run: Annotated[Path, typer.Argument(help="The folder of a finished 'costal experiment' with stop_cost.")],
    repeats: Annotated[int, typer.Option(min=1, help="How many of its repeats the peers go through.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Let TypiClust and DropQuery choose among the same crops as the arms of an experiment, and compare."""
    from tests.benchmarks.evidence_peers import PeersRequest, compare_peers

    found = _told(compare_peers(PeersRequest(run, repeats)))
    tell(found, {"table": found}, as_json)
