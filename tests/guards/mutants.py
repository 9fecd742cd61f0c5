"""Forty small faults, planted by hand: each must be caught by a test.

``python -m tests.guards.mutants check`` looks whether the code still has each place, ``run`` plants one fault after
another in a copy of the code and keeps in ``mutants.json`` which tests catch it. A fault is found by its text wherever
that lies, so a module may move; a line that changes needs a new text here. Run it before tests are merged or removed,
and after: what was caught must still be caught.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORD = Path(__file__).with_name("mutants.json")
CODE = ("src", "napari_costal")
PROSE = ("README.md", "CONTRIBUTING.md", "CITATION.cff", "CHANGELOG.md", "LICENSE", "docs", "resources", ".napari-hub")
COPIED = (*CODE, "tests", "pyproject.toml", "setup.cfg", *PROSE)
LIMIT_S = 3600
FAILED = re.compile(r"^(?:FAILED|ERROR) ([^\s\[]+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: `old` becomes `new`; `tests` are ends of the paths of the test files that should catch it."""

    name: str
    old: str
    new: str
    breaks: str
    tests: tuple[str, ...]


MUTANTS = (
    # frames
    Mutant(
        "a padded edge is dropped",
        'math.floor if edge == "drop" else math.ceil',
        "math.floor",
        "pixels at the lower and right edge are in no crop",
        ("frames/test_grid.py",),
    ),
    Mutant(
        "rows for columns",
        "np.divmod(chosen, grid.cols)",
        "np.divmod(chosen, grid.rows)",
        "crops of a frame that is not square lie elsewhere",
        ("frames/test_grid.py",),
    ),
    Mutant(
        "the last pixel is mirrored twice",
        "2 * (side - 1) - at",
        "2 * side - 1 - at",
        "padded crops repeat the edge",
        ("frames/test_grid.py",),
    ),
    Mutant(
        "a crop's last row and column are lost in the click",
        "- col * grid.stride) >= grid.crop",
        "- col * grid.stride) >= grid.crop - 1",
        "a click on a crop's last pixels finds nothing",
        ("frames/test_grid.py",),
    ),
    Mutant(
        "bright pixels are clipped at one",
        "CLIP = (-1.0, 2.0)",
        "CLIP = (-1.0, 1.0)",
        "what is brighter than the 99.8th percentile looks alike",
        ("frames/test_normalise.py",),
    ),
    Mutant(
        "ranges are merged by the lowest high",
        "tuple(map(max, highs))",
        "tuple(map(min, highs))",
        "the brightest frame of a project is saturated",
        ("frames/test_normalise.py",),
    ),
    Mutant(
        "the hash forgets the dtype",
        'f"{native.name} {pixels.shape}"',
        'f"{pixels.shape}"',
        "two images of other types are one frame",
        ("frames/test_read.py",),
    ),
    Mutant(
        "the minimum of a stack for its maximum",
        'pixels.max(axis) if choice == "max"',
        'pixels.min(axis) if choice == "max"',
        "a projection of Z shows the darkest pixels",
        ("frames/test_read.py", "frames/test_planes.py"),
    ),
    # agent
    Mutant(
        "the deviation of a sample",
        "probs_T_N_K.std(0, correction=0)",
        "probs_T_N_K.std(0, correction=1)",
        "STD is too large for few passes",
        ("agent/test_acquisition.py",),
    ),
    Mutant(
        "the entropy of the mean in BALD's second term",
        "entropy(probs_T_N_K).mean(0)",
        "entropy(probs_T_N_K.mean(0))",
        "BALD is zero everywhere",
        ("agent/test_acquisition.py",),
    ),
    Mutant(
        "alpha for beta",
        "_finite(worth / cost**beta if beta else worth)",
        "_finite(worth / cost**alpha if beta else worth)",
        "the slider between informative and cheap does nothing",
        ("agent/test_value.py",),
    ),
    Mutant(
        "ties by place",
        "np.lexsort((drawn, -values[best]))",
        'np.argsort(-values[best], kind="stable")',
        "crops of equal value come from the upper left corner",
        ("agent/test_value.py",),
    ),
    Mutant(
        "censored efforts are taken as measured",
        "torch.where(censored_N, -_log_survival(z), measured)",
        "measured",
        "long and skipped crops teach that they are cheap",
        ("agent/test_cost.py",),
    ),
    Mutant(
        "the median for the mean of a log-normal",
        "(mu_N + self.spread() ** 2 / 2).exp()",
        "mu_N.exp()",
        "efforts are predicted too low",
        ("agent/test_cost.py",),
    ),
    Mutant(
        "the share of controls is rounded down",
        "math.floor(slots) + int(rng.random() < slots - math.floor(slots))",
        "math.floor(slots)",
        "a small query never has a control",
        ("agent/test_selection.py",),
    ),
    Mutant(
        "all members have one committee's masks",
        "draw_masks(count, passes, own)",
        "draw_masks(count, passes, seed)",
        "members of an ensemble drop the same units",
        ("agent/test_committee.py", "agent/test_stacks.py"),
    ),
    Mutant(
        "dropout is scaled with the other rate",
        "hidden.weight / (1 - FEATURE_DROP)",
        "hidden.weight / (1 - HIDDEN_DROP)",
        "the committee is not that of MC dropout",
        ("agent/test_committee.py",),
    ),
    Mutant(
        "rare classes weigh by their count",
        "len(class_indices) / (len(counts) * counts[k])",
        "counts[k] / len(class_indices)",
        "rare classes are forgotten",
        ("agent/test_training.py",),
    ),
    # loop
    Mutant(
        "controls come on top of n",
        "[: settings.n - len(controls)]",
        "[: settings.n]",
        "a query is longer than asked",
        ("engine/test_loop.py",),
    ),
    Mutant(
        "a class of unknown probability costs nothing",
        "nan=1 / settings.class_count",
        "nan=0.0",
        "with the acquisition function random the known cost is zero",
        ("engine/test_loop.py",),
    ),
    # labels
    Mutant(
        "a commit does not wait for the disk",
        "PRAGMA synchronous = EXTRA",
        "PRAGMA synchronous = NORMAL",
        "an acknowledged label may be lost in a power cut",
        ("labels/test_store.py",),
    ),
    Mutant(
        "an undone label is undone again",
        "'undo', id, action_id, :utc_ns FROM standing_label AS label",
        "'undo', id, action_id, :utc_ns FROM label",
        "undoing twice is an error",
        ("labels/test_store.py", "labels/test_labelling_machine.py"),
    ),
    Mutant(
        "a repeated label loses its place",
        "class_id, id, coalesce(original, id), given",
        "class_id, id, id, given",
        "redo of a redo counts as newer than it was",
        ("labels/test_store.py", "labels/test_labelling_machine.py"),
    ),
    Mutant(
        "a skipped crop's time is measured",
        "state.phase in (Phase.SKIPPED, Phase.ABANDONED)",
        "state.phase is Phase.ABANDONED",
        "crops that were given up look cheap",
        ("labels/test_effort.py",),
    ),
    Mutant(
        "the clock goes on after a long gap",
        "state.last is None or state.known_part_ended",
        "state.last is None",
        "time after the known part counts",
        ("labels/test_effort.py",),
    ),
    Mutant(
        "a gap of the idle limit is too long",
        "(gap_E > idle_limit_ns)",
        "(gap_E >= idle_limit_ns)",
        "the two ways to derive efforts disagree",
        ("labels/test_event_table.py", "labels/test_effort.py"),
    ),
    Mutant(
        "the oldest label stands",
        'np.argsort(-standing["place"])',
        'np.argsort(standing["place"])',
        "figures count an answer that was replaced",
        ("labels/test_event_table.py",),
    ),
    Mutant(
        "a new answer can still be redone away",
        "return History(done)",
        "return History(done, self.undone)",
        "redo after a new answer brings an old one back",
        ("labels/test_history.py",),
    ),
    Mutant(
        "a changed model file is taken",
        "hashlib.sha256(path.read_bytes()).hexdigest()):",
        'hashlib.sha256(path.read_bytes()).hexdigest(), card.get("model_hash")):',
        "weights that do not belong to their card score crops",
        ("labels/test_models.py",),
    ),
    Mutant(
        "boxes with y before x",
        '"bbox": [x, y, width, height]',
        '"bbox": [y, x, width, height]',
        "crops lie elsewhere for the program that reads COCO",
        ("exchange/test_exports.py",),
    ),
    # workbench
    Mutant(
        "labels of other crop sizes count",
        "label.side == grid.crop and not (rest_y or rest_x)",
        "not (rest_y or rest_x)",
        "a label of a smaller crop is drawn on a larger one",
        ("scoring/test_queries.py",),
    ),
    Mutant(
        "unusable efforts are learned",
        "effort.active_s if effort.usable else None,\n            effort.censored",
        "effort.active_s,\n            effort.censored",
        "the cost model learns from a suspended machine",
        ("workbench/test_rounds.py", "workbench/test_session.py"),
    ),
    Mutant(
        "every band draws from the first",
        "draws_N is None else draws_N[first:end]",
        "draws_N is None else draws_N[: end - first]",
        "a random query of a large image repeats itself",
        ("scoring/test_bands.py", "engine/test_cli_score_large.py"),
    ),
    # paper
    Mutant(
        "the interval of a whole population",
        "values.std(ddof=1)",
        "values.std(ddof=0)",
        "intervals are too narrow",
        ("paper/test_outcomes.py",),
    ),
    Mutant(
        "a resumed run begins its order anew",
        "kept.label_n, kept.cost_n, len(state.answers),",
        "kept.label_n, kept.cost_n, 0,",
        "a run that was stopped differs from one that was not",
        ("paper/test_runner.py",),
    ),
    # spread
    Mutant(
        "a task takes one band too many",
        "numbers[at : at + most]",
        "numbers[at : at + most + 1]",
        "two workers score the same band",
        ("engine/test_spread_images.py",),
    ),
    # cli
    Mutant(
        "ranks count from zero",
        "rank[row], control[row] = place + 1,",
        "rank[row], control[row] = place,",
        "the table's best crop is not the first",
        ("engine/test_cli.py",),
    ),
    # plugin
    Mutant(
        "a heatmap is half a pixel off",
        "(grid.crop / zoom - 1) / 2",
        "grid.crop / zoom / 2",
        "pixels of the heatmap do not cover their crops",
        ("plugin/canvas/test_overlays.py",),
    ),
    Mutant(
        "a key of before answers",
        "not self.is_paused and not is_early",
        "not self.is_paused",
        "a key that was pressed before a crop was painted answers it",
        ("plugin/labelling/test_presentation.py", "plugin/label_crops/test_labelling_session.py"),
    ),
    Mutant(
        "a result of another frame is kept",
        "return self.number == self.latest.number",
        "return True",
        "a crop of the frame before is shown for one of this",
        ("plugin/engine/test_latest.py", "plugin/label_crops/test_sessions.py"),
    ),
)


