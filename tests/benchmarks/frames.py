"""Large frames: CPU seconds and memory of the lazy path beside a dask and torch script, and how both grow."""

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costal.errors import CostalError
from costal.frames.windows import Pixels
from costal.labels.models import save_agent
from costal.labels.project import Project, Tiling
from costal.labels.project_file import create_project, save_project
from costal.loop import learn, new_agent
from costal.seeds import rng_for
from costal.types import Answer, Job, Progress, Training, finish
from tests.benchmarks.frames_turn import CANCEL, OURS, PEER, Outcome, Turn
from tests.benchmarks.machine import Figures, Machine, machine

CHUNK = 1024
SHARES = (0.25, 0.5, 0.75, 1.0)
FEW_PASSES = 2


@dataclass(frozen=True, slots=True)
class FramesRequest:
    """What is measured: an image of `side` pixels with T `passes`, `repeats` times, and a sparse one.

    The peer scores the first `peer_share` of the crop rows. One chunk in `one_in` of the sparse image is written.
    """

    side: int = 20_000
    sparse_side: int = 100_000
    crop: int = 64
    passes: int = 20
    repeats: int = 3
    peer_share: float = 0.05
    one_in: int = 400
    seed: int = 0


@dataclass(frozen=True, slots=True)
class FramesFigures(Figures):
    """What the comparison came to; CPU milliseconds a crop are medians over repeats.

    `grown_mb` is the most memory beyond the loaded model. `growth` holds the crops and CPU seconds of images of
    growing size. `rescored` counts the crops that a rerun scored.
    """

    request: FramesRequest
    ours_ms: float
    peer_ms: float
    ratio: float
    ours_peak_mb: float
    peer_peak_mb: float
    grown_mb: float
    ours_information: float
    peer_information: float
    sparse_crops: int
    sparse_peak_mb: float
    sparse_grown_mb: float
    cancel_s: float
    rescored: int
    rerun_cpu_s: float
    growth: tuple[tuple[int, float], ...]
    turns: tuple[Outcome, ...]


