"""A background thread for work that must not block the window, such as the store or the pixels of a layer."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from qtpy.QtCore import QObject, Signal

from costal.errors import CostalError

LOG = logging.getLogger(__name__)


class Background(QObject):
    """Runs functions one after another on one thread, and returns their results to the GUI thread."""

    _done = Signal(object)

    def __init__(self, name: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"costal-{name}")
        self._done.connect(lambda deliver: deliver())
        self._closed = False

    def run(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        then: Callable[[Any], None] | None = None,
        failed: Callable[[str], None] | None = None,
    ) -> None:
        """Run ``function(*arguments)``; `then` takes its result, `failed` its error message."""

        def deliver(future: "Future[Any]") -> None:
            if self._closed:
                return
            error = future.exception()
            if error is None:
                if then is not None:
                    then(future.result())
                return
            expected = isinstance(error, CostalError)
            if not expected:
                LOG.error("Unexpected error", exc_info=error)
            if failed is not None:
                failed(str(error) if expected else f"Unexpected error: {error}. The log has the details.")

        if not self._closed:
            self._executor.submit(function, *arguments).add_done_callback(
                lambda future: self._done.emit(lambda: deliver(future)) if not self._closed else None
            )

    def close(self, last: Callable[[], None] | None = None) -> None:
        """End the thread; no result is delivered any more. With `last`, finish the waiting calls, then run it."""
        if self._closed:
            return
        self._closed = True
        if last is not None:
            self._executor.submit(last)
        self._executor.shutdown(wait=True, cancel_futures=last is None)
