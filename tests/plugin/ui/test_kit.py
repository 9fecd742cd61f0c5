"""The kit that all docks are made of."""

from qtpy.QtWidgets import QHeaderView, QLabel, QTableWidget

from napari_costal.ui.figures import shortened
from napari_costal.ui.parts import ALARM, beside, paint, push_button, row, sentence
from napari_costal.ui.tables import dress, swatch


def test_widgets_beside_each_other_share_what_is_left_by_their_numbers(qtbot):
    line = beside(QLabel("a"), QLabel("b"), QLabel("c"), shares=(1, 2))
    assert [line.stretch(at) for at in range(3)] == [1, 2, 0]
    whole = row(QLabel("a"))
    qtbot.addWidget(whole)
    margins = whole.layout().contentsMargins()
    assert (margins.left(), margins.top(), margins.right(), margins.bottom()) == (0, 0, 0, 0)


def test_a_sentence_takes_lines_and_a_colour_and_gives_it_back(qtbot):
    label = sentence("text", ALARM)
    qtbot.addWidget(label)
    assert (label.wordWrap(), label.styleSheet()) == (True, "color: #ff6655;")
    paint(label, "")
    assert label.styleSheet() == ""


def test_a_button_does_its_act_once_for_each_click(qtbot):
    done = []
    button = push_button("Go", "Goes.", lambda: done.append("gone"))
    qtbot.addWidget(button)
    button.click()
    button.click()
    assert (done, button.toolTip()) == (["gone", "gone"], "Goes.")


def test_a_dressed_table_has_its_widths_and_one_wide_column(qtbot):
    table = QTableWidget(2, 3)
    qtbot.addWidget(table)
    dress(table, 24, {1: 76, 2: 52}, wide=0)
    header = table.horizontalHeader()
    assert [table.columnWidth(column) for column in (1, 2)] == [76, 52]
    assert header.sectionResizeMode(0) == QHeaderView.ResizeMode.Stretch
    assert header.sectionResizeMode(1) == QHeaderView.ResizeMode.Interactive
    assert (table.rowHeight(0), table.verticalHeader().isVisible()) == (24, False)


def test_a_swatch_is_all_of_its_colour(qtbot):
    picture = swatch("#ff0000", 12).pixmap(12, 12).toImage()
    corners = {picture.pixelColor(x, y).name() for x in (0, picture.width() - 1) for y in (0, picture.height() - 1)}
    assert corners == {"#ff0000"}


def test_only_names_that_are_too_long_are_shortened():
    assert shortened("fourteen signs", 14) == "fourteen signs"
    assert shortened("fifteen signs !", 14) == "fifteen signs…"
