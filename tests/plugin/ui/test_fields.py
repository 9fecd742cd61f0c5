"""A field of a form takes its range, its words, its default and its tool tip from the setting that it shows."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit, SpinBox

from costal.settings import Setting
from napari_costal.ui.fields import setting_field


@dataclass(frozen=True, slots=True)
class Laser:
    """Settings of a test."""

    pulses: Annotated[int, Setting("How many.", ge=2, le=9)] = 4
    power_mw: Annotated[float, Setting("How strong.", ge=0.5, le=2)] = 1.5
    line: Annotated[Literal["488", "640"], Setting("Which one.")] = "640"
    is_on: Annotated[bool, Setting("Whether it shines.")] = True
    note: Annotated[str, Setting("What else.")] = "none"
    seed: Annotated[int, Setting("Without a bound.", ge=0)] = 7


@pytest.mark.parametrize(
    ("name", "kind", "value", "tip"),
    [
        ("pulses", SpinBox, 4, "How many."),
        ("power_mw", FloatSpinBox, 1.5, "How strong."),
        ("line", ComboBox, "640", "Which one."),
        ("is_on", CheckBox, True, "Whether it shines."),
        ("note", LineEdit, "none", "What else."),
        ("seed", SpinBox, 7, "Without a bound."),
    ],
)
def test_a_field_begins_with_the_default_and_tells_the_meaning(qtbot, name, kind, value, tip):
    field = setting_field(Laser, name, "a label")
    assert (type(field), field.value, field.tooltip) == (kind, value, tip)


@pytest.mark.parametrize(("name", "least", "most"), [("pulses", 2, 9), ("power_mw", 0.5, 2.0), ("seed", 0, 2**31 - 1)])
def test_a_number_has_the_range_of_its_setting(qtbot, name, least, most):
    field = setting_field(Laser, name, "a label")
    assert (field.min, field.max) == (least, most)


def test_a_choice_offers_the_words_of_its_setting(qtbot):
    assert setting_field(Laser, "line", "a label").choices == ("488", "640")


def test_what_a_form_says_itself_comes_before_the_setting(qtbot):
    field = setting_field(Laser, "pulses", "a label", value=3, max=5, tooltip="Of this form.")
    assert (field.value, field.min, field.max, field.tooltip) == (3, 2, 5, "Of this form.")
