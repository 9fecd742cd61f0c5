"""Where no terminal draws a bar, a line now and then says how far a job is."""

from costal.cli.progress import LINE_S, ProgressBar
from costal.types import Progress


def job(count):
    for done in range(count):
        yield Progress(done, count, "Training")
    return "model"


def test_without_a_terminal_a_line_comes_when_enough_seconds_have_passed(capsys):
    now = [0.0]

    def slow():
        for progress in job(9):
            now[0] = LINE_S / 4 * progress.done
            yield progress
        return "model"

    with ProgressBar(lambda: now[0]) as bar:
        assert bar.drain(slow(), "std") == "model"
    lines = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert lines == ["std: Training (4 of 9)", "std: Training (8 of 9)"]


def test_a_short_job_says_nothing(capsys):
    with ProgressBar(lambda: 0.0) as bar:
        assert bar.drain(job(100)) == "model"
    assert capsys.readouterr().err.strip() == ""
