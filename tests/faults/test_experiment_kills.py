"""An experiment that is killed, or finds other generators and another order: its files are those of any other run."""

import ast
import importlib
import multiprocessing
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costal.paper import sted
from costal.paper.archive import rounds_done
from costal.paper.plan import Arm
from costal.paper.runner import run_names
from tests.faults.small_experiment import (
    EXPERIMENT,
    PLAN,
    STOPPING,
    few_digits,
    files_of,
    run,
    run_until,
    set_global_generators,
)

SCRIPT = Path(__file__).with_name("small_experiment.py")
ROOT = SCRIPT.parents[2]
KILLS, PATIENCE_S = 20, 300
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROUNDS = len(run_names(PLAN)) * (PLAN.rounds + 1)
IN_FIVE_ROUNDS = 25  # files opened or renamed
NEEDED = [
    "torch._dynamo", "costal.agent.classifier", "costal.agent.cost", "costal.paper.runner", "costal.paper.run_lock",
    "skimage.measure",
]  # fmt: skip


def run_apart(folder, seed):
    """Run the experiment in a fresh process whose generators, and order of sets, have this seed."""
    ran = subprocess.run(
        [sys.executable, SCRIPT, folder, str(seed)],
        env=os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join((str(ROOT), *sys.path))},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Return the files of a run that nothing disturbed, and its seconds."""
    folder = tmp_path_factory.mktemp("unbroken")
    took_s = run_apart(folder, 2)
    return files_of(folder), took_s


def done_in(folder):
    return sum(rounds_done(folder, arm, repeat) for arm, repeat in run_names(PLAN))


def test_twenty_kills_change_no_byte(unbroken, tmp_path):
    expected, took_s = unbroken
    # Where it can be, torch is loaded once: every run that is killed begins with its work.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context, rng = multiprocessing.get_context(method), random.Random(0)
    if method == "forkserver":
        context.set_forkserver_preload(NEEDED)
    folders, done_at_kill = [tmp_path / "0"], []
    while len(done_at_kill) < KILLS:
        in_writing = rng.random() < 0.5
        write, wait_s = rng.randint(1, IN_FIVE_ROUNDS), rng.uniform(0, took_s / 5)
        process = context.Process(target=run_until, args=(folders[-1], write if in_writing else 0))
        process.start()
        process.join(PATIENCE_S if in_writing else wait_s)
        process.kill()
        process.join()
        if process.exitcode == 0:
            folders.append(tmp_path / str(len(folders)))
        else:
            done_at_kill.append(done_in(folders[-1]))
    run(folders[-1])
    assert len({done for done in done_at_kill if 0 < done < ROUNDS}) > 5
    for folder in folders:
        assert files_of(folder) == expected


def test_kills_change_no_byte_of_runs_that_end_by_their_cost(tmp_path):
    run(tmp_path / "whole", STOPPING)
    expected, writes = files_of(tmp_path / "whole"), random.Random(0)
    ends = {rounds_done(tmp_path / "whole", arm, repeat) for arm, repeat in run_names(STOPPING)}
    assert ends == {3, 4}
    context, kills, code = multiprocessing.get_context("spawn"), 0, 1
    while code != 0:
        process = context.Process(target=run_until, args=(tmp_path / "killed", writes.randint(4, 24), STOPPING))
        process.start()
        process.join(PATIENCE_S)
        code, kills = process.exitcode, kills + 1
        if kills > KILLS:
            run(tmp_path / "killed", STOPPING)
            break
    assert kills > 2
    assert files_of(tmp_path / "killed") == expected


def test_a_run_is_whole(unbroken):
    files, _ = unbroken
    assert len(files) == 2 * ROUNDS + 2  # figures and arrays of each round, the plan and the table
    assert files["rounds.csv"].count(b"\n") == ROUNDS + 1


def test_neither_global_generators_nor_the_order_of_tasks_or_sets_change_a_byte(unbroken, tmp_path):
    run_apart(tmp_path, 3)
    assert files_of(tmp_path) == unbroken[0]


# the test above would see any derived seed give way to a global generator

LEARNED = replace(PLAN, arms=PLAN.arms[:1], rounds=1, repeats=1)
TIES = replace(LEARNED, arms=PLAN.arms[1:2])
RANDOM = replace(LEARNED, arms=PLAN.arms[2:])
DIVERSE = replace(
    LEARNED,
    arms=(Arm("diverse", acquisition="std", diverse=True),),
    experiment=replace(EXPERIMENT, pool_size=200, n=100),
)
STED = replace(RANDOM, data="sted", experiment=replace(EXPERIMENT, pool_size=sted.PER_FRAME))
FEW = replace(STED, data="sted:12")
CONSUMERS = [
    ("costal.loop", "seed_for", RANDOM),
    ("costal.loop", "rng_for", DIVERSE),
    ("costal.agent.selection", "rng_for", TIES),
    ("costal.agent.classifier", "seed_for", TIES),
    ("costal.agent.committee", "seed_for", LEARNED),
    ("costal.agent.cost", "seed_for", LEARNED),
    ("costal.paper.digits", "rng_for", RANDOM),
    ("costal.paper.experiment", "seed_for", RANDOM),
    ("costal.paper.sources", "rng_for", RANDOM),
    ("costal.paper.sted", "seed_for", STED),
    ("costal.frames.simulate", "rng_for", STED),
    ("costal.paper.sted", "rng_for", FEW),
]
OUTSIDE = {
    "costal.workbench", "costal.scoring", "costal.labels", "costal.frames.microscope", "costal.paper.base_costs",
    "costal.paper.splits", "costal.paper.annotators", "costal.agent.validation",  # see the tests of their own
}  # fmt: skip
GLOBAL = {
    "seed_for": lambda *_: int(np.random.randint(2**31)),
    "rng_for": lambda *_: np.random.default_rng(np.random.randint(2**31)),
}


def run_twice(plan, folder):
    """Return the files of two runs under different global generators."""
    files = []
    for seed in (0, 1):
        set_global_generators(seed)
        run(folder / str(seed), plan, few_digits() if plan.data == "synthetic" else fields_of(plan))
        files.append(files_of(folder / str(seed)))
    return files


@pytest.fixture(autouse=True)
def no_frame_is_kept(monkeypatch):
    monkeypatch.setattr(sted, "_frame", sted._frame.__wrapped__)


def fields_of(plan):
    if plan == FEW:
        return sted.few_fields(12)
    fields = sted.sted_dataset()
    return replace(fields, test=lambda: fields.take(np.arange(64)))


@pytest.mark.parametrize(
    "plan", [LEARNED, TIES, RANDOM, DIVERSE, STED], ids=lambda plan: f"{plan.arms[0].name} {plan.data}"
)
def test_two_runs_give_equal_files(plan, tmp_path):
    one, other = run_twice(plan, tmp_path)
    assert one == other


@pytest.mark.parametrize(
    ("module", "name", "plan"), CONSUMERS, ids=[f"{module}.{name}" for module, name, _ in CONSUMERS]
)
def test_a_global_generator_in_place_of_a_derived_seed_shows(module, name, plan, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.import_module(module), name, GLOBAL[name])
    one, other = run_twice(plan, tmp_path)
    assert one != other


def test_every_derived_seed_of_an_experiment_is_looked_at():
    source = ROOT / "src"
    found = set()
    for path in source.rglob("*.py"):
        module = ".".join(path.relative_to(source).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "costal.seeds":
                found |= {(module, each.name) for each in node.names}
    inside = {each for each in found if not any(each[0].startswith(outside) for outside in OUTSIDE)}
    assert inside == {(module, name) for module, name, _ in CONSUMERS}
