"""A ledger says what the store says, and its efforts are those that the events replay to."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costal.errors import EffortError
from costal.labels import event_table as ledger_module
from costal.labels.derivation import REASONS, derive_all
from costal.labels.effort import EffortState, Event, EventKind, PauseReason, advance, derive, replay
from costal.labels.event_table import EVENT, EVENT_KINDS, EVENT_REASONS, LABEL_KINDS, PRESENTATION, EventTable, read_on
from costal.labels.records import AnswerRecord, FrameRecord, QueryReason
from costal.labels.store import Store

S = 1_000_000_000
IDLE_LIMIT_NS = 5 * S
PIXELS = np.zeros((1, 4, 4), np.uint8)


@pytest.fixture
def store(tmp_path: Path):
    with Store(tmp_path / "labels.sqlite") as opened:
        opened.add_frame(FrameRecord("hash", "all", "field.tif", 64, 64, None, (0.0,), (1.0,)))
        yield opened


def events_of(seconds, end=EventKind.ANSWERED):
    return (Event(EventKind.SHOWN, 0, 7), Event(end, round(seconds * S), 7 + round(seconds * S)))


def answer(store, x, kind="class", class_id=1, control=False, why=None, seconds=1.0):
    end = {"class": EventKind.ANSWERED, "abandoned": EventKind.ABANDONED}.get(kind, EventKind.SKIPPED)
    class_id = class_id if kind == "class" else None
    events = events_of(seconds, end)
    return store.answer(
        AnswerRecord(1, 0, x, PIXELS, kind, class_id, "ada", events, control=control, why=why or QueryReason())
    )


@st.composite
def histories(draw):
    """Draw the events of a presentation: any that may follow each other, at any time."""
    state, events, perf_ns, utc_ns = EffortState(), [], draw(st.integers(0, 10 * S)), 10**18
    for _ in range(draw(st.integers(0, 12))):
        passed_ns = draw(st.integers(-S, 7 * S) | st.sampled_from([IDLE_LIMIT_NS, IDLE_LIMIT_NS + 1]))
        perf_ns, utc_ns = perf_ns + passed_ns, utc_ns + passed_ns + draw(st.sampled_from([0, 0, 0, 3 * S, -3 * S]))
        kind = draw(st.sampled_from(EventKind))
        pauses = kind in (EventKind.PAUSED, EventKind.RESUMED)
        event = Event(kind, perf_ns, utc_ns, draw(st.sampled_from(PauseReason)) if pauses else None)
        try:
            state = advance(state, event, IDLE_LIMIT_NS)
        except EffortError:
            continue
        events.append(event)
    return events


def ledger_of(histories):
    rows = [
        (0, 1 + at, each.perf_ns, each.utc_ns, EVENT_KINDS.index(each.kind), EVENT_REASONS.index(each.reason or ""))
        for at, events in enumerate(histories)
        for each in events
    ]
    presentations = np.zeros(len(histories), PRESENTATION)
    presentations["id"] = 1 + np.arange(len(histories))
    return EventTable(presentations, np.array(rows, EVENT))


@given(st.lists(histories(), max_size=6))
def test_columns_and_single_events_lead_to_the_same_efforts(histories):
    found = derive_all(ledger_of(histories), IDLE_LIMIT_NS)
    columns = zip(found.active_ns_P, found.elapsed_ns_P, found.censored_P, found.reason_P, strict=True)
    expected = [derive(replay(events, IDLE_LIMIT_NS)) for events in histories]
    assert [(active, elapsed, cut, REASONS[why]) for active, elapsed, cut, why in columns] == [
        (each.active_ns, each.elapsed_ns, each.censored, each.reason) for each in expected
    ]
    assert found.measured_P.tolist() == [each.usable and not each.censored for each in expected]


def test_a_gap_of_the_idle_limit_counts_and_a_longer_one_ends_the_known_part():
    gaps = (IDLE_LIMIT_NS, IDLE_LIMIT_NS + 1)
    histories = [[Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, gap, gap)] for gap in gaps]
    found = derive_all(ledger_of(histories), IDLE_LIMIT_NS)
    assert found.active_ns_P.tolist() == [IDLE_LIMIT_NS, 0]
    assert found.censored_P.tolist() == [False, True]
    assert [derive(replay(events, IDLE_LIMIT_NS)).active_ns for events in histories] == [IDLE_LIMIT_NS, 0]


def test_reading_on_adds_up_to_reading_all(store, monkeypatch):
    monkeypatch.setattr(ledger_module, "CHUNK", 3)
    event_table = read_on(store)
    for x in range(8):
        answer(store, x)
        event_table = read_on(store, event_table)
    whole = read_on(store)
    for table in ("presentations", "events", "labels"):
        assert repr(getattr(event_table, table).tolist()) == repr(getattr(whole, table).tolist())
    assert len(event_table.events) == 16
    assert event_table.sources == whole.sources == {1: "field.tif"}


def test_a_ledger_without_news_keeps_its_columns(store):
    answer(store, 0)
    event_table = read_on(store)
    assert read_on(store, event_table).events is event_table.events


def test_current_labels_are_those_of_the_store_after_relabelling_undo_and_redo(store):
    ids = [answer(store, x, class_id=1 + x % 2) for x in (0, 4, 8, 12)]
    store.undo(ids[1])
    store.undo(ids[2])
    answer(store, 8, class_id=3)
    store.redo(ids[2])
    answer(store, 0, class_id=4)
    answer(store, 16, kind="skip")
    current = read_on(store).current()
    assert sorted(current["place"].tolist()) == list(store.label_snapshot())
    classed = current[current["kind"] == LABEL_KINDS.index("class")]
    assert dict(zip(classed["crop"].tolist(), classed["class_id"].tolist(), strict=True)) == dict(
        store._select("SELECT crop_id, class_id FROM current_label WHERE kind = 'class'")
    )


def test_a_row_says_what_was_asked_and_predicted(store):
    why = QueryReason((7, 9, 8), (0.2, 0.5, 0.3), cost=2.5, cost_spread=0.4)
    answer(store, 4, control=True, why=why)
    answer(store, 8, why=why)
    answer(store, 12)
    control, chosen, bare = read_on(store).presentations
    assert (control["control"], control["predicted"], control["confidence"]) == (True, 9, 0.5)
    assert (control["x"], control["cost"], control["cost_spread"]) == (4, 2.5, 0.4)
    assert (chosen["control"], chosen["predicted"], chosen["cost"]) == (False, 0, 2.5)
    assert np.isnan([chosen["confidence"], bare["cost"], bare["cost_spread"]]).all()


def test_what_is_not_a_number_is_stored_as_nothing(store):
    nan = float("nan")
    why = QueryReason((1, 2), (nan, nan), nan, 2.5, 0.3, float("inf"), acquisition="random")
    assert why == QueryReason(cost=2.5, cost_spread=0.3, acquisition="random")
    answer(store, 0, control=True, why=why)
    row = read_on(store).presentations[0]
    assert (row["cost"], row["cost_spread"]) == (2.5, 0.3)
    assert np.isnan(row["confidence"])


def test_rows_that_hold_nan_from_an_older_version_can_be_read(store, monkeypatch):
    monkeypatch.setattr(
        QueryReason, "to_json", lambda _: '{"class_ids": [1, 2], "probs_K": [NaN, NaN], "cost_spread": 0.3}'
    )
    answer(store, 0, control=True)
    row = read_on(store).presentations[0]
    assert np.isnan(row["cost_spread"])
    assert store.presentations()[0].why == QueryReason(cost_spread=0.3)


def test_an_answer_that_comes_between_two_reads_is_taken_up_whole_by_the_next(store, monkeypatch):
    """The presentations are read first: events and labels that come after belong to none of them yet."""
    answer(store, 0)
    select, has_come = store._select, []

    def meanwhile(query, values=None):
        rows = select(query, values)
        if "FROM presentation" in query and not has_come:
            has_come.append(answer(store, 4))
        return rows

    monkeypatch.setattr(store, "_select", meanwhile)
    early = read_on(store)
    assert (len(early.presentations), len(early.events)) == (1, 2)
    assert derive_all(early, IDLE_LIMIT_NS).active_ns_P.tolist() == [S]
    late = read_on(store, early)
    assert derive_all(late, IDLE_LIMIT_NS).active_ns_P.tolist() == [S, S]
