"""How *Label crops* keeps up with large frames: real widgets in a real window, with made-up scores."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import napari
import numpy as np
from napari.viewer import Viewer
from qtpy.QtCore import QEventLoop
from qtpy.QtWidgets import QApplication

from costal.errors import CostalError
from costal.frames.grid import SMALLEST_CROP
from costal.labels.project import Choices, Project
from costal.labels.project_file import create_project, save_project
from costal.scoring.queries import query_of, unanswered
from costal.scoring.scores import FrameScores
from costal.seeds import rng_for
from costal.types import Job, Progress, Scores
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.ui.preferences import Preferences
from tests.benchmarks.machine import Figures, machine

CROPS = (10_000, 100_000, 1_000_000)
MOVES = 20
FEATURES, CLASSES, ANSWERED = 32, 4, 500
SETTLED_S, PATIENCE_S = 0.3, 120.0
SELECTIONS: dict[str, dict[str, object]] = {
    "plain": {"diverse": False},
    "diverse": {"diverse": True},
    "diverse, n = 100": {"diverse": True, "n": 100},
    "budget": {"diverse": False, "by": "minutes", "minutes": 20.0},
    "budget, diverse": {"diverse": True, "by": "minutes", "minutes": 20.0},
}


@dataclass(frozen=True, slots=True)
class Pace:
    """What one thing takes, in milliseconds: median and worst on the CPU and on the clock, of `count` times."""

    name: str
    crops: int
    count: int
    cpu_ms: float
    cpu_worst_ms: float
    wall_ms: float
    wall_worst_ms: float


@dataclass(frozen=True, slots=True)
class GuiFigures(Figures):
    """The paces of slider moves (CPU time of the GUI thread, painting left out) and of selections, by size."""

    seed: int
    paces: tuple[Pace, ...]


def bench_gui(sizes: Sequence[int] = CROPS, moves: int = MOVES, seed: int = 0) -> Job[GuiFigures]:
    """Return what a move of the slider and a selection take on frames of about so many crops each.

    Raises
    ------
    CostalError
        When the window does not come to rest.
    """
    here = machine("cpu", "")
    paces: list[Pace] = []
    for number, size in enumerate(sizes):
        yield Progress(number, len(sizes), f"{size} crops")
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            viewer = napari.Viewer()
            try:
                paces += _paces(viewer, Path(folder), round(size**0.5), moves, seed)
            finally:
                viewer.close()
    return GuiFigures(here, seed, tuple(paces))


def made_up(count: int, seed: int) -> FrameScores:
    """Return scores as a committee and a cost model might give them: features of few true dimensions, costs of 3 s."""
    rng = rng_for(seed, "scores", count)
    latent = rng.normal(size=(count, 6)).astype(np.float32)
    features_N_F = latent @ rng.normal(size=(6, FEATURES)).astype(np.float32)
    information_N = (rng.random(count, dtype=np.float32) * np.exp(-np.abs(latent[:, 0]))).astype(np.float32)
    cost_N = (3 * np.exp(0.4 * rng.normal(size=count))).astype(np.float32)
    probs_N_K = rng.dirichlet(np.ones(CLASSES), count).astype(np.float32)
    scores = Scores(information_N, cost_N, probs_N_K, False, "made up", (), features_N_F, 0.4)
    return FrameScores(scores, 1)


def _paces(viewer: Viewer, folder: Path, side: int, moves: int, seed: int) -> list[Pace]:
    """Return the paces on a frame of side x side crops, with some hundred answered."""
    project = create_project(folder / "project")
    save_project(replace(project, tiling=replace(project.tiling, crop=SMALLEST_CROP, stride=SMALLEST_CROP)))
    preferences = Preferences("bench", folder, "cpu", recent_file=folder / "recent.json")
    dock = LabelCrops(viewer, preferences)
    viewer.window.add_dock_widget(dock)
    session, frame, query = dock.session, dock.frame, dock.query
    pixels = rng_for(seed, "pixels").integers(0, 255, (side * SMALLEST_CROP,) * 2, dtype=np.uint8)
    viewer.add_image(pixels, name="frame")
    session.open(project.folder)
    _wait(lambda: frame.loaded is not None)
    if frame.grid is None or session.project is None:
        raise CostalError("The frame was not cut into crops.")
    found, grid = made_up(len(frame.grid), seed), frame.grid
    query.frame_scores = found
    query.recombine()
    _wait(lambda: query.picked is not None)
    _settle()
    betas = iter(np.linspace(0.1, 1.9, moves + 2).round(2).tolist())
    spent = []
    for _ in range(moves + 2):
        spent.append(_spent(lambda: dock.setup.beta.setValue(next(betas)), time.thread_time))
        _settle()
    paces = [_pace("slider move", len(grid), spent[2:])]  # the first makes the heatmap
    answered = rng_for(seed, "answered").choice(len(grid), ANSWERED, replace=False)
    candidates = np.setdiff1d(unanswered({}, grid), answered)
    for name, choices in SELECTIONS.items():
        chosen = _choosing(session.project, choices)
        select = partial(query_of, found, chosen, grid, candidates, seed, "abc")
        spent = [_spent(select, time.process_time) for _ in range(moves // 4 + 2)]
        paces.append(_pace(f"selection: {name}", len(grid), spent[1:]))
    dock.close()
    return paces


def _choosing(project: Project, choices: dict[str, object]) -> Project:
    asked: Choices = replace(project.choices, control_share=0.1, **choices)  # type: ignore[arg-type]
    return replace(project, choices=asked)


def _spent(act: Callable[[], object], clock: Callable[[], float]) -> tuple[float, float]:
    """Return the milliseconds of CPU and on the clock that something takes."""
    wall, cpu = time.perf_counter(), clock()
    act()
    return (clock() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3


def _pace(name: str, crops: int, spent: Sequence[tuple[float, float]]) -> Pace:
    cpu, wall = zip(*spent, strict=True)
    return Pace(name, crops, len(spent), statistics.median(cpu), max(cpu), statistics.median(wall), max(wall))


def _wait(until: Callable[[], bool]) -> None:
    """Let the window live until something is so."""
    began = time.monotonic()
    while not until():
        if time.monotonic() - began > PATIENCE_S:
            raise CostalError(f"The window did not come to rest within {PATIENCE_S:g} s. Try fewer crops.")
        QApplication.processEvents(QEventLoop.ProcessEventsFlag.AllEvents, 20)
        time.sleep(0.002)


def _settle() -> None:
    """Let the window paint and select."""
    began = time.monotonic()
    _wait(lambda: time.monotonic() - began > SETTLED_S)
