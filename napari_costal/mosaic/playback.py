"""The controller of playback, without Qt: shows a run round by round, also while the run goes on.

The curves need only the folder of the run; the mosaic also needs the data set, which may be missing.
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
from napari_costal.mosaic.run import RoundPosition, RoundShown, Run, crops_of, look, read_shown
from napari_costal.ui.figures import Picture


class View(Protocol):
    """The widget that shows what the controller reports."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...
    def show_note(self, text: str) -> None: ...
    def show_run(self, run: Run | None, summary: str) -> None: ...
    def show_place(self, place: RoundPosition, count: int, text: str) -> None: ...
    def show_picture(self, picture: Picture) -> None: ...
    def show_round(self, dataset_name: str, shown: RoundShown) -> None: ...
    def show_playing(self, playing: bool, following: bool) -> None: ...


class PlaybackController:
    """One run at a time; results for a run that is not open any more are dropped."""

    def __init__(self, view: View, thread: Thread) -> None:
        self._view, self._thread = view, thread
        self._newest = Latest()
        self._shows_figure_1 = False
        self._reset(None)

    def _reset(self, folder: Path | None) -> None:
        self._newest.renew()
        self._folder = folder
        self.run: Run | None = None
        self.place = RoundPosition()
        self.is_playing = self.is_following = False
        self._dataset: Dataset | None = None
        self._drawn: RoundPosition | None = None
        self._is_looking = self._is_reading = self._is_lost = False

    def open(self, folder: Path) -> None:
        """Open the run of a folder in place of the current run."""
        self._reset(folder)
        self._view.say(f"Reading {folder} …")
        self.look()

    def close(self) -> None:
        """Close the run."""
        self._reset(None)
        self._view.show_playing(False, False)
        self._view.show_run(None, "")

    # Reading

    def look(self) -> None:
        """Check on another thread for new rounds, if the run is not finished and no check runs."""
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
            self._drawn = None  # a folder that could not be read may be back
            self._view.say("")
        if before is None or before.plan != run.plan:
            self._begin(run)
        elif run is not before or was_lost:
            self._view.show_run(run, summary(run))
            self._go(run.newest(before, self.place) if self.is_following else self.place)

    def _begin(self, run: Run) -> None:
        """Show a newly opened run: an unfinished run at its newest round, a finished run at its first."""
        self._dataset = self._drawn = None
        self._view.show_run(run, summary(run))
        self.is_following = run.done < run.total
        self._show_state()
        newest = run.newest(None, RoundPosition())
        self._go(newest if self.is_following else RoundPosition(newest.arm, newest.repeat, min(1, newest.number)))
        self._view.show_note("Reading the data …")
        only = self._newest.ticket().only
        self._thread.run(crops_of, run, then=only(self._found_crops), failed=only(self._no_crops))

    def _found_crops(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._view.show_note("")
        self._go(self.place)

    def _no_crops(self, reason: str) -> None:
        self._view.show_note(f"Mosaics cannot be shown. {reason}")

    # Where in the run

    def choose(self, place: RoundPosition) -> None:
        """Go to a place that the user chose, and stop following."""
        self.follow(False)
        self._go(place)

    def move(self, rounds: int) -> None:
        """Go some rounds forward or back, and stop following."""
        self.choose(replace(self.place, number=self.place.number + rounds))

    def follow(self, on: bool) -> None:
        """Start or stop following the newest round."""
        if self.run is not None and on != self.is_following:
            self.is_following = on
            self.is_playing = self.is_playing and not on
            self._show_state()
            if on:
                self._go(self.run.newest(None, self.place))

    def toggle(self) -> None:
        """Start playing, from the start if the last round is shown; or stop."""
        if self.run is None:
            return
        self.is_playing = not self.is_playing
        if self.is_playing:
            self.follow(False)
            if self.place.number == self.run.plan.rounds:
                self._go(replace(self.place, number=0))
        self._show_state()

    def advance(self) -> None:
        """Show the next round; wait if it is not finished yet, and stop after the last."""
        if self.run is None or not self.is_playing or self._is_reading:
            return
        if self.place.number < self.run.plan.rounds:
            self._go(replace(self.place, number=self.place.number + 1))
        else:
            self.toggle()

    def _show_state(self) -> None:
        self._view.show_playing(self.is_playing, self.is_following)

    def _go(self, place: RoundPosition) -> None:
        """Show a place, or the nearest finished round."""
        if self.run is None:
            return
        reports = self.run.of(place.arm, place.repeat)
        self.place = place = replace(place, number=max(0, min(place.number, len(reports) - 1)))
        text = (
            sentence(reports[place.number], self.run.plan.rounds)
            if reports
            else "No round of this repeat is finished yet."
        )
        self._view.show_place(place, len(reports), text)
        self._show_picture(self.run)
        self._read()

    def show_figure_1(self, on: bool) -> None:
        """Show accuracy against cost of all arms in place of the learning curves; it grows with the run."""
        self._shows_figure_1 = on
        if self.run is not None:
            self._show_picture(self.run)

    def _show_picture(self, run: Run) -> None:
        unit = self._dataset.effort_unit if self._dataset is not None else ""
        picture = figure_1_picture(run, unit) if self._shows_figure_1 else curves_picture(run, self.place, unit)
        self._view.show_picture(picture)

    def _read(self) -> None:
        """Read the round to show, one at a time; rounds that the user has passed meanwhile are left out."""
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
    """Return a description of a run and its progress in one line."""
    plan = run.plan
    kind = "quick, " if plan.is_quick else ""
    arms, repeats = counted(len(plan.arms), "arm"), counted(plan.repeats, "repeat")
    state = f"all {run.total:,} rounds" if run.done == run.total else f"{run.done:,} of {run.total:,} rounds"
    return f"{kind}{plan.data}, {arms} × {repeats}, {state}"


def sentence(report: RoundReport, rounds: int) -> str:
    """Return the result of a round in one line."""
    parts = [f"round {report.round_number} of {rounds}", counted(report.labels, "label")]
    if not math.isnan(report.accuracy):
        parts.append(f"accuracy {report.accuracy:.3f}")
    parts.append(f"cost {report.total_cost:,.0f}")
    return " · ".join(parts)
