import json
from dataclasses import replace

import pytest

from costal.errors import DatasetError
from costal.paper.claim import claimed, kept_environment
from costal.paper.environment import environment, source_fingerprint
from costal.paper.plan_file import load_plan


def test_a_claimed_folder_holds_the_plan_and_the_environment(quick_plan, small_digits, tmp_path):
    with claimed(tmp_path / "out", quick_plan, small_digits):
        pass
    assert load_plan(tmp_path / "out" / "experiment.toml") == quick_plan
    found = kept_environment(tmp_path / "out")
    assert (found.fingerprint, found.source) == (small_digits.fingerprint, source_fingerprint())


def test_a_folder_in_use_is_refused_and_free_again_afterwards(quick_plan, small_digits, tmp_path):
    with (
        claimed(tmp_path, quick_plan, small_digits),
        pytest.raises(DatasetError, match=r"is in use by .* Wait until it ends"),
        claimed(tmp_path, quick_plan, small_digits),
    ):
        pass
    with claimed(tmp_path, quick_plan, small_digits):
        pass


def test_another_configuration_is_refused_with_the_difference(quick_plan, small_digits, tmp_path):
    with claimed(tmp_path, quick_plan, small_digits):
        pass
    with (
        pytest.raises(DatasetError, match=r"rounds: 3 -> 4"),
        claimed(tmp_path, replace(quick_plan, rounds=4), small_digits),
    ):
        pass


def test_other_crops_are_refused(quick_plan, small_digits, tmp_path):
    with claimed(tmp_path, quick_plan, small_digits):
        pass
    with (
        pytest.raises(DatasetError, match="other crops"),
        claimed(tmp_path, quick_plan, replace(small_digits, fingerprint="another")),
    ):
        pass


def test_a_run_is_not_resumed_when_that_is_not_wanted(quick_plan, small_digits, tmp_path):
    with claimed(tmp_path, quick_plan, small_digits, resume=False):
        pass
    with (
        pytest.raises(DatasetError, match="holds a run already"),
        claimed(tmp_path, quick_plan, small_digits, resume=False),
    ):
        pass


def test_a_folder_with_something_else_is_left_alone(quick_plan, small_digits, tmp_path):
    (tmp_path / "thesis.docx").write_text("mine", "utf-8")
    with (
        pytest.raises(DatasetError, match=r"something else \(thesis.docx\)"),
        claimed(tmp_path, quick_plan, small_digits),
    ):
        pass
    assert not (tmp_path / "experiment.toml").exists()


def test_an_environment_that_cannot_be_read_is_none(tmp_path):
    assert kept_environment(tmp_path) is None
    (tmp_path / "environment.json").write_text(json.dumps({"torch": "1"}), "utf-8")
    assert kept_environment(tmp_path) is None


def test_environments_differ_in_what_they_say():
    here = environment("cpu", "crops")
    assert here.differences(here) == ()
    assert here.differences(replace(here, numpy="0.1")) == (f"numpy: {here.numpy} and 0.1",)
