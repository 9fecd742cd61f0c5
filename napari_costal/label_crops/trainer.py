"""Retraining in the background while labelling goes on; undoing a learned label makes the model stale."""

from collections.abc import Callable
from typing import Any

from costal.labels.models import Provenance, newest_provenance
from costal.labels.project import Project
from costal.labels.records import CropLabel
from costal.workbench.retraining import RetrainRequest
from napari_costal.engine.calls import Caller, Thread


class Trainer:
    """The training of the newest model: one at a time; answers that come meanwhile are learned by the next one."""

    def __init__(self, caller: Caller, store: Thread, complain: Callable[[str], None]) -> None:
        self._caller, self._store, self._complain = caller, store, complain
        self._again: Callable[[], None] | None = None
        self._restart: Callable[[], None] | None = None
        self._is_put_off = False
        self._learned: frozenset[int] = frozenset()
        self._lost: frozenset[int] = frozenset()

    @property
    def is_stale(self) -> bool:
        """Whether the newest model learned a label that was undone or replaced."""
        return bool(self._lost)

    @property
    def has_model(self) -> bool:
        """Whether the project has a model that learned labels."""
        return bool(self._learned)

    @property
    def is_busy(self) -> bool:
        """Whether the models are being trained, or will be."""
        return self._caller.is_busy or self._is_put_off

    def train(self, request: RetrainRequest, then: Callable[[Any], None], waits: bool = True) -> None:
        """Retrain on all answers; if a training runs, retrain again after it. `waits`: see `put_off`."""
        if self.is_busy:
            self._again = lambda: self.train(request, then)
            return
        self._restart = (lambda: self.train(request, then, waits=False)) if waits else None

        def trained(model_version: Any) -> None:
            if model_version.number:
                self.learned(model_version.provenance)
            again, self._again = self._again, None
            then(model_version)
            if again is not None:
                again()

        arguments = ("costal.workbench.retraining:retrain", (request,))
        self._caller.call(*arguments, trained, self._failed, "Learning")

    def put_off(self) -> None:
        """Cancel the training for a job that the expert waits for; `go_on` restarts it. None is put off twice."""
        if self._caller.is_busy and self._restart is not None:
            self._caller.cancel()
            self._is_put_off = True

    def go_on(self) -> None:
        """Restart the training that was put off, if there is one."""
        if self._is_put_off and self._restart is not None:
            self._is_put_off = False
            self._restart()

    def _failed(self, reason: str) -> None:
        self._again = None
        self._complain(reason)

    def cancel(self) -> bool:
        """Stop the training and return whether there was one."""
        was_put_off, self._is_put_off, self._again = self._is_put_off, False, None
        return self._caller.cancel() or was_put_off

    def follow(self, project: Project, then: Callable[[], None]) -> None:
        """Read which labels the newest model of a project has learned."""

        def loaded(provenance: Provenance | None) -> None:
            self.learned(provenance)
            then()

        self._store.run(newest_provenance, project.model_folder, then=loaded, failed=self._complain)

    def learned(self, provenance: Provenance | None) -> None:
        """Note which labels the newest model learned."""
        self._learned = frozenset(provenance.label_ids) if provenance is not None else frozenset()
        self._lost = frozenset()

    def revised(self, before: CropLabel | None, now: CropLabel | None) -> bool:
        """Note a crop's new label or its removal; return whether the model's staleness changed.

        If a learned label is restored, the model is not stale any more.
        """
        was_stale = self.is_stale
        if before is not None:
            self._lost |= self._learned & {before.first_id}
        if now is not None:
            self._lost -= {now.first_id}
        return self.is_stale != was_stale
