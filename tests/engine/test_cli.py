import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import typer

from costal import cli
from costal.frames.grid import crop_at, tile
from costal.frames.simulate import simulate_field
from costal.labels.effort import Event, EventKind
from costal.labels.migrations import MIGRATIONS, migrate
from costal.labels.project import Tiling
from costal.labels.project_file import load_project, save_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.paper import datasets
from costal.paper.datasets import MNIST_FILES
from costal.workbench.session import ProjectSession

COMMANDS = [
    ("demo",), ("mnist",), ("open",), ("score",), ("query",), ("train",), ("apply",), ("export",), ("import",),
    ("label",), ("microscope",), ("project",), ("project", "new"), ("project", "info"), ("project", "check"),
    ("project", "assess"), ("project", "poor"), ("replay",),
    ("project", "frames"), ("project", "locate"),
    ("project", "repair"), ("project", "recent"), ("reproduce",), ("reproduce", "table1"), ("reproduce", "figure1"),
    ("reproduce", "base-costs"), ("reproduce", "scale"), ("experiment",), ("project", "pack"), ("project", "unpack"),
    ("project", "methods"), ("backbone",), ("backbone", "add"), ("backbone", "download"), ("backbone", "list"),
]  # fmt: skip
DEMO = (
    "demo",
    "--headless",
    "--rounds",
    "1",
    "-N",
    "40",
    "-n",
    "4",
    "-T",
    "5",
    "--data",
    "synthetic",
    "--acquisition",
    "bald",
)
CROP = 16
NAMES = ("rings", "fibres")


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """Take MNIST away."""
    monkeypatch.delenv("COSTAL_DATA", raising=False)
    monkeypatch.setattr(datasets, "user_cache", lambda: tmp_path / "cache")
    monkeypatch.setattr("costal.cli.mnist.user_cache", lambda: tmp_path / "cache")
    return tmp_path


@pytest.fixture
def image(tmp_path):
    """Return a TIFF of 3 x 3 crops."""
    field = simulate_field((3 * CROP, 3 * CROP), CROP, seed=0)
    tifffile.imwrite(tmp_path / "frame.tif", field.pixels_Y_X)
    return tmp_path / "frame.tif"


@pytest.fixture
def folder(costal, tmp_path):
    assert costal("project", "new", tmp_path / "neurons", "--classes", "rings, fibres")[0] == 0
    project = load_project(tmp_path / "neurons")
    choices = replace(project.choices, passes=3, n=2, diverse=False, control_share=0.0)
    save_project(replace(project, tiling=Tiling(CROP, CROP), choices=choices))
    return project.folder


def label(folder, image, classes):
    """Label the first crops of an image with these class ids."""
    plane = tifffile.imread(image)[None]
    grid = tile(plane.shape[1:], CROP)
    events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 10**9, 10**9))
    with Store(load_project(folder).store_path) as store:
        frame_id = store.add_frame(FrameRecord("abc", "", str(image), *plane.shape[1:], None, (0.0,), (30.0,)))
        for index, class_id in enumerate(classes):
            y, x = grid.origin(index)
            pixels = crop_at(plane, grid, index)
            store.answer(AnswerRecord(frame_id, y, x, pixels, "class", class_id, "ada", events))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


# help


@pytest.fixture
def commands(costal):
    """Return every command of the command line by its name, once they are registered."""
    costal("--help")

    def walk(command, name):
        inner = getattr(command, "commands", {})
        return {name: command}.items() | {
            result for each, below in inner.items() for result in walk(below, (*name, each))
        }

    result = dict(walk(typer.main.get_command(cli.make_app()), ()))
    return {name: command for name, command in result.items() if name}


def test_every_command_is_in_the_table_of_this_file(commands):
    assert set(commands) == set(COMMANDS)


def test_every_command_and_each_of_its_options_has_a_help_text(commands):
    assert [name for name, command in commands.items() if not command.help.endswith(".")] == []
    assert [(name, each.name) for name, command in commands.items() for each in command.params if not each.help] == []


