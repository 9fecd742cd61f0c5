"""What the tests of the benchmarks share."""

import sys

import pytest

from costal.cli import run
from tests.benchmarks import commands


@pytest.fixture
def measured(monkeypatch, capsys):
    """Return a function that runs a benchmark's command and returns exit code, output and error output."""
    monkeypatch.setenv("COLUMNS", "200")

    def run_benchmark(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run(commands.make_app)
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return run_benchmark
