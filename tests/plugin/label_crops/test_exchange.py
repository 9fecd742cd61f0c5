"""Labels out and in from the dock: the same files as the command line's."""

from pathlib import Path

import pytest
from qtpy.QtWidgets import QMessageBox

from costal.frames.simulate import simulate_field
from costal.labels.exchange.exports import EXPORT_KINDS
from napari_costal.label_crops.exchange import FORMS
from napari_costal.label_crops.widget import LabelCrops

CROP, SIDE = 32, 128
DOCUMENT = Path(__file__).parents[2] / "fixtures" / "project-document.json"


@pytest.fixture
def dock(make_napari_viewer, chosen, qtbot):
    viewer = make_napari_viewer()
    viewer.add_image(simulate_field((SIDE, SIDE), CROP, seed=1).pixels_Y_X, name="field")
    widget = LabelCrops(viewer, chosen)
    viewer.window.add_dock_widget(widget)
    widget.setup.crop.value = CROP
    for index, class_id in enumerate((1, 2, 1)):
        widget.present_at((5, index * CROP + 5))
        qtbot.waitUntil(lambda: widget.labelling.current is not None, timeout=10_000)
        widget.labelling.presenter.painted((1, 1))
        widget.labelling.answer(class_id)
        qtbot.waitUntil(lambda index=index: index in widget.frame.labels, timeout=5000)
    widget.labelling.stop()
    yield widget
    widget.close()


def test_every_form_of_export_is_in_the_menu():
    assert set(FORMS) == set(EXPORT_KINDS)


@pytest.mark.timeout(120)
def test_labels_go_out_and_come_back_in(dock, qtbot, tmp_path):
    table = tmp_path / "labels.csv"
    dock.exchange.export("csv", table)
    qtbot.waitUntil(table.exists, timeout=60_000)
    qtbot.waitUntil(lambda: "Wrote" in dock.status.text(), timeout=5000)
    dock.labelling.undo()
    qtbot.waitUntil(lambda: len(dock.frame.labels) == 2, timeout=5000)
    dock.labelling.stop()
    dock.exchange.import_labels(table)
    qtbot.waitUntil(lambda: len(dock.frame.labels) == 3, timeout=10_000)


@pytest.mark.timeout(120)
def test_a_project_that_an_earlier_version_exported_is_opened(dock, qtbot, tmp_path):
    dock.exchange.import_project(DOCUMENT, tmp_path / "again")
    qtbot.waitUntil(lambda: dock.session.project.folder == tmp_path / "again", timeout=20_000)
    assert [each.name for each in dock.session.project.classes] == ["rings", "=fibres", "puncta"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("answer", "classes"), [("No", [1, 2, 1]), ("Yes", [2, 2, 1])])
def test_labels_that_a_table_contradicts_are_changed_when_the_expert_says_so(
    dock, qtbot, tmp_path, monkeypatch, answer, classes
):
    questions, sentences = [], []
    say = dock.say
    monkeypatch.setattr(dock, "say", lambda text: (sentences.append(text), say(text)))  # the next one may come at once

    def reply(parent, title, text, *_):
        questions.append(text)
        return getattr(QMessageBox.StandardButton, answer)

    monkeypatch.setattr(QMessageBox, "question", reply)
    table = tmp_path / "labels.csv"
    table.write_text(f"frame,y,x,class\nlayer:field,0,0,class 2\nlayer:field,0,{CROP},class 2\n")
    dock.exchange.import_labels(table)
    qtbot.waitUntil(lambda: len(questions) == 1, timeout=10_000)
    message = "1 label had another class: " + ("not changed" if answer == "No" else "changed")
    qtbot.waitUntil(lambda: any(message in each for each in sentences), timeout=10_000)
    qtbot.waitUntil(lambda: len(dock.frame.labels) == 3, timeout=10_000)
    assert questions[0].startswith("1 row contradicts existing labels.")
    assert [dock.frame.labels[index].class_id for index in range(3)] == classes


def test_a_table_that_cannot_be_used_is_said_and_changes_nothing(dock, qtbot, tmp_path):
    table = tmp_path / "bad.csv"
    table.write_text("frame,y,x,class\nnowhere.tif,0,0,class 1\n")
    dock.exchange.import_labels(table)
    qtbot.waitUntil(lambda: "nowhere.tif" in dock.status.text(), timeout=10_000)
    assert len(dock.frame.labels) == 3
