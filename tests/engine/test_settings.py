"""One setting is one field: what it takes, its default and its sentences follow from there."""

import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Literal, get_origin

import pytest
import tomli_w

import costal
from costal.errors import DatasetError, ProjectError
from costal.labels.project import FILE as PROJECT
from costal.labels.project import Choices, Intake, LabelClass, Tiling
from costal.labels.project_file import create_project, load_project
from costal.paper.plan import Arm
from costal.paper.plan_file import FILE as EXPERIMENT
from costal.paper.plan_file import load_plan, template
from costal.settings import Setting, Tables, in_common, key_of, keys_of, table_of
from costal.types import AgentSettings, Channel, Strategy, Training


@dataclass(frozen=True, slots=True)
class Microscope:
    """Settings of a test."""

    power: Annotated[float, Setting("Of the laser.", gt=0, le=5, unit="mW")]
    line: Annotated[Literal["488", "640"], Setting("Of the laser, in nm.")] = "640"
    steps_um: Annotated[tuple[float, ...], Setting("In z.", ge=0, key="steps")] = ()
    frames: Annotated[int | None, Setting("In time.", ge=1, absent="no series", example=9)] = None
    is_open: bool = False


FILE = Tables(ProjectError, (), {"microscope": keys_of(Microscope)}, {})


def read(**entries):
    return FILE.read({"microscope": entries})["microscope"]


def test_a_field_without_a_setting_is_none():
    assert [key.name for key in keys_of(Microscope)] == ["power", "line", "steps", "frames"]


def test_what_is_said_is_read_by_field_and_nothing_else_is_added():
    assert read(power=1.5) == {"power": 1.5}
    assert read(power=1.5, steps=[0.1, 2], frames=3) == {"power": 1.5, "steps_um": (0.1, 2.0), "frames": 3}


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (
            {"power": 0},
            "power = 0 of [microscope] should be a number above 0 to 5 mW. Correct it.",
        ),
        ({}, "'power' of [microscope] is missing. Add it: a number above 0 to 5 mW."),
        (
            {"power": 1, "line": 640},
            'line = 640 of [microscope] should be one of 488, 640. Correct it, or remove it for the default: "640".',
        ),
        (
            {"power": 1, "steps": [0.1, -0.1]},
            "steps = [0.1, -0.1] of [microscope] should be a list of numbers from 0. Correct it, or remove it for the "
            "default: [].",
        ),
        (
            {"power": 1, "frames": 0},
            "frames = 0 of [microscope] should be a whole number from 1. Correct it, or remove it for the default: "
            "no series.",
        ),
        ({"powr": 1}, "'powr' of [microscope] is not known. Did you mean 'power'?"),
        (
            {"power": 1, "is_open": True},
            "'is_open' of [microscope] is not known. The known keys are power, line, steps, frames.",
        ),
        (
            {"power": "9" * 200},
            f'power = "{"9" * 79} … of [microscope] should be a number above 0 to 5 mW. Correct it.',
        ),
    ],
    ids=["bound", "missing", "number for a word", "list", "none is a default", "slip", "no setting", "long"],
)
def test_what_cannot_be_is_refused_with_key_value_place_and_remedy(entries, sentence):
    with pytest.raises(ProjectError) as refusal:
        read(**entries)
    assert str(refusal.value) == sentence


def test_what_is_written_is_read_again_and_none_is_not_written():
    microscope = Microscope(2.0, "488", (0.5,))
    assert table_of(microscope) == {"power": 2.0, "line": "488", "steps": (0.5,)}
    assert Microscope(**read(**table_of(microscope))) == microscope


def test_only_fields_that_both_have_are_in_common():
    assert in_common(Microscope(2.0), Strategy) == {}
    assert in_common(Arm("a", beta=0.5), AgentSettings)["beta"] == 0.5
    assert "name" not in in_common(Arm("a"), AgentSettings)


# the settings that there are

PLACES = [
    (file, place, key)
    for file, tables in (("project.toml", PROJECT), ("mine.toml", EXPERIMENT))
    for place, keys in (
        ("", tables.top),
        *((f"[{name}]", keys) for name, keys in tables.tables.items()),
        *tables.lists.values(),
    )
    for key in keys
]


def wrong_values(key):
    """Return values that a setting does not take: another kind, and what is out of its range or its words."""
    own, kind = key.setting, key.kind
    if kind is bool:
        return [1, "true"]
    if kind is str:
        return [1, True, ["a"], *(["x\n"] if own.fits else [])]
    if kind in (int, float):
        beyond = [edge + step for edge, step in ((own.ge, -1), (own.gt, 0), (own.le, 1)) if edge is not None]
        return [True, "1", [1], *beyond, *([0.5, 3.0] if kind is int else [float("nan"), float("inf")])]
    if get_origin(kind) is tuple:
        return [1, ["a"], [True], [own.ge - 1]]
    return ["other", 1, True] if get_origin(kind) is Literal else ["ZYX", {".tif": 1}]