def test_help_is_shown(costal):
    shown = {name: costal(*name, "--help") for name in COMMANDS}
    assert {name: (code, err) for name, (code, _, err) in shown.items() if (code, err) != (0, "")} == {}
    assert [name for name, (_, out, _) in shown.items() if "Usage" not in out] == []


def test_the_module_runs_as_a_program():
    ran = subprocess.run(
        [sys.executable, "-m", "costal.cli", "project", "info", "/nowhere"], capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 1
    assert ran.stderr.startswith("costal: /nowhere is not a project")
    assert "Traceback" not in ran.stderr


# demo


def test_the_headless_demo_writes_tables_and_pictures_and_equal_ones_again(
    costal, tmp_path, monkeypatch, quick_training
):
    monkeypatch.setattr(datasets, "SYNTHETIC_TEST", 100)
    for name in ("first", "again"):
        code, out, _ = costal(*DEMO, "--beta", "0.1", "--device", "cpu", "--out", tmp_path / name)
        assert code == 0
    assert "bald, β = 0.1: 1 of 1 repeats finished" in out
    names = {"rounds.csv", "timings.csv", "summary.md", "mosaic.png", "picks.png", "curves.png"}
    assert names <= {each.name for each in (tmp_path / "first").iterdir()}
    rows = rows_of(tmp_path / "first" / "rounds.csv")
    seen = [(row["data"], row["arm"], row["round"], row["labels"]) for row in rows]
    assert seen == [
        ("synthetic digits", arm, *numbers)
        for arm in ("bald, β = 0.1", "random")
        for numbers in (("0", "20"), ("1", "24"))
    ]
    for name in ("rounds.csv", "summary.md", "curves.png", "curves.svg"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_a_demo_into_the_folder_of_another_one_is_refused_with_the_difference(
    costal, tmp_path, monkeypatch, quick_training
):
    monkeypatch.setattr(datasets, "SYNTHETIC_TEST", 100)
    assert costal(*DEMO, "--out", tmp_path)[0] == 0
    code, _, err = costal(*DEMO, "--seed", "1", "--out", tmp_path)
    assert code == 1
    assert re.search(r"^costal: .* holds a run of another configuration \(.*seed: 0 -> 1.*\)", err)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--rounds", "98", "-N", "1000"), "98 disjoint pools of 1000 images .* need 98,020"),
        (("--data", "mnist"), "MNIST was not found"),
        (("--data", "cifar"), "'cifar' is neither a data set"),
    ],
    ids=["too many rounds", "MNIST is missing", "no such data"],
)
def test_a_demo_that_cannot_run_is_refused_before_any_work(costal, nowhere, arguments, sentence):
    code, _, err = costal(*DEMO, *arguments, "--out", nowhere / "out")
    assert code == 1
    assert re.search(f"^costal: .*{sentence}", err)
    assert not (nowhere / "out").exists()


def test_an_unknown_acquisition_function_is_refused_with_those_there_are(costal):
    code, _, err = costal(*DEMO, "--acquisition", "best")
    assert code == 2
    assert "variation_ratio" in err


@pytest.mark.parametrize("arguments", [("--beta", "-1"), ("-n", "0"), ("-T", "0"), ("--rounds", "0")])
def test_a_number_out_of_range_is_refused(costal, arguments):
    assert costal(*DEMO, *arguments)[0] == 2


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="a window can always be opened there")
@pytest.mark.parametrize(("display", "wayland", "expected"), [("", "", False), (":0", "", True), ("", "wl", True)])
def test_a_display_is_found_by_its_variable(monkeypatch, display, wayland, expected):
    from costal.cli.terminal import has_display

    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setenv("WAYLAND_DISPLAY", wayland)
    assert has_display() is expected


# mnist


def test_missing_mnist_is_an_error_with_the_place_and_the_remedy(costal, nowhere):
    code, out, err = costal("mnist")
    assert (code, out) == (1, "")
    assert "MNIST was not found. Run 'costal mnist --download'" in err
    assert str(nowhere / "cache" / "MNIST" / "raw") in err


