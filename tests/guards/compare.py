"""Two checkouts, old and new, made to do the same: what they print and write must be equal bit by bit.

``python -m tests.guards.compare OLD NEW`` runs the command line of each (``OLD/src`` and ``OLD`` first on the path,
with this interpreter and one thread) over small images of every kind, at the same place one after the other, and names
what differs. Memory, time and import time are told, not judged. The cases are those of this checkout.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tests.guards.cases import CASES
from tests.guards.outputs import Lines, collected, masked, without_volatile

EQUAL, DIFFERENT, ONLY_OLD, ONLY_NEW = "equal", "different", "only in old", "only in new"
STARTS = {
    "import costal": ("-c", "import costal"),
    "import napari_costal": ("-c", "import napari_costal"),
    "costal --help": ("-m", "costal.cli", "--help"),
}
STARTS_EACH = 3
LIMIT_S = 900
AGE_S = 1_750_000_000

DRIVER = """
import contextlib, io, json, sys, time
from costal.cli import main
import costal
answer = sys.stdout
for line in sys.stdin:
    arguments = json.loads(line)
    out, error, code = io.StringIO(), io.StringIO(), 0
    sys.argv = ["costal", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            main()
        except SystemExit as stopped:
            code = stopped.code or 0
        except Exception as broken:
            code = repr(broken)
    answer.write(json.dumps([str(code), out.getvalue(), error.getvalue()]) + "\\n")
    answer.flush()
peak = 0.0
with contextlib.suppress(ImportError):
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
answer.write(json.dumps([costal.__file__, peak, time.process_time()]) + "\\n")
"""
"""Runs command lines that come as JSON, one a line, as ``costal`` does: torch is loaded once for a case."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a case came to in one checkout: what was printed and written, and the memory (MiB) and time that it took."""

    outputs: dict[str, Lines]
    peak_mb: float
    cpu_s: float

    @property
    def failures(self) -> int:
        """How many commands ended with another exit code than 0."""
        codes = (lines[0] for lines in self.outputs.values() if lines)
        return sum(code.startswith("exit code ") and code != "exit code 0" for code in codes)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing compared: the first difference, if any, as line number and both lines."""

    case: str
    item: str
    verdict: str
    difference: str = ""


def environment(checkout: Path) -> dict[str, str]:
    """Return the environment that runs a checkout's own code: one thread, no colours, nothing of the user's."""
    path = os.pathsep.join([str(checkout / "src"), str(checkout)])
    fixed = {"OMP_NUM_THREADS": "1", "COLUMNS": "120", "NO_COLOR": "1", "PYTHONHASHSEED": "0"}
    return os.environ | fixed | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}


def run_case(name: str, checkout: Path, here: Path) -> Ran:
    """Return what a case comes to in a checkout; `here` is emptied first."""
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    outputs: dict[str, Lines] = {}
    inputs, known = set[str](), set[str]()
    command = [sys.executable, "-c", DRIVER]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=here, env=environment(checkout), **pipes) as driver:
        assert driver.stdin is not None and driver.stdout is not None
        for number, arguments in enumerate(CASES[name](here), 1):
            inputs |= _prepared(here, known)
            driver.stdin.write(json.dumps(arguments) + "\n")
            driver.stdin.flush()
            reply = driver.stdout.readline()
            if not reply:
                raise SystemExit(f"{checkout} ended during '{' '.join(arguments)}' (case {name}).")
            outputs[f"{number:02} {' '.join(arguments)}"] = _printed(*json.loads(reply))
            known = _files(here)
        driver.stdin.close()
        where, peak_mb, cpu_s = json.loads(driver.stdout.readline())
    if not Path(where).is_relative_to(checkout):
        raise SystemExit(f"{checkout} was asked, and {where} was run. Choose the root of a checkout.")
    return Ran(outputs | collected(here, frozenset(inputs)), round(peak_mb, 1), round(cpu_s, 2))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def _prepared(folder: Path, known: set[str]) -> set[str]:
    """Return the files that a case has made since a command ran, all of one age: an image is known by its age, too."""
    new = _files(folder) - known
    for name in new:
        os.utime(folder / name, (AGE_S, AGE_S))
    return new


def _printed(code: str, out: str, error: str) -> Lines:
    """Return exit code, output and errors as lines; of a progress bar what stays in the end."""
    shown = [line.rpartition("\r")[2].strip() for line in error.splitlines()]
    with suppress(ValueError):
        out = json.dumps(without_volatile(json.loads(out)), indent=1, ensure_ascii=False)
    return [f"exit code {code}", *masked(out).splitlines(), *(masked(line) for line in shown if line)]


def compared(case: str, old: dict[str, Lines], new: dict[str, Lines]) -> Iterator[Row]:
    """Yield a row for each thing that either checkout printed or wrote."""
    for item in dict.fromkeys([*old, *new]):
        if item not in new or item not in old:
            yield Row(case, item, ONLY_NEW if item in new else ONLY_OLD)
        elif old[item] == new[item]:
            yield Row(case, item, EQUAL)
        else:
            pairs = enumerate(zip_longest(old[item], new[item], fillvalue="(nothing)"), 1)
            number, (was, is_now) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
            yield Row(case, item, DIFFERENT, f"line {number}: {was} | {is_now}")


def start_s(checkout: Path, arguments: Sequence[str]) -> float:
    """Return the median seconds that a start takes; the first one, which fills caches, does not count."""
    times = []
    for _ in range(STARTS_EACH + 1):
        began = time.perf_counter()
        command = [sys.executable, *arguments]
        subprocess.run(command, env=environment(checkout), check=True, capture_output=True, timeout=LIMIT_S)
        times.append(time.perf_counter() - began)
    return round(statistics.median(times[1:]), 3)


def compare(old: Path, new: Path, names: Sequence[str], starts: bool = True) -> tuple[list[Row], dict[str, Any]]:
    """Return what was compared, and figures of both checkouts: starts in seconds, memory in MiB, processor seconds."""
    rows: list[Row] = []
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="compare-") as folder:
        here = Path(folder).resolve() / "run"
        for name in names:
            was, is_now = (run_case(name, checkout.resolve(), here) for checkout in (old, new))
            rows += compared(name, was.outputs, is_now.outputs)
            figures[f"{name}: commands that fail"] = (was.failures, is_now.failures)
            figures[f"{name}: peak MiB"] = (was.peak_mb, is_now.peak_mb)
            figures[f"{name}: CPU s"] = (was.cpu_s, is_now.cpu_s)
    for start, arguments in STARTS.items() if starts else ():
        figures[f"{start}: s"] = tuple(start_s(checkout.resolve(), arguments) for checkout in (old, new))
    return rows, figures


def report(rows: Sequence[Row], figures: dict[str, Any], is_long: bool = False) -> str:
    """Return a table of the cases, what is not equal, and the figures."""
    lines = [f"{'case':12} {'equal':>6} {'different':>10} {'only old':>9} {'only new':>9}"]
    verdicts = (EQUAL, DIFFERENT, ONLY_OLD, ONLY_NEW)
    for case in dict.fromkeys(row.case for row in rows):
        counts = [sum(row.case == case and row.verdict == verdict for row in rows) for verdict in verdicts]
        lines.append("{:12} {:6} {:10} {:9} {:9}".format(case, *counts))
    named = (row for row in rows if row.verdict != EQUAL or is_long)
    lines += [f"{row.verdict}: {row.case}: {row.item}{_shown(row.difference)}" for row in named]
    lines += [f"{name:32} {was:9} {is_now:9}" for name, (was, is_now) in figures.items()]
    return "\n".join(lines)


def _shown(difference: str) -> str:
    return f"\n    {difference[:600]}" if difference else ""


def main(arguments: list[str] | None = None) -> int:
    """Compare two checkouts; return the exit code: 0 when all is equal."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards.compare", description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path, help="The checkout from before.")
    parser.add_argument("new", type=Path, help="The checkout from after.")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="Cases to run.")
    parser.add_argument("--json", type=Path, help="File for the whole report.")
    parser.add_argument("--no-starts", action="store_true", help="Do not time imports.")
    parser.add_argument("--long", action="store_true", help="Name what is equal, too.")
    chosen = parser.parse_args(arguments)
    rows, figures = compare(chosen.old, chosen.new, chosen.only, not chosen.no_starts)
    if chosen.json is not None:
        document = {"rows": [asdict(row) for row in rows], "figures": figures}
        chosen.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    sys.stdout.write(report(rows, figures, chosen.long) + "\n")
    return int(any(row.verdict != EQUAL for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
