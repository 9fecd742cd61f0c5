"""Days at the microscope that end by SIGKILL: what was acknowledged is there afterwards, and work goes on.

Run ``xvfb-run -a -s "-screen 0 1500x1000x24" python -m tests.faults.kill_day 200``: one project, one watched
folder that a simulated microscope writes to, and again and again a `day` in it that is killed at a random moment:
while it starts, labels, trains or scores; with its engine process, or the window alone, whose engine must then end by
itself. After
each the project must be free, whole and open again with every acknowledged label as it was given. Each kill is a line
of ``resources/benchmarks/kills.json``, which must not hold results of another kind.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from costal.agent.cards import EFFICIENTNET_LITE0
from costal.errors import CostalError
from costal.frames.grid import tile
from costal.frames.simulate import simulate_field
from costal.labels.controls import control_flags
from costal.labels.models import load_newest
from costal.labels.project import Project
from costal.labels.project_file import save_project
from costal.labels.repair.findings import examine
from costal.labels.repair.repair import repair
from costal.workbench.session import ProjectSession
from tests.benchmarks.answering import learn_from
from tests.faults.day import CROP, SHAPE, microscope, project_for_a_day

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "resources" / "benchmarks" / "kills.json"
FRAME_EVERY_S = 10.0
LONGEST_START_S, LONGEST_DAYS_S, PATIENCE_S = 12.0, (8.0, 14.0, 40.0), 90.0  # a long day saves a model
DURING_START = 0.2
CHECKED_BY_CLI_EVERY = 20


def main() -> None:
    """Kill as many days as asked for, and end with an error when one left something amiss."""
    parser = argparse.ArgumentParser()
    parser.add_argument("kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    kills_in(asked.results)
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        project, inbox = project_for_a_day(Path(name))
        give_a_model(project)
        acknowledged = Path(name) / "acknowledged.jsonl"
        acknowledged.touch()
        # A simulated microscope ends by itself: each frame takes its time.
        with microscope(inbox, frames=100_000, every=FRAME_EVERY_S):
            for number in range(1, asked.kills + 1):
                told = kill_one(project, acknowledged, rng)
                left = what_is_left(project, acknowledged, number)
                told |= left | {"amiss": told["amiss"] + left["amiss"]}
                keep(asked.results, told)
                print(number, json.dumps(told), flush=True)
    kills = kills_in(asked.results)
    wrong = [each for each in kills if each["amiss"]]
    print(f"{len(kills)} kills, something amiss after {len(wrong)}")
    sys.exit(bool(wrong))


def give_a_model(project: Project) -> None:
    """Label a frame and train, so that queries have controls from the first day on; a short day saves no model.

    The project gets the backbone that the window gives to new ones.
    """
    save_project(replace(project, choices=replace(project.choices, backbone=EFFICIENTNET_LITE0)))
    field = simulate_field(SHAPE, CROP, seed=1)
    learn_from(project.folder, field, len(field.grid), "expert")


def kill_one(project: Project, acknowledged: Path, rng: random.Random) -> dict[str, Any]:
    """Start a day, kill it at a random moment, and return what it was doing."""
    began, before = time.monotonic(), lines(acknowledged)
    report = project.folder.parent / "report.json"
    phase = report.with_suffix(".phase")
    phase.unlink(missing_ok=True)
    command = [sys.executable, ROOT / "tests/faults/day.py", project.folder, acknowledged, report, "--look-round", 0.3]
    day = subprocess.Popen(
        [str(each) for each in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    during_start = rng.random() < DURING_START
    if during_start:
        time.sleep(rng.uniform(0.5, LONGEST_START_S))
    else:
        while lines(acknowledged) == before and day.poll() is None and time.monotonic() < began + PATIENCE_S:
            time.sleep(0.02)
        time.sleep(rng.uniform(0, rng.choice(LONGEST_DAYS_S)))
    engines = engines_of(day.pid)
    with_engine = rng.random() < 0.5
    ended_before = day.poll()
    day.kill()
    for engine in engines if with_engine else ():
        os.kill(engine.pid, signal.SIGKILL)
    day.communicate()
    amiss = (
        [] if ended_before is None else [f"it ended by itself: {report.read_text()[:300] if report.exists() else ''}"]
    )
    _, alive = psutil.wait_procs(engines, timeout=10)
    amiss += [f"engine {each.pid} is left" for each in alive]
    return {
        "when": f"{datetime.now():%Y-%m-%d %H:%M:%S}",
        "after_s": round(time.monotonic() - began, 1),
        "doing": phase.read_text() if phase.exists() else "starting",
        "engine": ("killed too" if with_engine else "left to end by itself") if engines else "none yet",
        "acknowledged": lines(acknowledged) - before,
        "amiss": amiss,
    }


def engines_of(pid: int) -> list[psutil.Process]:
    """Return the engine processes that a window has started."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def what_is_left(project: Project, acknowledged: Path, number: int) -> dict[str, Any]:
    """Return what is amiss with a project after a kill; the lock must be free, and the project open for writing."""
    began = time.perf_counter()
    found = [str(each) for each in examine(project.folder)]
    if found:
        repair(project.folder, datetime.now())
    amiss = []
    try:
        with ProjectSession(project.folder, "expert") as session:
            amiss += ["the lock is held"] if session.holder is not None else []
            standing = len(session.store.labels())
            amiss += wrong_labels(session, acknowledged)
            amiss += wrong_controls(session)
        newest = load_newest(project.model_folder)
        if number % CHECKED_BY_CLI_EVERY == 0:
            command = [sys.executable, "-m", "costal.cli", "project", "check", str(project.folder)]
            checked = subprocess.run(command, capture_output=True, text=True, timeout=120)
            amiss += [checked.stderr] if checked.returncode else []
    except CostalError as error:
        return {"amiss": [str(error)], "found": found}
    return {
        "amiss": amiss,
        "found": found,
        "labels": standing,
        "model": newest.number if newest else 0,
        "checked_s": round(time.perf_counter() - began, 2),
    }


