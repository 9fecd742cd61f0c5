"""Which crops of a frame got another class by a newer model."""

import numpy as np
import pytest

from costal.scoring.changes import class_changes
from costal.scoring.kept import BLANK, SCORED
from costal.scoring.scores import FrameScores
from costal.types import Scores


def scored(model_version, classes, skipped=None, count=2):
    probs = np.full((len(classes), count), 0.1, np.float32)
    probs[np.arange(len(classes)), classes] = 0.9
    ones = np.ones(len(classes), np.float32)
    return FrameScores(Scores(ones, ones, probs, False, "cpu"), model_version, skipped_N=skipped)


def test_crops_with_another_class_are_counted_and_told():
    changes = class_changes(scored(3, [0, 1, 0, 1]), scored(4, [0, 0, 0, 0]))
    assert changes.changed_N.tolist() == [False, True, False, True]
    assert changes.text == "2 of 4 crops of this frame changed class from model 3 to model 4."


def test_where_nothing_changed_that_is_said():
    changes = class_changes(scored(3, [0, 1]), scored(4, [0, 1]))
    assert changes.text == "Model 4 predicts the class of every crop of this frame as model 3 did."


def test_crops_that_one_of_the_models_did_not_score_are_not_compared():
    skipped = np.array([SCORED, BLANK, SCORED])
    changes = class_changes(scored(1, [0, 0, 0], skipped), scored(2, [1, 1, 0], skipped))
    assert changes.changed_N.tolist() == [True, False, False]
    assert changes.compared == 2


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (None, scored(2, [0])),
        (FrameScores(None, 0), scored(2, [0])),
        (scored(2, [0]), scored(2, [1])),
        (scored(1, [0], count=2), scored(2, [0], count=3)),
    ],
    ids=["not scored before", "no model before", "the same model", "other classes"],
)
def test_what_cannot_be_compared_is_not(before, now):
    assert class_changes(before, now) is None
