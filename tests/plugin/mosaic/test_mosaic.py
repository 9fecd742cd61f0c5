"""*MNIST mosaic* in a real viewer: rounds, reset, and labelling by hand."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QGuiApplication

from costal.loop import new_agent
from costal.paper.datasets import synthetic_dataset
from costal.paper.digits import SIDE, render
from costal.paper.experiment import ArmState, Proposal, answered, report_of, simulated_answers
from costal.paper.expert import SimulatedExpert
from costal.paper.mosaic import mosaic, to_images
from costal.paper.plan import Arm, Experiment
from costal.paper.sources import pool_indices
from costal.seeds import rng_for
from costal.types import Answer, Query, Scores, Training
from napari_costal.canvas.overlays import is_ours
from napari_costal.mosaic.curves import RoundsPicture
from napari_costal.mosaic.widget import BY_HAND, MnistMosaic
from napari_costal.ui.figures import Colours
from napari_costal.window import enlarge
from tests.plugin.fakes import Engine, Painter, Signal


class QuickEngine:
    """Answers like `costal.paper.remote` with figures made up from the seed: no torch beside Qt, and no waiting."""

    crop_shape = (1, SIDE, SIDE)

    def start(self, function, message):
        arguments = message.unpack()
        message.discard()
        job = SimpleNamespace(progress=Signal(), result=Signal(), failed=Signal(), cancelled=Signal())
        name = function.split(":")[1]
        outcome = getattr(self, "start_arm" if name == "start" else name)(*arguments)
        QTimer.singleShot(0, lambda: job.result.emit(outcome))
        return job

    def cancel(self, job):
        job.cancelled.emit()

    def start_arm(self, experiment, arm, data, by_hand):
        agent = new_agent(experiment.settings(arm, 10), self.crop_shape)
        answers = tuple(Answer(np.zeros(self.crop_shape, np.float32), digit % 10, 1.0) for digit in range(20))
        state = answered(ArmState(arm, 0, agent, (), (), 0.0), np.arange(20), answers)
        return state, self.report(state), "synthetic digits"

    def propose_round(self, experiment, state, data):
        rng = rng_for(experiment.seed, state.arm.name, state.round_number)
        indices = rng.integers(0, 1000, experiment.pool_size)
        crops, classes = synthetic_dataset().take(indices)
        figures = rng.random(len(crops)).astype(np.float32)
        scores = Scores(figures, np.ones_like(figures), np.zeros((len(crops), 10), np.float32), True, "cpu")
        query = Query(np.argsort(-figures)[: experiment.n], figures, scores)
        return Proposal(indices, crops, classes, figures, query)

    def learn_round(self, experiment, state, proposal, answers, data):
        answers = answers or simulated_answers(state, proposal, synthetic_dataset(), SimulatedExpert())
        state = answered(state, proposal.asked_n, answers)
        return state, self.report(state)

    def play_round(self, experiment, state, data):
        return self.learn_round(experiment, state, self.propose_round(experiment, state, data), None, data)

    def report(self, state):
        return report_of(state, accuracies=(0.5 + state.round_number / 100, float("nan")))


@pytest.fixture
def open_dock(make_napari_viewer, chosen):
    """Return a function that opens the dock; without a painter it has a process that draws."""
    opened = []

    def act(painter=None):
        viewer = make_napari_viewer(show=True)
        widget = MnistMosaic(viewer, chosen, painter)
        opened.append(widget)
        viewer.window.add_dock_widget(widget)
        widget.data.value = "synthetic"
        widget.pool_size.value, widget.n.value, widget.passes.value = 30, 4, 3
        widget.beta.value = 0.0
        return widget

    yield act
    for widget in opened:
        widget.close()


@pytest.fixture
def dock(open_dock, monkeypatch):
    widget = open_dock(Painter())
    monkeypatch.setattr(widget.controller._caller, "_engine", QuickEngine())
    return widget


def click(qtbot, dock, name):
    qtbot.mouseClick(dock.buttons[name], Qt.MouseButton.LeftButton)


def wait_for_rounds(qtbot, dock, rounds):
    qtbot.waitUntil(lambda: len(dock.controller.reports) >= 2 * (rounds + 1), timeout=120_000)


def drawn(dock):
    picture = dock.curves._picture
    return picture.title, list(picture.reports), picture.by_hand


def test_efforts_by_hand_are_not_compared_with_costs_of_the_random_arm():
    agent = new_agent(Experiment().settings(Arm("own", acquisition="std"), 10), (1, SIDE, SIDE))
    states = [ArmState(Arm(name, acquisition="std"), 0, agent, (), (), 0.0) for name in ("own", "random")]
    reports = tuple(report_of(state, accuracies=(0.5, 0.5)) for state in states)
    for by_hand, lines, unit in ((False, 2, "cost units"), (True, 1, "your seconds")):
        figure = Figure()
        RoundsPicture("digits", reports, by_hand).draw(figure, Colours("#000000", "#ffffff", "#888888", "#66bbee"))
        by_labels, by_cost = figure.axes
        assert (by_labels.get_title(), len(by_labels.get_lines())) == ("digits", 2)
        assert (len(by_cost.get_lines()), unit in by_cost.get_xlabel()) == (lines, True)


def test_empty_axes_say_what_they_will_show_and_have_no_numbers():
    figure = Figure()
    RoundsPicture("digits", (), False).draw(figure, Colours("#000000", "#ffffff", "#888888", "#66bbee"))
    for axes, against in zip(figure.axes, ("labels given", "cost of the labels"), strict=True):
        assert against in axes.texts[0].get_text()
        assert list(axes.get_xticks()) == list(axes.get_yticks()) == []


def test_the_first_rounds_digits_are_shown_before_the_engine_has_answered(open_dock, monkeypatch, qtbot):
    dock, engine = open_dock(Painter()), Engine()
    monkeypatch.setattr(dock.controller._caller, "_engine", engine)
    click(qtbot, dock, "Run")
    qtbot.waitUntil(lambda: dock.layers.image is not None, timeout=20_000)
    dataset = synthetic_dataset()
    first_N = pool_indices(dataset, dock.seed.value, 0, 1, 30)
    np.testing.assert_array_equal(dock.layers.image.data, mosaic(to_images(dataset.take(first_N)[0])))
    assert dock.controller.reports == []
    assert "30 images to choose from" in dock.status.text()


def test_the_window_of_the_demo_is_large_or_as_large_as_the_screen(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(400, 300)
    room = QGuiApplication.primaryScreen().availableSize()
    enlarge(viewer)
    _, _, width, height = viewer.window.geometry()
    assert (width, height) == (min(1400, room.width()), min(900, room.height()))


@pytest.fixture
def digits(tmp_path):
    """Return a folder of 160 digits as images, a folder for each class, with what each costs."""
    folder, rows = tmp_path / "few digits", ["file,cost"]
    for number, (image, label) in enumerate(zip(*render(0, range(160)), strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        rows.append(f"{label}/{number}.png,1")
    (folder / "costs.csv").write_text("\n".join(rows), "utf-8")
    return folder


def test_a_step_plays_one_round_of_both_arms_and_labels_the_picks(open_dock, qtbot, monkeypatch, digits):
    dock = open_dock()
    training = Training(min_steps=5, epochs=0)
    monkeypatch.setattr("napari_costal.mosaic.widget.Experiment", partial(Experiment, training=training))
    arm = Arm("std", acquisition="std")
    dock.configure(str(digits), Experiment(pool_size=30, n=4, passes=3, device="cpu"), arm)
    click(qtbot, dock, "Step")
    wait_for_rounds(qtbot, dock, 1)
    qtbot.waitUntil(lambda: dock.buttons["Step"].isEnabled(), timeout=5000)
    assert [(each.arm, each.round_number, each.labels) for each in dock.controller.reports] == [
        ("std, β = 0", 0, 20),
        ("random", 0, 20),
        ("std, β = 0", 1, 24),
        ("random", 1, 24),
    ]
    proposal = dock.controller._proposal
    image, images = dock.layers.image.data, to_images(proposal.crops_N_C_H_W)
    for index in proposal.query.picked_n:
        row, col = divmod(int(index), image.shape[1] // SIDE)
        shown = image[row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE]
        np.testing.assert_array_equal(shown, images[index])
    query = next(each for each in dock.layers._viewer.layers if each.metadata.get("part") == "query")
    assert list(query.text.values)[1::2] == [str(proposal.class_N[index]) for index in proposal.query.picked_n]
    assert "few digits" in dock.layers.image.name
    assert drawn(dock) == ("few digits", dock.controller.reports, False)
    qtbot.waitUntil(lambda: not dock.curves.image.isNull(), timeout=60_000)


def test_run_goes_on_until_pause(dock, qtbot):
    click(qtbot, dock, "Run")
    wait_for_rounds(qtbot, dock, 2)
    click(qtbot, dock, "Pause")
    qtbot.waitUntil(lambda: dock.buttons["Run"].isEnabled(), timeout=60_000)
    played = len(dock.controller.reports)
    qtbot.wait(300)
    assert len(dock.controller.reports) == played


def test_reset_forgets_the_rounds_and_frees_the_form(dock, qtbot):
    click(qtbot, dock, "Step")
    wait_for_rounds(qtbot, dock, 1)
    assert not dock.form.isEnabled()
    click(qtbot, dock, "Reset")
    assert dock.controller.reports == []
    assert dock.form.isEnabled()
    assert drawn(dock) == ("synthetic digits", [], False)


def test_equal_seeds_give_equal_rounds_and_others_do_not(dock, qtbot):
    accuracies = []
    for seed in (1, 1, 2):
        click(qtbot, dock, "Reset")
        dock.seed.value = seed
        click(qtbot, dock, "Step")
        wait_for_rounds(qtbot, dock, 1)
        qtbot.waitUntil(lambda: dock.buttons["Step"].isEnabled(), timeout=5000)
        accuracies.append(tuple(dock.controller._proposal.query.picked_n))
    assert accuracies[0] == accuracies[1]
    assert accuracies[0] != accuracies[2]


def test_i_label_myself_and_my_labels_are_learned(dock, qtbot):
    dock.oracle.value = BY_HAND
    click(qtbot, dock, "Step")
    presenter = dock.controller.presenter
    labels = []
    for digit in (3, 1, 4, 1):
        qtbot.waitUntil(lambda: presenter.current is not None and presenter.current.is_shown, timeout=60_000)
        labels.append(digit)
        qtbot.waitUntil(lambda: not presenter.refusal(), timeout=5000)
        qtbot.mouseClick(dock.labelling_page.findChild(object, f"class-{digit}"), Qt.MouseButton.LeftButton)
    wait_for_rounds(qtbot, dock, 1)
    answers = dock.controller._states[0].answers[-4:]
    assert [answer.class_index for answer in answers] == labels
    assert all(answer.effort > 0 for answer in answers)
    assert [answer.order for answer in answers] == [20, 21, 22, 23]
    assert drawn(dock)[1:] == (dock.controller.reports, True)


def test_stopping_by_hand_learns_nothing_and_can_go_on(dock, qtbot):
    dock.oracle.value = BY_HAND
    click(qtbot, dock, "Step")
    presenter = dock.controller.presenter
    qtbot.waitUntil(lambda: presenter.current is not None and presenter.current.is_shown, timeout=60_000)
    first = presenter.current.index
    dock.labelling_page.asked_for.emit("stop")
    assert dock.buttons["Step"].isEnabled()
    assert dock.controller._states[0].round_number == 0
    click(qtbot, dock, "Step")
    qtbot.waitUntil(lambda: presenter.current is not None and presenter.current.is_shown, timeout=60_000)
    assert presenter.current.index == first


def test_only_digits_are_labelled_by_hand(dock, qtbot, monkeypatch):
    monkeypatch.setattr(QuickEngine, "crop_shape", (1, 32, 32))
    dock.oracle.value = BY_HAND
    click(qtbot, dock, "Step")
    qtbot.waitUntil(lambda: "Only digits can be labelled by hand" in dock.status.text(), timeout=5000)
    assert dock.controller.reports == []
    assert dock.buttons["Step"].isEnabled()


def test_picks_are_labelled_with_the_names_of_the_data_sets_classes(dock, qtbot, monkeypatch):
    names = tuple("abcdefghij")
    dataset = SimpleNamespace(class_names=names)
    monkeypatch.setattr("napari_costal.mosaic.controller.load_dataset", lambda data: dataset)
    dock.configure("a folder", Experiment(pool_size=30, n=4), Arm("std", acquisition="std"))
    click(qtbot, dock, "Step")
    wait_for_rounds(qtbot, dock, 1)
    proposal = dock.controller._proposal
    query = next(each for each in dock.layers._viewer.layers if each.metadata.get("part") == "query")
    assert list(query.text.values)[1::2] == [names[proposal.class_N[index]] for index in proposal.query.picked_n]


def test_missing_mnist_is_said_and_nothing_is_substituted(open_dock, qtbot, monkeypatch, tmp_path):
    dock = open_dock(Painter())
    monkeypatch.delenv("COSTAL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    dock.data.value = "mnist"
    click(qtbot, dock, "Step")
    qtbot.waitUntil(lambda: "costal mnist --download" in dock.status.text(), timeout=30_000)
    assert dock.controller.reports == []
    assert dock.buttons["Step"].isEnabled()


def test_closing_leaves_the_layers_to_the_viewer(dock, qtbot):
    click(qtbot, dock, "Step")
    wait_for_rounds(qtbot, dock, 1)
    viewer = dock.layers._viewer
    dock.close()
    assert len([layer for layer in viewer.layers if is_ours(layer)]) == 2
    assert dock.layers.image in viewer.layers
