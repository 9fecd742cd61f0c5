"""What the engine's tests share: small things that are quick to train."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import platformdirs
import pytest
import tifffile

from costal import cli
from costal.agent.added import added_folder
from costal.labels.models import save_agent
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.loop import learn, new_agent
from costal.paper.digits import perimeters, render, to_crops
from costal.paper.plan import Arm, Experiment, Plan
from costal.paper.sources import Dataset
from costal.types import AgentSettings, Answer, Training, finish

QUICK = Training(min_steps=5, epochs=1, batch=8)
TABLE = "frame,y,x,class,kind\na.tif,0,0,rings,\na.tif,0,16,=fibres,\na.tif,16,16,,skip\n"


@pytest.fixture
def costal(monkeypatch, capsys):
    """Return a function that runs the command line and returns exit code, output and error output."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("costal.cli.progress.LINE_S", float("inf"))  # a slow machine would say how far it is

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["costal", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return stopped.value.code or 0, captured.out, captured.err

    return run


@pytest.fixture
def folder(costal, tmp_path):
    """Return a project with two labels and a skip, brought in from a table beside it."""
    tifffile.imwrite(tmp_path / "a.tif", np.arange(48 * 48, dtype=np.uint16).reshape(48, 48))
    (tmp_path / "labels.csv").write_text(TABLE, "utf-8")
    assert costal("project", "new", tmp_path / "neurons", "--classes", "rings, =fibres")[0] == 0
    save_project(replace(load_project(tmp_path / "neurons"), tiling=Tiling(16, 16)))
    code, out, _ = costal("label", "--from", tmp_path / "labels.csv", "--project", tmp_path / "neurons")
    assert (code, out) == (0, "Imported 3 new labels; 0 already existed; 1 new frames.\n")
    return tmp_path / "neurons"


@pytest.fixture(scope="session")
def small_agent():
    """Return an agent for crops of 16 px that has learned a little, with a cost model."""
    rng = np.random.default_rng(1)
    answers = [
        Answer(rng.normal(label, 0.3, (1, 16, 16)).astype(np.float32), label, 1.0 + label + rng.random())
        for label in (0, 1) * 8
    ]
    settings = AgentSettings(2, passes=4, training=Training(min_steps=8, epochs=0), class_ids=(1, 2))
    return finish(learn(new_agent(settings, (1, 16, 16)), answers, 0, "cpu"))


@pytest.fixture
def project(tmp_path, small_agent):
    """Return a project of 16 px crops with a model that has learned a little."""
    made = create_project(tmp_path / "project", ("a", "b"))
    made = replace(made, tiling=Tiling(16, 16), choices=replace(made.choices, passes=4, n=3))
    save_project(made)
    made.model_folder.mkdir(exist_ok=True)
    save_agent(made.model_folder, replace(small_agent, settings=made.agent_settings()))
    return made


@pytest.fixture
def quick_training(monkeypatch) -> None:
    """Let the arms of every experiment train for five steps, whatever the plan says."""
    settings = Experiment.settings
    monkeypatch.setattr(Experiment, "settings", lambda *arguments: replace(settings(*arguments), training=QUICK))


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
    crops = to_crops(images)
    return Dataset(
        "small digits",
        tuple(map(str, range(10))),
        (1, 28, 28),
        "cost units",
        400,
        lambda rows: (crops[rows], classes[rows]),
        lambda: (crops[400:], classes[400:]),
        lambda rows, _repeat, _order: perimeters(crops[rows]),
        "md5 of the small digits",
    )


@pytest.fixture
def quick_experiment() -> Experiment:
    """Return what the arms of a small experiment share: training takes five steps."""
    return Experiment(pool_size=30, n=4, passes=3, device="cpu", training=QUICK)


@pytest.fixture
def quick_plan(quick_experiment) -> Plan:
    """Return two arms, two repeats, three rounds."""
    arms = (Arm("STD, β = 0.3", acquisition="std", beta=0.3), Arm("random", acquisition="random"))
    return Plan("small", "synthetic", arms, quick_experiment, rounds=3, repeats=2, committee_every=3, looked_at=(1,))


@pytest.fixture
def added(tmp_path, monkeypatch) -> Path:
    """Return the folder for backbones that a user adds, which is not there yet."""
    monkeypatch.setattr(platformdirs, "user_data_path", lambda name: tmp_path / "user data" / name)
    return added_folder()


@pytest.fixture(scope="session")
def small_weights():
    """Return weights of timm's ``test_resnet``, drawn at random; statistics of batches are unlike those of new ones."""
    import timm
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = timm.create_model("test_resnet", pretrained=False).state_dict()
        return {name: torch.rand_like(each) + 0.5 if "running" in name else each for name, each in weights.items()}


@pytest.fixture(scope="session")
def pickled():
    """Return a function that returns what `torch.save` writes."""
    import torch

    def content_of(weights) -> bytes:
        content = io.BytesIO()
        torch.save(weights, content)
        return content.getvalue()

    return content_of


@pytest.fixture
def small_file(small_weights):
    """Return a safetensors file of these weights as a user brings it."""
    from safetensors.torch import save

    from costal.agent.adding import Brought

    return Brought("small.safetensors", save(small_weights), source="a friend", licence="CC0")
