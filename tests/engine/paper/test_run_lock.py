import json
from dataclasses import replace

import pytest
from safetensors.torch import save

from costal.agent.adding import add_backbone
from costal.errors import AgentError, DatasetError
from costal.paper.environment import environment, source_fingerprint
from costal.paper.plan_file import load_plan
from costal.paper.run_lock import kept_environments, run_lock
from costal.paper.runner import require_enough, run_task, tasks
from costal.types import finish


def test_a_claimed_folder_holds_the_plan_and_the_environment(quick_plan, small_digits, tmp_path):
    with run_lock(tmp_path / "out", quick_plan, small_digits):
        pass
    assert load_plan(tmp_path / "out" / "experiment.toml") == quick_plan
    (environment,) = kept_environments(tmp_path / "out")
    assert (environment.fingerprint, environment.source) == (small_digits.fingerprint, source_fingerprint())


def test_a_folder_in_use_is_refused_and_free_again_afterwards(quick_plan, small_digits, tmp_path):
    with (
        run_lock(tmp_path, quick_plan, small_digits),
        pytest.raises(DatasetError, match=r"is in use by .* Wait until it ends"),
        run_lock(tmp_path, quick_plan, small_digits),
    ):
        pass
    with run_lock(tmp_path, quick_plan, small_digits):
        pass


def test_another_configuration_is_refused_with_the_difference(quick_plan, small_digits, tmp_path):
    with run_lock(tmp_path, quick_plan, small_digits):
        pass
    with (
        pytest.raises(DatasetError, match=r"rounds: 3 -> 4"),
        run_lock(tmp_path, replace(quick_plan, rounds=4), small_digits),
    ):
        pass


def test_other_crops_are_refused(quick_plan, small_digits, tmp_path):
    with run_lock(tmp_path, quick_plan, small_digits):
        pass
    with (
        pytest.raises(DatasetError, match="other crops"),
        run_lock(tmp_path, quick_plan, replace(small_digits, fingerprint="another")),
    ):
        pass


def test_other_weights_of_an_arm_are_refused(quick_plan, small_digits, tmp_path, added, small_file, small_weights):
    plan = replace(quick_plan, arms=(replace(quick_plan.arms[0], backbone="timm:test_resnet"),))
    with pytest.raises(AgentError, match="weights of 'timm:test_resnet' are not on this machine"):
        require_enough(plan, small_digits)
    first = add_backbone("timm:test_resnet", small_file)
    require_enough(plan, small_digits)
    for _ in range(2):
        with run_lock(tmp_path / "out", plan, small_digits):
            pass
    (environment,) = kept_environments(tmp_path / "out")
    assert environment.fingerprint == f"{small_digits.fingerprint} timm:test_resnet {first.sha256}"
    other = replace(small_file, content=save(small_weights | {"bn1.bias": small_weights["bn1.bias"] + 1}))
    add_backbone("timm:test_resnet", other, overwrite=True)
    with (
        pytest.raises(DatasetError, match=f"other weights .*{first.sha256}"),
        run_lock(tmp_path / "out", plan, small_digits),
    ):
        pass


def test_a_run_is_not_resumed_when_that_is_not_wanted(quick_plan, small_digits, tmp_path):
    with run_lock(tmp_path, quick_plan, small_digits, resume=False):
        pass
    with (
        pytest.raises(DatasetError, match="holds a run already"),
        run_lock(tmp_path, quick_plan, small_digits, resume=False),
    ):
        pass


def test_a_folder_with_something_else_is_left_alone(quick_plan, small_digits, tmp_path):
    (tmp_path / "thesis.docx").write_text("mine", "utf-8")
    with (
        pytest.raises(DatasetError, match=r"other files \(thesis.docx\)"),
        run_lock(tmp_path, quick_plan, small_digits),
    ):
        pass
    assert not (tmp_path / "experiment.toml").exists()


@pytest.mark.parametrize("content", [{"torch": "1"}, [], {"continued": [3]}])
def test_environments_that_cannot_be_read_are_none(content, tmp_path):
    assert kept_environments(tmp_path) == ()
    (tmp_path / "environment.json").write_text(json.dumps(content), "utf-8")
    assert kept_environments(tmp_path) == ()


def test_a_run_that_goes_on_elsewhere_has_each_environment_once(quick_plan, small_digits, tmp_path, monkeypatch):
    begun = replace(environment("cpu", small_digits.fingerprint), processor="first")
    second = replace(begun, processor="second")
    for here in (begun, begun, second, begun, second):
        monkeypatch.setattr("costal.paper.run_lock.environment", lambda device, fingerprint, here=here: here)
        with run_lock(tmp_path, quick_plan, small_digits):
            pass
    assert kept_environments(tmp_path) == (begun, second)


def test_a_finished_run_that_is_only_written_again_keeps_its_environment(
    quick_plan, small_digits, tmp_path, monkeypatch
):
    with run_lock(tmp_path, quick_plan, small_digits):
        for task in tasks(quick_plan):
            finish(run_task(quick_plan, task, tmp_path, small_digits))
    kept = kept_environments(tmp_path)
    elsewhere = replace(kept[0], processor="another")
    monkeypatch.setattr("costal.paper.run_lock.environment", lambda device, fingerprint: elsewhere)
    with run_lock(tmp_path, quick_plan, small_digits):
        pass
    assert kept_environments(tmp_path) == kept


def test_environments_differ_in_what_they_say():
    here = environment("cpu", "crops")
    assert here.differences(here) == ()
    assert here.differences(replace(here, numpy="0.1")) == (f"numpy: {here.numpy} and 0.1",)
