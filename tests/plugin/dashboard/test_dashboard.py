"""*Labelling dashboard* over real stores; the figures are drawn by a real process where a test looks at them."""

import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor

from costal.agent.metrics import Hint
from costal.labels.derivation import Efforts
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.event_table import PRESENTATION
from costal.labels.models import Provenance, load_newest, save_agent
from costal.labels.project import Choices
from costal.labels.project_file import create_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord, QueryReason
from costal.labels.store import Store
from costal.types import Agent, AgentSettings, finish
from costal.workbench.assessment import Assessment, Doubt, Forecast, Kept
from costal.workbench.overview import look
from costal.workbench.review import PresentationTable
from napari_costal.dashboard.cards import MOST_DOTS, contents, look_again_text, planted_text
from napari_costal.dashboard.figures import (
    AccuracyPicture,
    CalibrationPicture,
    ClassesPicture,
    ClassRow,
    ConfusionPicture,
    EffortPicture,
)
from napari_costal.dashboard.tables import CROP, EFFORT, HEADS, EffortModel
from napari_costal.dashboard.widget import Dashboard
from napari_costal.label_crops.widget import LabelCrops
from napari_costal.ui.figure_view import colours_of
from napari_costal.ui.figures import drawn
from tests.plugin.fakes import Painter

S = 1_000_000_000
AGENT = Agent(AgentSettings(2), (1, 4, 4), ({"bias": np.zeros(2, np.float32)},))
DARK = colours_of("dark")


class LabelWriter:
    """A project of two classes and a short way to answer: every third crop a control that was predicted right."""

    def __init__(self, folder: Path) -> None:
        self.project = create_project(folder, ("soma", "axon"))
        self.store = Store(self.project.store_path)
        self.store.add_frame(FrameRecord("hash", "all", "/data/field.tif", 64, 64, None, (0.0,), (1.0,)))
        self.count = 0

    def answer(self, kind="class", why=None, control=False, events=None):
        end = EventKind.ANSWERED if kind == "class" else EventKind.SKIPPED
        at_ns = round((2 + self.count % 5) * S)
        events = events or (Event(EventKind.SHOWN, 0, 0), Event(end, at_ns, at_ns))
        class_id = 1 + self.count % 2 if kind == "class" else None
        self.count += 1
        record = AnswerRecord(
            1,
            0,
            4 * self.count,
            np.zeros((1, 4, 4), np.uint8),
            kind,
            class_id,
            "ada",
            events,
            control=control,
            why=why or QueryReason(),
        )
        return self.store.answer(record)

    def answer_predicted(self, count):
        for _ in range(count):
            probs = (0.9, 0.1) if self.count % 2 == 0 else (0.3, 0.7)
            cost = 2.5 + self.count % 3
            self.answer(why=QueryReason((1, 2), probs, cost=cost, cost_spread=0.4), control=self.count % 3 == 0)


@pytest.fixture
def session(tmp_path):
    opened = LabelWriter(tmp_path / "neurons")
    yield opened
    opened.store.close()


@pytest.fixture
def open_dashboard(qtbot):
    """Return what opens a dashboard in a window of its own."""
    opened = []

    def act(folder=None, painter=None, size=(420, 2000)):
        widget = Dashboard(ViewerModel(), painter or Painter())
        qtbot.addWidget(widget)
        opened.append(widget)
        widget.resize(*size)
        widget.show()
        if folder is not None:
            widget.choose(folder)
            qtbot.waitUntil(lambda: widget.summary.text() != "Reading …", timeout=10_000)
        return widget

    yield act
    for widget in opened:
        widget.close()


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


# which project


def test_it_shows_the_project_of_label_crops_and_another_one_until_it_follows_again(
    make_napari_viewer, chosen, session, tmp_path, qtbot
):
    session.answer()
    other = create_project(tmp_path / "elsewhere", ("soma",))
    viewer = make_napari_viewer(show=True)
    dashboard = Dashboard(viewer, Painter())
    viewer.window.add_dock_widget(dashboard)
    dashboard.refresh()
    assert "No project is open in <i>Label crops</i>" in dashboard.summary.text()
    session.store.close()
    crops = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(crops)
    crops.session.open(session.project.folder)
    qtbot.waitUntil(lambda: "1 label ·" in dashboard.summary.text(), timeout=10_000)
    assert "neurons" in dashboard.project_label.text()
    dashboard.choose(other.folder)
    qtbot.waitUntil(lambda: "0 labels" in dashboard.summary.text(), timeout=10_000)
    assert "elsewhere" in dashboard.project_label.text()
    click(qtbot, dashboard.follow_button)
    qtbot.waitUntil(lambda: "1 label ·" in dashboard.summary.text(), timeout=10_000)
    assert not dashboard.follow_button.isVisible()
    dashboard.close()
    crops.close()


