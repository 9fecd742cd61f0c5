"""The figures of a project, from stores small enough to count by hand."""

from pathlib import Path

import numpy as np
import pytest

from costal.agent.metrics import accuracy_interval
from costal.labels.classes import merge_classes
from costal.labels.effort import Event, EventKind, PauseReason
from costal.labels.event_table import read_on
from costal.labels.project_file import create_project
from costal.labels.records import ActionRecord, AnswerRecord, FrameRecord, QueryReason
from costal.labels.store import Store
from costal.workbench.review import WINDOW, ControlCurve, learning_curve, review

S = 1_000_000_000
PIXELS = np.zeros((1, 4, 4), np.uint8)
ENDS = {"class": EventKind.ANSWERED, "abandoned": EventKind.ABANDONED}


class Desk:
    """A project of the classes 1, 2 and 3, and a short way to say what was answered."""

    def __init__(self, folder: Path) -> None:
        self.project = create_project(folder, ("soma", "axon", "spine"))
        self.store = Store(self.project.store_path)
        self.store.add_frame(FrameRecord("hash", "all", "field.tif", 64, 64, None, (0.0,), (1.0,)))

    def answer(
        self,
        x,
        said=1,
        *,
        guess=None,
        kind="class",
        seconds=6.0,
        shown=False,
        cost=None,
        spread=0.4,
        events=None,
        model=1,
    ):
        """Answer the crop at x; with a `guess` it is a control whose likeliest class that was, at 0.8."""
        others = [each for each in (1, 2, 3) if each != guess]
        probs = () if guess is None else (0.8, 0.15, 0.05)
        why = QueryReason((guess, *others) if guess else (), probs, cost=cost, cost_spread=spread if cost else None)
        end = ENDS.get(kind, EventKind.SKIPPED)
        events = events or (Event(EventKind.SHOWN, 0, 0), Event(end, round(seconds * S), round(seconds * S)))
        said = said if kind == "class" else None
        return self.store.answer(
            AnswerRecord(1, 0, x, PIXELS, kind, said, "ada", events, model, 1, shown, guess is not None, why)
        )

    def review(self):
        return review(self.project, read_on(self.store))


@pytest.fixture
def session(tmp_path):
    opened = Desk(tmp_path / "neurons")
    yield opened
    opened.store.close()


def test_accuracy_is_that_of_the_controls_alone(session):
    session.answer(0, 1, guess=1)
    session.answer(4, 2, guess=1)
    session.answer(8, 3, guess=3)
    for x in range(20, 40):
        session.answer(x, 2, cost=3.0)
    found = session.review()
    assert (found.accuracy.share, found.accuracy.count) == (pytest.approx(2 / 3), 3)
    assert (found.accuracy.low, found.accuracy.high) == accuracy_interval(2, 3)
    assert found.curve.correct_M.tolist() == [True, False, True]
    np.testing.assert_allclose(found.curve.confidence_M, 0.8)
    assert found.calibration.expected_error == pytest.approx(0.8 - 2 / 3)


def test_the_curve_counts_labels_and_minutes_before_each_control_skipped_crops_too(session):
    session.answer(0, seconds=6)
    session.answer(4, kind="skip", seconds=12)
    session.answer(8, guess=1, seconds=18)
    session.answer(12, guess=2)
    curve = session.review().curve
    assert curve.label_count_M.tolist() == [1, 2]
    np.testing.assert_allclose(curve.minutes_M, [0.3, 0.6])


def test_controls_are_counted_by_the_query_they_came_in(session):
    for x, said, model in ((0, 1, 1), (4, 2, 1), (8, 1, 2), (12, 1, 2), (16, 1, 2)):
        session.answer(x, said, guess=1, model=model)
    session.answer(20, 1, model=3)  # no control
    queries = session.review().curve.by_query()
    assert {number: (each.share, each.count) for number, each in queries.items()} == {1: (0.5, 2), 2: (1.0, 3)}
    assert (queries[1].low, queries[1].high) == accuracy_interval(1, 2)


def test_a_control_counts_by_what_was_said_of_it_alone_whatever_was_accepted_later(session):
    session.answer(0, 2, guess=1)
    session.answer(4, 1, guess=1)
    accepted = AnswerRecord(1, 0, 0, PIXELS, "class", 1, "ada", (), prediction_shown=True, given="accepted")
    session.store.answer_together(ActionRecord("accepted", "ada", 2.0), [accepted])
    found = session.review()
    assert found.curve.correct_M.tolist() == [False, True]
    assert found.label_counts == {1: 2}


