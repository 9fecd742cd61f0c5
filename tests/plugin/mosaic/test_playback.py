"""Playing back an experiment's folder: the controller with a view that only listens, and the page in a real viewer."""

import json
import shutil
from collections import deque
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
from qtpy.QtCore import Qt

from costal.errors import DatasetError
from costal.paper.archive import arm_folder, read_round, write_round, write_tables
from costal.paper.datasets import synthetic_dataset
from costal.paper.digits import SIDE, render
from costal.paper.experiment import NAN, Proposal, RoundReport
from costal.paper.mosaic import mosaic, mosaic_heatmap
from costal.paper.plan import RANDOM_ARM, Arm, Experiment, Plan
from costal.paper.plan_file import dump_plan
from costal.paper.run_lock import ENVIRONMENT_FILE, PLAN_FILE
from costal.types import Query, Scores
from napari_costal.mosaic.curves import CurvesPicture, curves_picture, figure_1_picture, mean_curve
from napari_costal.mosaic.playback import PlaybackController, View, sentence
from napari_costal.mosaic.run import RoundPosition, look
from napari_costal.mosaic.widget import MnistMosaic
from tests.plugin.fakes import Painter

N, ASKED, ROUNDS = 12, 3, 3
ARMS = (Arm("std, β = 0.3", acquisition="std", beta=0.3), RANDOM_ARM)
PLAN = Plan("small", "synthetic", ARMS, Experiment(pool_size=N, n=ASKED), rounds=ROUNDS, repeats=2)
RUNS = [(arm, repeat) for arm in range(2) for repeat in range(2)]


def report(arm, repeat, number, accuracy=None, cost=None):
    share = 0.5 + number / 10 + repeat / 100 if accuracy is None else accuracy
    counts = (2 + number,) * 10
    cost = 100.0 * number if cost is None else cost
    return RoundReport(ARMS[arm].name, repeat, number, 20 + ASKED * number, share, NAN, cost, counts)


def finish_round(folder, arm, repeat, number):
    """Keep a round as the experiment does, with figures that tell arm, repeat and round apart."""
    dataset, proposal = synthetic_dataset(), None
    index_N = 1000 * arm + 100 * repeat + 20 * number + np.arange(N)
    crops, class_N = dataset.take(index_N)
    picked_n = np.array([5, 0, 7])
    if number:
        value_N = np.arange(N, dtype=np.float32) + number
        scores = Scores(value_N + 100, value_N + 200, np.full((N, 10), 0.1, np.float32), False, "cpu")
        proposal = Proposal(index_N, crops, class_N, value_N, Query(picked_n, value_N, scores))
    asked_n = index_N[picked_n] if number else index_N
    labels = class_N[picked_n] if number else class_N
    write_round(folder, dataset.name, report(arm, repeat, number), asked_n, labels, np.ones(len(labels)), proposal)


def make_run(folder, counts):
    """Make a run with so many rounds of each arm's repeats."""
    folder.mkdir()
    (folder / PLAN_FILE).write_text(dump_plan(PLAN), "utf-8")
    for (arm, repeat), count in zip(RUNS, counts, strict=True):
        for number in range(count):
            finish_round(folder, arm, repeat, number)
    return folder


@pytest.fixture
def finished(tmp_path):
    return make_run(tmp_path / "finished", [ROUNDS + 1] * 4)


@pytest.fixture
def running(tmp_path):
    return make_run(tmp_path / "running", [4, 2, 0, 0])


class Thread:
    """Runs what it is given when it is told to."""

    def __init__(self) -> None:
        self.waiting = deque()

    def run(self, function, *arguments, then=None, failed=None):
        self.waiting.append((function, arguments, then, failed))

    def work(self):
        while self.waiting:
            self.work_once()

    def work_once(self):
        function, arguments, then, failed = self.waiting.popleft()
        try:
            outcome = function(*arguments)
        except DatasetError as error:
            failed(str(error))
        else:
            then(outcome)


