"""What stands in a project's folder, while others write to it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.labels.effort import Event, EventKind
from costal.labels.lock import HOLDER_FILE, Holder, ProjectLock
from costal.labels.models import Provenance, kept_versions, load_newest, save_agent
from costal.labels.project_file import create_project, save_project
from costal.labels.records import ActionRecord, AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.types import Agent, AgentSettings
from costal.workbench.overview import look, roll_back_to

EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 2 * 10**9, 2 * 10**9))
AGENT = Agent(AgentSettings(2), (1, 4, 4), ({"bias": np.zeros(2, np.float32)},))


@pytest.fixture
def project(tmp_path: Path):
    return create_project(tmp_path / "neurons", ("soma", "axon"))


@pytest.fixture
def store(project):
    with Store(project.store_path) as opened:
        opened.add_frame(FrameRecord("hash", "all", "field.tif", 64, 64, None, (0.0,), (1.0,)))
        yield opened


def label(store, x, class_id=1):
    return store.answer(AnswerRecord(1, 0, x, np.zeros((1, 4, 4), np.uint8), "class", class_id, "ada", EVENTS))


def test_what_has_not_changed_is_not_read_again(project, store):
    label(store, 0)
    before = look(project.folder)
    assert look(project.folder, before) is before
    label(store, 4)
    after = look(project.folder, before)
    assert (before.review.label_counts, after.review.label_counts) == ({1: 1}, {1: 2})


def test_a_changed_setting_or_model_is_noticed(project, store):
    before = look(project.folder)
    save_project(replace(project, name="neurites"))
    renamed = look(project.folder, before)
    assert renamed.project.name == "neurites"
    save_agent(project.model_folder, AGENT)
    assert [each.number for each in look(project.folder, renamed).model_versions] == [1]


def test_an_overview_of_another_project_is_not_gone_on_with(project, store, tmp_path):
    label(store, 0)
    other = create_project(tmp_path / "other", ("soma",))
    assert look(other.folder, look(project.folder)).review.label_counts == {}


def test_labels_that_the_newest_model_missed_and_those_it_should_forget_are_counted(project, store):
    ids = [label(store, x) for x in (0, 4, 8)]
    save_agent(project.model_folder, AGENT, Provenance(store.label_snapshot()))
    seen = look(project.folder)
    assert (seen.taken_back, seen.not_learned) == (0, 0)
    store.undo(ids[1])
    label(store, 0, class_id=2)
    label(store, 12)
    seen = look(project.folder, seen)
    assert (seen.taken_back, seen.not_learned) == (2, 2)
    store.redo(ids[1])
    assert look(project.folder, seen).taken_back == 1


def test_planted_errors_are_counted_over_all_pages_that_were_accepted(project, store):
    assert (look(project.folder).planted, look(project.folder).caught) == (0, 0)
    for planted, caught in ((2, 1), (3, 3)):
        store.answer_together(ActionRecord("accepted", "ada", 9.0, planted, caught), ())
    assert (look(project.folder).planted, look(project.folder).caught) == (5, 4)


def test_rolling_back_saves_the_older_model_as_the_newest_while_this_program_writes(project):
    for count in (10, 20):
        save_agent(project.model_folder, replace(AGENT, label_count=count))
    lock = ProjectLock(project.folder)
    assert lock.acquire() is None
    assert roll_back_to(project.folder, 1).number == 3
    lock.release()
    assert roll_back_to(project.folder, 2).number == 4
    assert [each.agent.label_count for each in kept_versions(project.model_folder)] == [20, 10, 20, 10]


def test_nothing_is_rolled_back_while_another_program_writes(project):
    for _ in range(2):
        save_agent(project.model_folder, AGENT)
    lock = ProjectLock(project.folder)
    lock.acquire()
    elsewhere = Holder("grace", "microscope", 7, "2026-01-01 10:00")
    (project.folder / HOLDER_FILE).write_text(json.dumps({name: getattr(elsewhere, name) for name in Holder.__slots__}))
    with pytest.raises(ProjectError, match="grace on microscope"):
        roll_back_to(project.folder, 1)
    lock.release()
    assert load_newest(project.model_folder).number == 2


@pytest.mark.parametrize("gone", ["project.toml", "labels.sqlite"])
def test_a_folder_that_is_no_project_any_more_is_said(project, gone):
    (project.folder / gone).unlink()
    with pytest.raises(ProjectError, match=gone.replace(".", r"\.")):
        look(project.folder)
