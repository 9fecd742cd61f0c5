"""What it takes to start: the command line's help, the packages' imports, and the plugin's docks in an open napari."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from costal.errors import CostalError
from costal.types import Job, Progress
from tests.benchmarks.machine import Figures, machine

HELP = "import sys; sys.argv = ['costal', '--help']; from costal.cli import main; main()"
STARTS = {
    "python alone": "pass",
    "import costal": "import costal",
    "import costal.cli": "import costal.cli",
    "costal --help": HELP,
    "import napari": "import napari",
    "import napari_costal": "import napari_costal",
    "import torch": "import torch",
}
DOCKS = ("Label crops", "Labelling dashboard", "Crop gallery", "Apply classifier", "MNIST mosaic")
TIMED = """
import sys, time
try:
    exec(sys.argv[1])
finally:
    sys.stderr.write(f"\\n{time.process_time()}")
"""


@dataclass(frozen=True, slots=True)
class Start:
    """The least seconds, on the clock and of CPU, of `runs` fresh processes."""

    name: str
    runs: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class DockOpened:
    """What opening a dock adds to a napari that is open, and how late the window's heart beats, in milliseconds.

    Beats are counted while nothing happens (`rest_`) and while the engine process imports torch (`torch_`), in that of
    the runs whose worst beat under torch is the least; others on the machine delay both.
    """

    name: str
    runs: int
    wall_s: float
    cpu_s: float
    imported_torch: bool
    torch_import_s: float
    rest_median_ms: float
    rest_worst_ms: float
    torch_median_ms: float
    torch_worst_ms: float


@dataclass(frozen=True, slots=True)
class ImportFigures(Figures):
    """How long everything takes to start; no docks where there is no display."""

    starts: tuple[Start, ...]
    docks: tuple[DockOpened, ...]


def bench_imports(runs: int, docks: Sequence[str] = DOCKS) -> Job[ImportFigures]:
    """Return the seconds to start, the best of so many fresh processes each, and of opening these docks.

    Raises
    ------
    CostalError
        When one of the processes fails, as when napari or a display is missing.
    """
    here = machine("cpu", "")
    total = len(STARTS) + len(docks)
    starts, opened = [], []
    for done, (name, code) in enumerate(STARTS.items()):
        yield Progress(done, total, name)
        found = [_started(code) for _ in range(runs + 1)][1:]  # the first fills the file cache
        starts.append(Start(name, runs, min(wall for wall, _ in found), min(cpu for _, cpu in found)))
    for done, name in enumerate(docks, len(STARTS)):
        yield Progress(done, total, f"Opening {name}")
        opened.append(_opened(name, runs))
    return ImportFigures(here, tuple(starts), tuple(opened))


def _started(code: str) -> tuple[float, float]:
    """Return the seconds that a fresh process takes for this code, on the clock and of CPU."""
    began = time.perf_counter()
    said = _ran(["-c", TIMED, code]).stderr
    return time.perf_counter() - began, float(said.split()[-1])


def _opened(name: str, runs: int) -> DockOpened:
    # By name: the engine knows no window, and this one is another process.
    found = [json.loads(_ran(["-m", "tests.benchmarks.docks", name]).stdout.splitlines()[-1]) for _ in range(runs)]
    best = min(found, key=lambda each: float(max(each["late_during_ms"])))
    return DockOpened(
        name,
        runs,
        min(each["wall_s"] for each in found),
        min(each["cpu_s"] for each in found),
        any(each["torch_in_window"] for each in found),
        min(each["torch_import_s"] for each in found),
        median(best["late_before_ms"]),
        max(best["late_before_ms"]),
        median(best["late_during_ms"]),
        max(best["late_during_ms"]),
    )


def _ran(arguments: list[str]) -> "subprocess.CompletedProcess[str]":
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if ran.returncode:
        reason = (ran.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise CostalError(f"A process that was to be timed failed: {reason}. Is napari installed, and a display here?")
    return ran