class Player:
    """A controller with its view and its thread."""

    def __init__(self) -> None:
        self.view, self.thread = MagicMock(spec=View), Thread()
        self.controller = PlaybackController(self.view, self.thread)

    def open(self, folder):
        self.controller.open(folder)
        self.thread.work()

    def go(self, *place):
        self.controller.choose(RoundPosition(*place))
        self.thread.work()

    def look(self):
        self.controller.look()
        self.thread.work()

    @property
    def messages(self):
        return [call.args[0] for call in self.view.say.call_args_list]

    @property
    def shown(self):
        return self.view.show_round.call_args.args[1]


@pytest.fixture
def player():
    return Player()


# what is opened


def test_a_finished_run_opens_at_its_first_query_and_is_not_followed(player, finished):
    player.open(finished)
    assert player.controller.place == RoundPosition(0, 0, 1)
    assert not player.controller.is_following
    assert player.view.show_run.call_args.args[1] == "synthetic, 2 arms × 2 repeats, all 16 rounds"


def test_a_running_one_opens_at_the_newest_round_that_is_under_way_and_is_followed(player, running):
    player.open(running)
    assert player.controller.place == RoundPosition(0, 1, 1)
    assert player.controller.is_following
    assert player.view.show_run.call_args.args[1] == "synthetic, 2 arms × 2 repeats, 6 of 16 rounds"


def test_a_run_that_has_just_begun_says_that_there_is_no_round(player, tmp_path):
    player.open(make_run(tmp_path / "new", [0] * 4))
    assert player.view.show_place.call_args.args == (RoundPosition(), 0, "No round of this repeat is finished yet.")
    player.view.show_round.assert_not_called()


def test_a_round_is_shown_as_it_was_kept(player, finished):
    player.open(finished)
    player.go(1, 1, 2)
    images, classes = render(0, 1000 + 100 + 40 + np.arange(N))
    np.testing.assert_array_equal(player.shown.images_N_H_W, images)
    np.testing.assert_array_equal(player.shown.picked_n, [5, 0, 7])
    assert player.shown.words_n == tuple(str(classes[each]) for each in (5, 0, 7))
    np.testing.assert_array_equal(player.shown.query.value_N, np.arange(N) + 2)
    assert player.view.show_place.call_args.args[2] == "round 2 of 3 · 26 labels · accuracy 0.710 · cost 200"


def test_at_the_start_all_crops_have_labels_and_none_a_value(player, finished):
    player.open(finished)
    player.go(0, 0, 0)
    assert player.shown.query is None
    np.testing.assert_array_equal(player.shown.picked_n, np.arange(N))


def test_a_round_without_a_test_names_no_accuracy():
    assert sentence(report(0, 0, 2, accuracy=NAN), 3) == "round 2 of 3 · 26 labels · cost 200"


# what cannot be opened or read


def broken_toml(folder):
    (folder / PLAN_FILE).write_text("arms = 3", "utf-8")


def broken_figures(folder):
    (arm_folder(folder, ARMS[0].name, 0) / "round-001.json").write_text("{", "utf-8")


def foreign_figures(folder):
    (arm_folder(folder, ARMS[0].name, 0) / "round-001.json").write_text('{"colour": "blue"}', "utf-8")


def figures_of_another_kind(folder):
    (arm_folder(folder, ARMS[0].name, 0) / "round-001.json").write_text("[1, 2]", "utf-8")


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda folder: (folder / PLAN_FILE).unlink(), "is not the folder of an experiment: it has no experiment.toml"),
        (shutil.rmtree, "is not the folder of an experiment"),
        (broken_toml, "'arms' should be a list of tables"),
        (broken_figures, "round-001.json is damaged"),
        (foreign_figures, "round-001.json is damaged ('total_cost')"),
        (figures_of_another_kind, "round-001.json is damaged"),
    ],
    ids=["no plan", "no folder", "broken plan", "broken round", "foreign round", "list"],
)
def test_a_foreign_or_damaged_folder_is_said_in_a_sentence_and_not_opened(player, finished, damage, expected):
    damage(finished)
    player.open(finished)
    (text,) = player.view.complain.call_args.args
    assert expected in text
    assert str(finished) in text
    assert player.controller.run is None
    player.view.show_run.assert_not_called()
    player.look()
    assert player.view.complain.call_count == 1


