"""What one turn of the loop takes at the microscope: look at crops, retrain both models, score again, apply.

All through the product: a project on disk, its frozen backbone, T = 50 passes in all, the cost model included. Features
are kept in the project's folder; what is "warm" finds them there.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from costal.agent import backbones
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.agent.devices import choose_device
from costal.applying.classify import ApplyRequest, apply_to_frame
from costal.frames.simulate import CLASS_NAMES, SimulatedField, simulate_field, simulated_effort_s
from costal.labels.project import Choices, Project, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.loop import learn, new_agent
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import Agent, AgentSettings, Answer, Job, Progress, finish
from costal.workbench.retraining import RetrainRequest, retrain
from tests.benchmarks.answering import answer_crops
from tests.benchmarks.machine import Figures, Machine, machine
from tests.benchmarks.split import split_into
from tests.benchmarks.stopwatch import timed, unit_on

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


PARTS = {
    "read crops": (
        "costal.labels.store.Store.presented",
        "costal.workbench.retraining.review",
        "costal.workbench.retraining.answers_of",
        "costal.applying.classify.measured_range",
        "costal.scoring.prepare.measured_range",
        "costal.scoring.bands._BandCrops.normalised",
    ),
    "backbone": ("costal.agent.backbones.inputs_of",),
    "kept features": ("costal.scoring.features.FeatureFiles.load", "costal.scoring.features.FeatureFiles.keep"),
    "classifier": ("costal.agent.classifier.train_classifiers", "costal.agent.classifier.ask_committee"),
    "cost model": ("costal.agent.cost.train_cost_models", "costal.agent.cost.predict_cost"),
    "save": ("costal.workbench.retraining.save_agent",),
}
"""The functions of each part; what is in none is the rest."""


@dataclass(frozen=True, slots=True)
class LoopRequest:
    """So many frames are applied to; `most_labels` is the largest training, 0 leaves it out."""

    frames: int = 50
    most_labels: int = 100_000
    device: str = "auto"
    seed: int = 0


@dataclass(frozen=True, slots=True)
class LoopFigures(Figures):
    """Each piece of work by name, what was asked of it, its parts, and the process's most memory (MB) after it."""

    request: LoopRequest
    unit: str
    parts: dict[str, float]
    asked: dict[str, float]
    memory_mb: dict[str, float] = field(default_factory=dict)
    split: dict[str, dict[str, float]] = field(default_factory=dict)


def bench_loop(request: LoopRequest) -> Job[LoopFigures]:
    """Return what each part of the loop takes."""
    device = choose_device(request.device)
    here: Machine = machine(device, "simulated STED")
    run = _Run(device)
    with tempfile.TemporaryDirectory() as folder:
        yield Progress(0, 5, "Labelling")
        project, fields = _labelled(Path(folder), request.seed)
        frame, per_crop = _frame(fields[0], 0), 1000 / _count(fields[0])
        _score(project, _frame(simulate_field((SIDE, SIDE), CROP, request.seed + 99), 99), device)  # reads the weights
        yield Progress(1, 5, "Computing features")
        run.take("features of a crop, cold (ms)", lambda: _score(project, frame, device), per_crop)
        yield Progress(2, 5, "Training")
        run.take(f"retrain both, {FEW:,} labels (s)", lambda: finish(retrain(RetrainRequest(project, 0, device))))
        many = _many_labelled(Path(folder), request)
        run.take(f"retrain both, {MANY:,} labels (s)", lambda: finish(retrain(RetrainRequest(many, 0, device))))
        if request.most_labels:
            yield Progress(3, 5, f"Training on {request.most_labels:,} labels")
            agent, answers = _made_up(request.most_labels)
            run.take(
                f"retrain both, {request.most_labels:,} labels (s)", lambda: finish(learn(agent, answers, 0, device))
            )
            del answers
        yield Progress(4, 5, "Scoring")
        run.take("score a crop again, warm (ms)", lambda: _score(project, frame, device), per_crop)
        run.take("last answer to new scores, 256 crops (s)", lambda: _turn(project, frame, device))
        yield from _applied(run, project, request)
    return LoopFigures(here, request, unit_on(device), run.parts, ASKED, run.memory_mb, run.split)


