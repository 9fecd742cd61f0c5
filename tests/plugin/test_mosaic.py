"""*MNIST mosaic* in a real viewer: rounds, reset, and labelling by hand. Jobs run in this process, to be quick."""

import numpy as np
import pytest
from qtpy.QtCore import Qt

from costal.paper.datasets import SIDE
from costal.types import finish
from napari_costal._layers import is_ours
from napari_costal.mosaic import BY_HAND, MnistMosaic
from tests.plugin.test_label_controller import Job


class InlineEngine:
    """Runs a job to its end when asked for it."""

    def __init__(self, qtbot) -> None:
        self.calls = []

    def start(self, function, parcel):
        from importlib import import_module

        from qtpy.QtCore import QTimer

        arguments = parcel.unpack()
        parcel.discard()
        module, name = function.split(":")
        self.calls.append(name)
        job = Job.__new__(Job)
        from tests.plugin.test_label_controller import Signal

        job.progress, job.result, job.failed, job.cancelled = Signal(), Signal(), Signal(), Signal()
        work = getattr(import_module(module), name)
        QTimer.singleShot(0, lambda: job.result.emit(finish(work(*arguments))))
        return job

    def cancel(self, job):
        job.cancelled.emit()


@pytest.fixture
def dock(make_napari_viewer, chosen, qtbot, monkeypatch):
    monkeypatch.setattr("costal.paper.datasets.SYNTHETIC_TEST", 50)
    viewer = make_napari_viewer()
    widget = MnistMosaic(viewer, chosen)
    engine = InlineEngine(qtbot)
    monkeypatch.setattr(widget.controller, "_engine", engine)
    viewer.window.add_dock_widget(widget)
    widget.data.value = "synthetic"
    widget.pool_size.value, widget.n.value, widget.passes.value = 30, 4, 3
    widget.beta.value = 0.0
    yield widget
    widget.close()


def click(qtbot, dock, name):
    qtbot.mouseClick(dock.buttons[name], Qt.MouseButton.LeftButton)


def wait_for_rounds(qtbot, dock, rounds):
    qtbot.waitUntil(lambda: len(dock.controller.reports) >= 2 * (rounds + 1), timeout=120_000)


def test_a_step_plays_one_round_of_both_arms_and_labels_the_picks(dock, qtbot):
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
    image = dock._image.data
    for index in proposal.query.picked_n:
        row, col = divmod(int(index), image.shape[1] // SIDE)
        shown = image[row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE]
        np.testing.assert_array_equal(shown, proposal.images_N_H_W[index])
    query = next(each for each in dock._viewer.layers if each.metadata.get("part") == "query")
    assert list(query.text.values) == [str(proposal.class_N[index]) for index in proposal.query.picked_n]
    assert "synthetic digits" in dock._image.name
    assert "synthetic digits" in dock._axes[0].get_title()
    assert [len(line.get_xdata()) for line in dock._axes[0].get_lines()] == [2, 2]


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
    assert not dock.form.enabled
    click(qtbot, dock, "Reset")
    assert dock.controller.reports == []
    assert dock.form.enabled
    assert dock._axes[0].get_lines()[:] == []


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
    given = []
    for digit in (3, 1, 4, 1):
        qtbot.waitUntil(lambda: presenter.current is not None and presenter.current.is_shown, timeout=60_000)
        given.append(digit)
        qtbot.mouseClick(dock.bench.findChild(object, f"class-{digit}"), Qt.MouseButton.LeftButton)
    wait_for_rounds(qtbot, dock, 1)
    answers = dock.controller._states[0].answers[-4:]
    assert [answer.class_index for answer in answers] == given
    assert all(answer.effort > 0 for answer in answers)
    assert "random arm has none" in dock._axes[1].get_xlabel()


def test_stopping_by_hand_learns_nothing_and_can_go_on(dock, qtbot):
    dock.oracle.value = BY_HAND
    click(qtbot, dock, "Step")
    presenter = dock.controller.presenter
    qtbot.waitUntil(lambda: presenter.current is not None and presenter.current.is_shown, timeout=60_000)
    first = presenter.current.index
    dock.bench.stopped.emit()
    assert dock.buttons["Step"].isEnabled()
    assert dock.controller._states[0].round_number == 0
    click(qtbot, dock, "Step")
    qtbot.waitUntil(lambda: presenter.current is not None and presenter.current.is_shown, timeout=60_000)
    assert presenter.current.index == first


def test_missing_mnist_is_said_and_nothing_is_substituted(dock, qtbot, monkeypatch, tmp_path):
    from costal.errors import DatasetError
    from costal.paper.datasets import load_dataset

    monkeypatch.delenv("COSTAL_DATA", raising=False)
    monkeypatch.setattr("costal.paper.datasets.user_cache", lambda: tmp_path)
    with pytest.raises(DatasetError, match="costal mnist --download"):
        load_dataset("mnist")


def test_closing_removes_the_overlay_but_not_the_image(dock, qtbot):
    click(qtbot, dock, "Step")
    wait_for_rounds(qtbot, dock, 1)
    viewer = dock._viewer
    dock.close()
    assert [layer.name for layer in viewer.layers if is_ours(layer)] == []
    assert dock._image in viewer.layers
