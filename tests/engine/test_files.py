"""The one writer of files: whole or as it was, and nothing left behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from costal.errors import ProjectError
from costal.files import new_file, new_text, remove_dead, remove_leftovers, require_place, staged, write_atomically


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_alone_and_says_so(tmp_path, monkeypatch, failing):
    path = tmp_path / "kept"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with pytest.raises(ProjectError, match=r"cannot be written: No space left on device. Free some space"):
        write_atomically(path, b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("kept", b"old")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no folder that can be synchronised")
@pytest.mark.parametrize(("number", "is_refused"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_synchronise_names_will_do_and_one_that_fails_will_not(
    tmp_path, monkeypatch, number, is_refused
):
    fsync, calls = os.fsync, []

    def names_fail(file):
        calls.append(file)
        if len(calls) == 2:
            raise OSError(number, "no")
        fsync(file)

    monkeypatch.setattr(os, "fsync", names_fail)
    if is_refused:
        with pytest.raises(ProjectError, match="cannot be written: no"):
            write_atomically(tmp_path / "kept", b"new")
    else:
        write_atomically(tmp_path / "kept", b"new")
        assert (tmp_path / "kept").read_bytes() == b"new"


def test_a_write_replaces_the_whole_content_and_leaves_nothing_beside_it(tmp_path):
    write_atomically(tmp_path / "kept", b"a long old content")
    write_atomically(tmp_path / "kept", b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("kept", b"new")]


def test_the_content_is_on_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    order = []
    fsync, replace_ = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("fsync"), fsync(number)))
    monkeypatch.setattr(Path, "replace", lambda self, to: (order.append("replace"), replace_(self, to))[1])
    write_atomically(tmp_path / "kept", b"new")
    assert order[:2] == ["fsync", "replace"]


@pytest.mark.parametrize("new", [new_file, new_text])
def test_a_file_that_is_written_piece_by_piece_is_whole_or_as_it_was(tmp_path, new):
    path = tmp_path / "kept"
    path.write_bytes(b"old")
    end = {new_file: b"1\n", new_text: "1\n"}[new]
    with pytest.raises(ZeroDivisionError), new(path) as file:
        file.write(end)
        assert path.read_bytes() == b"old"
        raise ZeroDivisionError
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("kept", b"old")]
    with new(path) as file:
        file.write(end * 2)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("kept", b"1\n1\n")]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_staged_takes_the_old_ones_place_whole_or_not_at_all(tmp_path, kind):
    target = tmp_path / "out"

    def write(path, text):
        if kind == "folder":
            path.mkdir()
            path /= "inside"
        path.write_text(text)

    def read():
        return (target / "inside" if kind == "folder" else target).read_text()

    with staged(target) as place:
        write(place, "old")
    with pytest.raises(ZeroDivisionError), staged(target) as place:
        write(place, "new")
        raise ZeroDivisionError
    assert (read(), os.listdir(tmp_path)) == ("old", ["out"])
    with staged(target) as place:
        write(place, "new")
    assert (read(), os.listdir(tmp_path)) == ("new", ["out"])


def test_what_a_killed_writer_staged_is_removed_by_the_next_and_a_living_ones_stays(tmp_path):
    script = """
import sys, time
from pathlib import Path
from costal.files import staged
with staged(Path(sys.argv[1])) as place:
    place.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""
    target = tmp_path / "out[1]"
    writer = subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline() == "ready\n"
    remove_dead(target)
    assert len(os.listdir(tmp_path)) == 1
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert len(os.listdir(tmp_path)) == 1
    with staged(target) as place:
        place.write_text("whole")
    assert os.listdir(tmp_path) == ["out[1]"]


def test_leftovers_go_and_nothing_else(tmp_path):
    for name in ("a.json.new", "a.json", "b.csv.new", "new"):
        (tmp_path / name).write_text("")
    (tmp_path / "c.new").mkdir()
    remove_leftovers(tmp_path, "a.*")
    assert sorted(os.listdir(tmp_path)) == ["a.json", "b.csv.new", "c.new", "new"]
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["a.json", "new"]


def test_a_place_that_cannot_be_written_is_known_before_the_work(tmp_path):
    require_place(tmp_path / "out.csv")
    (tmp_path / "kept.csv").write_text("kept")
    require_place(tmp_path / "kept.csv")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("kept.csv", "kept")]
    for path in (tmp_path, tmp_path / "gone" / "out.csv"):
        with pytest.raises(ProjectError, match=f"{path} cannot be written: "):
            require_place(path)