def wrong_labels(session: ProjectSession, acknowledged: Path) -> Iterator[str]:
    """Yield what is wrong with labels that were acknowledged, in this or an earlier day.

    A crop that is shown again without notice has the label of its last answer, the newest.
    """
    grid = tile(SHAPE, CROP)
    frames = session.store.frames()
    shown_again = {(each.frame_hash, each.y, each.x) for each in session.store.presentations() if each.repeated}
    stored = {(frames[label.frame_id].source, label.y, label.x): label for label in session.store.labels()}
    for line in acknowledged.read_text().splitlines():
        given = json.loads(line)
        y, x = grid.origin(given["index"])
        label = stored.get((given["frame"], y, x))
        if label is None or label.label_id < given["label_id"]:
            yield f"label {given['label_id']} is gone"
        elif label.label_id > given["label_id"] and (frames[label.frame_id].content_hash, y, x) not in shown_again:
            yield f"label {given['label_id']} was replaced by {label}, though its crop was not shown again"
        elif label.class_id != given["class_id"]:
            yield f"label {given['label_id']} is {label}, not {given}"


def wrong_controls(session: ProjectSession) -> Iterator[str]:
    """Yield each crop of a query that is a control, and should not be one by the hash, or the other way round."""
    grid = tile(SHAPE, CROP)
    for each in session.store.presentations():
        index = each.y // CROP * grid.cols + each.x // CROP
        is_control = control_flags(session.project, each.frame_hash, grid)[index]
        if each.rank is not None and each.generation and each.control != is_control:
            yield f"presentation {each.id}: control is {each.control}, against the hash"


def lines(path: Path) -> int:
    """Return how many lines a file has."""
    return path.read_bytes().count(b"\n")


def kills_in(results: Path) -> list[dict[str, Any]]:
    """Return the kills that a file of results holds; results of another kind are refused, not overwritten."""
    kills = json.loads(results.read_text()) if results.exists() else []
    if not isinstance(kills, list) or not all(isinstance(each, dict) and "amiss" in each for each in kills):
        raise SystemExit(f"{results} holds other results. Name another file with --results.")
    return kills


def keep(results: Path, told: dict[str, Any]) -> None:
    """Append a kill to the results, one to a line."""
    results.parent.mkdir(parents=True, exist_ok=True)
    text = ",\n".join(json.dumps(each) for each in [*kills_in(results), told])
    results.write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