def test_a_failed_download_names_the_folder_and_the_four_files(costal, nowhere, monkeypatch):
    def fail(root, download):
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr("torchvision.datasets.MNIST", fail)
    code, _, err = costal("mnist", "--download", "--data", nowhere / "there")
    assert code == 1
    assert str(nowhere / "there" / "MNIST" / "raw") in err
    assert all(name in err for name in MNIST_FILES)


def test_mnist_is_only_fetched_when_asked(costal, nowhere, monkeypatch):
    fetched = []
    monkeypatch.setattr("costal.cli.mnist.download_mnist", fetched.append)
    assert costal("mnist")[0] == 1
    assert fetched == []
    assert costal("mnist", "--download")[0] == 1
    assert fetched == [nowhere / "cache"]


def test_mnist_is_found_where_it_is(costal, costal_data):
    code, out, _ = costal("mnist", "--data", costal_data)
    assert (code, out.split()) == (0, ["MNIST", "is", "in", os.fspath(costal_data / "MNIST" / "raw")])


# projects


def test_a_new_project_tells_its_classes_and_is_whole(costal, folder):
    code, out, _ = costal("project", "info", folder)
    assert code == 0
    assert out.splitlines() == [
        "neurons: 0 labelled crops; crops were shown 0 times",
        "  [1] rings: 0",
        "  [2] fibres: 0",
        "  no model yet",
    ]
    assert costal("project", "check", folder)[:2] == (0, f"{folder} is not damaged.\n")


def test_a_project_is_not_made_over_another(costal, folder):
    code, _, err = costal("project", "new", folder)
    assert code == 1
    assert "is not empty" in err


def test_a_damaged_store_fails_the_check(costal, folder):
    path = folder / "labels.sqlite"
    path.write_bytes(b"x" * 4096)
    code, _, err = costal("project", "check", folder)
    assert code == 1
    assert "Restore labels.sqlite from a backup" in err


def test_scores_without_a_model_give_a_spread_out_query_and_the_reason(costal, folder, image, tmp_path):
    code, out, _ = costal("score", image, "--project", folder, "--out", tmp_path / "scores.csv", "--device", "cpu")
    assert code == 0
    assert "No crop is labelled yet" in out
    rows = rows_of(tmp_path / "scores.csv")
    assert [(row["y"], row["x"]) for row in rows] == [(str(y), str(x)) for y in (0, 16, 32) for x in (0, 16, 32)]
    assert {row["information"] for row in rows} == {""}
    assert sorted(row["rank"] for row in rows if row["rank"]) == ["1", "2"]


def test_training_then_scoring_gives_figures_and_ranks_by_value(costal, folder, image, tmp_path):
    label(folder, image, [1, 2, 1, 2])
    code, out, _ = costal("train", "--project", folder, "--device", "cpu")
    assert code == 0
    assert "Model 1 saved." in out
    assert "All crops get one cost until 10 efforts are measured (4 so far)" in out
    code, out, _ = costal("score", image, "--project", folder, "--out", tmp_path / "scores.csv", "--device", "cpu")
    assert "Scored on cpu." in out
    rows = rows_of(tmp_path / "scores.csv")
    values = np.array([float(row["value"]) for row in rows])
    ranked = sorted((row for row in rows if row["rank"]), key=lambda row: int(row["rank"]))
    assert [float(row["value"]) for row in ranked] == sorted(values, reverse=True)[:2]
    assert "4 labelled crops" in costal("project", "info", folder)[1]
    assert "model 1, trained on 4 labels" in costal("project", "info", folder)[1]