def test_a_damaged_round_is_said_and_the_others_can_still_be_seen(player, finished):
    (arm_folder(finished, ARMS[0].name, 0) / "round-002.npz").write_bytes(b"not an archive")
    player.open(finished)
    player.go(0, 0, 2)
    assert "round-002.npz cannot be read" in player.view.show_note.call_args.args[0]
    player.go(0, 0, 3)
    np.testing.assert_array_equal(player.shown.query.value_N, np.arange(N) + 3)
    assert player.view.show_note.call_args.args == ("",)


def test_without_the_data_the_curves_are_shown_and_the_rest_is_said(player, finished, monkeypatch):
    (finished / PLAN_FILE).write_text(dump_plan(replace(PLAN, data="mnist")), "utf-8")
    monkeypatch.setattr("costal.paper.datasets.find_mnist", lambda folder=None: None)
    player.open(finished)
    assert "Mosaics cannot be shown. MNIST was not found." in player.view.show_note.call_args.args[0]
    player.go(1, 0, 3)
    assert player.view.show_picture.call_args.args[0].labels == 29
    player.view.show_round.assert_not_called()


def test_other_data_in_the_place_of_the_runs_are_not_shown(player, finished):
    known = {"costal", "source", "python", "torch", "numpy", "system", "processor", "device", "fingerprint"}
    (finished / ENVIRONMENT_FILE).write_text(json.dumps(dict.fromkeys(known, "other")), "utf-8")
    player.open(finished)
    assert "the run has other)" in player.view.show_note.call_args.args[0]
    player.view.show_round.assert_not_called()


# while it runs


def test_new_rounds_are_followed_in_whichever_run_they_come(player, running):
    player.open(running)
    finish_round(running, 0, 1, 2)
    player.look()
    assert player.controller.place == RoundPosition(0, 1, 2)
    finish_round(running, 1, 0, 0)
    player.look()
    assert player.controller.place == RoundPosition(1, 0, 0)
    assert "8 of 16 rounds" in player.view.show_run.call_args.args[1]


def test_who_looks_at_a_round_stays_there_while_new_ones_come(player, running):
    player.open(running)
    player.go(0, 1, 0)
    finish_round(running, 0, 1, 2)
    player.look()
    assert not player.controller.is_following
    assert player.view.show_place.call_args.args[:2] == (RoundPosition(0, 1, 0), 3)
    player.controller.follow(True)
    assert player.controller.place == RoundPosition(0, 1, 2)


def test_a_look_that_finds_nothing_new_reads_no_round_and_shows_nothing(player, running, monkeypatch):
    player.open(running)
    before = player.controller.run
    monkeypatch.setattr("napari_costal.mosaic.run.read_rows", lambda *_: pytest.fail("read again"))
    player.view.reset_mock()
    player.look()
    assert player.controller.run is before
    assert player.view.mock_calls == []


def test_only_what_grew_is_read_again(running, monkeypatch):
    before, read = look(running), []
    finish_round(running, 0, 1, 2)
    from napari_costal.mosaic import run

    real = run.read_rows
    monkeypatch.setattr(run, "read_rows", lambda folder, runs: read.extend(runs) or real(folder, runs))
    assert [len(each) for each in look(running, before).reports] == [4, 3, 0, 0]
    assert read == [(ARMS[0].name, 1)]


def test_a_folder_that_is_away_for_a_while_is_said_and_shown_again(player, running, tmp_path):
    player.open(running)
    away = running.rename(tmp_path / "away")
    player.look()
    player.go(0, 1, 0)
    assert "is not the folder of an experiment" in player.view.complain.call_args.args[0]
    assert "round-000.npz is missing" in player.view.show_note.call_args.args[0]
    away.rename(running)
    player.view.reset_mock()
    player.look()
    assert player.messages == [""]
    assert player.controller.place == RoundPosition(0, 1, 0)
    assert player.shown.query is None
    assert player.view.show_note.call_args.args == ("",)


def test_what_was_asked_for_a_run_that_was_closed_is_dropped(player, finished):
    player.controller.open(finished)
    player.controller.close()
    player.view.reset_mock()
    player.thread.work()
    assert player.view.mock_calls == []


# by itself


