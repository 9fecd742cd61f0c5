"""What a power cut and a full disk can do: the order in which things reach the disk, and what is left when it is full.

A killed process tests none of this, for the system still writes what the process gave it.
"""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.labels.classes import rename_class
from costal.labels.effort import Event, EventKind
from costal.labels.migrations import MIGRATIONS, migrate, version_of
from costal.labels.models import kept_versions, load_newest, save_agent
from costal.labels.project_file import create_project, load_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.types import Agent, AgentSettings
from costal.workbench.session import ProjectSession

FRAME = FrameRecord("hash", "all", "source", 10**6, 64, None, (0.0,), (1.0,))
EVENTS = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))


def answer_at(row: int) -> AnswerRecord:
    pixels = np.random.default_rng(row).integers(0, 255, (1, 64, 64), np.uint8)
    return AnswerRecord(1, row * 64, 0, pixels, "class", 1 + row % 2, "ada", EVENTS)


# the order of writes and synchronisations


SETUP = """
import sys
from dataclasses import replace
from pathlib import Path
import numpy as np
from costal.labels.models import save_agent
from costal.labels.project_file import load_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.types import Agent, AgentSettings
folder = Path(sys.argv[1])
project, store = load_project(folder), Store(folder / "labels.sqlite")
answer = AnswerRecord(1, 0, 0, np.zeros((1, 64, 64), np.uint8), "class", 1, "ada", ())
agent = Agent(AgentSettings(2), (1, 8, 8), ({"hidden.weight": np.zeros(4, np.float32)},))
store.add_frame(FrameRecord("hash", "all", "source", 64, 64, None, (0.0,), (1.0,)))
"""
CALL = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+)")
DOES = {
    "write": "write", "pwrite64": "write", "fsync": "sync", "fdatasync": "sync",
    "unlink": "remove", "unlinkat": "remove", "rename": "rename", "renameat": "rename", "renameat2": "rename",
}  # fmt: skip


