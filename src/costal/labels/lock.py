"""Who may write to a project: one window or program at a time, by a lock of the operating system.

The system frees the lock when its holder dies, so none is left behind; a note beside it says who holds it.
"""

import getpass
import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from costal.errors import ProjectError
from costal.files import write_atomically

LOCK_FILE, HOLDER_FILE = "writer.lock", "writer.json"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who writes to a project: a person, on a machine, in a process, since a local time."""

    user: str
    host: str
    pid: int
    since: str

    def __str__(self) -> str:
        """Return the sentence's part: who, where and since when."""
        return f"{self.user} on {self.host} (process {self.pid}) since {self.since}"


def is_held_elsewhere(folder: Path) -> bool:
    """Return whether another program than this process, or the window that it works for, says that it writes here."""
    holder = holder_of(folder)
    own = {os.getpid(), os.getppid()}
    return holder is not None and (holder.host != socket.gethostname() or holder.pid not in own)


def holder_of(folder: Path) -> "Holder | None":
    """Return who the note in a project folder names, None without one; whether it is still true only the lock tells."""
    try:
        return Holder(**json.loads((folder / HOLDER_FILE).read_text("utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return UNKNOWN


UNKNOWN = Holder("somebody", "an unknown machine", 0, "an unknown time")


class ProjectLock:
    """The right to write to a project folder, taken with `acquire` and given back with `release`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / LOCK_FILE, thread_local=False)
        self._identity: tuple[int, int] | None = None

    def acquire(self) -> Holder | None:
        """Take the lock and return None, or return who holds it.

        Raises
        ------
        ProjectError
            When the folder cannot be written to.
        """
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return holder_of(self._folder) or UNKNOWN
        except (OSError, NotImplementedError) as error:
            raise ProjectError(
                f"{self._folder} cannot be locked: {error}. Choose a folder on a local disk that you may write to."
            ) from error
        self._identity = self._identity_now()
        with suppress(ProjectError):  # the note is a courtesy; the lock itself holds
            me = Holder(_user(), socket.gethostname(), os.getpid(), f"{datetime.now():%Y-%m-%d %H:%M}")
            write_atomically(self._folder / HOLDER_FILE, json.dumps(asdict(me)).encode())
        return None

    def require(self) -> None:
        """Raise ProjectError when the lock was taken and its file is another one now, or gone.

        Whoever deletes the file lets others in: they lock a new file, and this lock keeps nobody out any more.
        """
        if self._lock.is_locked and (self._identity is None or self._identity_now() != self._identity):
            raise ProjectError(
                f"{self._folder / LOCK_FILE} was deleted or replaced while the project was open, so another program "
                "may write to it. Nothing was stored. Close the project wherever it is open, then open it here again."
            )

    def release(self) -> None:
        """Give the lock back, if it was taken; the note of another who has it meanwhile stays."""
        if self._lock.is_locked:
            if self._identity_now() == self._identity:
                with suppress(OSError):
                    (self._folder / HOLDER_FILE).unlink(missing_ok=True)
            self._lock.release()

    def _identity_now(self) -> tuple[int, int] | None:
        """Return which file lies at the lock's name; while this lock holds its file, no other can have its number."""
        try:
            status = (self._folder / LOCK_FILE).stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "somebody"
