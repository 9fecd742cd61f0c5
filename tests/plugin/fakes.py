"""Stand-ins for threads, the engine process and its signals, in tests that decide when something happens."""

from types import SimpleNamespace

from qtpy import QtCore


class Thread:
    """Runs at once, or holds everything until `release`."""

    def __init__(self) -> None:
        self.held = None

    def run(self, function, *arguments, then=None, failed=None):
        def work():
            try:
                outcome = function(*arguments)
            except Exception as error:
                failed(str(error))
            else:
                if then is not None:
                    then(outcome)

        if self.held is None:
            work()
        else:
            self.held.append(work)

    def release(self):
        calls, self.held = self.held, None
        for work in calls:
            work()


class Signal:
    """A signal without Qt: what is emitted comes at once."""

    def __init__(self) -> None:
        self.slots = []

    def connect(self, slot):
        self.slots.append(slot)

    def emit(self, *arguments):
        for slot in self.slots:
            slot(*arguments)


class Job:
    """A call that was sent to the engine: its function, its request, and the signals that a test emits."""

    def __init__(self, function, message) -> None:
        self.function, self.request = function, message.unpack()[0]
        message.discard()
        self.progress, self.result, self.failed, self.cancelled = Signal(), Signal(), Signal(), Signal()


class Engine:
    """Takes calls like the engine and answers none; what is cancelled stops at once."""

    def __init__(self) -> None:
        self.jobs, self.stopped = [], []

    def start(self, function, message):
        self.jobs.append(Job(function, message))
        return self.jobs[-1]

    def cancel(self, job):
        self.stopped.append(job)
        job.cancelled.emit()


class DrawingJob(QtCore.QObject):
    """A picture that was ordered."""

    result, failed = QtCore.Signal(object), QtCore.Signal(str)


class Painter:
    """Takes orders for pictures like an engine and draws nothing until it is told to."""

    def __init__(self) -> None:
        self.orders = []

    def start(self, function, message, user):
        picture, *_, colours = message.unpack()
        self.orders.append(SimpleNamespace(job=DrawingJob(user), picture=picture, colours=colours, view=user))
        return self.orders[-1].job

    def stop(self) -> None:
        self.orders.clear()