def test_what_was_found_in_a_folder_that_is_not_shown_any_more_is_dropped(
    open_dashboard, session, tmp_path, qtbot, monkeypatch
):
    other = create_project(tmp_path / "elsewhere", ("soma",))
    gate, shown, looked = threading.Event(), [], Dashboard._looked

    def slow_look(folder, before):
        assert folder == other.folder or gate.wait(5)
        return look(folder, before)

    monkeypatch.setattr("napari_costal.dashboard.widget.look", slow_look)
    monkeypatch.setattr(Dashboard, "_looked", lambda self, outcome: shown.append(outcome[0]) or looked(self, outcome))
    dashboard = open_dashboard()
    dashboard.choose(session.project.folder)
    dashboard.choose(other.folder)
    gate.set()
    qtbot.waitUntil(dashboard.pages.isVisible, timeout=10_000)
    assert {each.project.folder for each in shown} == {other.folder}


def test_a_folder_that_is_no_project_is_said_and_one_that_becomes_readable_again_is_shown(
    open_dashboard, session, qtbot
):
    path = session.project.folder / "project.toml"
    text = path.read_text("utf-8")
    path.write_text("broken", "utf-8")
    dashboard = open_dashboard(session.project.folder)
    assert "project.toml is broken" in dashboard.status.text()
    assert not dashboard.pages.isVisible()
    path.write_text(text, "utf-8")
    qtbot.waitUntil(dashboard.pages.isVisible, timeout=10_000)
    assert dashboard.status.text() == ""


def test_new_labels_are_shown_while_they_are_given_but_not_read_while_nobody_can_see_them(
    open_dashboard, session, qtbot
):
    dashboard = open_dashboard(session.project.folder)
    session.answer()
    qtbot.waitUntil(lambda: "1 label ·" in dashboard.summary.text(), timeout=10_000)
    before = dashboard._overview
    dashboard.hide()
    session.answer()
    dashboard._rests_until = 0.0
    dashboard.refresh()
    assert not dashboard._is_looking
    assert dashboard._overview is before
    dashboard.show()
    qtbot.waitUntil(lambda: "2 labels" in dashboard.summary.text(), timeout=10_000)


# figures


@pytest.mark.parametrize(("share", "expected"), [(0.1, "about 10% of a query"), (0.0, "the control share is 0")])
def test_without_controls_it_says_why_and_draws_no_empty_axes(open_dashboard, session, share, expected):
    save_project(replace(session.project, choices=Choices(control_share=share)))
    session.answer()
    validation, accuracy, effort, classes, calibration = open_dashboard(session.project.folder).figures.cards
    assert "Not yet" in validation.text.text()
    for card in (accuracy, calibration):
        assert expected in card.text.text()
    assert "No effort was predicted yet" in effort.text.text()
    assert [card.figure.isVisible() for card in (accuracy, effort, classes, calibration)] == [False, False, True, False]


def test_the_share_of_planted_errors_that_was_caught_is_said_with_its_interval():
    assert planted_text(SimpleNamespace(planted=0, caught=0)) == ""
    expected = (
        "Accepted predictions: you noticed 3 of 4 errors that the plugin made on purpose, <b>75%</b> (30% to 95%)."
    )
    assert planted_text(SimpleNamespace(planted=4, caught=3)) == expected


def test_the_hint_stands_above_the_figures(open_dashboard, session, monkeypatch):
    monkeypatch.setattr("costal.workbench.review.unlikely_to_help", lambda _: Hint("Rest. It is a plateau.", True))
    assert open_dashboard(session.project.folder).figures.hint.text() == "Rest. It is a plateau."


