from dataclasses import replace

import pytest

from costal.errors import AgentError, DatasetError
from costal.paper.archive import arm_folder, read_rows, rounds_done
from costal.paper.plan import Arm
from costal.paper.runner import require_enough, rounds_left, run_names, run_task, tasks
from costal.types import finish


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("round-*") if path.suffix != ".new"}


def run_all(plan, folder, dataset):
    for task in tasks(plan):
        finish(run_task(plan, task, folder, dataset))
    return files(folder)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (1, [((0, 0),), ((1, 0),), ((0, 1),), ((1, 1),)]),
        (3, [((0, 0), (1, 0), (0, 1)), ((1, 1),)]),
        (9, [((0, 0), (1, 0), (0, 1), (1, 1))]),
    ],
)
def test_tasks_take_all_arms_of_a_repeat_before_the_next(quick_plan, stack, expected):
    assert [task.runs for task in tasks(replace(quick_plan, stack=stack))] == expected


def test_arms_of_fewer_repeats_come_last(quick_plan):
    first, second = quick_plan.arms
    plan = replace(quick_plan, repeats=3, arms=(replace(first, repeats=2), second))
    assert [task.runs for task in tasks(plan)] == [((1, 0),), ((1, 1),), ((1, 2),), ((0, 0),), ((0, 1),)]
    assert run_names(plan) == [(first.name, 0), (first.name, 1)] + [(second.name, repeat) for repeat in range(3)]
    assert plan.run_count == 5


def test_every_round_of_every_arm_and_repeat_is_kept(quick_plan, small_digits, tmp_path):
    run_all(quick_plan, tmp_path, small_digits)
    rows = read_rows(tmp_path, run_names(quick_plan))
    assert [(row["arm"], row["repeat"], row["round"]) for row in rows] == [
        (arm.name, repeat, number) for arm in quick_plan.arms for repeat in (0, 1) for number in range(4)
    ]
    assert [row["committee_accuracy"] != "" for row in rows] == [False, False, False, True] * 4
    assert all(rounds_left(quick_plan, task, tmp_path) == 0 for task in tasks(quick_plan))


def test_rounds_between_tests_have_no_accuracy(quick_plan, small_digits, tmp_path):
    plan = replace(quick_plan, repeats=1, test_every=2, looked_at=())
    run_all(plan, tmp_path, small_digits)
    rows = read_rows(tmp_path, run_names(plan)[:1])
    assert [row["accuracy"] != "" for row in rows] == [True, False, True, True]


@pytest.mark.slow
@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("lost", ["the last round", "figures alone", "all but the start"])
def test_a_run_resumed_equals_one_that_was_never_stopped(quick_plan, small_digits, tmp_path, stack, lost):
    plan = replace(quick_plan, stack=stack, repeats=1)
    whole = run_all(plan, tmp_path, small_digits)
    place = arm_folder(tmp_path, plan.arms[0].name, 0)
    for path in place.glob("round-*"):
        number = int(path.stem.removeprefix("round-"))
        if (number == 3 and (lost != "figures alone" or path.suffix == ".json")) or (lost[:3] == "all" and number):
            path.unlink()
    assert rounds_done(tmp_path, plan.arms[0].name, 0) < 4
    assert run_all(plan, tmp_path, small_digits) == whole


def stopping(plan):
    """Return the plan with runs that end by their cost, at different rounds, and recalls."""
    first, second = plan.arms
    shared = replace(plan.experiment, stop_cost=1.0)  # the first query of any arm costs more
    arms = (replace(first, stop_cost=1e9), second)
    return replace(plan, arms=arms, experiment=shared, recalls=True, committee_every=9, test_every=9, looked_at=())


def test_a_run_ends_after_the_round_that_spends_its_limit(quick_plan, small_digits, tmp_path):
    plan = stopping(quick_plan)
    run_all(plan, tmp_path, small_digits)
    assert [rounds_done(tmp_path, arm.name, repeat) for arm in plan.arms for repeat in (0, 1)] == [4, 4, 2, 2]
    assert all(rounds_left(plan, task, tmp_path) == 0 for task in tasks(plan))
    last = read_rows(tmp_path, run_names(plan))[-1]
    assert last["accuracy"] and last["committee_accuracy"]
    assert len(last["recalls"].split()) == 10
    assert finish(run_task(plan, tasks(plan)[-1], tmp_path, small_digits)) is None


