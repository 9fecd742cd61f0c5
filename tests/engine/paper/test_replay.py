from dataclasses import replace

import numpy as np
import pytest

from costal.errors import DatasetError
from costal.frames.simulate import CLASS_NAMES, simulate_field, simulated_effort_s
from costal.labels.project import Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.paper.evidence import Estimate, Saving
from costal.paper.plan import Arm
from costal.paper.replay import arms_of, for_other_labels, replay, sentence
from costal.types import finish
from costal.workbench.session import ProjectSession
from tests.engine.paper.test_own_project import CROP, PauseReason, give

LABELS = 120


def made(folder, labels, backbone="gal2017"):
    """Return a project of so many labelled crops with simulated efforts; the tenth was left for an hour."""
    field = simulate_field((192, 192), CROP, seed=2)
    project = create_project(folder / "neurons", CLASS_NAMES)
    choices = replace(project.choices, backbone=backbone, passes=5)
    save_project(replace(project, tiling=Tiling(CROP, CROP), choices=choices))
    seconds = simulated_effort_s(field, 0)
    with ProjectSession(project.folder, "ada") as session:
        for index in range(labels):
            pause = PauseReason.IDLE if index == 9 else None
            give(session, field, index, float(seconds[index]) + 3600 * (index == 9), pause=pause)
    return project.folder


def saving(ratio, gain):
    nothing = Estimate(np.nan, np.nan, np.nan)
    return Saving(Arm("your settings"), (0, 1), Estimate(*ratio), (nothing,) * 4, Estimate(*gain), nothing, nothing)


@pytest.mark.parametrize(
    ("ratio", "gain", "words"),
    [
        ((0.5, 0.4, 0.7), (0.02, 0.01, 0.03), "50% less time at equal accuracy, by its interval at least 30%"),
        ((0.8, 0.5, 1.2), (0.02, 0.01, 0.03), "better than random selection; +2.0 points"),
        (
            (0.8, 0.5, 1.2),
            (0.0, -0.01, 0.02),
            "Your settings: no clear difference from random selection on these labels",
        ),
        ((0.95, 0.85, np.inf), (-0.003, -0.006, -0.001), "no clear difference"),
        ((0.7, 0.5, 0.98), (0.01, -0.01, 0.03), "no clear difference"),
        ((np.inf, 1.1, np.inf), (-0.02, -0.03, -0.01), "more time than random selection"),
    ],
)
def test_a_sentence_claims_no_more_than_its_interval(ratio, gain, words):
    assert words in sentence(saving(ratio, gain))


def test_a_sentence_names_a_setting_as_it_is_written():
    beta = replace(saving((0.8, 0.5, 1.2), (0.0, -0.01, 0.02)), arm=Arm("β = 0"))
    assert sentence(beta).startswith("β = 0: no clear difference")


def test_intervals_over_repeats_that_share_labels_are_widened_to_the_corrected_resampled_t():
    one = saving((0.5, 0.4, np.inf), (0.02, 0.01, 0.03))
    five = replace(one, repeats=tuple(range(5)), difference_S=(one.mean_difference,))
    wider = for_other_labels(five)
    # t(4) = 2.776; sqrt(1/5 + 1/3) = 0.7303; the bootstrap's is 1.96 x sqrt(4) / 5 = 0.7840: 2.586 times as wide
    assert wider.mean_difference.low == pytest.approx(0.02 - 0.0258631, abs=1e-6)
    assert wider.mean_difference.high == pytest.approx(0.02 + 0.0258631, abs=1e-6)
    assert wider.ratio.low == pytest.approx(0.5 * 0.8**2.58631, abs=1e-6)
    assert wider.ratio.high == np.inf
    assert wider.difference_S == (wider.mean_difference,)
    assert "no clear difference" in sentence(wider)
    assert for_other_labels(replace(five, repeats=(0,))).mean_difference == five.mean_difference


def test_what_is_asked_for_differs_from_the_projects_settings_in_one():
    arms = arms_of(Choices(beta=0.3, acquisition="std", backbone="gal2017"), (0.3, 0.6), ("bald",), ())
    assert [(arm.name, arm.acquisition, arm.beta) for arm in arms] == [
        ("random", "random", 0.0), ("your settings", "std", 0.3), ("β = 0.6", "std", 0.6), ("bald", "bald", 0.3),
    ]  # fmt: skip


def test_with_nothing_asked_for_the_settings_are_beside_the_same_without_cost():
    assert [arm.name for arm in arms_of(Choices(beta=0.3), (), (), ())] == ["random", "your settings", "β = 0"]
    assert [arm.name for arm in arms_of(Choices(beta=0.0), (), (), ())] == ["random", "your settings", "β = 0.3"]


def test_too_few_labels_are_told_with_their_number(tmp_path):
    with pytest.raises(DatasetError, match="neurons has 60 labels with a measured effort, but a replay needs 100"):
        finish(replay(made(tmp_path, 60)))


@pytest.mark.slow
def test_a_replay_asks_for_the_labels_again_and_changes_nothing(tmp_path):
    folder = made(tmp_path, LABELS, "efficientnet_lite0")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    result = finish(replay(folder, repeats=2, device="cpu"))
    assert result.labels == LABELS
    assert [each.arm.name for each in result.savings] == ["your settings", "β = 0"]
    assert all(each.repeats == (0, 1) for each in result.savings)
    assert result.verdict.startswith("Your settings: ")
    assert all(0 <= each.lowest_recall.value <= 1 for each in result.savings)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert load_project(folder).choices.passes == 5
