"""A labelling session: crops are presented one by one, answers committed, undone and redone, and effort measured."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
from psygnal import Signal

from costal.labels.effort import EventKind
from costal.labels.project import Project
from costal.labels.records import NOBODY, AnswerKind, AnswerRecord, CropLabel
from costal.loop import FIXED
from costal.scoring.queries import PickedCrops, query_seed, rest_to_come, unanswered
from costal.scoring.scores import FrameScores
from costal.workbench.session import ProjectSession
from napari_costal.label_crops.answers import record_of
from napari_costal.label_crops.frame_session import FrameSession
from napari_costal.label_crops.loaded_frame import revised
from napari_costal.label_crops.open_project import OpenProject
from napari_costal.label_crops.query_reason import crop_title, reason_of, reason_text
from napari_costal.label_crops.query_session import QuerySession
from napari_costal.label_crops.repeating import Repeating
from napari_costal.label_crops.view import PageView
from napari_costal.labelling.presentation import Clock, Presentation, Presenter, system_clock

READ_AHEAD = 8


@dataclass(frozen=True, slots=True)
class WaitingCrop:
    """A crop that waits for an answer: its `rank` in the query (None if the expert chose it), and if it is a control.

    A `repeated` crop was answered before and is presented again, unmarked, before the next crop of the query.
    """

    index: int
    rank: int | None = None
    control: bool = False
    repeated: bool = False


class LabellingSession:
    """The query being answered, and crops that the expert clicks; the next crop is shown only after a commit.

    With `keeps_going` the next query begins at once, while the models learn in the background.
    """

    presented = Signal(object)
    """The index of the crop being labelled, None if there is none."""

    def __init__(
        self,
        session: OpenProject,
        frame: FrameSession,
        query: QuerySession,
        view: PageView,
        clock: Clock = system_clock,
    ) -> None:
        self._session, self._frame, self._query, self._view = session, frame, query, view
        self.presenter = Presenter(view.cover, clock)
        self.keeps_going = False
        self._now: WaitingCrop | None = None
        self._coming: WaitingCrop | None = None
        self._waiting: list[WaitingCrop] = []
        self._query_size = 0
        self._answered: list[int] = []
        self._saving = False
        self._seen: set[int] = set()
        self._repeating = Repeating()
        frame.leaving.connect(self.leave)
        frame.left.connect(self._forget_seen)

    @property
    def current(self) -> Presentation | None:
        """The crop being labelled."""
        return self.presenter.current

    def label_query(self) -> None:
        """Present the query, best crop first; score the frame first if it has no scores."""
        if self._query.frame_scores is None:
            self._query.score(then=self.label_query)
            return
        self._query.forget_callbacks()
        if self._session.may_write():
            self._query.open_query = None
            self._query.recombine(then=self._ask)

    def _ask(self) -> None:
        picked = self._query.picked
        if picked is None:
            if self.current is None:
                self.stop()
            return
        self._query.open_query = picked
        pairs = zip(picked.picked_n, picked.control_n, strict=True)
        self._waiting = [WaitingCrop(int(index), rank, bool(control)) for rank, (index, control) in enumerate(pairs, 1)]
        self._query_size = len(self._waiting)
        self._repeating.begin_query()
        self._query.blind(True)
        if self.current is None:
            self._next()

    def click(self, index: int) -> None:
        """Present the crop that the user clicked; the crop on the page waits."""
        if self._session.may_write():
            self._frame.place(lambda: self._interrupt_for(WaitingCrop(index)))

    def back(self) -> None:
        """Present the crop that was answered before this one; its answer stays until another is given."""
        now = self.current.index if self.current is not None else None
        earlier = self._answered
        at = earlier.index(now) if now in earlier else len(earlier)
        if at == 0:
            self._view.page_says("There is no earlier crop in this session.", False)
        else:
            self._interrupt_for(WaitingCrop(earlier[at - 1]))

    def _interrupt_for(self, crop: WaitingCrop) -> None:
        """Present a crop at once; an interrupted crop of the query follows after it."""
        if self._saving:
            return
        interrupted = self._now if self.current is not None else self._coming
        self._abandon()
        if interrupted is not None and interrupted.rank is not None and interrupted.index != crop.index:
            self._waiting.insert(0, interrupted)
        self._present(crop)

    def answer(self, class_id: int) -> None:
        """Label the crop being labelled."""
        self._end(EventKind.ANSWERED, "class", class_id)

    def skip(self) -> None:
        """Leave the crop without a label: the expert cannot decide."""
        self._end(EventKind.SKIPPED, "skip", None)

    def exclude(self) -> None:
        """Remove the crop from the pool: it shows nothing that could be labelled."""
        self._end(EventKind.SKIPPED, "exclude", None)

    def show_prediction(self) -> None:
        """Show the agent's prediction and why the crop was chosen; the answer records that it was shown."""
        now, project = self.current, self._session.project
        if now is not None and project is not None:
            now.prediction_shown |= bool(now.why.probs_K)
            self._view.page_says(reason_text(now.why, project, now.rank, now.control), False)

    def look(self) -> None:
        """Record whether a predicted class is visible beside the crop being labelled."""
        if self.current is not None and not self.current.has_ended:
            self.current.prediction_shown |= self.knows_prediction(self.current.index)

    def note_seen(self, index: int) -> None:
        """Record with the answer that the prediction of a crop was shown to the expert."""
        self._seen.add(index)
        if self.current is not None and self.current.index == index and not self.current.has_ended:
            self.current.prediction_shown = True

    def _forget_seen(self) -> None:
        self._seen.clear()

    def turn_unsure(self) -> None:
        """Switch whether the next class is stored as unsure."""
        if self.current is not None and not self.current.has_ended:
            self.current.unsure = not self.current.unsure
            mark = "unsure" if self.current.unsure else "sure"
            self._view.page_says(f"The next answer is stored as {mark}.", False)

    def note(self, text: str) -> None:
        """Store a note with the answer to the crop being labelled; an empty text removes it."""
        if self.current is not None and not self.current.has_ended:
            self.current.note = " ".join(text.split())
            self._view.page_says(f"Note: {self.current.note}" if self.current.note else "No note.", False)

    def knows_prediction(self, index: int) -> bool:
        """Return whether the expert has seen the prediction of a crop, or can see it now."""
        return index in self._seen or self._view.shows_predictions()

    def set_aside(self) -> None:
        """Set the crop aside while something else is labelled; a crop of a query comes back with `go_on`."""
        interrupted = self._now if self.current is not None else self._coming
        self._abandon()
        if interrupted is not None and interrupted.rank is not None:
            self._waiting.insert(0, interrupted)
        self.presented.emit(None)

    def drop(self, indices: Collection[int]) -> None:
        """Remove crops from the query that were labelled elsewhere."""
        self._waiting = [each for each in self._waiting if each.index not in indices]

    def go_on(self) -> None:
        """Present the next crop of the query that was set aside; leave the page if there is none."""
        if self.current is not None:
            return
        if self._waiting or self._query_size:
            self._next()
        else:
            self._view.leave_page()

    def stop(self) -> None:
        """Leave the page; answers are kept, the crop being labelled is abandoned."""
        self._abandon()
        self.presented.emit(None)
        self._waiting, self._query_size = [], 0
        self._query.blind(False)
        self._query.open_query = None
        self._view.leave_page()
        self._query.forget_callbacks()
        self._query.recombine()

    def leave(self) -> None:
        """Leave the frame; its answers can still be undone."""
        self._abandon()
        self.presented.emit(None)
        self._waiting, self._query_size, self._answered = [], 0, []
        self._repeating.forget()
        self._query.blind(False)
        self._view.leave_page()

    def _next(self) -> None:
        self.presenter.current = None
        if self._waiting:
            self._present(self._due_repeat() or self._waiting.pop(0))
        elif not self._query_size:
            self.presented.emit(None)
            self._view.page_says("Saved. Click another crop to label it, or press Esc, then Train.", False)
        elif self.keeps_going:
            self._learn()
            self.label_query()
        else:
            self.stop()
            self._learn()

    def _learn(self) -> None:
        """Train the models after a query, unless training is set to be by hand."""
        project = self._session.project
        if project is not None and project.choices.retrain != "hand":
            self._query.retrain()

    def _due_repeat(self) -> WaitingCrop | None:
        """Return an answered crop that is presented again now, None if none is due."""
        loaded, grid, project, coming = self._frame.loaded, self._frame.grid, self._session.project, self._waiting[0]
        if loaded is None or grid is None or project is None or coming.repeated:
            return None
        index = self._repeating.due(project, loaded, grid, self._answered)
        return WaitingCrop(index, coming.rank, repeated=True) if index is not None else None

    def _title(self, crop: WaitingCrop, label: CropLabel | None, project: Project) -> str:
        """Return the line above a crop; a repeated crop looks like any other of the query."""
        if crop.rank is None:
            return crop_title(None, self._query_size, label, project)
        number = self._repeating.number(crop.rank, crop.repeated)
        return crop_title(number, max(self._query_size, number), None if crop.repeated else label, project)

    def _present(self, crop: WaitingCrop) -> None:
        """Present a crop once it is in memory, and read the next ones ahead."""
        self._coming = crop

        def unread(reason: str) -> None:
            if crop is self._coming:
                self._coming = None
                self._view.complain(reason)
                if self._waiting:
                    self._next()
                else:
                    self.stop()

        self._frame.fetch(crop.index, lambda: self._show(crop), unread)
        for each in self._waiting[:READ_AHEAD]:
            self._frame.fetch(each.index)

    def _show(self, crop: WaitingCrop) -> None:
        query, project = self._query, self._session.project
        loaded, grid = self._frame.loaded, self._frame.grid
        if crop is not self._coming or loaded is None or project is None or grid is None:
            return
        self._now, self._coming = crop, None
        presentation = self.presenter.open(crop.index, crop.rank, round(project.idle_limit_s * 1e9))
        presentation.control, presentation.repeated = crop.control, crop.repeated
        self._frame.hide_label(crop.index if crop.repeated else None)
        presentation.during_fit = query.is_fitting
        self._note_why(presentation, project)
        self.look()
        title = self._title(crop, loaded.labels.get(crop.index), project)
        left_s = sum(query.predicted_s(each.index) for each in (crop, *self._waiting)) if crop.rank else 0.0
        self._view.present(project, *self._frame.shown(crop.index), title, presentation.active_s, left_s)
        if self._waiting and loaded.is_at_hand(self._waiting[0].index):
            self._view.prepare(*self._frame.shown(self._waiting[0].index))
        self.presented.emit(crop.index)

    def _note_why(self, presentation: Presentation, project: Project) -> None:
        """Record the newest model's view of a crop with its presentation."""
        frame_scores, picked = self._query.newest_scores, self._query.picked
        if frame_scores is not None and frame_scores is self._query.live:
            choices = project.choices
            value_N = frame_scores.value_N(choices.alpha, choices.beta, choices.rule)
            picked = PickedCrops(np.empty(0, np.intp), value_N, np.empty(0, np.bool_))
        presentation.why = reason_of(frame_scores, picked, project, presentation.index)
        presentation.generation = self._query.generation
        presentation.asker = frame_scores.asker if frame_scores is not None else NOBODY

    def model_changed(self, frame_scores: FrameScores) -> None:
        """Reorder the rest of the query with a model that learned between two answers.

        The crop on the screen and the one after it stay. A crop that was not painted yet records this model's view.
        """
        now, project = self.current, self._session.project
        loaded, grid, query = self._frame.loaded, self._frame.grid, self._query
        if project is None or loaded is None or grid is None:
            return
        if now is not None and not now.is_shown and not now.has_ended:
            self._note_why(now, project)
        rest = self._waiting[FIXED - 1 :]
        if query.is_still or not rest:
            return
        picked_m = np.array([each.index for each in rest], np.intp)
        stays_m = np.array([each.control or each.repeated or each.rank is None for each in rest])
        busy = {each.index for each in (self._now, self._coming, *self._waiting) if each is not None}
        free = np.setdiff1d(unanswered(loaded.labels, grid), list(busy))
        seed = query_seed(project, frame_scores, loaded.stored.id, len(loaded.labels))
        arguments = (frame_scores, project, grid, (picked_m, stays_m), free, seed, loaded.stored.content_hash)
        renewed_m = rest_to_come(*arguments).tolist()
        self._waiting[FIXED - 1 :] = [replace(each, index=index) for each, index in zip(rest, renewed_m, strict=True)]
        if query.open_query is not None:
            picked_n = query.open_query.picked_n.copy()
            for each in self._waiting:
                if each.rank is not None:
                    picked_n[each.rank - 1] = each.index
            query.open_query = replace(query.open_query, picked_n=picked_n)
        query.draw_query()
        for each in self._waiting[:READ_AHEAD]:
            self._frame.fetch(each.index)

    def _end(self, kind: EventKind, answer_kind: AnswerKind, class_id: int | None) -> None:
        """Commit the answer, then present the next crop. An answer that was not saved can be given again."""
        presentation, project_session, ticket = self.current, self._session.project_session, self._frame.newest.ticket()
        at = self.presenter.moment()
        if presentation is None or project_session is None or self._saving or not presentation.may_end(at):
            return
        if not presentation.has_ended and not presentation.record(kind, at=at):
            return
        presentation.during_fit |= self._query.is_fitting
        record = self._record_of(presentation, answer_kind, class_id)
        if record is None:
            return

        def saved(label_id: int) -> None:
            self._saving = False
            if not ticket.is_current:
                return
            side = record.pixels_C_H_W.shape[-1]
            label = CropLabel(label_id, record.frame_id, record.y, record.x, side, class_id, answer_kind)
            label = replace(label, unsure=record.unsure, note=record.note)
            self._frame.relabel(presentation.index, label, is_new=True)
            self._answered = [each for each in self._answered if each != presentation.index] + [presentation.index]
            self._waiting = [each for each in self._waiting if each.index != presentation.index]
            if self.current is presentation:
                self._next()

        def failed(reason: str) -> None:
            self._saving = False
            self._view.page_says(f"Not saved: {reason} The crop stays on the screen: press the key again.", True)

        self._saving = True
        self._session.store.run(project_session.answer, record, then=saved, failed=failed)

    def _record_of(self, presentation: Presentation, kind: AnswerKind, class_id: int | None) -> AnswerRecord | None:
        loaded, grid = self._frame.loaded, self._frame.grid
        if loaded is None or grid is None:
            return None
        return record_of(presentation, kind, class_id, loaded, grid, self._session.annotator)

    def undo(self) -> None:
        """Undo the last answer and present its crop again."""
        self._revise(lambda project_session: project_session.undo(), "undo", presents=True)

    def redo(self) -> None:
        """Redo the answer that was undone last."""
        self._revise(lambda project_session: project_session.redo(), "redo", presents=False)

    def _revise(self, act: Callable[[ProjectSession], CropLabel | None], name: str, presents: bool) -> None:
        project_session, ticket = self._session.project_session, self._frame.newest.ticket()
        how = "undone" if name == "undo" else "restored"
        if self._saving or project_session is None or self._frame.loaded is None:
            return

        def work() -> list[tuple[CropLabel, CropLabel | None]]:
            return revised(project_session, act(project_session))

        def done(outcome: list[tuple[CropLabel, CropLabel | None]]) -> None:
            self._saving = False
            if not outcome:
                self._view.page_says(f"There is nothing to {name}.", False)
                return
            indices = [self._frame.index_of(label) if ticket.is_current else None for label, _ in outcome]
            here = {
                index: label_now for index, (_, label_now) in zip(indices, outcome, strict=True) if index is not None
            }
            self._frame.relabel_together(here)
            if not here:
                self._session.recount()
                self._view.page_says(f"The last answer was on another frame or grid. It was {how} there.", False)
            elif len(outcome) > 1:
                self._session.recount()
                self._view.page_says(f"{len(outcome)} labels were given together; all of them were {how}.", False)
            elif presents:
                self._interrupt_for(WaitingCrop(next(iter(here))))
            elif self.current is not None and self.current.index in here:
                self._abandon()
                self._next()

        def failed(reason: str) -> None:
            self._saving = False
            self._view.page_says(reason, True)

        self._saving = True
        self._session.store.run(work, then=done, failed=failed)

    def _abandon(self) -> None:
        """End the crop being labelled without an answer; its time is stored as a lower bound."""
        presentation, self.presenter.current, self._coming = self.current, None, None
        project_session = self._session.project_session
        if presentation is None or not presentation.is_shown or project_session is None:
            return
        presentation.record(EventKind.ABANDONED)
        record = self._record_of(presentation, "abandoned", None)
        if record is not None:
            self._session.store.run(project_session.answer, record, failed=self._view.complain)