@pytest.mark.parametrize("stack", [1, 4])
@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_run_that_ends_by_its_cost_is_resumed_with_equal_bytes(quick_plan, small_digits, tmp_path, stack, kept):
    plan = replace(stopping(quick_plan), stack=stack, repeats=1)
    whole = run_all(plan, tmp_path, small_digits)
    place = arm_folder(tmp_path, plan.arms[0].name, 0)
    for path in place.glob("round-*"):
        if int(path.stem.removeprefix("round-")) >= kept:
            path.unlink()
    assert run_all(plan, tmp_path, small_digits) == whole


def test_a_limit_that_no_run_comes_to_changes_no_byte(quick_plan, small_digits, tmp_path):
    plan = replace(quick_plan, repeats=1)
    whole = run_all(plan, tmp_path / "whole", small_digits)
    limited = replace(plan, experiment=replace(plan.experiment, stop_cost=1e9))
    assert run_all(limited, tmp_path / "limited", small_digits) == whole


def test_a_job_closed_in_the_middle_leaves_whole_rounds_alone(quick_plan, small_digits, tmp_path):
    plan = replace(quick_plan, repeats=1)
    whole = run_all(plan, tmp_path / "whole", small_digits)
    job = run_task(plan, tasks(plan)[0], tmp_path / "cut", small_digits)
    while next(job).done < 2:
        pass
    job.close()
    assert rounds_done(tmp_path / "cut", plan.arms[0].name, 0) in (2, 3)
    assert run_all(plan, tmp_path / "cut", small_digits) == whole


def test_a_finished_task_is_not_run_again(quick_plan, small_digits, tmp_path, monkeypatch):
    plan = replace(quick_plan, repeats=1)
    run_all(plan, tmp_path, small_digits)
    monkeypatch.setattr("costal.paper.runner.begin", None)
    run_all(plan, tmp_path, small_digits)


def test_progress_rises_to_the_number_of_rounds(quick_plan, small_digits, tmp_path):
    progress = [each.done for each in run_task(quick_plan, tasks(quick_plan)[0], tmp_path, small_digits)]
    assert progress == sorted(progress)
    assert (progress[0], progress[-1]) == (0, quick_plan.rounds)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_plan_fixes_its_threads_and_gives_them_back(quick_plan, small_digits, tmp_path, threads):
    import torch

    before, seen = torch.get_num_threads(), set()
    plan = replace(quick_plan, threads=threads, rounds=1, repeats=1)
    for _ in run_task(plan, tasks(plan)[0], tmp_path, small_digits):
        seen.add(torch.get_num_threads())
    assert seen == {threads}
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"pool_size": 200}, DatasetError, "3 disjoint pools of 200 .* need 620"),
        ({"n": 31}, DatasetError, "n = 31 crops are more than pool_size = 30"),
        ({"base_cost_K": (1.0, 2.0)}, AgentError, "there are 2 base costs"),
    ],
    ids=["pools too large", "more asked than there are", "base costs of other classes"],
)
def test_what_does_not_fit_the_data_is_refused_before_any_work(quick_plan, small_digits, change, error, sentence):
    plan = replace(quick_plan, experiment=replace(quick_plan.experiment, **change))
    with pytest.raises(error, match=sentence):
        require_enough(plan, small_digits)


def test_redrawn_pools_can_go_on_for_longer_than_the_data_last(quick_plan, small_digits, tmp_path):
    shared = replace(quick_plan.experiment, pool_size=150, pools="redraw")
    plan = replace(quick_plan, arms=(Arm("random", acquisition="random"),), experiment=shared, rounds=4, repeats=1)
    require_enough(plan, small_digits)
    run_all(plan, tmp_path, small_digits)
    assert [row["labels"] for row in read_rows(tmp_path, run_names(plan))] == [20, 24, 28, 32, 36]
