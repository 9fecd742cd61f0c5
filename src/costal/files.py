"""How every file is written: beside its target, and moved there in one step once it is whole.

A writer that fails or is killed leaves the earlier file unchanged. Leftovers of a killed writer end in ``.new``.
"""

import errno
import glob
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO, TextIO

from filelock import FileLock, Timeout

from costal.errors import ProjectError

NEW = ".new"
ALIVE_FILE = "writer.lock"
REPLACE_TRIES, REPLACE_PAUSE_S = 10, 0.05


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file's content in one step that survives a power cut.

    Raises
    ------
    ProjectError
        When it cannot be written: the folder is read-only or the disk full.
    """
    with new_file(path) as file:
        file.write(content)


@contextmanager
def new_file(path: Path, staged: bool = False) -> Iterator[BinaryIO]:
    """Yield a file to write bytes to, which takes the place of `path` in one step, unless the context raises.

    It survives a power cut then, but not when it is `staged`: in a folder that is put in place itself (see `staged`).

    Raises
    ------
    ProjectError
        When it cannot be written; OSError when it is `staged`.
    """
    with _explained_unless(staged, path), _in_its_place(path, staged) as beside, beside.open("wb") as file:
        yield file
        _finish(file, staged)


@contextmanager
def new_text(path: Path, staged: bool = False) -> Iterator[TextIO]:
    """Yield a file to write text to, in UTF-8 with line ends as they are given; else as `new_file`.

    Raises
    ------
    ProjectError
        See `new_file`.
    """
    with (
        _explained_unless(staged, path),
        _in_its_place(path, staged) as beside,
        beside.open("w", encoding="utf-8", newline="\n") as file,
    ):
        yield file
        _finish(file, staged)


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """Yield a path for a file or folder, which takes the place of `target` in one step, unless the context raises.

    What earlier runs that were killed have left of the same target is removed.

    Raises
    ------
    OSError
        When it cannot be written or put in place; `target` is as it was then.
    """
    remove_dead(target)
    # Beside the target, because a move is one step only within one disk.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.", suffix=NEW) as beside:
        alive = FileLock(Path(beside) / ALIVE_FILE, thread_local=False)
        with alive:
            place = Path(beside) / target.name
            if place.name == ALIVE_FILE:
                raise OSError(errno.EINVAL, "the name is reserved for a lock file")
            yield place
            _put(place, target)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn the system's errors of writing into a ProjectError with a remedy."""
    try:
        yield
    except OSError as error:
        raise ProjectError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, close the program that has it "
            "open, or choose a folder that you may write to."
        ) from error


def _explained_unless(staged: bool, path: Path) -> AbstractContextManager[None]:
    return nullcontext() if staged else explained(path)


def require_place(path: Path) -> None:
    """Raise ProjectError now, not after the work, when a file cannot be written; nothing is there afterwards."""
    with explained(path):
        if path.exists():
            path.open("r+b").close()  # a file that is read-only is meant to be kept
        beside = path.with_name(path.name + NEW)
        beside.open("wb").close()
        beside.unlink()


def remove_leftovers(folder: Path, pattern: str = "*") -> None:
    """Remove what killed writers have left in a folder that nobody else writes to; what cannot be removed stays."""
    with suppress(OSError):
        for path in folder.glob(pattern + NEW):
            _remove(path)


def remove_dead(target: Path) -> None:
    """Remove what killed writers have left beside a target; what a living one still writes is left alone."""
    with suppress(OSError):
        for path in target.parent.glob(f"{glob.escape(target.name)}.????????{NEW}"):
            with suppress(OSError, Timeout, NotImplementedError):
                with FileLock(path / ALIVE_FILE, timeout=0):
                    pass
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


@contextmanager
def _in_its_place(path: Path, staged: bool) -> Iterator[Path]:
    beside = path.with_name(path.name + NEW)
    try:
        yield beside
        _replace(beside, path)
        if not staged:
            _sync_names(path.parent)
    except BaseException:
        with suppress(OSError):  # half a file would keep a full disk full
            beside.unlink(missing_ok=True)
        raise


def _finish(file: BinaryIO | TextIO, staged: bool) -> None:
    file.flush()
    if not staged:
        os.fsync(file.fileno())


def _replace(new: Path, old: Path) -> None:
    """Put one file in another's place, waiting a little where Windows refuses because it is just being read."""
    for _ in range(REPLACE_TRIES - 1):
        try:
            new.replace(old)
            return
        except PermissionError:
            time.sleep(REPLACE_PAUSE_S)
    new.replace(old)


def _put(new: Path, target: Path) -> None:
    """Replace a file or folder by another; the earlier one comes back when that fails."""
    if not new.is_dir():
        with new.open("rb+") as file:
            os.fsync(file.fileno())
        if not target.is_dir():
            _replace(new, target)
            return
    old = new.with_name(f"{new.name}.old")
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _sync_names(folder: Path) -> None:
    """Put a folder's names on disk, so that a rename survives a power cut; Windows cannot and need not."""
    if os.name == "nt":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the error of a file system that cannot do this
            raise
    finally:
        os.close(number)