def test_only_figures_that_changed_are_drawn_again(open_dashboard, session, qtbot):
    session.answer_predicted(9)
    painter = Painter()
    open_dashboard(session.project.folder, painter)
    qtbot.waitUntil(lambda: len(painter.orders) == 4, timeout=5000)
    for order in painter.orders:
        order.job.result.emit((1, 1, bytes(4)))
    session.answer()  # neither predicted nor a control
    qtbot.waitUntil(lambda: len(painter.orders) == 5, timeout=5000)
    qtbot.wait(300)
    assert [type(order.picture) for order in painter.orders[4:]] == [ClassesPicture]


def test_a_figure_out_of_sight_is_not_drawn_before_it_is_scrolled_to(open_dashboard, session, qtbot):
    session.answer_predicted(9)
    painter = Painter()
    dashboard = open_dashboard(session.project.folder, painter, size=(420, 480))
    qtbot.waitUntil(lambda: len(painter.orders) >= 1, timeout=5000)
    qtbot.wait(300)
    assert CalibrationPicture not in {type(order.picture) for order in painter.orders}
    dashboard.figures.verticalScrollBar().setValue(dashboard.figures.verticalScrollBar().maximum())
    qtbot.waitUntil(lambda: CalibrationPicture in {type(order.picture) for order in painter.orders}, timeout=5000)


def test_cards_stand_side_by_side_where_there_is_room(open_dashboard, session, qtbot):
    dashboard = open_dashboard(session.project.folder)
    lefts = lambda: {card.mapTo(dashboard, card.rect().topLeft()).x() for card in dashboard.figures.cards}  # noqa: E731
    qtbot.waitUntil(lambda: len(lefts()) == 1, timeout=2000)
    dashboard.resize(1200, 900)
    qtbot.waitUntil(lambda: len(lefts()) == 2, timeout=2000)


def test_the_figures_are_drawn_in_the_colours_of_the_theme_by_a_process_that_ends_with_the_dashboard(
    open_dashboard, session, qtbot
):
    session.answer_predicted(9)
    dashboard = open_dashboard(session.project.folder)
    dashboard.close()
    dashboard = Dashboard(ViewerModel())
    qtbot.addWidget(dashboard)
    dashboard.resize(420, 2000)
    dashboard.show()
    dashboard.choose(session.project.folder)
    view = dashboard.figures.cards[3].figure
    for theme in ("dark", "light"):
        dashboard._viewer.theme = theme
        ground = QColor(colours_of(theme).background)
        qtbot.waitUntil(lambda: not view.image.isNull() and view.image.pixelColor(1, 1) == ground, timeout=30_000)  # noqa: B023
    assert dashboard._painter.pid > 0
    dashboard.close()
    assert dashboard._painter.pid == 0


ONE = np.ones(1)


@pytest.mark.parametrize(
    "picture",
    [
        AccuracyPicture(np.zeros(1, np.int64), ONE, ONE, ONE, ONE),
        EffortPicture(np.zeros((2, 0)), np.ones((2, 1))),
        EffortPicture(np.zeros((2, 3)), np.zeros((2, 0))),
        ClassesPicture([ClassRow("soma", "#4477aa", 0, ONE[:0], ONE[:0])]),
        ClassesPicture([ClassRow("a class with a very long name", "#4477aa", 10**6, np.zeros(3), np.zeros(1))] * 36),
        CalibrationPicture(ONE, ONE, ONE, ONE, np.ones(1, np.intp)),
        ConfusionPicture(["soma", "axon"], np.array([[3.0, 1.0], [0.0, 0.0]])),
    ],
    ids=[
        "one control",
        "one effort",
        "efforts of zero seconds",
        "an empty class",
        "36 classes",
        "one bin",
        "a class without labels",
    ],
)
def test_every_picture_can_be_drawn_from_little_or_much(picture):
    width, height, pixels = finish(drawn(picture, 380, 400, 1.5, DARK))
    assert (width, height, len(pixels)) == (570, 600, 4 * 570 * 600)


def test_a_class_has_its_own_colour_and_controls_are_told_from_chosen_crops():
    def colours_in(picture):
        *_, pixels = finish(drawn(picture, 400, 200, 1.0, DARK))
        return set(map(bytes, np.frombuffer(pixels, np.uint8).reshape(-1, 4)[:, :3]))

    assert bytes.fromhex("aa3377") in colours_in(ClassesPicture([ClassRow("soma", "#aa3377", 5, ONE[:0], ONE[:0])]))
    dots = np.array([[2.0, 3.0], [2.0, 4.0]])
    chosen, control = (colours_in(EffortPicture(*each)) for each in ((dots, dots[:, :0]), (dots[:, :0], dots)))
    assert chosen != control


