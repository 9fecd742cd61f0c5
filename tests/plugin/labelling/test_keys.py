"""Which key does what on the bench."""

import pytest

from costal.labels.project import LabelClass
from napari_costal.labelling.keys import LabellingKeys, labelled_with

CLASSES = (LabelClass(1, "spots", "S", "#ff0000"), LabelClass(2, "<rings>", "2", "#00ff00"))


@pytest.fixture
def keys():
    keys = LabellingKeys({"skip": "s", "undo": "Z"})
    keys.classes = CLASSES
    return keys


def test_a_class_takes_a_key_from_a_tool_whatever_its_case(keys):
    assert (keys.key_of("skip"), keys.key_of("undo"), keys.key_of("stop")) == ("", "Z", "Esc")
    keys.classes = CLASSES[1:]
    assert keys.key_of("skip") == "s"


def test_only_the_tools_with_a_key_are_offered_and_help_and_stop_always(keys):
    assert keys.tools == ["skip", "undo", "help", "stop"]


def test_the_sheet_names_classes_as_they_are(keys):
    assert "<b>S</b>&nbsp;&nbsp;</td><td>spots</td>" in keys.sheet()
    assert "&lt;rings&gt;" in keys.sheet()


def test_a_button_says_its_key_unless_that_is_its_text():
    assert labelled_with("Skip", "S", "{text} ({key})") == "Skip (S)"
    assert labelled_with("Skip", "", "{text} ({key})") == "Skip"
    assert labelled_with("?", "?", "{text} ({key})") == "?"
