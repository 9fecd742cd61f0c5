"""The controller of *MNIST mosaic*, without Qt: runs the experiment round by round, beside a random arm.

It keeps the state between two rounds as a value, so a job that fails or is cancelled can start again.
"""

from collections.abc import Callable
from typing import Any, Protocol

from costal.labels.effort import EventKind, derive
from costal.labels.project import COLOURS, LabelClass
from costal.numerals import counted
from costal.paper.datasets import DIGIT_NAMES, load_dataset
from costal.paper.digits import SIDE
from costal.paper.experiment import ArmState, Proposal, RoundReport
from costal.paper.plan import RANDOM_ARM, Arm, Experiment
from costal.paper.sources import pool_indices
from costal.types import Answer, Floats, Progress
from napari_costal.engine.calls import Caller, Thread
from napari_costal.engine.latest import Latest
from napari_costal.labelling.presentation import Clock, Presenter, system_clock

DIGIT_DATA = ("auto", "mnist", "synthetic")
DIGITS = tuple(LabelClass(digit, name, name, COLOURS[digit]) for digit, name in enumerate(DIGIT_NAMES))
IDLE_LIMIT_NS = 20_000_000_000


class View(Protocol):
    """The widget that shows what the controller reports."""

    def say(self, text: str) -> None: ...
    def complain(self, text: str) -> None: ...
    def show_progress(self, progress: Progress | None) -> None: ...
    def show_running(self, running: bool) -> None: ...
    def show_reports(self, dataset_name: str, reports: list[RoundReport], by_hand: bool) -> None: ...
    def show_pool(self, dataset_name: str, crops_N_C_H_W: Floats) -> None: ...
    def show_proposal(self, dataset_name: str, proposal: Proposal, round_number: int) -> None: ...
    def show_answers(self, proposal: Proposal, words: list[str]) -> None: ...
    def present(self, proposal: Proposal, index: int, title: str, active_s: Callable[[], float]) -> None: ...
    def cover(self, text: str) -> None: ...
    def leave_page(self) -> None: ...


