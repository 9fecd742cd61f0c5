"""What playing back a run does, without Qt: round by round, by hand or by itself, also while the run goes on.

Curves need the run's folder alone; the mosaic needs the data set too, which may not be here.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from costal.numerals import counted
from costal.paper.experiment import RoundReport
from costal.paper.sources import Dataset
from napari_costal.engine.calls import Thread
from napari_costal.engine.latest import Latest
from napari_costal.mosaic.curves import curves_picture, figure_1_picture
from napari_costal.mosaic.run import Place, RoundShown, Run, crops_of, look, read_shown
from napari_costal.ui.figures import Picture


class View(Protocol):
    """The face that the controller speaks to."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...
    def show_note(self, text: str) -> None: ...
    def show_run(self, run: Run | None, summary: str) -> None: ...
    def show_place(self, place: Place, count: int, text: str) -> None: ...
    def show_picture(self, picture: Picture) -> None: ...
    def show_round(self, dataset_name: str, shown: RoundShown) -> None: ...
    def show_playing(self, playing: bool, following: bool) -> None: ...


class PlaybackController:
    """One run at a time; what was asked for a run that is not open any more is dropped."""

    def __init__(self, view: View, thread: Thread) -> None:
        self._view, self._thread = view, thread
        self._newest = Latest()
        self._shows_figure_1 = False
        self._reset(None)

    def _reset(self, folder: Path | None) -> None:
        self._newest.renew()
        self._folder = folder
        self.run: Run | None = None
        self.place = Place()
        self.is_playing = self.is_following = False
        self._dataset: Dataset | None = None
        self._drawn: Place | None = None
        self._is_looking = self._is_reading = self._is_lost = False

    def open(self, folder: Path) -> None:
        """Open the run of a folder in place of the one before."""
        self._reset(folder)
        self._view.say(f"Reading {folder} …")
        self.look()

    def close(self) -> None:
        """Leave the run."""
        self._reset(None)
        self._view.show_playing(False, False)
        self._view.show_run(None, "")

    # What is read

    def look(self) -> None:
        """Look, on another thread, whether rounds were added, if some are missing and none looks already."""
        is_complete = self.run is not None and self.run.done == self.run.total
        if self._folder is not None and not is_complete and not self._is_looking:
            self._is_looking = True
            only = self._newest.ticket().only
            self._thread.run(look, self._folder, self.run, then=only(self._looked), failed=only(self._not_looked))

    def _not_looked(self, reason: str) -> None:
        self._is_looking, self._is_lost = False, True
        self._view.complain(reason)
        if self.run is None:
            self._folder = None

    def _looked(self, run: Run) -> None:
        before, self.run = self.run, run
        was_lost, self._is_looking, self._is_lost = self._is_lost, False, False
        if was_lost or before is None:
            self._drawn = None  # what could not be read may be there again
            self._view.say("")
        if before is None or before.plan != run.plan:
            self._begin(run)
        elif run is not before or was_lost:
            self._view.show_run(run, summary(run))
            self._go(run.newest(before, self.place) if self.is_following else self.place)

    def _begin(self, run: Run) -> None:
        """Show a run that was not shown before: one that goes on at its newest round, a finished one at its first."""
        self._dataset = self._drawn = None
        self._view.show_run(run, summary(run))
        self.is_following = run.done < run.total
        self._show_state()
        newest = run.newest(None, Place())
        self._go(newest if self.is_following else Place(newest.arm, newest.repeat, min(1, newest.number)))
        self._view.show_note("Reading the data …")
        only = self._newest.ticket().only
        self._thread.run(crops_of, run, then=only(self._found_crops), failed=only(self._no_crops))

    def _found_crops(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._view.show_note("")
        self._go(self.place)

    def _no_crops(self, reason: str) -> None:
        self._view.show_note(f"No mosaics: {reason}")

    # Where in the run

    def choose(self, place: Place) -> None:
        """Go to a place of the user's choice, and follow no more."""
        self.follow(False)
        self._go(place)

    def move(self, rounds: int) -> None:
        """Go some rounds on or back, and follow no more."""
        self.choose(replace(self.place, number=self.place.number + rounds))

    def follow(self, on: bool) -> None:
        """Show the newest round whenever there is one, or do not."""
        if self.run is not None and on != self.is_following:
            self.is_following = on
            self.is_playing = self.is_playing and not on
            self._show_state()
            if on:
                self._go(self.run.newest(None, self.place))

    def toggle(self) -> None:
        """Play on from here, from the start when this is the end; or stop playing."""
        if self.run is None:
            return
        self.is_playing = not self.is_playing
        if self.is_playing:
            self.follow(False)
            if self.place.number == self.run.plan.rounds:
                self._go(replace(self.place, number=0))
        self._show_state()

    def advance(self) -> None:
        """Show the next round; wait for it while it is not there yet, and stop after the last."""
        if self.run is None or not self.is_playing or self._is_reading:
            return
        if self.place.number < self.run.plan.rounds:
            self._go(replace(self.place, number=self.place.number + 1))
        else:
            self.toggle()

    def _show_state(self) -> None:
        self._view.show_playing(self.is_playing, self.is_following)

    def _go(self, place: Place) -> None:
        """Show a place, or the nearest round to it that is finished."""
        if self.run is None:
            return
        reports = self.run.of(place.arm, place.repeat)
        self.place = place = replace(place, number=max(0, min(place.number, len(reports) - 1)))
        text = sentence(reports[place.number], self.run.plan.rounds) if reports else "No round is finished here yet."
        self._view.show_place(place, len(reports), text)
        self._show_picture(self.run)
        self._read()

    def show_figure_1(self, on: bool) -> None:
        """Show accuracy against cost of all arms, which grows with the run, in place of the learning curves."""
        self._shows_figure_1 = on
        if self.run is not None:
            self._show_picture(self.run)

    def _show_picture(self, run: Run) -> None:
        unit = self._dataset.effort_unit if self._dataset is not None else ""
        picture = figure_1_picture(run, unit) if self._shows_figure_1 else curves_picture(run, self.place, unit)
        self._view.show_picture(picture)

    def _read(self) -> None:
        """Read the round to be shown, one at a time: while the user moves on, those in between are left out."""
        run, place, dataset = self.run, self.place, self._dataset
        if run is None or dataset is None or self._is_reading or place == self._drawn:
            return
        if place.number >= len(run.of(place.arm, place.repeat)):
            return
        self._is_reading = True

        def end() -> None:
            self._is_reading, self._drawn = False, place
            self._read()

        def show(shown: RoundShown) -> None:
            self._view.show_round(dataset.name, shown)
            self._view.show_note("")
            end()

        def complain(reason: str) -> None:
            self._view.show_note(reason)
            end()

        only = self._newest.ticket().only
        self._thread.run(read_shown, run, place, dataset, then=only(show), failed=only(complain))


def summary(run: Run) -> str:
    """Return what a run is and how far it has come, in a line."""
    plan = run.plan
    kind = "quick, " if plan.is_quick else ""
    arms, repeats = counted(len(plan.arms), "arm"), counted(plan.repeats, "repeat")
    state = f"all {run.total:,} rounds" if run.done == run.total else f"{run.done:,} of {run.total:,} rounds"
    return f"{kind}{plan.data}, {arms} × {repeats}, {state}"


def sentence(report: RoundReport, rounds: int) -> str:
    """Return what a round came to, in a line."""
    parts = [f"round {report.round_number} of {rounds}", counted(report.labels, "label")]
    if not math.isnan(report.accuracy):
        parts.append(f"accuracy {report.accuracy:.3f}")
    parts.append(f"cost {report.total_cost:,.0f}")
    return " · ".join(parts)
