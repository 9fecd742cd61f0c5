"""Which answered crops come again: a share of them, by a hash, not too soon, and only where answers can be compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from costal.labels.classes import merge_classes, retire_class
from costal.labels.project import Choices, LabelClass, Project
from costal.labels.records import CropLabel
from costal.labels.repeats import FEWEST_BETWEEN, due_repeat
from costal.types import Grid

CLASSES = tuple(LabelClass(n, name, str(n), "#4477aa") for n, name in ((1, "soma"), (2, "axon"), (3, "spine")))
GRID = Grid(1024, 1024, 16, 16, "drop", 64, 64)


def project(share=0.5, seed=0):
    return Project(Path("neurons"), "neurons", CLASSES, choices=Choices(repeat_share=share, seed=seed))


def labels(count, **changes):
    return {n: replace(CropLabel(n + 1, 1, 0, 0, 16, 1), **changes) for n in range(count)}


def all_due(own, answered, known=None, frame="hash"):
    """Return every crop that comes again, one after another."""
    repeated = []
    known = labels(GRID.rows * GRID.cols) if known is None else known
    while (index := due_repeat(own, frame, GRID, answered, known, repeated)) is not None:
        repeated.append(index)
    return repeated


def test_the_last_answers_never_come_again():
    assert FEWEST_BETWEEN == 10
    assert all_due(project(), range(10)) == []
    drawn = all_due(project(), range(200))
    assert all_due(project(), range(60)) == [each for each in drawn if each < 50]


def test_about_the_share_of_the_project_comes_again_and_none_at_0():
    assert 4096 * 0.03 * 0.7 < len(all_due(project(0.03), range(4096))) < 4096 * 0.03 * 1.3
    assert all_due(project(0.0), range(4096)) == []


def test_seed_frame_and_crop_decide_and_nothing_else():
    answered = list(range(400))
    first = all_due(project(0.1), answered)
    assert all_due(project(0.1), answered) == first
    assert all_due(project(0.1, seed=1), answered) != first
    assert all_due(project(0.1), answered, frame="another") != first


def test_a_crop_comes_again_once():
    drawn = all_due(project(), range(100))
    assert len(set(drawn)) == len(drawn)


@pytest.mark.parametrize(
    "known",
    [
        {},
        labels(100, class_id=None, kind="skip"),
        labels(100, given="bulk"),
        labels(100, given="imported"),
        labels(100, class_id=2),
        labels(100, class_id=3),
        labels(100, class_id=9),
    ],
    ids=["taken back", "skipped", "bulk", "imported", "merged", "retired", "unknown"],
)
def test_a_crop_whose_answer_cannot_be_compared_does_not_come_again(known):
    own = retire_class(merge_classes(project(), 2, 1), 3)
    assert all_due(own, range(100), known) == []
    assert all_due(own, range(100), labels(100))
