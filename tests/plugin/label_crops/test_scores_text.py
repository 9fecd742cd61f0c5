"""What is said of the model: what it is, or what to do next."""

import pytest

from napari_costal.label_crops.scores import model_text


@pytest.mark.parametrize(
    ("has_model", "labels", "text"),
    [
        (False, 0, "No labels yet: press Label"),
        (False, 1, "1 label, not trained yet: press Train"),
        (False, 10, "10 labels, not trained yet: press Train"),
        (True, 10, "Not scored yet: press Score"),
    ],
)
def test_without_scores_it_is_said_what_to_do_next(has_model, labels, text):
    assert model_text(None, False, has_model, labels) == text


def test_while_a_query_is_answered_nobody_has_to_press_train():
    assert (
        model_text(None, False, False, 10, True) == "10 labels, not trained yet: the models learn when the query ends"
    )
