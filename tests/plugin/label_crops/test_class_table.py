"""Classes are edited in the table; what it emits is an edit of the project."""

import pytest
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog

from costal.errors import ProjectError
from costal.labels.classes import new_class
from costal.labels.project_file import create_project
from napari_costal.label_crops.class_table import KEY, LABELS, NAME, ClassTable


@pytest.fixture
def edited(qtbot, tmp_path):
    """A table, and a function that returns the project after all edits so far."""
    table = ClassTable()
    qtbot.addWidget(table)
    state = [new_class(create_project(tmp_path / "project"), "class 3")]
    table.fill(state[0], {1: 4, 2: 2, 3: 1})

    def apply(edit):
        state[0] = edit(state[0])
        table.fill(state[0], {1: 4, 2: 2, 3: 1})

    table.edited.connect(apply)
    return table, lambda: state[0]


def choose(table, row, *words):
    """Choose a class and an entry of the menu, by the words of the entry and of its submenu."""
    table.table.setCurrentCell(row, NAME)
    table._fill_menu()
    menu = table._menu
    for word in words:
        action = next(each for each in menu.actions() if word in each.text())
        menu = action.menu()
    action.trigger()


def column(table, which):
    return [table.table.item(row, which).text() for row in range(table.table.rowCount())]


def test_a_name_is_edited_in_place(edited):
    table, project = edited
    table.table.item(1, NAME).setText("puncta")
    assert [each.name for each in project().classes] == ["class 1", "puncta", "class 3"]


def test_a_key_that_another_class_has_changes_places(edited):
    table, project = edited
    table.table.item(2, KEY).setText("1")
    assert [each.key for each in project().classes] == ["3", "2", "1"]
    assert column(table, KEY) == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("keys", "free", "refused"),
    [({"skip": "S", "exclude": "X"}, "D", "S"), ({"skip": "D", "exclude": "X"}, "S", "D"), ({"skip": ""}, "S", "?")],
    ids=["by default", "moved", "none"],
)
def test_a_class_may_have_any_key_but_those_that_tools_have_now(qtbot, tmp_path, keys, free, refused):
    table, edits = ClassTable(keys), []
    qtbot.addWidget(table)
    project = create_project(tmp_path / "project")
    table.fill(project, {})
    table.edited.connect(edits.append)
    for key in (free.lower(), refused):
        table.table.item(1, KEY).setText(key)
    assert edits[0](project).classes[1].key == free
    with pytest.raises(ProjectError):
        edits[1](project)


def test_a_merged_class_leaves_the_table_and_its_labels_count_with_the_other(edited):
    table, project = edited
    choose(table, 1, "Merge", "class 1")
    assert column(table, NAME) == ["class 1", "class 3"]
    assert column(table, LABELS) == ["6", "1"]
    assert project().class_of(2).id == 1


def test_a_retired_class_can_be_restored(edited):
    table, project = edited
    choose(table, 2, "Retire")
    assert column(table, NAME) == ["class 1", "class 2"]
    choose(table, 0, "Restore 'class 3'")
    assert column(table, NAME) == ["class 1", "class 2", "class 3"]
    assert project().class_of(3).key == "3"


def test_a_colour_is_chosen_and_kept(edited, monkeypatch):
    table, project = edited
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor("#123456"))
    choose(table, 0, "Colour")
    assert project().classes[0].colour == "#123456"


def test_a_dismissed_colour_changes_nothing(edited, monkeypatch):
    table, project = edited
    before = project()
    monkeypatch.setattr(QColorDialog, "getColor", lambda *_: QColor())
    choose(table, 0, "Colour")
    assert project() == before