@pytest.fixture(scope="session")
def strace(tmp_path_factory):
    """Return how system calls are traced; skipped where they cannot be."""
    program = shutil.which("strace")
    if program is None:
        pytest.skip("strace is not installed")
    log = tmp_path_factory.mktemp("strace") / "log"
    if subprocess.run([program, "-o", log, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("this system lets no process be traced (ptrace)")
    return [program, "-f", "-y", "-s", "64", "-e", f"trace={','.join(DOES)}", "-o", str(log)]


@pytest.fixture
def project(tmp_path):
    return create_project(tmp_path / "project")


@pytest.fixture
def traced(strace, project):
    """Return what a script does to the disk between its two lines of output, as pairs such as ("sync", "folder")."""

    def run(before: str, act: str) -> list[tuple[str, str]]:
        script = f'{SETUP}\n{before}\nprint("begin", flush=True)\n{act}\nprint("acknowledged", flush=True)\n'
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
        command = [*strace, sys.executable, "-c", script, str(project.folder)]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
        log = Path(strace[-1]).read_text("utf-8")
        assert "unfinished" not in log, "two threads wrote at once: their calls cannot be put in order"
        calls = [call for line in log.splitlines() if (call := what_was_done(line, project.folder)) is not None]
        begin = calls.index(("write", "begin"))
        return calls[begin + 1 : calls.index(("write", "acknowledged")) + 1]

    return run


def what_was_done(line: str, folder: Path) -> tuple[str, str] | None:
    """Return what a line of the trace tells: what was done to which file of the project, or said."""
    found = CALL.match(line)
    if found is None or int(found["result"]) < 0:
        return None
    arguments, does = found["arguments"], DOES[found["name"]]
    said = re.match(r'1<[^>]*>, "(begin|acknowledged)', arguments)
    if said is not None:
        return "write", said[1]
    paths = re.findall(rf'[<"]({re.escape(str(folder))}[^">]*)[">]', arguments)
    if not paths:
        return None
    return does, "folder" if paths[0] == str(folder) else str(Path(paths[0]).relative_to(folder))


def places(calls: list[tuple[str, str]], does: str, name: str) -> list[int]:
    return [place for place, call in enumerate(calls) if call == (does, name)]


JOURNAL, DATABASE = "labels.sqlite-journal", "labels.sqlite"


@pytest.mark.parametrize(
    ("before", "act"),
    [
        pytest.param("", "store.answer(answer)", id="answer"),
        pytest.param("store.answer(answer)", "store.answer(replace(answer, class_id=2))", id="relabel"),
        pytest.param("store.answer(answer)", "store.undo(1)", id="undo"),
        pytest.param("store.answer(answer)\nstore.undo(1)", "store.redo(1)", id="redo"),
    ],
)
def test_a_label_is_on_disk_before_it_is_acknowledged(traced, before, act):
    calls = traced(before, act)
    database_written, database_synced = places(calls, "write", DATABASE), places(calls, "sync", DATABASE)
    journal_written, journal_synced = places(calls, "write", JOURNAL), places(calls, "sync", JOURNAL)
    (removed,) = places(calls, "remove", JOURNAL)
    names_synced = places(calls, "sync", "folder")
    # what was there before is on disk, under a name that is on disk, before the database is touched
    assert max(journal_written) < max(journal_synced) < min(database_written)
    assert min(journal_written) < min(names_synced) < min(database_written)
    # the new content is on disk before the way back is cut off
    assert max(database_written) < max(database_synced) < removed
    # and that is on disk too, or the journal could come back and take the label with it
    assert removed < max(names_synced) < places(calls, "write", "acknowledged")[0] == len(calls) - 1


def test_settings_are_on_disk_before_they_take_the_place_of_the_old_ones(traced):
    calls = traced("", "save_project(project)")
    assert calls == [
        ("write", "project.toml.new"),
        ("sync", "project.toml.new"),
        ("rename", "project.toml.new"),
        ("sync", "folder"),
        ("write", "acknowledged"),
    ]


def test_a_model_is_on_disk_before_its_card_makes_it_count(traced):
    calls = traced("", 'save_agent(folder / "models", agent)')
    files = [str(Path("models", name)) for name in ("0001.safetensors.new", "0001.json.new")]
    assert calls == [
        *((does, name) for file in files for does, name in (
            ("write", file), ("sync", file), ("rename", file), ("sync", "models"),
        )),
        ("write", "acknowledged"),
    ]  # fmt: skip


# a full disk


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """Return a folder on a file system of 1 MiB; skipped where none can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if mount is None or sys.platform != "linux":
        pytest.skip("this system has no tmpfs that could be full")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if (refused := subprocess.run(command, capture_output=True, text=True, check=False)).returncode != 0:
        pytest.skip(f"only root may mount a small disk ({refused.stderr.strip()})")
    yield disk
    subprocess.run(["umount", disk], check=True)


def fill(disk: Path) -> Path:
    """Return a file that takes all the room that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
    assert shutil.disk_usage(disk).free == 0
    return ballast


def state_of(bench: ProjectSession) -> tuple[object, ...]:
    """Return all that could be lost: labels, presentations with their events, settings, models."""
    model_versions = [(each.number, each.model_hash) for each in kept_versions(bench.project.model_folder)]
    with Store(bench.project.store_path, read_only=True) as store:
        return store.labels(), store.presentations(), load_project(bench.project.folder), model_versions, bench.history


def test_answers_until_the_disk_is_full_are_kept_and_the_one_that_did_not_fit_is_saved_once_there_is_room(small_disk):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(200_000))
    project, acknowledged = create_project(small_disk / "project"), []
    with ProjectSession(project.folder, "ada") as bench:
        bench.store.add_frame(FRAME)
        with pytest.raises(ProjectError, match=r"The disk is full. Free some space and try again: nothing was lost."):
            for row in range(1000):
                label_id = bench.answer(answer_at(row))
                acknowledged.append(label_id)
        assert len(acknowledged) > 20
        assert [label.label_id for label in bench.store.labels()] == acknowledged == list(bench.history.done)
        assert len(bench.store.presentations()) == len(acknowledged)
        assert bench.store.check() == []
        assert not (project.folder / JOURNAL).exists()
        with pytest.raises(ProjectError, match="The disk is full"):
            bench.answer(answer_at(len(acknowledged)))
        ballast.unlink()
        acknowledged.append(bench.answer(answer_at(len(acknowledged))))
        assert bench.store.check() == []
    with ProjectSession(project.folder, "ada") as again:
        assert [label.label_id for label in again.store.labels()] == acknowledged
        for row, seen in enumerate(again.store.presented()):
            np.testing.assert_array_equal(seen.pixels_C_H_W, answer_at(row).pixels_C_H_W)
            assert (seen.class_id, seen.events) == (1 + row % 2, EVENTS)


AGENT = Agent(AgentSettings(2), (1, 8, 8), ({"hidden.weight": np.zeros(64, np.float32)},))
ACTS = {
    "answer": lambda bench: bench.answer(answer_at(9)),
    "undo": lambda bench: bench.undo(),
    "redo": lambda bench: bench.redo(),
    "settings": lambda bench: bench.configure(rename_class(bench.project, 1, "loops")),
    "model": lambda bench: save_agent(bench.project.model_folder, AGENT),
    "frame": lambda bench: bench.store.add_frame(replace(FRAME, content_hash="another")),
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_full_disk_takes_nothing_away_and_what_failed_can_be_done_once_there_is_room(small_disk, act):
    project = create_project(small_disk / "project")
    with ProjectSession(project.folder, "ada") as bench:
        bench.store.add_frame(FRAME)
        for row in range(3):
            bench.answer(answer_at(row))
        bench.undo()
        save_agent(project.model_folder, AGENT)
        before = state_of(bench)
        ballast = fill(small_disk)
        names = sorted(each.relative_to(small_disk) for each in small_disk.rglob("*"))
        with pytest.raises(ProjectError, match=r"The disk is full. Free some space|No space left .* Free some space"):
            act(bench)
        assert state_of(bench) == before
        assert bench.store.check() == []
        assert sorted(each.relative_to(small_disk) for each in small_disk.rglob("*")) == names
        ballast.unlink()
        act(bench)
        assert bench.store.check() == []
        assert state_of(bench) != before or bench.store.frame_id(replace(FRAME, content_hash="another")) == 2
    assert load_newest(project.model_folder) is not None


def test_a_project_on_a_full_disk_can_be_read_and_says_why_it_cannot_be_opened_for_writing(small_disk):
    project = create_project(small_disk / "project")
    with ProjectSession(project.folder, "ada") as bench:
        bench.store.add_frame(FRAME)
        bench.answer(answer_at(0))
    ballast = fill(small_disk)
    with pytest.raises(ProjectError, match="The disk is full"):
        ProjectSession(project.folder)
    with Store(project.store_path, read_only=True) as store:
        assert len(store.labels()) == 1
    ballast.unlink()
    with ProjectSession(project.folder) as bench:
        assert bench.holder is None


def test_a_store_that_cannot_be_brought_up_to_date_on_a_full_disk_stays_what_it_was(small_disk):
    path = small_disk / "labels.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:1])
        connection.execute("INSERT INTO frame VALUES (1, 'abc', 'all', 'a.tif', 8, 8, NULL, '[0]', '[1]', 0)")
    before = path.read_bytes()
    ballast = fill(small_disk)
    with pytest.raises(ProjectError, match="The disk is full"):
        Store(path)
    assert path.read_bytes() == before
    ballast.unlink()
    with Store(path) as store:
        assert (version_of(store._connection), len(store.ranges())) == (len(MIGRATIONS), 1)
    with closing(sqlite3.connect(path.with_name("labels.sqlite.version-1"))) as backup:
        assert version_of(backup) == 1
        assert backup.execute("SELECT content_hash FROM frame").fetchall() == [("abc",)]