def test_very_many_efforts_are_thinned_to_the_newest(session):
    session.answer_predicted(3)
    overview = look(session.project.folder)
    many = np.arange(5000.0)
    pairs = replace(overview.review.pairs, predicted_s_Q=many, measured_s_Q=many, control_Q=many < 0)
    picture = contents(replace(overview, review=replace(overview.review, pairs=pairs)), DARK)[2].picture
    assert picture.chosen_s_2_Q.shape == (2, MOST_DOTS)
    assert picture.chosen_s_2_Q[0, -1] == 4999


def test_the_effort_card_says_too_few_rather_than_a_figure(session):
    for _ in range(2):
        session.answer_predicted(1)
        session.answer()
    text = contents(look(session.project.folder), DARK)[2].text
    assert "too few" in text
    assert "nan" not in text


def test_drawing_needs_neither_a_screen_nor_torch():
    script = "import sys, napari_costal.dashboard.figures; "
    script += "sys.stdout.write(' '.join({name.partition('.')[0] for name in sys.modules}))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert set(ran.stdout.split()) & {"qtpy", "napari", "torch", "scipy", "PyQt6"} == set()


# efforts


JUMPED = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, S, 60 * S))
AWAY = (
    Event(EventKind.SHOWN, 0, 0),
    Event(EventKind.PAUSED, 2 * S, 2 * S, PauseReason.IDLE),
    Event(EventKind.RESUMED, 9 * S, 9 * S, PauseReason.IDLE),
    Event(EventKind.ANSWERED, 10 * S, 10 * S),
)


def rows_of(model):
    return [
        tuple(model.data(model.index(row, column)) for column in range(1, len(HEADS)))
        for row in range(model.rowCount())
    ]


def test_the_table_says_of_every_effort_what_it_is_worth_newest_first(open_dashboard, session):
    session.answer()
    session.answer(events=AWAY)
    session.answer(kind="skip")
    session.answer(events=JUMPED)
    page = open_dashboard(session.project.folder).efforts
    jumped, skipped, away, plain = rows_of(page.model)
    assert jumped[3:6] == ("excluded", "the clock jumped or the machine was suspended", "labelled")
    assert skipped == ("", "4.00", "4.00", "at least", "skipped", "skipped", "field.tif (0, 12)")
    assert away[:5] == ("axon", "0.00", "10.00", "at least", "a gap beyond the idle limit")
    assert plain == ("soma", "2.00", "2.00", "usable", "", "labelled", "field.tif (0, 4)")
    assert page.count.text() == "Crops were shown 4 times. Efforts: 1 usable, 2 lower bounds, 1 excluded."


def test_the_filter_leaves_censored_and_excluded_efforts_and_can_be_lifted(open_dashboard, session, qtbot):
    session.answer()
    session.answer(kind="skip")
    session.answer(events=JUMPED)
    page = open_dashboard(session.project.folder).efforts
    page.only_odd.setChecked(True)
    assert [row[EFFORT - 1] for row in rows_of(page.model)] == ["excluded", "at least"]
    page.only_odd.setChecked(False)
    assert page.model.rowCount() == 3


def test_a_row_keeps_its_selection_while_others_come(open_dashboard, session, qtbot):
    session.answer(kind="skip")
    dashboard = open_dashboard(session.project.folder)
    view = dashboard.efforts.view
    view.selectRow(0)
    session.answer()
    qtbot.waitUntil(lambda: dashboard.efforts.model.rowCount() == 2, timeout=10_000)
    assert [index.row() for index in view.selectionModel().selectedRows()] == [1]


def test_a_hundred_thousand_rows_are_shown_and_only_those_in_sight_are_made(session, qtbot, monkeypatch):
    count = 100_000
    rows = np.zeros(count, PRESENTATION)
    rows["id"] = rows["x"] = 1 + np.arange(count)
    zeros = np.zeros(count, np.int64)
    table = PresentationTable(rows, {0: "f.tif"}, Efforts(zeros, zeros, zeros > 0, zeros), zeros, zeros)
    from napari_costal.dashboard.pages import EffortsPage

    page = EffortsPage()
    qtbot.addWidget(page)
    made = set()
    text = EffortModel._text
    monkeypatch.setattr(EffortModel, "_text", lambda self, *each: made.add(each[1]) or text(self, *each))
    page.model.show_table(session.project, table)
    page.resize(800, 600)
    with qtbot.waitExposed(page):
        page.show()
    qtbot.waitUntil(lambda: len(made) > 5, timeout=5000)
    assert page.model.rowCount() == count
    assert len(made) < 200
    assert page.model.data(page.model.index(count - 1, CROP)) == "f.tif (0, 1)"


