import json
import re
from contextlib import closing
from dataclasses import replace

import pandas as pd
import pytest

from costal.cli import reproduce, running
from costal.paper import datasets
from costal.paper.datasets import load_dataset
from costal.paper.plan import figure_1, quick, table_1
from costal.paper.plan_file import dump_plan, load_plan

PLAN = """
data = "synthetic"
rounds = 2
repeats = 2
pool_size = 40
n = 4
passes = 3
device = "cpu"
looked_at = [1]
target = 0.3
[training]
min_steps = 5
batch = 8
[[arms]]
name = "STD"
acquisition = "std"
[[arms]]
acquisition = "random"
name = "random"
"""


@pytest.fixture
def plan_file(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "SYNTHETIC_TEST", 60)
    path = tmp_path / "mine.toml"
    path.write_text(PLAN, "utf-8")
    return path


@pytest.fixture
def small_table_1(monkeypatch):
    """Let Table 1 be a few rounds of a few crops."""

    def smaller():
        plan = table_1()
        shared = replace(plan.experiment, pool_size=40, n=4, passes=3, device="cpu")
        return replace(plan, experiment=shared, rounds=2, repeats=2)

    monkeypatch.setattr(datasets, "SYNTHETIC_TEST", 60)
    monkeypatch.setattr(reproduce, "table_1", smaller)


