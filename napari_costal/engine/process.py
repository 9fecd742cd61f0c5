"""The engine process, the only process of a running napari that imports torch. No Qt here.

Reads calls from standard input, runs one job at a time, and writes its progress and outcome to standard output. It ends
when its input ends, that is, at the latest with the window.
"""

import importlib
import os
import pickle
import queue
import threading
import traceback
from typing import Any, BinaryIO

from costal.errors import CostalError
from napari_costal.engine.messages import LENGTH_BYTES, Message, framed, pack
from napari_costal.engine.quiet import quietly

Call = tuple[int, str, Message, bool]
"""A job's number, its function, its request, and whether it is quiet."""


def main() -> None:
    """Run jobs until standard input ends."""
    # The pipes get descriptors of their own: the output of a library must not mix with messages, and a library that
    # reads standard input while it loads must not wait for the thread that reads it (numpy issue 24290, Windows).
    source, output = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if hasattr(os, "nice"):
        os.nice(5)  # the window comes first
    calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
    cancelled: set[int] = set()
    threading.Thread(target=_listen, args=(source, calls, cancelled), daemon=True).start()
    while True:
        number, function, request, is_quiet = calls.get()

        def run(number: int = number, function: str = function, request: Message = request) -> None:
            for message in _outcome(number, function, request, cancelled):
                output.write(framed(message))
                output.flush()

        quietly(run) if is_quiet else run()


def _listen(source: BinaryIO, calls: "queue.SimpleQueue[Call]", cancelled: set[int]) -> None:
    """Read calls and cancellations, also while a job runs."""
    while True:
        length = source.read(LENGTH_BYTES)
        if len(length) < LENGTH_BYTES:
            os._exit(0)  # the window has closed; files are written atomically, so none is incomplete
        kind, number, *rest = pickle.loads(source.read(int.from_bytes(length, "little")))
        if kind == "cancel":
            cancelled.add(number)
        else:
            calls.put((number, *rest))


def _outcome(number: int, function: str, request: Message, cancelled: set[int]) -> Any:
    """Yield the messages of one job: its progress, then how it ended."""
    try:
        module, name = function.split(":")
        job = getattr(importlib.import_module(module), name)(*request.unpack())
        while True:
            if number in cancelled:
                job.close()
                yield "cancelled", number
                return
            try:
                yield "progress", number, next(job)
            except StopIteration as stop:
                yield "result", number, pack(stop.value)
                return
    except CostalError as error:
        yield "failed", number, str(error), ""
    except Exception as error:
        yield "failed", number, f"Unexpected error: {error}. The log has the details.", traceback.format_exc()


if __name__ == "__main__":
    main()