def test_a_prediction_that_the_expert_saw_says_nothing_of_accuracy(session):
    session.answer(0, 1, guess=1, shown=True)
    assert session.review().accuracy.count == 0


def test_a_control_counts_once_by_its_first_prediction_and_its_first_label(session):
    session.answer(0, 1, guess=1)
    session.answer(0, 2, guess=2)
    session.answer(0, 3)
    found = session.review()
    assert found.curve.correct_M.tolist() == [True]
    assert found.label_counts == {3: 1}


def test_a_control_whose_first_answer_was_taken_back_counts_by_the_next(session):
    session.store.undo(session.answer(0, 2, guess=1))
    session.answer(0, 1)
    assert session.review().curve.correct_M.tolist() == [True]


def test_a_control_that_was_taken_back_counts_no_more(session):
    label_id = session.answer(0, 1, guess=1)
    session.answer(4, 2, guess=1)
    session.store.undo(label_id)
    found = session.review()
    assert found.curve.correct_M.tolist() == [False]
    assert found.label_counts == {2: 1}


def test_a_merged_class_counts_as_the_one_that_it_became(session):
    session.answer(0, 3, guess=1, seconds=2)
    session.answer(4, 1, seconds=5)
    session.project = merge_classes(session.project, 3, 1)
    found = session.review()
    assert found.curve.correct_M.tolist() == [True]
    assert found.label_counts == {1: 2}
    assert {each: efforts.tolist() for each, efforts in found.efforts_s.items()} == {1: [2.0, 5.0]}


def test_effort_is_compared_where_a_learned_cost_met_a_plain_effort(session):
    for x, (cost, seconds) in enumerate([(2.0, 4.0), (4.0, 3.0), (8.0, 9.0)]):
        session.answer(x, guess=1, cost=cost, seconds=seconds)
    session.answer(10, cost=5.0, seconds=7)
    session.answer(11, cost=5.0, spread=None, seconds=7)  # a uniform cost knows nothing
    session.answer(12, kind="skip", cost=5.0)
    session.answer(13, cost=5.0, seconds=25)  # beyond the idle limit of 20 s
    session.answer(14)
    found = session.review()
    assert found.pairs.predicted_s_Q.tolist() == [2.0, 4.0, 8.0, 5.0]
    assert found.pairs.measured_s_Q.tolist() == [4.0, 3.0, 9.0, 7.0]
    assert found.pairs.control_Q.tolist() == [True, True, True, False]
    assert found.control_effort.bias == pytest.approx((2 - 4 + 4 - 3 + 8 - 9) / 3)
    assert found.chosen_effort is None


CROSSED = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, S, 60 * S))
LEFT = (
    Event(EventKind.SHOWN, 0, 0),
    Event(EventKind.PAUSED, 2 * S, 2 * S, PauseReason.IDLE),
    Event(EventKind.RESUMED, 3 * S, 3 * S, PauseReason.IDLE),
    Event(EventKind.ANSWERED, 4 * S, 4 * S),
)


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ({}, ("usable", "")),
        ({"kind": "skip"}, ("at least", "skipped")),
        ({"kind": "exclude"}, ("at least", "bad crop")),
        ({"kind": "abandoned"}, ("at least", "not answered")),
        ({"seconds": 21}, ("at least", "a gap beyond the idle limit")),
        ({"events": LEFT}, ("at least", "a gap beyond the idle limit")),
        ({"events": CROSSED}, ("excluded", "the clock jumped or the machine was suspended")),
    ],
    ids=["plain", "skipped", "crop excluded", "not answered", "idle", "auto-paused", "clock"],
)
def test_every_effort_says_what_it_is_worth_and_why(session, answered, expected):
    session.answer(0, **answered)
    assert session.review().table.state(0) == expected


def test_minutes_are_all_active_seconds_that_are_known(session):
    session.answer(0, seconds=30)  # nothing of it is known: a single gap beyond the idle limit
    session.answer(4, seconds=15)
    session.answer(8, kind="abandoned", seconds=12)
    assert session.review().minutes == pytest.approx(0.45)


