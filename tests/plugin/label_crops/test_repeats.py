"""Crops that come again, notes and doubts: what the expert sees of them, and what is kept."""

import pytest

from costal.labels.effort import PauseReason, derive, replay
from tests.plugin.label_crops.test_labelling_session import rows, start_query
from tests.plugin.label_crops.test_sessions import COUNT, Screen

SECOND = 10**9


@pytest.fixture
def bench(tmp_path):
    return Screen(tmp_path / "project")


def answer_all(bench, class_id=1):
    """Answer the query; return the crops, their titles, and those whose label was drawn over the frame meanwhile."""
    seen, titles, drawn = [], [], []
    while bench.current is not None:
        seen.append(bench.current.index)
        titles.append(bench.view.present.call_args.args[4])
        drawn.append(bench.current.index in bench.view.show_labels.call_args.args[0])
        bench.answer(class_id)
    return seen, titles, drawn


def test_answered_crops_come_again_without_a_word_later_in_the_query(bench):
    start_query(bench, repeat_share=0.5, n=COUNT, seed=3)
    seen, titles, drawn = answer_all(bench)
    again = [at for at, index in enumerate(seen) if index in seen[:at]]
    assert 0 < len(again) <= COUNT - 10
    assert all(at - seen.index(seen[at]) > 10 for at in again), "ten answers lie between"
    assert sorted(set(seen)) == list(range(COUNT)), "none of the query is lost"
    assert [title.split()[1] for title in titles] == [str(n) for n in range(1, len(seen) + 1)]
    assert [title.split()[3] for title in titles] == [str(max(COUNT, n)) for n in range(1, len(seen) + 1)]
    assert not any("now" in title for title in titles)
    assert not any(drawn)
    assert [row.repeated for row in rows(bench)] == [at in again for at in range(len(seen))]
    assert not any(row.control for row in rows(bench))


def test_the_new_answer_to_a_crop_that_came_again_stands_and_both_are_kept(bench):
    start_query(bench, repeat_share=0.5, n=COUNT, seed=3)
    while not bench.current.repeated:
        bench.answer(1)
    index = bench.current.index
    bench.answer(2)
    assert bench.frame.labels[index].class_id == 2
    origin = bench.frame.grid.origin(index)
    assert [row.class_id for row in rows(bench) if (row.y, row.x) == origin] == [1, 2]


def test_no_crop_comes_again_where_the_share_is_0(bench):
    start_query(bench, repeat_share=0.0, n=COUNT)
    seen, _, _ = answer_all(bench)
    assert len(seen) == COUNT


def test_the_class_after_unsure_is_kept_as_unsure_and_the_next_one_is_not(bench):
    start_query(bench)
    first = bench.current.index
    bench.show()
    bench.labelling.turn_unsure()
    bench.labelling.answer(2)
    bench.answer(1)
    assert [(row.class_id, row.unsure) for row in rows(bench)] == [(2, True), (1, False)]
    assert bench.frame.labels[first].unsure


def test_unsure_twice_is_sure(bench):
    start_query(bench)
    bench.show()
    bench.labelling.turn_unsure()
    bench.labelling.turn_unsure()
    bench.labelling.answer(2)
    assert not rows(bench)[0].unsure


def test_a_skipped_crop_has_no_doubtful_class(bench):
    start_query(bench)
    bench.show()
    bench.labelling.turn_unsure()
    bench.labelling.skip()
    assert not rows(bench)[0].unsure


def test_a_note_is_kept_with_its_crop_and_the_time_of_writing_does_not_count(bench):
    start_query(bench)
    bench.show(seconds=2.0)
    bench.labelling.presenter.pause(PauseReason.MODAL)
    bench.now += 60 * SECOND
    bench.labelling.presenter.resume(PauseReason.MODAL)
    bench.labelling.note(" two cells,\n one divides ")
    bench.now += SECOND
    bench.labelling.answer(1)
    bench.answer(1)
    assert [row.note for row in rows(bench)] == ["two cells, one divides", ""]
    effort = derive(replay(rows(bench)[0].events, 20 * SECOND))
    assert (effort.active_s, effort.censored, effort.usable) == (3.0, False, True)


def test_a_note_can_be_taken_away(bench):
    start_query(bench)
    bench.show()
    bench.labelling.note("a slip")
    bench.labelling.note("")
    bench.labelling.answer(1)
    assert rows(bench)[0].note == ""
