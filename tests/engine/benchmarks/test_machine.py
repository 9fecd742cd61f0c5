import os
import shutil
import subprocess

import pytest

from tests.benchmarks.machine import commit_of, machine

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def checkout(tmp_path):
    """Return a file of a checkout with one commit, and the commit."""

    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    file = tmp_path / "code.py"
    file.write_text("1\n")
    git("init")
    git("add", "code.py")
    git("commit", "-m", "first")
    git("tag", "v1")
    return file, git("rev-parse", "HEAD")


@needs_git
def test_a_checkout_tells_its_commit_and_whether_files_were_changed_after_it(checkout):
    file, commit = checkout
    assert commit_of(file) == commit
    file.write_text("2\n")
    assert commit_of(file) == f"{commit}-dirty"


@needs_git
def test_a_file_that_only_lies_in_a_checkout_has_no_commit(checkout):
    file, _ = checkout
    installed = file.with_name("installed.py")
    installed.write_text("1\n")
    assert commit_of(installed) == ""


def test_without_a_checkout_or_git_there_is_no_commit(tmp_path, monkeypatch):
    file = tmp_path / "code.py"
    file.write_text("1\n")
    assert commit_of(file) == ""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(file) == ""


def test_a_machine_tells_what_figures_depend_on(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (1.26, 0.0, 0.0), raising=False)
    found = machine("cpu", "abc").figures
    assert found["load"] == 1.3
    assert (found["device"], found["fingerprint"], found["cores"]) == ("cpu", "abc", os.cpu_count())
    assert all(found[name] for name in ("costal", "python", "torch", "numpy", "system", "processor"))


def test_a_system_without_a_load_has_none(monkeypatch):
    monkeypatch.delattr(os, "getloadavg", raising=False)
    assert machine("cpu", "").load is None