class MosaicController:
    """One experiment at a time: an arm that the user chooses and the random arm, round by round."""

    def __init__(self, view: View, pixels: Thread, engine: Any, clock: Clock = system_clock) -> None:
        self._view, self._pixels = view, pixels
        self._caller = Caller(pixels, engine, view.show_progress)
        self._experiment, self._arm, self._data, self._by_hand = Experiment(), RANDOM_ARM, "auto", False
        self._states: list[ArmState] = []
        self.reports: list[RoundReport] = []
        self._dataset_name, self._class_names = "", DIGIT_NAMES
        self._proposal: Proposal | None = None
        self._answers: list[Answer] = []
        self.presenter = Presenter(view.cover, clock)
        self._settings = Latest()
        self._going_on = False
        self._is_busy = False

    @property
    def is_started(self) -> bool:
        """Whether round 0 has started; then new settings apply only after a reset."""
        return self._is_busy or bool(self._states)

    def configure(self, experiment: Experiment, arm: Arm, data: str, by_hand: bool) -> None:
        """Take the settings for the next experiment; a running one is reset first."""
        if (experiment, arm, data, by_hand) != (self._experiment, self._arm, self._data, self._by_hand):
            self.reset()
            self._settings.renew()
            self._experiment, self._arm, self._data, self._by_hand = experiment, arm, data, by_hand
            self._class_names = DIGIT_NAMES if data in DIGIT_DATA else ()

    def step(self) -> None:
        """Play one round."""
        self._going_on = False
        self._go()

    def run(self) -> None:
        """Play round after round until `pause`."""
        self._going_on = True
        self._go()

    def pause(self) -> None:
        """Stop after the current round."""
        self._going_on = False
        if self._is_busy:
            self._view.say("Pausing after this round …")

    def cancel(self) -> None:
        """Stop the running job; finished rounds stay, and the round can be played again."""
        self._caller.cancel()
        self._going_on = self._is_busy = False
        self._view.show_running(False)

    def reset(self) -> None:
        """Forget all rounds."""
        self.cancel()
        self._states, self.reports, self._proposal = [], [], None
        self.presenter.current, self._answers = None, []
        self._view.leave_page()
        self._view.show_reports(self._dataset_name, [], self._by_hand)

    def _go(self) -> None:
        if self._is_busy:
            return
        self._is_busy = True
        self._view.show_running(True)
        self._go_on()

    def _go_on(self) -> None:
        """Take the next step: start a missing arm, let the random arm catch up, or ask a new query."""
        arms = (self._arm, RANDOM_ARM)
        if len(self._states) < len(arms):
            self._start(arms[len(self._states)])
        elif self._states[1].round_number < self._states[0].round_number:
            self._play_random()
        else:
            self._ask()

    def _start(self, arm: Arm) -> None:
        """Train an arm on the initial set."""

        def started(outcome: tuple[ArmState, RoundReport, str]) -> None:
            state, report, self._dataset_name = outcome
            if self._by_hand and not _is_of_digits(state):
                self._failed(
                    f"Only digits can be labelled by hand. Let the simulated expert label {self._dataset_name}."
                )
                return
            self._states.append(state)
            self.reports.append(report)
            self._show_reports()
            self._go_on()

        if not self._class_names:
            self._find_class_names()
        if not self._states:
            self._look_ahead()
        self._call("start", (self._experiment, arm, self._data, self._by_hand), started, f"start, {arm.name}")

    def _find_class_names(self) -> None:
        """Read the names of the classes; until they are known, or if that fails, the classes have numbers."""
        data = self._data

        def take_names(names: tuple[str, ...]) -> None:
            self._class_names = names

        self._pixels.run(lambda: load_dataset(data).class_names, then=self._settings.ticket().only(take_names))

    def _look_ahead(self) -> None:
        """Show the pool of the first round while the engine starts; the engine reports errors."""
        data, experiment = self._data, self._experiment

        def read() -> tuple[str, Floats]:
            dataset = load_dataset(data)
            first_N = pool_indices(dataset, experiment.seed, 0, 1, experiment.pool_size, experiment.pools)
            return dataset.name, dataset.take(first_N)[0]

        def show_pool(pool: tuple[str, Floats]) -> None:
            if self._proposal is None and self._is_busy:
                self._view.show_pool(*pool)

        self._pixels.run(read, then=self._settings.ticket().only(show_pool))

    def _word(self, label: int | None) -> str:
        if label is None:
            return "?"
        return self._class_names[label] if self._class_names else str(label)

    def _ask(self) -> None:
        """Propose the next query of the user's arm, and have it answered."""
        state = self._states[0]

        def proposed(proposal: Proposal) -> None:
            self._proposal, self._answers = proposal, []
            self._view.show_proposal(self._dataset_name, proposal, state.round_number + 1)
            if self._by_hand:
                self._present_next()
            else:
                self._learn(None)

        self._call("propose_round", (self._experiment, state, self._data), proposed, f"round {state.round_number + 1}")

    def _learn(self, answers: tuple[Answer, ...] | None) -> None:
        proposal, state = self._proposal, self._states[0]
        if proposal is None:
            return
        if answers is None:
            self._view.show_answers(
                proposal, [self._word(label) for label in proposal.class_N[proposal.query.picked_n]]
            )

        def learned(outcome: tuple[ArmState, RoundReport]) -> None:
            self._states[0], report = outcome
            self.reports.append(report)
            self._go_on()

        arguments = (self._experiment, state, proposal, answers, self._data)
        self._call("learn_round", arguments, learned, f"round {state.round_number + 1}")

    def _play_random(self) -> None:
        state = self._states[1]

        def played(outcome: tuple[ArmState, RoundReport]) -> None:
            self._states[1], report = outcome
            self.reports.append(report)
            self._is_busy = False
            self._show_reports()
            ours, random = self.reports[-2], self.reports[-1]
            self._view.say(
                f"Round {ours.round_number}: {counted(ours.labels, 'label')}, accuracy {ours.accuracy:.3f} "
                f"(random {random.accuracy:.3f})"
            )
            if self._going_on:
                self._go()
            else:
                self._view.show_running(False)

        self._call(
            "play_round", (self._experiment, state, self._data), played, f"round {state.round_number + 1}, random"
        )

    def _show_reports(self) -> None:
        self._view.show_reports(self._dataset_name, self.reports, self._by_hand)

    # The expert answers by hand

    def _present_next(self) -> None:
        proposal = self._proposal
        if proposal is None:
            return
        rank = len(self._answers)
        picked = proposal.query.picked_n
        if rank == len(picked):
            self.presenter.current = None
            self._view.leave_page()
            self._learn(tuple(self._answers))
            return
        presentation = self.presenter.open(int(picked[rank]), rank + 1, IDLE_LIMIT_NS)
        title = f"Digit {rank + 1} of {len(picked)}"
        self._view.present(proposal, int(picked[rank]), title, presentation.active_s)

    def answer(self, digit: int | None) -> None:
        """Take the expert's digit (None if skipped) and its effort."""
        presentation, proposal = self.presenter.current, self._proposal
        if presentation is None or proposal is None or presentation.is_paused:
            return
        if not presentation.record(EventKind.SKIPPED if digit is None else EventKind.ANSWERED):
            return
        effort = derive(presentation.state)
        crop = proposal.crops_N_C_H_W[presentation.index]
        order = len(self._states[0].answers) + len(self._answers)
        active_s = effort.active_s if effort.usable else None
        self._answers.append(Answer(crop, digit, active_s, effort.censored, order=order))
        self._show_answers()
        self._present_next()

    def undo(self) -> None:
        """Take the last answer of this query back."""
        if self.presenter.current is not None and self._answers:
            self._answers.pop()
            self._show_answers()
            self._present_next()

    def _show_answers(self) -> None:
        if self._proposal is not None:
            self._view.show_answers(self._proposal, [self._word(answer.class_index) for answer in self._answers])

    def stop_answering(self) -> None:
        """Stop the query; the same round can be played again."""
        if self.presenter.current is not None:
            self.presenter.current, self._answers = None, []
            self._is_busy = self._going_on = False
            self._view.leave_page()
            self._view.show_running(False)
            self._view.say("Stopped. The models did not learn from this query. Step asks for the same crops again.")

    def _call(self, name: str, arguments: tuple[Any, ...], then: Callable[[Any], None], title: str) -> None:
        """Run a job of `costal.paper.remote` in the engine process."""
        self._caller.call(f"costal.paper.remote:{name}", arguments, then, self._failed, title)

    def _failed(self, reason: str) -> None:
        self._is_busy = self._going_on = False
        self._view.show_running(False)
        self._view.complain(reason)


def _is_of_digits(state: ArmState) -> bool:
    """Return whether an arm learns crops of a digit's shape in ten classes."""
    return state.agent.crop_shape == (1, SIDE, SIDE) and state.agent.settings.class_count == len(DIGIT_NAMES)
