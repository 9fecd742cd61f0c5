"""Lessons sorted into stacks: those of equal shape and number of crops train together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from costal.agent.devices import BatchSetup, with_room
from costal.agent.training import TrainingTask
from costal.types import Job, Training, Weights

Train = Callable[[Sequence[TrainingTask], Training, str], Job[list[Weights]]]


def in_stacks(
    tasks: Sequence[Sequence[TrainingTask]], training: Training, batch_setup: BatchSetup, train: Train
) -> Job[tuple[list[list[Weights]], BatchSetup]]:
    """Return the weights of all lessons, which come in one sequence per agent, and the footing they ended on.

    Stacks are taken in the order of their first lesson, so the same lessons always make the same stacks.
    """
    stacks: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for agent, own in enumerate(tasks):
        for place, task in enumerate(own):
            stacks.setdefault(_shape(task), []).append((agent, place))
    trained: list[list[Weights]] = [[{} for _ in own] for own in tasks]
    for places in stacks.values():
        stack = [tasks[agent][place] for agent, place in places]

        def attempt(there: BatchSetup, stack: Sequence[TrainingTask] = stack) -> Job[list[Weights]]:
            return train(stack, replace(training, batch=there.batch), there.device)

        weights, batch_setup = yield from with_room(batch_setup, attempt)
        for (agent, place), own_weights in zip(places, weights, strict=True):
            trained[agent][place] = own_weights
    return trained, batch_setup


def _shape(task: TrainingTask) -> tuple[object, ...]:
    """Return what must be equal in a stack."""
    parameters = tuple((name, tuple(each.shape)) for name, each in task.module.named_parameters())
    return (type(task.module), task.inputs_N.shape, getattr(task.module, "likelihood", ""), parameters)
