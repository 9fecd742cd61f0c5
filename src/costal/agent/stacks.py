"""Lessons sorted into stacks: those of equal shape and number of crops train together."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from costal.agent.devices import Footing, with_room
from costal.agent.training import Lesson
from costal.types import Job, Training, Weights

Train = Callable[[Sequence[Lesson], Training, str], Job[list[Weights]]]


def in_stacks(
    lessons: Sequence[Sequence[Lesson]], training: Training, footing: Footing, train: Train
) -> Job[tuple[list[list[Weights]], Footing]]:
    """Return the weights of all lessons, which come in one sequence per agent, and the footing they ended on.

    Stacks are taken in the order of their first lesson, so the same lessons always make the same stacks.
    """
    stacks: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for agent, own in enumerate(lessons):
        for place, lesson in enumerate(own):
            stacks.setdefault(_shape(lesson), []).append((agent, place))
    trained: list[list[Weights]] = [[{} for _ in own] for own in lessons]
    for places in stacks.values():
        stack = [lessons[agent][place] for agent, place in places]

        def attempt(there: Footing, stack: Sequence[Lesson] = stack) -> Job[list[Weights]]:
            return train(stack, replace(training, batch=there.batch), there.device)

        weights, footing = yield from with_room(footing, attempt)
        for (agent, place), own_weights in zip(places, weights, strict=True):
            trained[agent][place] = own_weights
    return trained, footing


def _shape(lesson: Lesson) -> tuple[object, ...]:
    """Return what must be equal in a stack."""
    parameters = tuple((name, tuple(each.shape)) for name, each in lesson.module.named_parameters())
    return (type(lesson.module), lesson.inputs_N.shape, getattr(lesson.module, "likelihood", ""), parameters)