def places(mutant: Mutant, root: Path = ROOT) -> list[Path]:
    """Return the files that have a mutant's text, each as often as it has it."""
    files = sorted(path for part in CODE for path in (root / part).rglob("*.py"))
    return [path for path in files for _ in range(path.read_text("utf-8").count(mutant.old))]


def files_of_tests(mutant: Mutant, root: Path = ROOT) -> list[Path]:
    """Return the files of tests that a mutant names."""
    files = sorted((root / "tests").rglob("test_*.py"))
    return [path for end in mutant.tests for path in files if path.as_posix().endswith(f"/{end}")]


def complaints(mutants: Iterable[Mutant] = MUTANTS, root: Path = ROOT) -> list[str]:
    """Return what keeps mutants from being planted: a text that is not there exactly once, a test file that is gone."""
    lines = []
    for mutant in mutants:
        found = places(mutant, root)
        if len(found) != 1:
            where = ", ".join(path.relative_to(root).as_posix() for path in found) or "nowhere"
            lines.append(f"'{mutant.name}': its text should be there once and is {where}: {mutant.old}")
        if len(files_of_tests(mutant, root)) != len(mutant.tests):
            lines.append(f"'{mutant.name}': not all of its test files are there once: {', '.join(mutant.tests)}")
    return lines


