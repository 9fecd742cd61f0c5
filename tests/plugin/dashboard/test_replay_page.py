"""The dashboard's page *Replay*: one job in an engine of its own, its table and sentences, and a way to stop it."""

from pathlib import Path

import pytest

from costal.paper.replay_table import ReplayTable
from costal.types import Progress
from napari_costal.dashboard.replay_page import REPLAYED, ReplayPage
from tests.plugin.fakes import Engine, Thread

FOUND = ReplayTable(
    (("your settings", "0.56 [0.42, 0.73]", "0.96 (+0.06)"),),
    ("Your settings: 44% less time at equal accuracy, by its interval at least 27%.",),
    ("5 repeats on 200 labels.", "2 labels were left out."),
)


class OwnEngine(Engine):
    """An engine that takes jobs for a user."""

    def start(self, function, message, user):
        return super().start(function, message)

    def stop(self):
        pass


@pytest.fixture
def engine():
    return OwnEngine()


@pytest.fixture
def page(qtbot, engine):
    shown = ReplayPage(Thread(), engine)
    qtbot.addWidget(shown)
    shown.turn_to(Path("neurons"))
    shown.show()
    return shown


def test_the_button_starts_one_job_and_its_table_and_sentences_are_shown(page, engine):
    page.button.click()
    (job,) = engine.jobs
    assert (job.function, job.request) == (REPLAYED, Path("neurons"))
    job.progress.emit(Progress(15, 75, "Replaying the labels"))
    assert (page.progress.value(), page.progress.maximum()) == (15, 75)
    assert page.cancel_button.isVisible() and not page.button.isVisible()
    job.result.emit(FOUND)
    assert [page.table.item(0, column).text() for column in range(3)] == list(FOUND.rows[0])
    assert page.message.text() == FOUND.sentences[0]
    assert "2 labels were left out." in page.notes.text()
    assert page.button.isVisible() and not page.progress.isVisible()


def test_cancel_stops_the_job_and_nothing_of_it_is_shown_later(page, engine):
    page.button.click()
    page.cancel_button.click()
    assert engine.stopped == engine.jobs
    engine.jobs[0].result.emit(FOUND)
    assert not page.table.isVisible() and page.button.isVisible()


def test_too_few_labels_are_said_in_the_place_of_a_table(page, engine):
    page.button.click()
    engine.jobs[0].failed.emit("neurons has 60 labels with a measured effort, but a replay needs 100")
    assert page.message.text().startswith("neurons has 60 labels")
    assert not page.table.isVisible() and page.button.isVisible()


def test_another_project_stops_the_replay_and_clears_what_was_found(page, engine):
    page.button.click()
    engine.jobs[0].result.emit(FOUND)
    page.button.click()
    page.turn_to(Path("others"))
    assert engine.stopped == engine.jobs[1:]
    assert (page.message.text(), page.table.rowCount()) == ("", 0)
    page.turn_to(None)
    assert not page.button.isEnabled()
