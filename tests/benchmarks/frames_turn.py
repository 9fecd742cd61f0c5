"""One turn of the benchmark of large frames, in a process of its own so that its memory is its own.

``python -m tests.benchmarks.frames_turn TURN.json RESULT.json``
"""

import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from costal.frames.lazy import open_lazily
from costal.frames.normalise import IntensityRange
from costal.frames.read import Planes
from costal.labels.models import load_newest
from costal.labels.project_file import load_project
from costal.scoring.bands import score_bands
from costal.scoring.frame_planes import frame_of
from costal.scoring.prepare import ScoreRequest, prepare
from costal.scoring.queries import query_among
from costal.scoring.scores import put_together, write_heatmap
from costal.types import finish
from tests.benchmarks.frames_peer import score_with_dask

RANGE = (500.0, 30_000.0)
OURS, PEER, CANCEL = "ours", "peer", "cancel"


@dataclass(frozen=True, slots=True)
class Turn:
    """What is done once: `kind` is ours, peer or cancel; the peer scores the first `rows` of crop rows."""

    kind: str
    image: str
    project: str
    folder: str
    passes: int
    rows: int = 0
    missing: str = "raise"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn took. `loaded_mb` is the memory at its peak before any pixel was read, torch and model included."""

    kind: str
    crops: int
    scored: int
    cpu_s: float
    wall_s: float
    loaded_mb: float
    peak_mb: float
    information: float


def peak_mb() -> float:
    """Return the most memory this process has held so far, in MB."""
    told = Path("/proc/self/status")
    if told.is_file():  # getrusage would count what the process that started this one held
        line = next(line for line in told.read_text("utf-8").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1000
    try:
        import resource
    except ImportError:
        import psutil

        return float(psutil.Process().memory_info().peak_wset) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def run(turn: Turn) -> Outcome:
    """Do a turn."""
    project = load_project(Path(turn.project))
    frame = open_lazily(turn.image, "fill" if turn.missing == "fill" else "raise")
    kept = load_newest(project.model_folder)
    if kept is None:
        raise ValueError(f"{project.folder} has no model")
    side = project.tiling.crop
    _warm_up(kept.agent.classifier[0], side, len(project.offered), turn)
    loaded, cpu, wall = peak_mb(), time.process_time(), time.perf_counter()
    if turn.kind == PEER:
        found = score_with_dask(
            frame.levels[0], side, turn.rows, RANGE, kept.agent.classifier[0], len(project.offered), turn.passes
        )
        crops = scored = found.size
        information = float(found.mean())
    else:
        request = ScoreRequest(
            project,
            frame_of(frame, Planes()),
            Path(turn.folder),
            "fill" if turn.missing == "fill" else "raise",
            device="cpu",
            range=IntensityRange((RANGE[0],), (RANGE[1],)),
        )
        prepared = prepare(request)
        scored = sum(np.subtract(*prepared.work.span(number)[::-1]) for number in prepared.to_do)
        job = score_bands(prepared.work, prepared.work.open(), prepared.agent, prepared.to_do)
        if turn.kind == CANCEL:
            next(each for each in job if each.done > each.total // 20)
            wall = time.perf_counter()
            job.close()
            return Outcome(CANCEL, len(prepared.work.grid), 0, 0.0, time.perf_counter() - wall, loaded, peak_mb(), 0.0)
        finish(job)
        scores = put_together(prepared)
        query_among(prepared, scores, {})
        value_N = scores.value_N(project.choices.alpha, project.choices.beta)
        write_heatmap(Path(turn.folder), prepared.work.grid, value_N)
        crops = len(prepared.work.grid)
        information = float(np.mean(scores.scores.information_N)) if scores.scores is not None else float("nan")
    spent = time.process_time() - cpu, time.perf_counter() - wall
    return Outcome(turn.kind, crops, int(scored), *spent, loaded, peak_mb(), information)


def _warm_up(weights: object, crop: int, classes: int, turn: Turn) -> None:
    """Import what the turn needs, and let torch set up what it sets up once."""
    import torch

    from costal.agent import classifier, committee  # noqa: F401
    from costal.agent.networks import Network

    if turn.kind == PEER:
        import dask.array  # noqa: F401
    with torch.inference_mode():
        Network((1, crop, crop), classes)(torch.zeros(256, 1, crop, crop))


if __name__ == "__main__":
    asked = Turn(**json.loads(Path(sys.argv[1]).read_text("utf-8")))
    Path(sys.argv[2]).write_text(json.dumps(asdict(run(asked))), encoding="utf-8")