def test_an_empty_project_has_no_figures_and_says_so(session):
    found = session.review()
    assert found.metrics() == {"expert minutes": 0.0, "control labels": 0.0}
    assert (found.label_counts, found.calibration, len(found.table)) == ({}, None, 0)
    assert "0 control labels" in found.hint.text


def test_a_card_keeps_the_figures_that_are_there(session):
    for x in range(3):
        session.answer(x, 1, guess=1, cost=7.0, seconds=6)
    low, high = accuracy_interval(3, 3)
    assert session.review().metrics() == {
        "expert minutes": 0.3,
        "control labels": 3.0,
        "control accuracy": 1.0,
        "control accuracy, low": pytest.approx(low, abs=1e-6),
        "control accuracy, high": pytest.approx(high, abs=1e-6),
        "control effort bias (s)": pytest.approx(1.0),
    }


def curve_of(correct):
    count = len(correct)
    return ControlCurve(
        10 * np.arange(count), np.arange(count) / 2, np.array(correct, bool), np.full(count, 0.9), np.ones(count, int)
    )


def test_the_learning_curve_forgets_what_is_older_than_its_window():
    correct = [False] * WINDOW + [True] * WINDOW
    found = learning_curve(curve_of(correct))
    assert found.share_S[:WINDOW].tolist() == [0.0] * WINDOW
    np.testing.assert_allclose(found.share_S[WINDOW:], np.arange(1, WINDOW + 1) / WINDOW)
    assert (found.low_S[-1], found.high_S[-1]) == accuracy_interval(WINDOW, WINDOW)
    assert found.label_count_S.tolist() == list(range(0, 20 * WINDOW, 10))


def test_a_long_learning_curve_is_thinned_and_keeps_both_ends():
    found = learning_curve(curve_of([True, False] * 5000))
    assert len(found.share_S) == 200
    assert (found.label_count_S[0], found.label_count_S[-1]) == (0, 99_990)


def test_no_control_labels_give_an_empty_curve():
    assert len(learning_curve(curve_of([])).share_S) == 0


# the expert against himself


def again(session, x, said=1, kind="class", events=None):
    """Answer a crop that is shown again without a word."""
    events = events or (Event(EventKind.SHOWN, 0, 0), Event(ENDS.get(kind, EventKind.SKIPPED), S, S))
    said = said if kind == "class" else None
    return session.store.answer(AnswerRecord(1, 0, x, PIXELS, kind, said, "ada", events, 1, 2, repeated=True))


def consistency(session):
    found = session.review().consistency
    return round(found.share * found.count), found.count


def test_consistency_is_the_share_of_repeated_crops_with_the_same_answer(session):
    for x, first, second in ((0, 1, 1), (4, 2, 2), (8, 3, 1), (12, 1, 1)):
        session.answer(x, first)
        again(session, x, second)
    session.answer(16, 2)
    session.answer(16, 3)
    found = session.review().consistency
    assert (found.share, found.count) == (0.75, 4), "a crop that the expert went back to is not one shown again"
    assert (found.low, found.high) == accuracy_interval(3, 4)


def test_without_repeated_crops_there_is_no_consistency(session):
    session.answer(0)
    assert session.review().consistency.count == 0


def test_a_repeated_crop_is_compared_with_the_last_answer_to_it_alone(session):
    session.answer(0, 1)
    session.answer(0, 2)
    session.store.answer_together(
        ActionRecord("bulk", "ada", 1.0), [AnswerRecord(1, 0, 0, PIXELS, "class", 3, "ada", (), given="bulk")]
    )
    again(session, 0, 2)
    assert consistency(session) == (1, 1)


def test_answers_that_were_taken_back_do_not_count_against_the_expert(session):
    session.answer(0, 1)
    session.store.undo(session.answer(0, 2))
    again(session, 0, 1)
    session.answer(4, 1)
    session.store.undo(again(session, 4, 2))
    assert consistency(session) == (1, 1)


def test_an_answer_without_a_class_is_another_answer_and_an_abandoned_crop_none(session):
    for x, kind in ((0, "skip"), (4, "abandoned")):
        session.answer(x, 1)
        again(session, x, kind=kind)
    assert consistency(session) == (0, 1)


def test_merged_classes_are_the_same_answer(session):
    session.answer(0, 1)
    again(session, 0, 2)
    session.project = merge_classes(session.project, 2, 1)
    assert consistency(session) == (1, 1)