def test_a_query_is_a_csv_to_fill_in_and_to_take_labels_from(costal, folder, image, tmp_path):
    out = tmp_path / "query.csv"
    code, text, _ = costal("query", image, "--project", folder, "-n", "4", "--out", out, "--device", "cpu")
    assert (code, "Wrote a query of 4 crops" in text) == (0, True)
    rows = rows_of(out)
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["class"] for row in rows} == {""}
    filled = out.read_text().splitlines()
    out.write_text("\n".join([filled[0], *(line + name for line, name in zip(filled[1:], NAMES * 2, strict=True))]))
    code, _, err = costal("label", "--from", out, "--project", folder)
    assert (code, err.strip()) == (0, "")
    assert "4 labelled crops" in costal("project", "info", folder)[1]
    again = ("query", image, "--project", folder, "-n", "9", "--out", out, "--device", "cpu")
    filled = out.read_bytes()
    code, _, err = costal(*again)
    assert (code, "classes filled in" in err, out.read_bytes()) == (1, True, filled)
    assert costal(*again, "--overwrite")[0] == 0
    assert len(rows_of(out)) == 5, "what is labelled is not asked again"


@pytest.mark.parametrize("command", ["score", "query"])
@pytest.mark.parametrize("victim", ["frame.tif", "neurons/labels.sqlite", "neurons/project.toml"])
def test_a_table_never_takes_the_place_of_an_image_or_of_a_project(costal, folder, image, tmp_path, command, victim):
    before = (tmp_path / victim).read_bytes()
    code, _, err = costal(command, image, "--project", folder, "--out", tmp_path / victim)
    assert (code, "does not end in .csv" in err) == (1, True)
    assert (tmp_path / victim).read_bytes() == before


def test_a_plane_whose_crops_are_all_labelled_is_scored_and_the_others_are_asked(costal, folder, image, tmp_path):
    pixels = tifffile.imread(image)
    stack = np.stack([pixels, pixels + np.uint16(1)])
    tifffile.imwrite(tmp_path / "stack.ome.tif", stack, metadata={"axes": "ZYX"})
    project = load_project(folder)
    save_project(replace(project, intake=replace(project.intake, z="each")))
    places = [(y, x) for y in (0, CROP, 2 * CROP) for x in (0, CROP, 2 * CROP)]

    def fill(plane):
        rows = [f"stack.ome.tif,{plane},{y},{x},rings" for y, x in places]
        (tmp_path / "labels.csv").write_text("\n".join(["frame,planes,y,x,class", *rows]))
        assert costal("label", "--from", tmp_path / "labels.csv", "--project", folder)[0] == 0

    options = (tmp_path / "stack.ome.tif", "--project", folder, "--device", "cpu", "--out")
    fill("z 0")
    assert costal("score", *options, tmp_path / "scores.csv")[0] == 0
    rows = rows_of(tmp_path / "scores.csv")
    assert {
        row["planes"]: sum(one["rank"] != "" for one in rows if one["planes"] == row["planes"]) for row in rows
    } == {
        "z 0": 0,
        "z 1": 2,
    }
    assert costal("query", *options, tmp_path / "query.csv")[0] == 0
    assert {row["planes"] for row in rows_of(tmp_path / "query.csv")} == {"z 1"}
    fill("z 1")
    assert costal("score", *options, tmp_path / "scores.csv")[0] == 0
    code, _, err = costal("query", *options, tmp_path / "query2.csv")
    assert (code, "Every crop of" in err, (tmp_path / "query2.csv").exists()) == (1, True, False)


def test_a_failed_scoring_leaves_no_empty_table(costal, folder, tmp_path):
    assert costal("score", tmp_path / "nowhere.tif", "--project", folder, "--out", tmp_path / "scores.csv")[0] == 1
    assert not (tmp_path / "scores.csv").exists()


def test_training_brings_a_store_of_an_older_version_up_to_date(costal, folder):
    path = load_project(folder).store_path
    path.unlink()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, path, MIGRATIONS[:1])
    assert costal("project", "info", folder)[0] == 1
    assert "has no labels yet" in costal("train", "--project", folder)[2]
    assert costal("project", "info", folder)[0] == 0


def test_a_path_that_no_system_takes_is_one_sentence(costal, folder, tmp_path):
    code, _, err = costal("project", "info", tmp_path / ("n" * 300))
    assert (code, len(err.splitlines())) == (1, 1)


