"""The expert's actions in the gallery: label several crops at once, accept predictions, undo. No Qt.

Pixels are read on a thread of the gallery's own; labels are committed by the project's, each action as a whole.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from costal.labels.records import ActionRecord, AnswerRecord, CropLabel
from costal.numerals import counted
from costal.seeds import seed_for
from costal.workbench.assessment import Doubt
from costal.workbench.gallery import SKIPPED, UNLABELLED, offer
from costal.workbench.gallery_crops import Gallery
from costal.workbench.gallery_pixels import answers_for
from costal.workbench.looked_again import confirm, take_back
from costal.workbench.session import ProjectSession
from napari_costal.gallery.action_clock import ActionClock
from napari_costal.gallery.listing import Change, Listing
from napari_costal.gallery.model import PredictionPage
from napari_costal.label_crops.loaded_frame import revised
from napari_costal.label_crops.opened import Work
from napari_costal.labelling.presentation import Clock, system_clock

PLANTED_NOTE = " A few are wrong on purpose and are never stored. They measure how many errors you notice."


class GallerySession:
    """The actions on the crops of a listing. Every public method is an action of the user.

    The time of an action starts with the first selected crop, or when the page is shown.
    """

    def __init__(self, listing: Listing, clock: Clock = system_clock) -> None:
        self._listing, self._view = listing, listing.view
        self.choosing, self.paging = ActionClock(clock), ActionClock(clock)
        self._corrections_s = 0.0
        self._pages = 0
        self._saving_in: Work | None = None
        self._kept: list[tuple[int, tuple[Doubt, ...]]] = []
        self._taken_back: list[tuple[int, tuple[Doubt, ...]]] = []

    @property
    def is_saving(self) -> bool:
        """Whether an action of the open project is being saved."""
        return self._saving_in is not None and self._saving_in is self._listing.work

    # Choosing and labelling

    def choose(self, count: int) -> None:
        """Note how many crops are selected; the time of the action starts with the first."""
        project = self._listing.gallery.project if self._listing.gallery is not None else None
        if count and project is not None:
            self.choosing.begin(project.idle_limit_s)
        elif not count:
            self.choosing.stop()

    def active(self) -> None:
        """Note an input of the expert."""
        self.choosing.active()
        self.paging.active()

    def pause(self, is_paused: bool) -> None:
        """Stop the clocks while another window is active."""
        self.choosing.pause(is_paused)
        self.paging.pause(is_paused)

    def label(self, rows: Sequence[int], class_id: int) -> None:
        """Label crops with a class in one action; crops that have this label are left out."""
        gallery = self._listing.gallery
        if not rows or gallery is None or not self._may_write():
            return
        if self._listing.offer is not None:
            rows = self._correct(self._listing.offer, rows, class_id)
        label_N = gallery.crops.label_N
        class_ids = {row: class_id for row in rows if label_N[row] != class_id}
        if not class_ids:
            self._view.forget_choice()
            self._view.show_labels(gallery)
            return
        active_s = self.choosing.read_s()

        def saved(count: int) -> None:
            self._corrections_s += active_s if self._listing.offer is not None else 0.0
            self._view.forget_choice()
            name = next((each.name for each in gallery.project.classes if each.id == class_id), "?")
            self._view.say(
                f"{counted(count, 'crop')} labelled '{name}' in {active_s:.1f} s. Undo takes back all of them."
            )

        self._commit(class_ids, ActionRecord("bulk", self._annotator, active_s), saved)

    def exclude(self, rows: Sequence[int]) -> None:
        """Exclude crops without a label in one action; they are not asked until this is undone."""
        gallery = self._listing.gallery
        if gallery is None or self._listing.offer is not None or not self._may_write():
            return
        free = [row for row in rows if gallery.crops.label_N[row] in (UNLABELLED, SKIPPED)]
        if not free:
            self._view.say("Only unlabelled crops can be excluded. Select unlabelled crops.")
            return
        active_s = self.choosing.read_s()

        def saved(count: int) -> None:
            self._view.forget_choice()
            self._view.say(f"{counted(count, 'crop')} excluded from all queries. Undo takes back all of them.")

        self._commit(dict.fromkeys(free), ActionRecord("bulk", self._annotator, active_s), saved)

    def keep(self, rows: Sequence[int]) -> None:
        """Keep doubted labels; they are not doubted again until another class contradicts them."""
        gallery, work = self._listing.gallery, self._listing.work
        project_session = work.session.project_session if work is not None else None
        if gallery is None or work is None or project_session is None or not self._may_write():
            return
        doubts = tuple(gallery.doubts[row] for row in rows if gallery.crops.doubt_N[row] and row in gallery.doubts)
        if not doubts:
            self._view.say(
                "Enter keeps only labels that are listed to look at again. Select some of these labels first."
            )
            return

        self._taken_back.clear()
        self._keep(doubts)

    def _keep(self, doubts: tuple[Doubt, ...]) -> None:
        work, gallery = self._listing.work, self._listing.gallery
        if work is None or gallery is None:
            return
        newest = _newest(work.session.project_session)

        def done(is_kept: bool) -> None:
            if not is_kept:
                self._view.complain(
                    "Not kept: the project's folder 'scores' is not writable. Make it writable and try again."
                )
                return
            self._kept.append((newest, doubts))
            self._listing.doubt(doubts, are_settled=True)
            kept = counted(len(doubts), "label")
            self._view.say(f"{kept} kept. They are listed again only if the models predict a different class than now.")

        work.session.store.run(confirm, gallery.project, doubts, then=done, failed=self._view.complain)

    def _correct(self, offered: PredictionPage, rows: Sequence[int], class_id: int) -> list[int]:
        """Note the expert's corrections of offered crops; return the crops to label, without planted errors."""
        offered.left_out.difference_update(rows)
        offered.corrected.update(dict.fromkeys(rows, class_id))
        shown, planted = offered.shown, offered.planted
        return [row for row in rows if row not in planted or class_id != shown[row]]

    def _commit(self, class_ids: Mapping[int, int | None], action: ActionRecord, saved: Callable[[int], None]) -> None:
        work, gallery, pixels = self._listing.work, self._listing.gallery, self._listing.pixels
        project_session = work.session.project_session if work is not None else None
        if work is None or project_session is None or gallery is None or pixels is None or self.is_saving:
            return

        def read() -> tuple[AnswerRecord, ...]:
            return answers_for(gallery, class_ids, pixels.read(class_ids), action.annotator, action.given)

        def store(answers: tuple[AnswerRecord, ...]) -> list[Change]:
            labels = (project_session.store.label(each) for each in project_session.answer_together(action, answers))
            return [(label, label) for label in labels if label is not None]

        def stored(changes: list[Change]) -> None:
            self._saving_in = None
            self._taken_back.clear()
            self.choosing.stop()
            self._show_changes(changes)
            saved(len(changes))

        def failed(reason: str) -> None:
            self._saving_in = None
            if self._listing.offer is not None:
                self._listing.offer.follow(dict.fromkeys(class_ids, UNLABELLED))
            self._listing.relabelled([])
            self._view.complain(f"Not saved: {reason} No crop was labelled; your selection stays. Try again.")

        self._saving_in = work
        then = lambda answers: work.session.store.run(store, answers, then=stored, failed=failed)  # noqa: E731
        self._listing.reading.run(read, then=then, failed=failed)

    # Accepting

    def offer_page(self, least: float, size: int) -> None:
        """Offer a page of predictions with at least this confidence; some are wrong on purpose."""
        gallery = self._listing.gallery
        if gallery is None or not self._may_write():
            self._view.list_offer(gallery, None) if gallery is not None else None
            return
        self._pages += 1
        crops = gallery.crops
        seed = seed_for(gallery.project.choices.seed, "page", int((crops.label_N != UNLABELLED).sum()), self._pages)
        page = offer(crops, self._listing.chosen, least, size, seed)
        if not len(page):
            self.close_page()
            self._view.say(_why_nothing(gallery, least))
            return
        self._listing.offer, self._corrections_s = PredictionPage(page), 0.0
        self.choosing.stop()
        self.paging.stop()
        self.paging.begin(gallery.project.idle_limit_s)
        self._view.list_offer(gallery, self._listing.offer)
        self._view.say(
            f"{len(page)} predictions. Correct wrong ones with the class keys, or leave them out (Del); Enter "
            "accepts the rest." + (PLANTED_NOTE if page.planted_n.any() else "")
        )

    def close_page(self) -> None:
        """Close the page; labels given on it stay."""
        self._listing.offer = None
        self.paging.stop()
        if self._listing.gallery is not None:
            self._view.list_offer(self._listing.gallery, None)
        self._listing.list_again()

    def leave_out(self, rows: Sequence[int]) -> None:
        """Leave out these predictions, or include them again."""
        offered = self._listing.offer
        if offered is None or self._listing.gallery is None:
            return
        chosen = set(rows)
        offered.left_out = offered.left_out - chosen if chosen <= offered.left_out else offered.left_out | chosen
        self._view.show_labels(self._listing.gallery)

    def accept(self, then: Callable[[], None]) -> None:
        """Give the crops of the page their shown classes in one action; then call the next step."""
        offered, gallery = self._listing.offer, self._listing.gallery
        if offered is None or gallery is None or not self._may_write():
            return
        page = offered.page
        rows, class_ids = page.genuine(gallery.crops, offered.left_out)
        planted, caught = int(page.planted_n.sum()), page.caught(offered.noticed)
        active_s = max(self.paging.read_s() - self._corrections_s, 0.0)
        action = ActionRecord("accepted", self._annotator, active_s, planted, caught)

        def saved(count: int) -> None:
            self._listing.offer = None
            self.paging.stop()
            self._view.forget_choice()
            then()
            missed = f" You noticed {caught} of {counted(planted, 'error')} made on purpose." if planted else ""
            self._view.say(
                f"{counted(count, 'crop')} accepted in {active_s:.1f} s.{missed} Undo takes back all of them."
            )

        self._commit(dict(zip(rows.tolist(), class_ids.tolist(), strict=True)), action, saved)

    # Undo and redo

    def undo(self) -> None:
        """Take back the whole last action, or the last kept labels."""
        work, gallery = self._listing.work, self._listing.gallery
        project_session = work.session.project_session if work is not None else None
        if self._kept and work is not None and gallery is not None and self._kept[-1][0] == _newest(project_session):
            doubts = self._kept[-1][1]
            self._taken_back.append(self._kept.pop())

            def done(_is_written: bool) -> None:
                self._listing.doubt(doubts, are_settled=False)
                self._view.say(f"{counted(len(doubts), 'label')} to look at again.")

            work.session.store.run(take_back, gallery.project, doubts, then=done, failed=self._view.complain)
            return
        self._revise(ProjectSession.undo, "undo", "taken back")

    def redo(self) -> None:
        """Repeat the last undone action."""
        work = self._listing.work
        newest = _newest(work.session.project_session) if work is not None else 0
        if self._taken_back and self._taken_back[-1][0] == newest:
            self._keep(self._taken_back.pop()[1])
            return
        self._revise(ProjectSession.redo, "redo", "restored")

    def _revise(self, act: Callable[[ProjectSession], CropLabel | None], name: str, done: str) -> None:
        project_session = self._listing.work.session.project_session if self._listing.work is not None else None
        if self._listing.work is None or project_session is None or self.is_saving or not self._may_write():
            return

        def over(changes: list[Change]) -> None:
            self._saving_in = None
            self._show_changes(changes)
            labels = counted(len(changes), "label")
            self._view.say(f"{labels} {done}." if changes else f"There is nothing to {name}.")

        def failed(reason: str) -> None:
            self._saving_in = None
            self._view.complain(reason)

        self._saving_in = self._listing.work
        self._listing.work.session.store.run(
            lambda: revised(project_session, act(project_session)), then=over, failed=failed
        )

    def _show_changes(self, changes: Sequence[Change]) -> None:
        """Show new and removed labels, here and in *Label crops*."""
        work = self._listing.work
        self._listing.relabelled(changes)
        if work is None:
            return
        here = {index: label for crop, label in changes if (index := work.frame.index_of(crop)) is not None}
        if here:
            self._listing.is_deaf = True
            try:
                work.frame.relabel_together(here)
            finally:
                self._listing.is_deaf = False
            work.query.recombine()
        if len(here) < len(changes):
            work.session.recount()

    @property
    def _annotator(self) -> str:
        return self._listing.work.session.annotator if self._listing.work is not None else ""

    def _may_write(self) -> bool:
        """Return whether labels can be given; if not, show the reason."""
        project_session = self._listing.work.session.project_session if self._listing.work is not None else None
        if project_session is not None and project_session.holder is not None:
            self._view.complain(
                f"Read only: {project_session.holder} writes to the project. Close it there to label here."
            )
            return False
        return project_session is not None


def _newest(project_session: ProjectSession | None) -> int:
    """Return the label that an undo would take back, 0 if there is none."""
    return project_session.history.done[-1] if project_session is not None and project_session.history.done else 0


def _why_nothing(gallery: Gallery, least: float) -> str:
    """Return why no prediction is offered, and what to do."""
    if not np.isfinite(gallery.crops.confidence_N).any():
        return "There are no predictions yet. Label crops, train, and score the frame."
    return f"No unlabelled crop has a prediction with a confidence of {least:.2f} or more. Choose a lower confidence."