def test_it_plays_to_the_end_and_stops_and_plays_again_from_the_start(player, finished):
    player.open(finished)
    player.controller.toggle()
    seen = []
    while player.controller.is_playing:
        seen.append(player.controller.place.number)
        player.controller.advance()
        player.thread.work()
    assert seen == [1, 2, 3]
    player.controller.toggle()
    assert (player.controller.place.number, player.controller.is_playing) == (0, True)


def test_playing_a_run_under_way_waits_for_the_round_that_is_to_come(player, running):
    player.open(running)
    player.controller.toggle()
    player.controller.advance()
    player.thread.work()
    assert (player.controller.place, player.controller.is_playing) == (RoundPosition(0, 1, 1), True)
    finish_round(running, 0, 1, 2)
    player.look()
    player.controller.advance()
    assert player.controller.place == RoundPosition(0, 1, 2)


def test_playing_waits_for_a_mosaic_that_is_still_being_read(player, finished):
    player.open(finished)
    player.controller.toggle()
    player.controller.advance()
    player.controller.advance()
    assert player.controller.place.number == 2
    player.thread.work()
    player.controller.advance()
    assert player.controller.place.number == 3


def test_of_many_rounds_passed_quickly_only_the_last_is_read(player, finished):
    player.open(finished)
    player.view.reset_mock()
    for number in (0, 1, 2, 3):
        player.controller.choose(RoundPosition(0, 0, number))
    player.thread.work()
    values = [call.args[1].query for call in player.view.show_round.call_args_list]
    assert values[0] is None  # the one that was being read
    assert [query.value_N[0] for query in values[1:]] == [3]


@pytest.mark.parametrize(
    ("start", "rounds", "expected"), [(0, -1, 0), (1, 1, 2), (3, 1, 3)], ids=["first", "middle", "last"]
)
def test_a_move_ends_at_the_first_and_at_the_last_round(player, finished, start, rounds, expected):
    player.open(finished)
    player.go(0, 0, start)
    player.controller.move(rounds)
    assert player.controller.place.number == expected


# curves


def test_figure_1_has_the_rounds_looked_at_and_grows_with_the_run(player, running, tmp_path):
    (running / PLAN_FILE).write_text(dump_plan(replace(PLAN, looked_at=(1,))), "utf-8")
    player.open(running)
    player.controller.show_figure_1(True)
    picture = player.view.show_picture.call_args.args[0]
    name = ARMS[0].name
    assert picture.rows == ((name, 0, 1, 23, 0.6, 100.0), (name, 0, 3, 29, 0.8, 300.0), (name, 1, 1, 23, 0.61, 100.0))
    finish_round(running, 0, 1, 2)
    finish_round(running, 0, 1, 3)
    player.controller.look()
    player.thread.work()
    grown = player.view.show_picture.call_args.args[0]
    assert grown.rows == (*picture.rows, (name, 1, 3, 29, 0.81, 300.0))
    player.controller.show_figure_1(False)
    assert isinstance(player.view.show_picture.call_args.args[0], CurvesPicture)


def test_figure_1_draws_a_point_for_each_arm_that_got_there(running):
    (running / PLAN_FILE).write_text(dump_plan(replace(PLAN, looked_at=(1,))), "utf-8")
    from matplotlib.figure import Figure

    from napari_costal.ui.figure_view import colours_of

    figure = Figure()
    figure_1_picture(look(running), "s").draw(figure, colours_of("dark"))
    early, late = figure.axes
    assert early.get_title() == "round 1 (23 labels)"
    assert [float(line.get_xdata()[0]) for line in early.containers[0].lines[:1]] == [100.0]
    assert [float(line.get_ydata()[0]) for line in late.containers[0].lines[:1]] == [pytest.approx(0.8)]
    assert early.get_xlabel() == "total cost (s)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [ARMS[0].name]


def test_a_run_of_which_only_the_table_was_kept_has_its_curves_and_says_that_the_mosaics_are_not_there(
    player, finished
):
    write_tables(finished, [(ARMS[arm].name, repeat) for arm, repeat in RUNS])
    whole = look(finished)
    shutil.rmtree(finished / "runs")
    player.open(finished)
    assert repr(player.controller.run.reports) == repr(whole.reports), "figures that are NaN are equal"
    assert "has figures only" in player.view.show_note.call_args.args[0]


