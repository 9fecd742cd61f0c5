"""No sequence of acts at the bench loses or invents a label: the real workbench beside a model of a few lists."""

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from costal.errors import ProjectError
from costal.frames.read import Planes, frame_from_array
from costal.labels.classes import merge_classes, new_class, rename_class, restore_class, retire_class
from costal.labels.derivation import REASONS, derive_all
from costal.labels.effort import EffortState, Event, EventKind, PauseReason, advance, derive, replay
from costal.labels.event_table import read_on
from costal.labels.project_file import create_project, load_project
from costal.labels.records import AnswerRecord
from costal.scoring.frame_planes import frame_of
from costal.workbench.session import ProjectSession, recorded

ALL = Planes(None, None, None)

S = 1_000_000_000
LIMIT_NS = 20 * S
CROPS = 3
FRAME = frame_from_array(np.arange(8 * 8 * CROPS, dtype=np.uint8).reshape(1, 8, 8 * CROPS), "CYX", None, "a.tif")
ENDS = {"class": EventKind.ANSWERED, "abandoned": EventKind.ABANDONED}
HAPPENINGS = [
    (EventKind.ACTIVITY, None),
    *((kind, reason) for kind in (EventKind.PAUSED, EventKind.RESUMED) for reason in PauseReason),
]

crops = st.integers(0, CROPS - 1)
picks = st.integers(0, 99)  # of a list, whatever its length
happenings = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 30 * S)), max_size=4)


@dataclass
class Given:
    """A label that was given; undone it stands no more, redone it stands where it stood."""

    crop: int
    kind: str
    class_id: int | None
    stands: bool = True


