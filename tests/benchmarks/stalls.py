"""A day of labelling in figures: how true the efforts are, and how long the window stands still while the engine works.

Run ``xvfb-run -a -s "-screen 0 1500x1000x24" python -m tests.benchmarks.stalls``: an expert labels 200 crops by real
keys while a simulated microscope writes (see `tests.faults.day`); prints JSON and keeps it as
``resources/benchmarks/day.json``. Without a GPU the time of a software renderer is in it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from costal.labels.effort import derive, replay
from costal.labels.project import Project
from costal.labels.store import Store
from tests.faults.day import IDLE_LIMIT_S, microscope, project_for_a_day

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "resources" / "benchmarks"
FRAMES = 12


def main() -> None:
    """Let the day pass and report it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--crops", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project, inbox = project_for_a_day(folder)
        acknowledged, report = folder / "acknowledged.jsonl", folder / "report.json"
        options = ["--crops", asked.crops, "--frames", FRAMES]
        command = [sys.executable, ROOT / "tests/faults/day.py", project.folder, acknowledged, report, *options]
        before = machine()
        with microscope(inbox, FRAMES, every=4):
            subprocess.run([str(each) for each in command], check=True)
        told = json.loads(report.read_text())
        figures = {
            "machine": before | {"load at the end": machine()["load"]},
            "crops": len(told["done"]),
            "error": told["error"],
            "stalls_ms": {phase: stalls(beats) for phase, beats in told["beats"].items()},
            "efforts": efforts(project, told["done"]),
        }
    print(kept("day", figures))


def machine() -> dict[str, Any]:
    """Return what the figures depend on: the machine, how busy others keep it, and versions."""
    cpus = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in cpus.read_text().splitlines() if line.startswith("model name")]
    return {
        "when": f"{datetime.now():%Y-%m-%d %H:%M}",
        "system": platform.platform(),
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "load": [round(each, 1) for each in os.getloadavg()],
        "renderer": "llvmpipe (software)" if not Path("/dev/dri").exists() else "a GPU's",
        "versions": {each: version(each) for each in ("napari", "PyQt6", "torch", "numpy")},
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return count, median, percentiles and extremes."""
    parts = np.percentile(values, [0, 50, 90, 99, 100]).round(1).tolist()
    return {"count": len(values)} | dict(zip(("least", "median", "p90", "p99", "most"), parts, strict=True))


def stalls(beats: list[list[float]]) -> dict[str, Any]:
    """Return how late the beats of a phase came, and of those how long the GUI thread worked and drew meanwhile."""
    late, worked, _ = np.array(beats).T
    longest = np.array(beats)[np.argsort(late)[::-1][:5]].round(1)
    return {
        "late": spread(late) | {"over 50": int((late > 50).sum()), "over 100": int((late > 100).sum())},
        "the thread's own work": spread(worked) | {"over 100": int((worked > 100).sum())},
        "the longest": [f"{waited} late, {work} at work, {drawn} drawing" for waited, work, drawn in longest],
    }


def efforts(project: Project, done: list[dict[str, Any]]) -> dict[str, Any]:
    """Return by how many milliseconds efforts are off the script, and how interruptions were flagged."""
    with Store(project.store_path, read_only=True) as store:
        rows = {row.label_id: row for row in store.presentations() if row.label_id is not None}
        labels = {label.label_id: label.class_id for label in store.labels()}
    limit_ns = round(IDLE_LIMIT_S * 1e9)
    found = [(each, derive(replay(rows[each["label_id"]].events, limit_ns))) for each in done]
    off_ms = [(effort.active_s - each["looked_s"]) * 1e3 for each, effort in found if not each["interruption"]]
    away = [(each, effort) for each, effort in found if each["interruption"] == "focus"]
    idle = [effort for each, effort in found if each["interruption"] == "idle"]
    return {
        "labels as given": labels == {each["label_id"]: each["class_id"] for each in done},
        "off_ms": spread(off_ms) | {"within 50": sum(abs(each) <= 50 for each in off_ms)},
        "usable and not censored": sum(e.usable and not e.censored for each, e in found if not each["interruption"]),
        "idle gaps": {"scripted": len(idle), "censored": sum(each.censored for each in idle)},
        "focus losses": {
            "scripted": len(away),
            "paused": sum(effort.idle_ns > 0 for _, effort in away),
            "off_ms": spread([(effort.active_s - each["looked_s"]) * 1e3 for each, effort in away]),
        },
    }


def kept(name: str, figures: dict[str, Any]) -> str:
    """Write figures to the committed results and return their text."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(figures, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")
    return text


if __name__ == "__main__":
    main()