def test_an_arm_of_fewer_repeats_is_found_in_its_place(finished):
    (finished / PLAN_FILE).write_text(dump_plan(replace(PLAN, arms=(replace(ARMS[0], repeats=1), ARMS[1]))), "utf-8")
    run = look(finished)
    assert run.total == 3 * (ROUNDS + 1)
    assert run.of(0, 1) == ()
    assert repr(run.of(1, 1)[2]) == repr(replace(report(1, 1, 2), seconds={})), "figures that are NaN are equal"


def test_a_curve_is_the_mean_of_the_repeats_tested_in_a_round():
    repeats = [
        [report(0, 0, 0, 0.5, 0), report(0, 0, 1, NAN, 50), report(0, 0, 2, 0.8, 100)],
        [report(0, 1, 0, 0.7, 0), report(0, 1, 1, 0.6, 60), report(0, 1, 2, NAN, 120)],
    ]
    curve = mean_curve("arm", "red", repeats)
    np.testing.assert_allclose(curve.labels_M, [20, 23, 26])
    np.testing.assert_allclose(curve.cost_M, [0, 60, 100])
    np.testing.assert_allclose(curve.accuracy_M, [0.6, 0.6, 0.8])


def test_the_picture_marks_the_round_shown_and_gives_the_random_arm_no_colour(finished):
    picture = curves_picture(look(finished), RoundPosition(0, 1, 2), "cost units")
    assert (picture.shown, picture.labels, picture.cost) == (0, 26, 200)
    np.testing.assert_allclose(picture.own.accuracy_M, [0.51, 0.61, 0.71])
    np.testing.assert_allclose(picture.curves[0].accuracy_M, [0.505, 0.605, 0.705, 0.805])
    assert [bool(curve.colour) for curve in picture.curves] == [True, False]


def test_the_picture_of_a_run_without_rounds_can_be_drawn(tmp_path):
    from matplotlib.figure import Figure

    from napari_costal.ui.figure_view import colours_of

    run, figure = look(make_run(tmp_path / "new", [0] * 4)), Figure()
    curves_picture(run, RoundPosition(), "").draw(figure, colours_of("dark"))
    assert [axes.get_xlabel() for axes in figure.axes] == ["labels", "total cost"]


# the page


@pytest.fixture
def dock(make_napari_viewer, chosen, qtbot, monkeypatch):
    viewer = make_napari_viewer(show=True)
    widget = MnistMosaic(viewer, chosen, Painter())
    viewer.window.add_dock_widget(widget)

    def open_run(folder):
        monkeypatch.setattr("napari_costal.mosaic.widget.QFileDialog.getExistingDirectory", lambda *_: str(folder))
        click(qtbot, widget.open_button)
        qtbot.waitUntil(lambda: widget.playback.isVisible() and is_drawn(widget), timeout=20_000)

    yield SimpleNamespace(widget=widget, page=widget.playback, viewer=viewer, open=open_run)
    widget.close()


def click(qtbot, button):
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def is_drawn(widget):
    controller = widget.playback.controller
    return controller._drawn == controller.place


def layer(dock, part):
    return next(each for each in dock.viewer.layers if each.metadata.get("part") == part)


def assert_round_is_on_the_screen(dock, folder):
    place = dock.page.controller.place
    kept = read_round(folder, ARMS[place.arm].name, place.repeat, place.number)
    images, classes = render(0, kept.pool_N)
    np.testing.assert_array_equal(dock.widget.layers.image.data, mosaic(images))
    assert list(layer(dock, "query").text.values)[1::2] == [str(label) for label in kept.label_n]
    assert layer(dock, "heatmap").visible == (place.number > 0)
    if kept.query is not None:
        np.testing.assert_array_equal(layer(dock, "heatmap").data, mosaic_heatmap(kept.query.value_N, SIDE))
        np.testing.assert_array_equal(classes[kept.query.picked_n], kept.label_n)


