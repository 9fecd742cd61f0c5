"""The line on how good the model is, and the assessment after a training, with an engine that only notes its jobs."""

from unittest.mock import MagicMock

import pytest
from psygnal import Signal
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QLabel

from costal.labels.project import Choices
from costal.labels.project_file import create_project, save_project
from costal.workbench.assessment import Assessment, Kept, keep
from napari_costal.label_crops.assessing import Assessing


class Session:
    opened, leaving, changed = Signal(), Signal(), Signal(object, object)

    def __init__(self, project, labels):
        self.project, self.label_count = project, labels
        self.project_session, self.store = MagicMock(holder=None), Now()


class Now:
    """A thread that is at once done."""

    def run(self, function, *arguments, then=None, failed=None):
        outcome = function(*arguments)
        if then is not None:
            then(outcome)


class Heard:
    learned, relabelled = Signal(), Signal(object, object)


class Caller:
    def __init__(self):
        self.calls, self.is_busy = [], False

    def call(self, function, arguments, then, failed, title):
        self.is_busy = True
        self.calls.append((function, arguments, self.ending(then)))

    def ending(self, then):
        def end(outcome):
            self.is_busy = False
            then(outcome)

        return end

    def cancel(self):
        self.is_busy = False


@pytest.fixture
def project(tmp_path):
    made = create_project(tmp_path / "cells", ("one", "two"))
    save_project(made)
    return made


@pytest.fixture
def make(qtbot, project):
    def made(labels=30, backbone="efficientnet_lite0"):
        parent = QObject()
        session = Session(project_with(project, backbone), labels)
        assessing = Assessing(parent, QLabel(), session, Heard(), Heard(), Now(), engine=MagicMock())
        assessing._caller = Caller()
        assessing._parent_kept = parent
        return assessing, session

    return made


def project_with(project, backbone):
    from dataclasses import replace

    return replace(project, choices=Choices(backbone=backbone))


def test_a_training_that_ends_while_an_assessment_runs_is_assessed_once_after_it(make):
    assessing, _ = make()
    for _ in range(3):
        assessing.assess()
    assert len(assessing._caller.calls) == 1
    assessing._caller.calls[0][2](None)
    assert len(assessing._caller.calls) == 2
    assessing._caller.calls[1][2](None)
    assert len(assessing._caller.calls) == 2
    assert not assessing.is_busy


def test_an_assessment_that_fails_says_why(make):
    assessing, _ = make()
    assessing.assess()
    assessing._caller.calls[0][2]("The disk is full. Free some space.")
    assert assessing._label.text().endswith("not yet. The disk is full. Free some space.")
    assessing.assess()
    assessing._caller.calls[1][2](None)
    assert "disk" not in assessing._label.text()


def test_a_window_that_only_reads_starts_nothing_and_shows_what_is_kept(make, project):
    assessing, session = make()
    keep(session.project, Assessment("old", "", 84, 0.86, 0.79, 0.91, frames=6))
    session.project_session.holder = "ada"
    assessing.assess()
    assert assessing._caller.calls == []
    assessing.look()
    assert assessing._label.text() == (
        "Accuracy in cross-validation: 0.86 [0.79, 0.91] from 84 labels of 6 frames (outdated: labels or settings have "
        "changed since)"
    )


def test_an_assessment_of_now_is_not_called_outdated():
    assert "outdated" not in Kept(Assessment("now", "", 84, 0.86, 0.79, 0.91, frames=6), False).line


@pytest.mark.parametrize(
    ("labels", "backbone", "reason"),
    [(17, "efficientnet_lite0", "It needs 20 labels, 3 more than now."), (30, "gal2017", "ten trainings")],
)
def test_where_nothing_can_be_said_no_process_is_started_and_the_reason_is(make, labels, backbone, reason):
    assessing, _ = make(labels, backbone)
    assessing.assess()
    assert assessing._caller.calls == []
    assert reason in assessing._label.text()
    assert assessing._label.text().startswith("Accuracy in cross-validation: not yet.")


def test_leaving_the_project_ends_the_assessment(make):
    assessing, session = make()
    assessing.assess()
    session.leaving.emit()
    assert not assessing.is_busy