def compare_frames(request: FramesRequest) -> Job[FramesFigures]:
    """Return what large images cost, each turn in a process of its own, the two taking turns.

    Raises
    ------
    CostalError
        When a turn fails.
    """
    here = machine("cpu", "")
    with tempfile.TemporaryDirectory(prefix="costal-frames-", ignore_cleanup_errors=True) as place:
        folder = Path(place)
        yield Progress(0, 1, "Making the images")
        project = _project(folder / "project", request)
        image = make_image(folder / "image.zarr", request.side, request.seed)
        turn = Turn(OURS, str(image), str(project.folder), str(folder / "out"), request.passes)
        rows = max(1, round(request.side // request.crop * request.peer_share))
        turns: list[Outcome] = []
        for repeat in range(request.repeats):
            ours = replace(turn, folder=str(folder / f"out-{repeat}"))
            for each in (ours, replace(turn, kind=PEER, rows=rows))[:: 1 if repeat % 2 == 0 else -1]:
                yield Progress(repeat, request.repeats, f"Repeat {repeat + 1}: {each.kind}")
                turns.append(_done(each, folder))
        yield Progress(0, 1, "Scoring again what is scored")
        again = _done(replace(turn, folder=str(folder / "out-0")), folder)
        yield Progress(0, 1, "Stopping in between")
        cancelled = _done(replace(turn, kind=CANCEL, folder=str(folder / "stopped")), folder)
        growth = []
        for share in SHARES[:-1]:
            yield Progress(0, 1, f"{share:.0%} of the crops")
            part = make_image(folder / f"{share}.zarr", request.side, request.seed, share)
            grown = _done(replace(turn, image=str(part), folder=str(folder / f"part-{share}")), folder)
            growth.append((grown.crops, grown.cpu_s))
        yield Progress(0, 1, "A sparse image")
        _project(folder / "few", replace(request, passes=FEW_PASSES))
        sparse = make_image(folder / "sparse.zarr", request.sparse_side, request.seed, one_in=request.one_in)
        few = replace(turn, image=str(sparse), project=str(folder / "few"), folder=str(folder / "sparse-out"))
        wide = _done(replace(few, missing="fill"), folder)
    return _figures(request, here, turns, again, cancelled, growth, wide)


def make_image(path: Path, side: int, seed: int, share: float = 1.0, one_in: int = 1) -> Path:
    """Write a 16-bit OME-Zarr of a simulated field, chunk by chunk; every `one_in`-th chunk alone is written.

    With `share` it has only the upper part of the rows.
    """
    import zarr

    chunk = min(CHUNK, side)
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    shape = (max(1, round(side * share)), side)
    array = group.create_array("0", shape=shape, chunks=(chunk, chunk), dtype="uint16", fill_value=0)
    scale = [{"type": "scale", "scale": [0.1, 0.1]}]
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "yx"]
    levels = [{"path": "0", "coordinateTransformations": scale}]
    ome: Any = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    group.attrs["ome"] = ome
    field = _field(chunk, seed)
    places = [(y, x) for y in range(0, shape[0], chunk) for x in range(0, side, chunk)]
    for number, (y, x) in enumerate(places):
        if number % one_in == 0:
            turned = np.roll(np.rot90(field, number % 4), number * 37, axis=1)
            array[y : y + chunk, x : x + chunk] = turned[: shape[0] - y, : side - x]
    return path


def _field(side: int, seed: int) -> Pixels:
    """Return filaments of smoothed noise on a background with photon noise."""
    from scipy import ndimage

    rng = rng_for(seed, "field")
    smooth = ndimage.gaussian_filter(rng.normal(size=(side, side)), (2, 12), mode="wrap")
    light: NDArray[np.float64] = np.clip(smooth / smooth.std(), 0, None) * 8000 + 600
    field: Pixels = np.clip(rng.poisson(light / 50) * 50.0, 0, 65_535).astype(np.uint16)
    return field


def _project(folder: Path, request: FramesRequest) -> Project:
    """Return a project whose model has been trained a little, on noise of two strengths."""
    made = create_project(folder, ("a", "b"))
    choices = replace(made.choices, passes=request.passes, acquisition="std")
    made = replace(made, tiling=Tiling(request.crop, request.crop), choices=choices)
    save_project(made)
    rng, shape = rng_for(request.seed, "labels"), (1, request.crop, request.crop)
    answers = [Answer(rng.normal(0.2 + label / 2, 0.3, shape).astype(np.float32), label, None) for label in (0, 1) * 8]
    settings = replace(made.agent_settings(), training=Training(min_steps=10, epochs=0))
    agent = finish(learn(new_agent(settings, shape), answers, request.seed, "cpu"))
    save_agent(made.model_folder, replace(agent, settings=made.agent_settings()))
    return made


def _done(turn: Turn, folder: Path) -> Outcome:
    """Return what a turn took in a process of its own."""
    asked, told = folder / "turn.json", folder / "outcome.json"
    asked.write_text(json.dumps(asdict(turn)), encoding="utf-8")
    command = [sys.executable, "-m", "tests.benchmarks.frames_turn", str(asked), str(told)]
    ran = subprocess.run(command, capture_output=True, text=True)
    if ran.returncode:
        raise CostalError(f"The turn '{turn.kind}' failed: {ran.stderr.strip()[-500:]}")
    return Outcome(**json.loads(told.read_text("utf-8")))


def _figures(
    request: FramesRequest,
    here: Machine,
    turns: Sequence[Outcome],
    again: Outcome,
    cancelled: Outcome,
    growth: Sequence[tuple[int, float]],
    wide: Outcome,
) -> FramesFigures:
    ours, peers = ([each for each in turns if each.kind == kind] for kind in (OURS, PEER))
    ours_ms, peer_ms = (statistics.median(1e3 * each.cpu_s / each.crops for each in some) for some in (ours, peers))
    whole = (ours[0].crops, statistics.median(each.cpu_s for each in ours))
    return FramesFigures(
        here,
        request,
        ours_ms,
        peer_ms,
        peer_ms / ours_ms,
        max(each.peak_mb for each in ours),
        max(each.peak_mb for each in peers),
        max(each.peak_mb - each.loaded_mb for each in ours),
        ours[0].information,
        peers[0].information,
        wide.crops,
        wide.peak_mb,
        wide.peak_mb - wide.loaded_mb,
        cancelled.wall_s,
        again.scored,
        again.cpu_s,
        (*growth, whole),
        (*turns, again, cancelled, wide),
    )


def draw_growth(found: FramesFigures, path: Path) -> None:
    """Draw CPU seconds over crops, with the straight line through all of them, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    crops, seconds = np.array(found.growth).T
    figure = Figure(figsize=(5, 3.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    slope, start = np.polyfit(crops, seconds, 1) if len(crops) > 1 else (0.0, float(seconds[0]))
    axes.plot(crops, seconds, "o", color="#4477aa")
    axes.plot([0, crops.max()], [start, start + slope * crops.max()], color="#bbbbbb", zorder=0)
    axes.set(xlabel="crops", ylabel="CPU seconds", xlim=(0, None), ylim=(0, None))
    axes.set_title(f"{1e3 * slope:.2f} CPU ms a crop, {start:+.1f} s", fontsize="medium")
    figure.savefig(path, dpi=120)