@dataclass(frozen=True, slots=True)
class _Run:
    device: str
    parts: dict[str, float] = field(default_factory=dict)
    memory_mb: dict[str, float] = field(default_factory=dict)
    split: dict[str, dict[str, float]] = field(default_factory=dict)

    def take(self, name: str, work: Callable[[], object], scale: float = 1.0) -> None:
        """Do some work as a program that has just begun, and add what it took, and its parts, to a figure."""
        backbones._kept.cache_clear()  # features are on disk at most
        clock = time.process_time if self.device == "cpu" else time.perf_counter
        with split_into(PARTS, clock) as split:
            _, spent = timed(work, self.device)
        self.parts[name] = round(self.parts.get(name, 0.0) + scale * spent.on(self.device), 4)
        parts = self.split.setdefault(name, {})
        for part, seconds in split.seconds.items():
            parts[part] = round(parts.get(part, 0.0) + scale * seconds, 4)
        self.memory_mb[name] = round(_most_memory() / 1e6)


def _score(project: Project, frame: FramePlane, device: str) -> None:
    finish(score_prepared(prepare(ScoreRequest(project, frame, device=device))))


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
    answer_crops(folder, simulated, frame, range(min(labels, _count(simulated))), efforts, "bench")


def _frame(simulated: SimulatedField, number: int) -> FramePlane:
    return FramePlane(simulated.pixels_Y_X[np.newaxis], f"{number}.tif", "all", f"{number:064}", simulated.pixel_um)


def _count(simulated: SimulatedField) -> int:
    return len(simulated.grid)


def _many_labelled(folder: Path, request: LoopRequest) -> Project:
    """Return a project with `MANY` labels, trained once."""
    made = create_project(folder / "many", CLASS_NAMES)
    choices = Choices(passes=PASSES, n=10, backbone=EFFICIENTNET_LITE0)
    save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
    for number in range(-(-MANY // 256)):
        simulated = simulate_field((SIDE, SIDE), CROP, request.seed + 10 + number)
        _answer(made.folder, simulated, number, MANY - 256 * number)
    project = load_project(made.folder)
    finish(retrain(RetrainRequest(project, 0, request.device)))
    return project


def _made_up(labels: int) -> tuple[Agent, list[Answer]]:
    """Return an agent that knows nothing and so many answers whose features are there, of eight turns each."""
    rng = np.random.default_rng(0)
    blank = np.zeros((1, 8, 8), np.float32)
    agent = new_agent(AgentSettings(4, passes=PASSES, backbone=EFFICIENTNET_LITE0), (1, 8, 8))
    features = rng.standard_normal((1000, 8, LITE0_CARD.feature_count)).astype(np.float16)
    answers = [
        Answer(blank, number % 4, 1 + float(rng.random()), features_V_F=features[number % 1000])
        for number in range(labels)
    ]
    return agent, answers


def _turn(project: Project, frame: FramePlane, device: str) -> None:
    """Do what comes between the last answer of a query and the new heatmap, but for drawing it."""
    finish(retrain(RetrainRequest(project, 0, device)))
    _score(project, frame, device)


def _applied(run: _Run, project: Project, request: LoopRequest) -> Job[None]:
    """Classify frames that were never seen, and once more."""
    frames = [
        _frame(simulate_field((SIDE, SIDE), CROP, request.seed + 1000 + number), 1000 + number)
        for number in range(request.frames)
    ]
    for name in ("cold", "warm"):
        for number, frame in enumerate(frames):
            yield Progress(number, len(frames), f"Applying, {name}")
            request_of_frame = ApplyRequest(project, frame, device=run.device)
            run.take(
                f"apply to 50 frames, {name} (s)",
                partial(lambda each: finish(apply_to_frame(each)), request_of_frame),
                50 / len(frames),
            )


def _most_memory() -> int:
    """Return the most bytes that this process had resident; what it has now where the system does not tell."""
    memory = psutil.Process().memory_info()
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    except ImportError:
        return int(getattr(memory, "peak_wset", memory.rss))