def test_n_and_minutes_are_two_questions(costal, folder, image):
    code, _, err = costal("query", image, "--project", folder, "-n", "4", "--minutes", "2")
    assert code == 2
    assert "not both" in err


def test_minutes_need_measured_efforts(costal, folder, image, tmp_path):
    label(folder, image, [1, 2, 1, 2])
    costal("train", "--project", folder, "--device", "cpu")
    arguments = ("--project", folder, "--minutes", "2", "--out", tmp_path / "q.csv", "--device", "cpu")
    code, _, err = costal("query", image, *arguments)
    assert code == 1
    assert "10 efforts" in err


def test_figures_come_as_one_json_object(costal, folder, image, tmp_path):
    out = tmp_path / "scores.csv"
    code, text, _ = costal("score", image, "--project", folder, "--out", out, "--device", "cpu", "--json")
    document = json.loads(text)
    assert (code, document["crops"], document["frames"], document["out"]) == (0, 9, 1, str(out))
    label(folder, image, [1, 2, 1, 2])
    document = json.loads(costal("train", "--project", folder, "--device", "cpu", "--json")[1])
    assert (document["generation"], document["labels"]) == (1, 4)
    assert any("All crops get one cost" in note for note in document["notes"])


def test_each_plane_of_a_stack_is_scored_when_the_project_says_so(costal, folder, image, tmp_path):
    stack = np.stack([tifffile.imread(image)] * 3) + np.arange(3, dtype=np.uint16)[:, None, None]
    tifffile.imwrite(tmp_path / "stack.ome.tif", stack, metadata={"axes": "ZYX"})
    for choice, frames in (("each", ["z 0", "z 1", "z 2"]), ("max", ["max z"])):
        project = load_project(folder)
        save_project(replace(project, intake=replace(project.intake, z=choice)))
        arguments = ("--project", folder, "--out", tmp_path / "scores.csv", "--device", "cpu")
        assert costal("score", tmp_path / "stack.ome.tif", *arguments)[0] == 0
        assert list(dict.fromkeys(row["planes"] for row in rows_of(tmp_path / "scores.csv"))) == frames


def test_training_is_refused_while_a_window_holds_the_project(costal, folder, image):
    label(folder, image, [1, 2, 1, 2])
    with ProjectSession(folder):
        code, _, err = costal("train", "--project", folder, "--device", "cpu")
    assert code == 1
    assert f"process {os.getpid()}" in err


def test_training_a_project_without_labels_is_refused(costal, folder):
    code, _, err = costal("train", "--project", folder)
    assert code == 1
    assert "has no labels yet" in err


def test_training_on_one_class_says_what_is_missing(costal, folder, image):
    label(folder, image, [1, 1])
    code, out, _ = costal("train", "--project", folder, "--device", "cpu")
    assert code == 0
    assert "2 labels of 1 class" in out
    assert out.splitlines()[-1] == "No model was saved."


def test_training_after_a_change_of_crop_size_names_the_reason_and_keeps_the_model(costal, folder, image):
    label(folder, image, [1, 2, 1, 2])
    assert costal("train", "--project", folder, "--device", "cpu")[1].splitlines()[-1] == "Model 1 saved."
    project = load_project(folder)
    old, new = project.tiling.crop, project.tiling.crop // 2
    save_project(replace(project, tiling=replace(project.tiling, crop=new, stride=new)))
    code, out, _ = costal("train", "--project", folder, "--device", "cpu")
    assert code == 0
    assert out.splitlines()[-3:] == [
        f"4 of 4 labels were left out: their crops are {old} px, the project's are {new} px.",
        f"Label crops of {new} px, or set the project's crop size back to {old} px, then train again.",
        "No model was saved. Model 1 stays the newest.",
    ]
    assert [path.name for path in project.model_folder.glob("*.json")] == ["0001.json"]


def test_an_image_that_cannot_be_read_is_an_error(costal, folder, tmp_path):
    (tmp_path / "frame.tif").write_text("no image")
    code, _, err = costal("score", tmp_path / "frame.tif", "--project", folder)
    assert code == 1
    assert "is not a TIFF" in err