CASES = [
    pytest.param(file, place, key, value, id=f"{file}-{place}-{key.name}-{value!r}")
    for file, place, key in PLACES
    for value in wrong_values(key)
]


@pytest.mark.parametrize(("file", "place", "key", "value"), CASES)
def test_every_setting_refuses_what_it_does_not_take_and_names_file_key_place_and_remedy(
    file, place, key, value, tmp_path
):
    path = tmp_path / file
    document, load = {"arms": [{}], "training": {}}, lambda: load_plan(path)
    if file == "project.toml":
        create_project(tmp_path, ("rings",))
        document, load = tomllib.loads(path.read_text("utf-8")), lambda: load_project(tmp_path)
        document["channels"] = [{"index": 0}]
    lists = {"arm": "arms", "class": "classes", "channel": "channels"}
    table = document[lists[place]][0] if place in lists else document[place.strip("[]")] if place else document
    table[key.name] = value
    path.write_text(tomli_w.dumps(document), "utf-8")
    with pytest.raises((ProjectError, DatasetError)) as refusal:
        load()
    sentence = str(refusal.value)
    assert sentence.startswith(f"{path}: {key.name} = ")
    assert f"should be {key.expected}. Correct it" in sentence
    assert place in sentence


@pytest.mark.parametrize(
    "kind", [Choices, Tiling, Intake, LabelClass, Channel, Training, Arm], ids=lambda kind: kind.__name__
)
def test_every_field_of_these_is_a_setting_and_says_what_it_means_in_a_sentence(kind):
    assert [key.attribute for key in keys_of(kind)] == [each.name for each in fields(kind)]
    assert [key.name for key in keys_of(kind) if not key.setting.meaning.endswith(".")] == []


def test_a_default_fits_its_own_setting(tmp_path):
    path = tmp_path / "all.toml"
    path.write_text(template(), "utf-8")
    load_plan(path)
    for table in (Choices(), Tiling(), Intake()):
        name = {Choices: "agent", Tiling: "tiling", Intake: "intake"}[type(table)]
        assert type(table)(**PROJECT.read({"name": "n", name: table_of(table)})[name]) == table


def test_project_and_experiment_take_the_same_values_of_what_they_share():
    for each in fields(Strategy):
        project, arm, agent = (key_of(kind, each.name) for kind in (Choices, Arm, AgentSettings))
        assert (project.setting, project.kind) == (arm.setting, arm.kind) == (agent.setting, agent.kind)


# one setting more

NEW_FIELD = """
    gamma: Annotated[float, Setting("A setting that is new.", ge=0, le=1)] = 0.5
"""
USES = """
import sys
from dataclasses import replace
from pathlib import Path
from costal.errors import CostalError
from costal.labels.project_file import create_project, load_project, save_project
from costal.paper.plan_file import dump_plan, plan_from, template

folder = Path(sys.argv[1])
made = create_project(folder)
assert "gamma = 0.5" in (folder / "project.toml").read_text("utf-8")
save_project(replace(made, choices=replace(made.choices, gamma=0.25)))
assert load_project(folder).agent_settings().gamma == 0.25
plan = plan_from({"arms": [{"gamma": 1}]}, "any")
assert "gamma = 1.0" in dump_plan(plan)
assert plan.experiment.settings(plan.arms[0], 2).gamma == 1.0
assert "# A setting that is new.\\n# A number from 0 to 1. Default: 0.5.\\n# gamma = 0.5" in template()
(folder / "project.toml").write_text((folder / "project.toml").read_text("utf-8").replace("gamma = 0.25", "gamma = 2"))
for refused in (lambda: load_project(folder), lambda: plan_from({"arms": [{"gamma": 2}]}, "any")):
    try:
        refused()
    except CostalError as error:
        print(str(error).removeprefix(f"{folder / 'project.toml'}: "))
"""


def test_one_field_is_all_that_a_new_setting_of_project_and_experiment_needs(tmp_path):
    source = tmp_path / "source" / "costal"
    shutil.copytree(Path(costal.__file__).parent, source, ignore=shutil.ignore_patterns("__pycache__"))
    types = source / "types.py"
    line = "    beta: Beta = 0.3\n"
    text = types.read_text("utf-8")
    assert text.count(line) == 1
    types.write_text(text.replace(line, line + NEW_FIELD.lstrip("\n")), "utf-8")
    script = f"import sys; sys.path.insert(0, {str(source.parent)!r})\n{USES}"
    ran = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "neurons"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=250,
    )
    assert ran.returncode == 0, ran.stderr
    remedy = "should be a number from 0 to 1. Correct it, or remove it for the default: 0.5."
    assert ran.stdout.splitlines() == [f"gamma = 2 of [agent] {remedy}", f"gamma = 2 of arm 1 {remedy}"]
