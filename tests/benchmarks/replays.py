"""Whether a replay tells the truth: 20 projects of 200 simulated labels are replayed, beside what holds of all of them.

Run ``OMP_WAIT_POLICY=PASSIVE python -m tests.benchmarks.replays`` (threads that wait sleep, as under ``costal`` and in
the window): prints JSON and keeps it as ``resources/benchmarks/replays.json``. The truth is the same arms on the same
labels, one repeat per project, tested on 1,000 other crops, where a replay has 50.
"""

import argparse
import json
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from costal.agent.cards import EFFICIENTNET_LITE0
from costal.frames.grid import crop_at
from costal.frames.normalise import intensity_range, normalise
from costal.frames.simulate import CLASS_NAMES, simulate_field, simulated_effort_s
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.paper.evidence import Saving
from costal.paper.own_project import load_own_project
from costal.paper.replay import REPEATS, _plan, _run, _savings, arms_of, replay, sentence
from costal.scoring.frame_planes import FramePlane
from costal.types import finish
from tests.benchmarks.answering import answer_crops
from tests.benchmarks.stalls import kept, machine

PROJECTS, LABELS, CROP, SHAPE = 20, 200, 64, (640, 1280)
TESTS = (1600, 2560)
"""Pixels of the field whose 1,000 crops tell the truth."""


def labelled_project(folder: Path, seed: int) -> Path:
    """Return a project whose expert labelled all crops of a simulated field, each in its simulated time."""
    project = create_project(folder, CLASS_NAMES)
    choices = replace(project.choices, seed=seed, backbone=EFFICIENTNET_LITE0)
    save_project(replace(project, tiling=Tiling(CROP, CROP), choices=choices))
    field = simulate_field(SHAPE, CROP, seed=seed)
    seconds_N = simulated_effort_s(field, seed)
    frame = FramePlane(field.pixels_Y_X[np.newaxis], f"{seed}.tif", "all", f"{seed:064x}", field.pixel_um)
    indices = np.random.default_rng(seed).permutation(len(field.grid))[:LABELS].tolist()
    answer_crops(folder, field, frame, indices, seconds_N, "expert")
    return folder


def truth_of(folders: list[Path], place: Path) -> Saving:
    """Return what the project's settings save over all projects, one repeat each, by the accuracy on another field.

    Projects share no labels, so the intervals are those of an experiment.
    """
    field = simulate_field(TESTS, CROP, seed=10_000)
    plane = field.pixels_Y_X[np.newaxis]
    crops = np.stack([crop_at(plane, field.grid, index) for index in range(len(field.grid))])
    tests = normalise(crops, intensity_range(plane)), field.classes_N.astype(np.int64)  # a project's default

    def split(repeat: int) -> Any:
        return replace(load_own_project(folders[repeat], repeat), test=lambda: tests)

    dataset = replace(split(0), split=split)
    project = load_project(folders[0])
    training = replace(project.agent_settings().training, augment=False)
    smallest = min(map(split, range(len(folders))), key=lambda each: each.train_size)
    plan = _plan(smallest, arms_of(project.choices, (), (), ()), len(folders), "cpu", training)
    finish(_run(plan, dataset, place))
    return _savings(plan, place)[0]


def figures_of(own: Saving) -> dict[str, Any]:
    """Return the figures of the project's own settings against random selection, and the sentence."""
    return {
        "ratio": [round(each, 4) for each in (own.ratio.value, own.ratio.low, own.ratio.high)],
        "gain": [
            round(each, 4) for each in (own.mean_difference.value, own.mean_difference.low, own.mean_difference.high)
        ],
        "verdict": sentence(own),
    }


def timed(folder: Path) -> dict[str, Any]:
    """Return the figures of a replay with its wall and CPU seconds, in this process, torch being loaded already."""
    began, cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    found = finish(replay(folder, device="cpu"))
    after = resource.getrusage(resource.RUSAGE_SELF)
    used = after.ru_utime - cpu.ru_utime + after.ru_stime - cpu.ru_stime
    return figures_of(found.savings[0]) | {"wall_s": round(time.perf_counter() - began, 1), "cpu_s": round(used, 1)}


def main() -> None:
    """Replay each project, find the truth, and say how often the intervals hold it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--projects", type=int, default=PROJECTS)
    count = parser.parse_args().projects
    with tempfile.TemporaryDirectory() as name:
        folders = [labelled_project(Path(name) / str(seed), seed) for seed in range(count)]
        replays = []
        for folder in folders:
            replays.append(timed(folder))
            print(json.dumps(replays[-1]), flush=True)
        truth = figures_of(truth_of(folders, Path(name) / "truth"))
    holds = {key: sum(each[key][1] <= truth[key][0] <= each[key][2] for each in replays) for key in ("ratio", "gain")}
    figures = {
        "machine": machine(),
        "labels": LABELS,
        "repeats of a replay": REPEATS,
        "truth": truth,
        "intervals that hold it": holds,
        "claims of time saved": sum("less time" in each["verdict"] for each in replays),
        "claims of more time": sum("more time" in each["verdict"] for each in replays),
        "replays": replays,
    }
    print(kept("replays", figures))


if __name__ == "__main__":
    main()
