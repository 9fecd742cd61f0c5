import os
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from costal.errors import ProjectError
from costal.labels.lock import HOLDER_FILE, UNKNOWN, Holder, ProjectLock

HOLD = """
import sys, time
from pathlib import Path
from costal.labels.lock import ProjectLock
lock = ProjectLock(Path(sys.argv[1]))
print(lock.acquire(), flush=True)
time.sleep(300)
"""


@pytest.fixture
def lock(tmp_path):
    lock = ProjectLock(tmp_path)
    yield lock
    lock.release()


@contextmanager
def another_process(folder):
    """Run a process that takes the lock, and wait until it has tried; what it found is in `found`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        process.found = process.stdout.readline().strip()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_first_takes_the_lock_and_leaves_a_note(lock, tmp_path, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ada")
    assert lock.acquire() is None
    holder = ProjectLock(tmp_path).acquire()
    assert (holder.user, holder.host, holder.pid) == ("ada", socket.gethostname(), os.getpid())
    assert str(holder) == f"ada on {holder.host} (process {os.getpid()}) since {holder.since}"


def test_a_second_holder_in_the_same_process_is_told_who_holds_it(lock, tmp_path):
    assert lock.acquire() is None
    second = ProjectLock(tmp_path)
    assert second.acquire().pid == os.getpid()
    second.release()
    assert ProjectLock(tmp_path).acquire().pid == os.getpid()


def test_another_process_is_told_who_holds_it(lock, tmp_path):
    assert lock.acquire() is None
    with another_process(tmp_path) as other:
        assert f"(process {os.getpid()})" in other.found


def test_a_lock_given_back_can_be_taken_and_its_note_is_gone(lock, tmp_path):
    lock.acquire()
    lock.release()
    assert not (tmp_path / HOLDER_FILE).exists()
    with another_process(tmp_path) as other:
        assert other.found == "None"
        assert lock.acquire().pid == other.pid


def test_a_killed_holder_leaves_the_lock_free_whatever_its_note_says(lock, tmp_path):
    with another_process(tmp_path) as other:
        assert other.found == "None"
        assert lock.acquire().pid == other.pid
        other.kill()
        other.wait()
        assert str(other.pid) in (tmp_path / HOLDER_FILE).read_text("utf-8")
        assert lock.acquire() is None
    assert ProjectLock(tmp_path).acquire().pid == os.getpid()


@pytest.mark.parametrize("note", [None, "", "[]", '{"user": "ada"}', "\x00"])
def test_a_lock_whose_note_cannot_be_read_is_held_by_somebody(lock, tmp_path, note):
    lock.acquire()
    if note is None:
        (tmp_path / HOLDER_FILE).unlink()
    else:
        (tmp_path / HOLDER_FILE).write_text(note)
    assert ProjectLock(tmp_path).acquire() == UNKNOWN


def test_giving_back_a_lock_that_was_never_taken_leaves_the_holders(lock, tmp_path):
    lock.acquire()
    ProjectLock(tmp_path).release()
    assert isinstance(ProjectLock(tmp_path).acquire(), Holder)


def test_a_person_without_a_name_is_somebody(lock, tmp_path, monkeypatch):
    def nameless():
        raise KeyError("uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    lock.acquire()
    assert ProjectLock(tmp_path).acquire().user == "somebody"


@pytest.mark.skipif(os.name == "nt", reason="Windows folders have no read-only flag that stops writing")
def test_a_folder_that_cannot_be_written_to_cannot_be_locked():
    folder = Path(tempfile.mkdtemp())
    is_root = os.geteuid() == 0
    folder.chmod(0o755 if is_root else 0o555)
    if is_root:
        os.seteuid(65534)
    try:
        with pytest.raises(ProjectError, match=r"cannot be locked: .* Choose a folder on a local disk"):
            ProjectLock(folder).acquire()
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)
        shutil.rmtree(folder)
