"""What the parts of a piece of work take: functions by name, each without the time of those that it calls."""

import inspect
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

REST = "the rest"


class Split:
    """Seconds by part: those since the last mark belong to the part that was entered last and not left."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._clock, self._open, self._mark_s = clock, [REST], clock()

    def mark(self) -> None:
        """Add the seconds since the last mark to the part at work."""
        now_s = self._clock()
        self.seconds[self._open[-1]] += now_s - self._mark_s
        self._mark_s = now_s

    @contextmanager
    def within(self, part: str) -> Iterator[None]:
        """Count what happens within for a part."""
        self.mark()
        self._open.append(part)
        try:
            yield
        finally:
            self.mark()
            self._open.pop()

    def counted(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function, or a generator function, that counts as a part."""

        @wraps(function)
        def called(*arguments: Any, **options: Any) -> Any:
            with self.within(part):
                return function(*arguments, **options)

        @wraps(function)
        def generated(*arguments: Any, **options: Any) -> Any:
            job = function(*arguments, **options)
            while True:
                with self.within(part):
                    try:
                        progress = next(job)
                    except StopIteration as stop:
                        return stop.value
                yield progress

        return generated if inspect.isgeneratorfunction(function) else called


@contextmanager
def split_into(parts: Mapping[str, tuple[str, ...]], clock: Callable[[], float] = time.process_time) -> Iterator[Split]:
    """Count the seconds of the parts, each some functions named as ``module.function``, while the block runs."""
    split = Split(clock)
    with ExitStack() as stack:
        for part, names in parts.items():
            for name in names:
                patcher = patch(name)
                function, _ = patcher.get_original()
                stack.enter_context(patch(name, split.counted(part, function)))
        split.mark()
        split.seconds.clear()
        yield split
        split.mark()