# models


def test_a_stale_model_is_told_and_an_older_one_is_brought_back(open_dashboard, session, qtbot):
    first = session.answer()
    save_agent(session.project.model_folder, replace(AGENT, label_count=7), Provenance((), 0, {"control labels": 12.0}))
    save_agent(session.project.model_folder, AGENT, Provenance(session.store.label_snapshot()))
    dashboard = open_dashboard(session.project.folder)
    assert "Stale" not in dashboard.summary.text()
    session.store.undo(first)
    qtbot.waitUntil(
        lambda: "1 label in its training data was undone or changed since" in dashboard.summary.text(), timeout=10_000
    )
    models = dashboard.models
    dashboard.pages.setCurrentWidget(models)
    assert [models.table.item(row, 0).text() for row in range(2)] == ["2", "1"]
    assert models.table.item(1, 4).text() == "12"
    assert not models.back_button.isEnabled()
    models.table.selectRow(0)
    assert not models.back_button.isEnabled(), "the newest is the newest already"
    models.table.selectRow(1)
    click(qtbot, models.back_button)
    qtbot.waitUntil(lambda: "Model 3" in dashboard.summary.text(), timeout=10_000)
    assert "a copy of model 1" in dashboard.summary.text()
    assert "Stale" not in dashboard.summary.text()
    assert load_newest(session.project.model_folder).agent.label_count == 7
    assert not models.back_button.isEnabled()


# the end


@pytest.mark.parametrize("how", ["close", "leave the window"])
def test_closing_leaves_no_timer_thread_or_callback_behind(open_dashboard, session, qtbot, how):
    dashboard = open_dashboard(session.project.folder)
    assert any(each.name.startswith("costal-dashboard") for each in threading.enumerate())
    if how == "close":
        dashboard.close()
    else:
        from qtpy.QtWidgets import QMainWindow

        window = QMainWindow()
        qtbot.addWidget(window)
        window.setCentralWidget(dashboard)
        dashboard.setParent(None)
    assert not any(each.name.startswith("costal-dashboard") for each in threading.enumerate())
    assert not dashboard._timer.isActive()
    assert len(dashboard._viewer.events.theme.callbacks) == len(ViewerModel().events.theme.callbacks)


def test_the_card_of_cross_validation_says_figure_controls_calibration_and_forecast(session):
    doubts = (Doubt(7, 1, 0, 4, 4, 1, 2, 0.1, 0.9), Doubt(8, 1, 0, 8, 4, 1, 2, 0.2, 0.8))
    forecast = Forecast(84, 40, 2.1, 1.5, 0.86)
    came = Forecast(40, 30, 3.0, 2.0, 0.8, 44, 6.0)
    figures = {"left_out_by": "frames", "frames": 6, "class_ids": (1, 2), "temperature": 1.5, "raw_error": 0.09}
    assessment = Assessment(
        "old", "", 84, 0.86, 0.79, 0.91, **figures, calibration_error=0.04, doubts=doubts, forecast=forecast,
        confusion_K_K=((40.0, 2.0), (10.0, 32.0)), recall_K=(0.95, 0.76),
    )  # fmt: skip
    overview = replace(look(session.project.folder), kept=Kept(assessment, True), came=came)
    content = contents(overview, DARK)[0]
    for text in (
        "86%</b> (79% to 91%) of 84 labels of 6 frames", "Outdated", "not a random sample", "no control labels yet",
        "0.09; 0.04 if probabilities were rescaled with temperature 1.50", "about 40 labels, +2.1 ± 1.5 points",
        "Forecast made at 40 labels: about 30 labels, +3.0 ± 2.0 points. What came: 44 labels, +6.0 points.",
    ):  # fmt: skip
        assert text in content.text
    assert content.picture.confusion_K_K.sum() == 84
    assert look_again_text(overview) == "Look at 2 labels again …"
    assert look_again_text(replace(overview, kept=None)) == ""