class LabellingMachine(RuleBasedStateMachine):
    @initialize()
    def open(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = create_project(Path(self.temporary.name) / "project", ("one", "two", "three")).folder
        self.open_as("ada")
        self.given, self.said, self.live_efforts = [], [], []
        self.done, self.undone = defaultdict(list), defaultdict(list)
        self.merged_into, self.retired = {1: 0, 2: 0, 3: 0}, set()
        self.names = {1: "one", 2: "two", 3: "three"}
        self.now_ns = 10**15

    def open_as(self, annotator):
        self.session = ProjectSession(self.folder, annotator)
        self.session.store._connection.execute("PRAGMA synchronous = OFF")  # what is on disk when has tests of its own
        assert self.session.holder is None

    def teardown(self):
        if hasattr(self, "session"):
            assert self.session.store.check() == []
            self.session.close()
            self.temporary.cleanup()

    # what the expert does

    def present(self, crop, kind, class_id, happened):
        """Show a crop and answer it, and follow its effort event by event."""
        live, events = EffortState(), []
        ended = (ENDS.get(kind, EventKind.SKIPPED), None)
        for (event_kind, reason), gap_ns in [((EventKind.SHOWN, None), S), *happened, (ended, S // 3)]:
            self.now_ns += gap_ns
            events.append(Event(event_kind, self.now_ns, 2 * 10**18 + self.now_ns, reason))
            live = advance(live, events[-1], LIMIT_NS)
        stored = self.session.place(recorded(frame_of(FRAME, ALL)))
        pixels = FRAME.pixels[:, :, 8 * crop : 8 * crop + 8]
        who = self.session.annotator
        label_id = self.session.answer(AnswerRecord(stored.id, 0, 8 * crop, pixels, kind, class_id, who, tuple(events)))
        self.live_efforts.append(derive(live))
        self.said.append((crop, kind, class_id, who))
        if kind == "abandoned":
            assert label_id is None
            return
        self.given.append(Given(crop, kind, class_id))
        self.done[who].append(self.given[-1])
        self.undone[who].clear()

    @precondition(lambda self: self.offered())
    @rule(crop=crops, pick=picks, happened=happenings)
    def label(self, crop, pick, happened):
        self.present(crop, "class", self.offered()[pick % len(self.offered())], happened)

    @precondition(lambda self: self.current() and self.offered())
    @rule(pick=picks)
    def relabel(self, pick):
        labelled = sorted(self.current())
        self.present(labelled[pick % len(labelled)], "class", self.offered()[pick % len(self.offered())], ())

    @rule(crop=crops, kind=st.sampled_from(["skip", "exclude", "abandoned"]), happened=happenings)
    def give_no_class(self, crop, kind, happened):
        self.present(crop, kind, None, happened)

    @rule(times=st.integers(1, 3))
    def undo(self, times):
        for _ in range(times):
            undone, expected = self.session.undo(), self.done[self.session.annotator]
            if not expected:
                assert undone is None
                return
            last = expected.pop()
            assert (undone.x // 8, undone.kind, undone.class_id) == (last.crop, last.kind, last.class_id)
            last.stands = False
            self.undone[self.session.annotator].append(last)

    @rule(times=st.integers(1, 3))
    def redo(self, times):
        for _ in range(times):
            redone, expected = self.session.redo(), self.undone[self.session.annotator]
            if not expected:
                assert redone is None
                return
            last = expected.pop()
            assert (redone.x // 8, redone.kind, redone.class_id) == (last.crop, last.kind, last.class_id)
            last.stands = True
            self.done[self.session.annotator].append(last)

    @rule(times=st.integers(1, 4))
    def there_and_back(self, times):
        self.undo(times)
        self.redo(times)

    # classes

    def configure(self, edit, is_possible=True):
        if is_possible:
            with patch("os.fsync"):
                self.session.configure(edit(self.session.project))
            assert load_project(self.folder) == self.session.project
        else:
            with pytest.raises(ProjectError):
                edit(self.session.project)

    @rule()
    def add_class(self):
        class_id = 1 + len(self.names)
        self.merged_into[class_id], self.names[class_id] = 0, f"class {class_id}"
        self.configure(lambda project: new_class(project, f"class {class_id}"))

    @rule(pick=picks, taken=st.booleans())
    def rename(self, pick, taken):
        class_id, other = 1 + pick % len(self.names), 1 + (pick + 1) % len(self.names)
        if taken and not self.merged_into[class_id] and not self.merged_into[other]:
            self.configure(lambda project: rename_class(project, class_id, self.names[other]), is_possible=False)
        else:
            self.names[class_id] = f"{self.names[class_id].split()[0]} {pick} of {class_id}"
            self.configure(lambda project: rename_class(project, class_id, self.names[class_id]))

    @rule(pick=picks, other=picks)
    def merge(self, pick, other):
        class_id, into_id = 1 + pick % len(self.names), 1 + other % len(self.names)
        is_possible = class_id != into_id and {class_id, into_id} <= set(self.offered())
        self.configure(lambda project: merge_classes(project, class_id, into_id), is_possible)
        if is_possible:
            self.merged_into[class_id] = into_id

    @rule(pick=picks)
    def retire(self, pick):
        class_id = 1 + pick % len(self.names)
        self.retired.add(class_id)
        self.configure(lambda project: retire_class(project, class_id))

    @rule(pick=picks)
    def restore(self, pick):
        class_id = 1 + pick % len(self.names)
        self.retired.discard(class_id)
        self.merged_into[class_id] = 0
        self.configure(lambda project: restore_class(project, class_id))

    # windows

    @rule(annotator=st.sampled_from(["ada", "ada", "bob"]))
    def close_and_reopen(self, annotator):
        self.session.close()
        self.open_as(annotator)

    @rule(crop=crops, kind=st.sampled_from(["skip", "exclude"]))
    def another_labels_in_between(self, crop, kind):
        who = self.session.annotator
        self.close_and_reopen("bob" if who == "ada" else "ada")
        self.present(crop, kind, None, ())
        self.close_and_reopen(who)

    @rule()
    def look_from_another_window(self):
        with ProjectSession(self.folder, self.session.annotator) as reader:
            assert reader.holder is not None
            assert reader.store.labels() == self.session.store.labels()
            for act in (reader.undo, reader.redo):
                with pytest.raises(ProjectError, match="open for reading only"):
                    act()

    # what must be so

    def offered(self):
        return [each for each in self.names if not self.merged_into[each] and each not in self.retired]

    def current(self):
        """Return the last label that stands of each crop."""
        return {each.crop: each for each in self.given if each.stands}

    def meaning(self, class_id):
        while self.merged_into[class_id]:
            class_id = self.merged_into[class_id]
        return class_id

    @invariant()
    def no_label_is_lost_or_invented(self):
        found = {label.x // 8: (label.kind, label.class_id) for label in self.session.store.labels()}
        assert found == {crop: (each.kind, each.class_id) for crop, each in self.current().items()}
        assert len(self.session.store.label_snapshot()) == len(found)

    @invariant()
    def history_is_that_of_two_stacks(self):
        who, history = self.session.annotator, self.session.history
        for ids, expected in ((history.done, self.done[who]), (history.undone, self.undone[who])):
            found = [self.session.store.label(label_id) for label_id in ids]
            assert [(each.x // 8, each.kind, each.class_id) for each in found] == [
                (each.crop, each.kind, each.class_id) for each in expected
            ]
        assert self.session.store.history(who) == history

    @invariant()
    def every_stored_id_means_what_its_class_means_today(self):
        offered = self.offered()
        for class_id in self.names:
            meant, found = self.meaning(class_id), self.session.project.class_of(class_id)
            assert (found.id, found.name) == (meant, self.names[meant])
            assert self.session.project.class_index(class_id) == (offered.index(meant) if meant in offered else None)
        keys = [each.key for each in self.session.project.offered if each.key]
        assert len(set(keys)) == len(keys)

    @invariant()
    def presentations_and_their_efforts_are_what_was_done_live(self):
        rows = self.session.store.presentations()
        assert [(row.x // 8, row.kind, row.class_id, row.annotator) for row in rows] == self.said
        assert [derive(replay(row.events, LIMIT_NS)) for row in rows] == self.live_efforts

    @invariant()
    def the_table_of_efforts_replays_to_what_was_live(self):
        event_table = read_on(self.session.store)
        table = derive_all(event_table, LIMIT_NS)
        columns = (table.active_ns_P, table.elapsed_ns_P, table.censored_P, table.reason_P)
        found = [(*each, REASONS[reason]) for *each, reason in zip(*(c.tolist() for c in columns), strict=True)]
        assert found == [(each.active_ns, each.elapsed_ns, each.censored, each.reason) for each in self.live_efforts]
        assert len(event_table.current()) == len(self.current())


LabellingMachine.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=30,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # shrinking would outlast the test's time limit
)
TestLabelling = LabellingMachine.TestCase
