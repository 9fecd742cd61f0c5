"""What one turn of the loop takes at the microscope: look at crops, retrain both models, score again, apply.

All through the product: a project on disk, its frozen backbone, T = 50 passes in all, the cost model included. Features
are kept in the project's folder; what is "warm" finds them there.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import psutil

from costal.agent import backbones
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.agent.devices import choose_device
from costal.applying.classify import ApplyRequest, apply_to_frame
from costal.frames.grid import crop_at
from costal.frames.simulate import CLASS_NAMES, SimulatedField, simulate_field, simulated_effort_s
from costal.labels.effort import Event, EventKind
from costal.labels.models import Generation
from costal.labels.project import Choices, Project, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.loop import learn, new_agent
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import AgentSettings, Answer, Job, Progress, finish
from costal.workbench.desk import Workbench, recorded
from costal.workbench.retraining import RetrainRequest, retrain
from tests.benchmarks.machine import Figures, Machine, machine
from tests.benchmarks.stopwatch import Spent, timed, unit_on

SIDE, CROP, PASSES = 1024, 64, 50
FEW, MANY = 100, 1000
ASKED = {
    "features of a crop, cold (ms)": 2.5,
    "retrain both, 100 labels (s)": 1.0,
    "retrain both, 1,000 labels (s)": 3.0,
    "retrain both, 100,000 labels (s)": 60.0,
    "score a crop again, warm (ms)": 0.20,
    "apply to 50 frames, cold (s)": 15.0,
    "apply to 50 frames, warm (s)": 4.0,
    "last answer to new scores, 256 crops (s)": 2.5,
}
"""What was asked of float32 on one core; of 50 frames, whatever their number here."""


@dataclass(frozen=True, slots=True)
class LoopRequest:
    """So many frames are applied to; `most_labels` is the largest training, 0 leaves it out."""

    frames: int = 50
    most_labels: int = 100_000
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoopFigures(Figures):
    """Each part by name, what was asked of it, and the process's most memory (MB) when it was done."""

    request: LoopRequest
    unit: str
    parts: dict[str, float]
    asked: dict[str, float]
    memory_mb: dict[str, float] = field(default_factory=dict)


def bench_loop(request: LoopRequest) -> Job[LoopFigures]:
    """Return what each part of the loop takes."""
    device = choose_device(request.device)
    here: Machine = machine(device, "simulated STED")
    run = _Run(device, {}, {})
    with tempfile.TemporaryDirectory() as folder:
        yield Progress(0, 5, "Labelling")
        project, fields = _labelled(Path(folder), request.seed)
        warm_up = simulate_field((SIDE, SIDE), CROP, request.seed + 99)
        finish(
            score_prepared(prepare(ScoreRequest(project, _frame(warm_up, 99), device=device)))
        )  # weights are read by now
        yield Progress(1, 5, "Looking at crops")
        with _nothing_in_memory():
            _, spent = timed(
                lambda: finish(score_prepared(prepare(ScoreRequest(project, _frame(fields[0], 0), device=device)))),
                device,
            )
        run.keep("features of a crop, cold (ms)", 1000 * spent.on(device) / _count(fields[0]))
        yield Progress(2, 5, "Training")
        for labels, of_project in ((FEW, project), (MANY, None)):
            run.keep(f"retrain both, {labels:,} labels (s)", _retrained(run, Path(folder), of_project, labels, request))
        if request.most_labels:
            yield Progress(3, 5, f"Training on {request.most_labels:,} labels")
            run.keep(f"retrain both, {request.most_labels:,} labels (s)", _learned(run, request.most_labels))
        yield Progress(4, 5, "Scoring")
        frame = _frame(fields[0], 0)
        with _nothing_in_memory():
            finish(score_prepared(prepare(ScoreRequest(project, frame, device=device))))
            _, spent = timed(
                lambda: finish(score_prepared(prepare(ScoreRequest(project, frame, device=device)))), device
            )
        run.keep("score a crop again, warm (ms)", 1000 * spent.on(device) / _count(fields[0]))
        _, spent = timed(lambda: _turn(project, frame, device), device)
        run.keep("last answer to new scores, 256 crops (s)", spent.on(device))
        yield from _applied(run, project, request)
    return LoopFigures(here, request, unit_on(device), run.parts, ASKED, run.memory_mb)


@dataclass(frozen=True, slots=True)
class _Run:
    device: str
    parts: dict[str, float]
    memory_mb: dict[str, float]

    def keep(self, name: str, taken: float) -> None:
        self.parts[name] = round(taken, 4)
        self.memory_mb[name] = round(_most_memory() / 1e6)