def copied(into: Path, root: Path = ROOT) -> Path:
    """Return a copy of the code and its tests, as they lie there now."""
    into.mkdir(parents=True)
    for name in COPIED:
        if (root / name).is_dir():
            shutil.copytree(root / name, into / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        elif (root / name).is_file():
            shutil.copy2(root / name, into / name)
    return into


def planted(mutant: Mutant, root: Path) -> tuple[Path, str]:
    """Plant a fault; return the file and what it held before."""
    (path,) = places(mutant, root)
    before = path.read_text("utf-8")
    path.write_text(before.replace(mutant.old, mutant.new), "utf-8")
    return path, before


def caught_by(mutant: Mutant, root: Path, tests: list[str], stop_at_first: bool = True) -> list[str]:
    """Return the tests that fail in a copy with the fault."""
    files = tests or [path.relative_to(root).as_posix() for path in files_of_tests(mutant, root)]
    paths = os.pathsep.join([str(root / "src"), str(root)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
    command += ["-m", ""]  # the slow ones too: of some files they are all
    command += ["-W", "ignore::DeprecationWarning"]  # hypothesis, when it explains a failure, loads what is deprecated
    command += ["-x"] * stop_at_first + files
    path, before = planted(mutant, root)
    try:
        ran = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=LIMIT_S)
    finally:
        path.write_text(before, "utf-8")
    failed = sorted(set(FAILED.findall(ran.stdout)))
    if (ran.returncode != 0) is not bool(failed):
        raise SystemExit(f"pytest did not run for '{mutant.name}':\n{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return failed


def read_record(path: Path = RECORD) -> dict[str, list[str]]:
    """Return which tests caught which mutant, by the mutant's name."""
    return dict(json.loads(path.read_text("utf-8"))) if path.exists() else {}


def write_record(record: Mapping[str, list[str]], path: Path = RECORD) -> None:
    """Keep which tests caught which mutant, in the order of the list."""
    ordered = {mutant.name: record[mutant.name] for mutant in MUTANTS if mutant.name in record}
    path.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", "utf-8")


def run(only: list[str], tests: list[str], stop_at_first: bool) -> int:
    """Plant the mutants one after another, keep what catches each; return how many nothing catches."""
    chosen = [mutant for mutant in MUTANTS if not only or mutant.name in only or str(MUTANTS.index(mutant) + 1) in only]
    if lines := complaints(chosen):
        raise SystemExit("\n".join(lines))
    missed = 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        root = copied(Path(folder).resolve() / "copy")
        for mutant in chosen:
            caught = caught_by(mutant, root, tests, stop_at_first)
            missed += not caught
            write_record(read_record() | {mutant.name: caught})
            sys.stdout.write(f"{MUTANTS.index(mutant) + 1:3} {mutant.name}: {', '.join(caught) or 'NOT CAUGHT'}\n")
            sys.stdout.flush()
    return missed


def main(arguments: list[str] | None = None) -> int:
    """Run or check; return the exit code: 0 when every mutant can be planted, and was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.guards.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("command", choices=("run", "check"))
    parser.add_argument("--only", nargs="+", default=[], help="Names of mutants, or their numbers from 1.")
    parser.add_argument("--tests", nargs="+", default=[], help="Run these tests for each, not those that it names.")
    parser.add_argument("--all", action="store_true", help="Go on after the first test that fails: slower.")
    chosen = parser.parse_args(arguments)
    if chosen.command == "run":
        return min(run(chosen.only, chosen.tests, not chosen.all), 1)
    lines = complaints()
    sys.stdout.write("\n".join(lines or [f"All {len(MUTANTS)} mutants can be planted."]) + "\n")
    return min(len(lines), 1)


if __name__ == "__main__":
    raise SystemExit(main())