@pytest.mark.parametrize("dask", [None, pytest.param("local:1", marks=pytest.mark.slow)])
def test_the_tables_are_kept_current_while_an_experiment_runs(
    dask, quick_plan, small_digits, plan_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(running, "TABLES_EVERY_S", 0.0)
    plan = quick_plan if dask is None else load_plan(plan_file)
    dataset = small_digits if dask is None else load_dataset(plan.data)
    (out := tmp_path / "out").mkdir()
    with closing(running._rounds(plan, out, dataset, dask)) as job:
        for each in job:
            if each.done > 1:
                break
        kept = pd.read_csv(out / "rounds.csv")
    assert each.done <= len(kept) < each.total
    assert len(pd.read_csv(out / "timings.csv")) == len(kept)


def test_an_experiment_writes_tables_a_page_and_figures(costal, plan_file, tmp_path):
    code, out, err = costal("experiment", plan_file, "--out", tmp_path / "out")
    assert (code, err.strip()) == (0, "")
    result = {each.name for each in (tmp_path / "out").iterdir()}
    assert result >= {
        "experiment.toml", "environment.json", "rounds.csv", "timings.csv", "summary.md", "curves.png", "curves.svg",
        "figure1.png", "figure1.svg",
    }  # fmt: skip
    assert re.search(r"STD: 2 of 2 repeats finished, accuracy 0\.\d+", out)
    assert len((tmp_path / "out" / "rounds.csv").read_text("utf-8").splitlines()) == 1 + 2 * 2 * 3
    assert load_plan(tmp_path / "out" / "experiment.toml") == load_plan(plan_file)


@pytest.mark.slow
def test_an_experiment_run_again_does_nothing_and_says_the_same(costal, plan_file, tmp_path, monkeypatch):
    first = costal("experiment", plan_file, "--out", tmp_path / "out", "--json")
    monkeypatch.setattr("costal.paper.runner.begin", None)
    again = costal("experiment", plan_file, "--out", tmp_path / "out", "--json")
    assert first == again
    assert len(json.loads(again[1])["headlines"]) >= 2


@pytest.mark.slow
def test_an_experiment_stopped_by_the_user_keeps_what_is_done_and_goes_on(costal, plan_file, tmp_path, monkeypatch):
    from costal.cli import running

    run_task, texts = running.run_task, []

    def stopped(*arguments):
        for progress in run_task(*arguments):
            texts.append(progress)
            if progress.done == 2:
                raise KeyboardInterrupt
            yield progress

    monkeypatch.setattr(running, "run_task", stopped)
    code, out, _ = costal("experiment", plan_file, "--out", tmp_path / "out")
    assert code == 130
    assert "Stopped: the same command continues from here." in out
    assert (tmp_path / "out" / "summary.md").exists()
    kept = sorted((tmp_path / "out").rglob("round-*.json"))
    assert kept
    monkeypatch.setattr(running, "run_task", run_task)
    assert costal("experiment", plan_file, "--out", tmp_path / "out")[0] == 0
    assert costal("experiment", plan_file, "--out", tmp_path / "whole")[0] == 0
    for name in ("rounds.csv", "summary.md", "figure1.png", "figure1.svg"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_how_long_a_long_run_takes_is_told_beforehand(costal, plan_file, tmp_path, monkeypatch):
    from costal.cli import running
    from costal.paper.forecast import Pace

    def pace_of(*_):
        yield from ()
        return Pace(360.0, 0.0, 0.0), 60

    monkeypatch.setattr(running, "measure_pace", pace_of)
    monkeypatch.setattr(running, "LONG_ROUNDS", 12)
    _, _, err = costal("experiment", plan_file, "--out", tmp_path / "out")
    assert "4 of 4 runs are left. A training takes 360.0 s here, so the rest takes about 72 min" in err
    _, _, err = costal("experiment", plan_file, "--out", tmp_path / "out")
    assert err.strip() == ""


@pytest.mark.slow
def test_finished_repeats_of_a_committed_table_are_not_run_again(costal, plan_file, tmp_path, monkeypatch):
    assert costal("experiment", plan_file, "--out", tmp_path / "out")[0] == 0
    clone = tmp_path / "clone"
    clone.mkdir()
    for path in (tmp_path / "out").iterdir():
        if path.is_file() and path.suffix != ".lock":
            (clone / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr("costal.paper.runner.begin", None)
    assert costal("experiment", plan_file, "--out", clone)[0] == 0
    for name in ("rounds.csv", "timings.csv", "summary.md", "figure1.svg"):
        assert (clone / name).read_bytes() == (tmp_path / "out" / name).read_bytes()


@pytest.mark.slow
def test_another_configuration_is_refused_on_resume(costal, plan_file, tmp_path):
    assert costal("experiment", plan_file, "--out", tmp_path / "out")[0] == 0
    plan_file.write_text(PLAN.replace("rounds = 2", "rounds = 3"), "utf-8")
    code, _, err = costal("experiment", plan_file, "--out", tmp_path / "out")
    assert code == 1
    assert "rounds: 2 -> 3" in err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("rounds = 2", "rounds = 9999"), "disjoint pools of 40 images|9999 disjoint pools"),
        (('data = "synthetic"', 'data = "mnist"'), "MNIST was not found"),
        (("passes = 3", "pases = 3"), "passes"),
        (('acquisition = "std"', 'acquisition = "stdd"'), "stdd"),
    ],
    ids=["pools larger than the data", "MNIST is missing", "a misspelt key", "an unknown acquisition function"],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(costal, plan_file, tmp_path, monkeypatch, change, sentence):
    monkeypatch.delenv("COSTAL_DATA", raising=False)
    monkeypatch.setattr(datasets, "user_cache", lambda: tmp_path / "cache")
    plan_file.write_text(PLAN.replace(*change), "utf-8")
    code, _, err = costal("experiment", plan_file, "--out", tmp_path / "out")
    assert code == 1
    assert re.search(sentence, err)
    assert not (tmp_path / "out").exists()


def test_table_1_is_run_and_its_labels_are_told(costal, tmp_path, small_table_1, quick_training):
    code, out, _ = costal("reproduce", "table1", "--data", "synthetic", "--out", tmp_path / "out")
    assert code == 0
    assert "Claim 1" in out
    page = (tmp_path / "out" / "summary.md").read_text("utf-8")
    assert "Labels to reach 90%" in page or "Labels to reach 90 %" in page


def test_quick_says_that_it_is_smaller_in_every_output(costal, tmp_path, small_table_1, quick_training, monkeypatch):
    smaller = reproduce.quick
    monkeypatch.setattr(
        reproduce, "quick", lambda plan: replace(smaller(plan), rounds=1, looked_at=(), arms=plan.arms[:1])
    )
    code, out, _ = costal("reproduce", "table1", "--quick", "--data", "synthetic", "--out", tmp_path / "out")
    assert code == 0
    assert "smaller experiment" in out
    assert load_plan(tmp_path / "out" / "experiment.toml").is_quick
    assert "smaller" in (tmp_path / "out" / "summary.md").read_text("utf-8")[:600]


def test_the_template_is_an_experiment_file(costal, tmp_path):
    code, out, _ = costal("experiment", "--template")
    assert code == 0
    path = tmp_path / "template.toml"
    path.write_text(out, "utf-8")
    assert load_plan(path).data == "synthetic"


def test_without_a_file_the_way_to_get_one_is_told(costal):
    code, _, err = costal("experiment")
    assert code == 2
    assert "--template" in err


def test_quick_is_smaller_in_rounds_repeats_and_pools():
    plan, smaller = table_1(), quick(table_1())
    assert smaller.is_quick
    assert smaller.rounds < plan.rounds
    assert smaller.repeats < plan.repeats
    assert smaller.experiment.pool_size < plan.experiment.pool_size
    assert dump_plan(smaller) != dump_plan(plan)


def test_quick_leaves_out_arms_of_fewer_repeats():
    plan = figure_1((1.0,) * 10)
    left_out = {arm.name for arm in plan.arms} - {arm.name for arm in quick(plan).arms}
    assert left_out == {"known, β = 0.1", "known, β = 0.4"}
    one_each = replace(plan, arms=tuple(replace(arm, repeats=1) for arm in plan.arms))
    assert len(quick(one_each).arms) == len(plan.arms)