def _labelled(folder: Path, seed: int) -> tuple[Project, list[SimulatedField]]:
    """Return a project with `FEW` labels on a simulated frame, trained once."""
    fields = [simulate_field((SIDE, SIDE), CROP, seed)]
    made = create_project(folder / "few", CLASS_NAMES)
    choices = Choices(passes=PASSES, n=10, backbone=EFFICIENTNET_LITE0)
    save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
    _answer(made.folder, fields[0], 0, FEW)
    project = load_project(made.folder)
    finish(retrain(RetrainRequest(project, 0)))
    return project, fields


def _answer(folder: Path, simulated: SimulatedField, number: int, labels: int) -> None:
    efforts = simulated_effort_s(simulated, number)
    frame = _frame(simulated, number)
    with Workbench(folder, "bench") as bench:
        placed = bench.place(recorded(frame))
        for index in range(min(labels, _count(simulated))):
            y, x = simulated.grid.origin(index)
            end_ns = round(float(efforts[index]) * 1e9)
            events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, end_ns, end_ns))
            crop = crop_at(frame.pixels_C_Y_X, simulated.grid, index)
            class_id = 1 + int(simulated.classes_N[index])
            bench.answer(AnswerRecord(placed.id, y, x, crop, "class", class_id, "bench", events))


def _frame(simulated: SimulatedField, number: int) -> FramePlane:
    return FramePlane(simulated.pixels_Y_X[np.newaxis], f"{number}.tif", "all", f"{number:064}", simulated.pixel_um)


def _count(simulated: SimulatedField) -> int:
    return len(simulated.grid)


def _retrained(run: _Run, folder: Path, project: Project | None, labels: int, request: LoopRequest) -> float:
    """Return what retraining a project takes whose labelled crops were looked at before."""
    if project is None:
        made = create_project(folder / "many", CLASS_NAMES)
        choices = Choices(passes=PASSES, n=10, backbone=EFFICIENTNET_LITE0)
        save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
        for number in range(-(-labels // 256)):
            simulated = simulate_field((SIDE, SIDE), CROP, request.seed + 10 + number)
            _answer(made.folder, simulated, number, labels - 256 * number)
        project = load_project(made.folder)
        finish(retrain(RetrainRequest(project, 0, run.device)))
    with _nothing_in_memory():
        _, spent = timed(lambda: finish(retrain(RetrainRequest(project, 0, run.device))), run.device)
    return spent.on(run.device)


def _learned(run: _Run, labels: int) -> float:
    """Return what learning from so many crops takes whose features are there, of eight turns each."""
    rng = np.random.default_rng(0)
    blank = np.zeros((1, 8, 8), np.float32)
    agent = new_agent(AgentSettings(4, passes=PASSES, backbone=EFFICIENTNET_LITE0), (1, 8, 8))
    features = rng.standard_normal((1000, 8, LITE0_CARD.feature_count)).astype(np.float16)
    answers = [
        Answer(blank, number % 4, 1 + float(rng.random()), features_V_F=features[number % 1000])
        for number in range(labels)
    ]
    _, spent = timed(lambda: finish(learn(agent, answers, 0, run.device)), run.device)
    return spent.on(run.device)


def _turn(project: Project, frame: FramePlane, device: str) -> Generation:
    """Do what comes between the last answer of a query and the new heatmap, but for drawing it."""
    generation = finish(retrain(RetrainRequest(project, 0, device)))
    finish(score_prepared(prepare(ScoreRequest(project, frame, device=device))))
    return generation


def _applied(run: _Run, project: Project, request: LoopRequest) -> Job[None]:
    """Classify frames that were never seen, and once more."""
    frames = [
        _frame(simulate_field((SIDE, SIDE), CROP, request.seed + 1000 + number), 1000 + number)
        for number in range(request.frames)
    ]
    for name in ("cold", "warm"):
        spent: list[Spent] = []
        for number, frame in enumerate(frames):
            yield Progress(number, len(frames), f"Applying, {name}")
            with _nothing_in_memory():
                asked = ApplyRequest(project, frame, device=run.device)
                spent.append(timed(lambda asked=asked: finish(apply_to_frame(asked)), run.device)[1])  # type: ignore[misc]
        run.keep(f"apply to 50 frames, {name} (s)", 50 / len(frames) * sum(each.on(run.device) for each in spent))


@contextmanager
def _nothing_in_memory() -> Iterator[None]:
    """Begin as another process would: features are on disk at most."""
    backbones._kept.cache_clear()
    yield


def _most_memory() -> int:
    """Return the most bytes that this process had resident; what it has now where the system does not tell."""
    told = psutil.Process().memory_info()
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    except ImportError:
        return int(getattr(told, "peak_wset", told.rss))
