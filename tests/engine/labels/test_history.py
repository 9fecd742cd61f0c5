import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.labels.history import MOST_REMEMBERED, History, LabelRow, history_of


def gave(row_id):
    return LabelRow(row_id, None, None)


def undid(row_id, undone):
    return LabelRow(row_id, undone, None)


def redid(row_id, redone):
    return LabelRow(row_id, None, redone)


@pytest.mark.parametrize(
    ("rows", "done", "undone"),
    [
        pytest.param([], (), (), id="nothing yet"),
        pytest.param([gave(1), gave(2)], (1, 2), (), id="labels can be undone, the last one first"),
        pytest.param([gave(1), gave(2), undid(3, 2)], (1,), (2,), id="an undone label can be redone"),
        pytest.param(
            [gave(1), gave(2), undid(3, 2), undid(4, 1)], (), (2, 1), id="what was undone last is redone first"
        ),
        pytest.param([gave(1), undid(2, 1), redid(3, 1)], (3,), (), id="a redone label can be undone by its new id"),
        pytest.param(
            [gave(1), undid(2, 1), redid(3, 1), undid(4, 3), redid(5, 3)], (5,), (), id="again and again"
        ),
        pytest.param(
            [gave(1), gave(2), undid(3, 2), undid(4, 1), redid(5, 1)], (5,), (2,), id="a redo leaves the rest to redo"
        ),
        pytest.param([gave(1), undid(2, 1), gave(3)], (3,), (), id="a new label ends what could be redone"),
        pytest.param([gave(1), gave(2), undid(3, 1)], (2,), (1,), id="a label in the middle was undone"),
        pytest.param([undid(9, 1)], (), (1,), id="the label itself is older than what is remembered"),
        pytest.param([redid(9, 1)], (9,), (), id="the undo is older than what is remembered"),
    ],
)  # fmt: skip
def test_history_follows_from_the_rows(rows, done, undone):
    assert history_of(rows) == History(done, undone)


def test_an_undo_reaches_back_over_the_last_labels_only():
    history = history_of(gave(number) for number in range(MOST_REMEMBERED + 5))
    assert history.done == tuple(range(5, MOST_REMEMBERED + 5))


@given(st.lists(st.sampled_from(["label", "undo", "redo"]), max_size=40))
def test_history_is_that_of_two_stacks(actions):
    history, done, undone = History(), [], []
    for row_id, action in enumerate(actions, 1):
        if action == "label":
            done.append(row_id)
            undone.clear()
            history = history.after(gave(row_id))
        elif action == "undo" and done:
            undone.append(done.pop())
            history = history.after(undid(row_id, undone[-1]))
        elif action == "redo" and undone:
            history = history.after(redid(row_id, undone.pop()))
            done.append(row_id)
        assert history == History(tuple(done), tuple(undone))


@given(st.lists(st.sampled_from(["label", "undo", "redo"]), max_size=40), st.integers(0, 40))
def test_a_history_goes_on_from_rows_as_it_went_live(actions, place):
    rows, live = [], History()
    for number, action in enumerate(actions, 1):
        row = gave(number)
        if action == "undo" and live.done:
            row = undid(number, live.done[-1])
        elif action == "redo" and live.undone:
            row = redid(number, live.undone[-1])
        rows.append(row)
        live = live.after(row)
    reopened = history_of(rows[:place])
    for row in rows[place:]:
        reopened = reopened.after(row)
    assert reopened == live
