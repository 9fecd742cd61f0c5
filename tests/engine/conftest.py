"""What the engine's tests share: small things that are quick to train."""

import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from costal import cli
from costal.paper.datasets import Dataset
from costal.paper.digits import render
from costal.types import AgentSettings, Answer, Training

QUICK = Training(min_steps=5, epochs=1)


@pytest.fixture
def costal(monkeypatch, capsys):
    """Return a function that runs the command line and returns exit code, output and error output."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["costal", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def quick_settings() -> AgentSettings:
    """Return settings for ten classes whose training takes a fraction of a second."""
    return AgentSettings(class_count=10, passes=4, n=3, training=QUICK)


@pytest.fixture(scope="session")
def digit_answers() -> tuple[Answer, ...]:
    """Return 24 labelled synthetic digits with efforts that grow with their ink."""
    images, classes = render(0, range(24))
    crops = (images[:, None] / 255).astype(np.float32)
    return tuple(
        Answer(crop, int(label), 1 + float(crop.mean() * 10)) for crop, label in zip(crops, classes, strict=True)
    )


@pytest.fixture(scope="session")
def digit_pool() -> np.ndarray:
    """Return 12 more synthetic digits as crops."""
    images, _ = render(0, range(100, 112))
    return (images[:, None] / 255).astype(np.float32)


@pytest.fixture(scope="session")
def small_digits() -> Dataset:
    """Return 400 synthetic digits to draw from and 40 for tests, rendered once."""
    images, classes = render(0, range(440))
    return Dataset(
        "small digits", 400, lambda rows: (images[rows], classes[rows]), lambda: (images[400:], classes[400:])
    )


@pytest.fixture
def quick_experiment(monkeypatch) -> Callable[..., object]:
    """Return `Experiment`, whose agents train for five steps."""
    from costal.paper.experiment import Experiment

    settings = Experiment.settings
    monkeypatch.setattr(Experiment, "settings", lambda self, arm: replace(settings(self, arm), training=QUICK))
    return Experiment