def test_buttons_and_slider_go_through_the_rounds_of_the_chosen_run(dock, finished, qtbot):
    dock.open(finished)
    page = dock.page
    assert_round_is_on_the_screen(dock, finished)

    def go(act, place):
        act()
        assert page.controller.place == place
        qtbot.waitUntil(lambda: is_drawn(dock.widget), timeout=5000)
        assert page.slider.value() == place.number
        assert_round_is_on_the_screen(dock, finished)

    go(lambda: click(qtbot, page.next_button), RoundPosition(0, 0, 2))
    go(lambda: click(qtbot, page.previous_button), RoundPosition(0, 0, 1))
    go(lambda: page.slider.setValue(3), RoundPosition(0, 0, 3))
    assert not page.next_button.isEnabled()
    go(lambda: qtbot.keyClick(page.arm, Qt.Key.Key_Down), RoundPosition(1, 0, 3))
    go(lambda: qtbot.keyClick(page.repeat, Qt.Key.Key_Down), RoundPosition(1, 1, 3))
    go(lambda: page.slider.setValue(0), RoundPosition(1, 1, 0))
    assert not page.previous_button.isEnabled()


def test_information_and_cost_can_be_laid_over_the_mosaic_instead_and_stay_so(dock, finished, qtbot):
    dock.open(finished)
    for name, offset in (("cost C", 200), ("information I", 100)):
        dock.page.values.setCurrentText(name)
        np.testing.assert_array_equal(layer(dock, "heatmap").data, mosaic_heatmap(np.arange(N) + 1 + offset, SIDE))
        assert layer(dock, "heatmap").name == f"heatmap: {name}"
    click(qtbot, dock.page.next_button)
    qtbot.waitUntil(lambda: is_drawn(dock.widget), timeout=5000)
    np.testing.assert_array_equal(layer(dock, "heatmap").data, mosaic_heatmap(np.arange(N) + 2 + 100, SIDE))


def test_space_plays_and_pauses_whatever_has_the_focus(dock, finished, qtbot, press):
    dock.open(finished)
    page, window = dock.page, dock.viewer.window._qt_window
    page.close_button.setFocus()
    press(window, "space")
    qtbot.waitUntil(lambda: (page.play_button.text(), page._playing.isActive()) == ("Pause", True), timeout=5000)
    press(window, "space")
    qtbot.waitUntil(lambda: (page.play_button.text(), page._playing.isActive()) == ("Play", False), timeout=5000)
    page._playing.setInterval(20)
    click(qtbot, page.play_button)
    qtbot.waitUntil(lambda: not page.controller.is_playing, timeout=10_000)
    assert page.slider.value() == ROUNDS


def test_a_running_experiment_is_watched(dock, running, qtbot):
    dock.open(running)
    page = dock.page
    page._watching.setInterval(50)
    assert page.following.isChecked()
    finish_round(running, 0, 1, 2)
    qtbot.waitUntil(lambda: page.controller.place == RoundPosition(0, 1, 2) and is_drawn(dock.widget), timeout=10_000)
    assert_round_is_on_the_screen(dock, running)
    assert "7 of 16 rounds" in page.summary.text()
    click(qtbot, page.previous_button)
    assert not page.following.isChecked()
    click(qtbot, page.following)
    assert page.controller.place == RoundPosition(0, 1, 2)


def test_the_experiments_page_comes_back_when_the_run_is_closed(dock, finished, qtbot):
    dock.open(finished)
    click(qtbot, dock.page.close_button)
    assert dock.widget.buttons["Step"].isVisible()
    assert not dock.page._watching.isActive()
    assert dock.page.controller.run is None


def test_a_foreign_folder_is_said_and_the_experiments_page_stays(dock, tmp_path, qtbot, monkeypatch):
    monkeypatch.setattr("napari_costal.mosaic.widget.QFileDialog.getExistingDirectory", lambda *_: str(tmp_path))
    click(qtbot, dock.widget.open_button)
    qtbot.waitUntil(lambda: "is not the folder of an experiment" in dock.widget.status.text(), timeout=5000)
    assert dock.widget.buttons["Step"].isVisible()


def test_nothing_goes_on_when_the_dock_is_closed(dock, running, qtbot):
    dock.open(running)
    click(qtbot, dock.page.play_button)
    dock.widget.close()
    assert not dock.page._playing.isActive()
    assert not dock.page._watching.isActive()
    assert dock.page.curves._picture is None
    place = dock.page.controller.place
    finish_round(running, 0, 1, 2)
    qtbot.wait(100)
    assert dock.page.controller.place == place
