"""``costal export``, ``import``, ``label`` and ``project``, as a person or a program runs them."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from costal.cli.output import tell
from costal.labels.exchange.exports import EXPORT_KINDS
from costal.labels.project import Tiling
from costal.labels.project_file import load_project, save_project

DOCUMENT = Path(__file__).parents[1] / "fixtures" / "project-document.json"
ROWS = "frame: 3, crop: 7, recipe: 0, presentation: 8, event: 16, action: 0, label: 9, arrival: 1"


def test_labels_go_out_and_into_another_project(costal, folder, tmp_path):
    code, out, _ = costal("export", folder, "--as", "csv", "--out", tmp_path / "out.csv")
    assert (code, out) == (0, f"Wrote {tmp_path / 'out.csv'} (rings: 1, =fibres: 1, (skip): 1).\n")
    costal("project", "new", tmp_path / "other")
    options = ("--project", tmp_path / "other", "--annotator", "eve")
    code, _, err = costal("label", "--from", tmp_path / "out.csv", *options)
    assert code == 1
    assert "costal: " in err
    assert "does not have: rings, =fibres" in err
    code, _, err = costal("label", "--from", tmp_path / "out.csv", *options, "--add-classes")
    assert (code, "the project's grid has crops of 64 px" in err) == (1, True)
    save_project(replace(load_project(tmp_path / "other"), tiling=Tiling(16, 16)))
    text = "3 new labels; 0 already existed; 1 new frames. New classes: rings, =fibres.\n"
    rehearsal = costal("label", "--from", tmp_path / "out.csv", *options, "--add-classes", "--dry-run")
    assert rehearsal[:2] == (0, f"Nothing was stored. This would import {text}")
    assert costal("label", "--from", tmp_path / "out.csv", *options, "--add-classes")[1] == f"Imported {text}"
    again = costal("label", "--from", tmp_path / "out.csv", *options)
    assert again[1] == "Imported 0 new labels; 3 already existed; 0 new frames.\n"


def test_rows_that_contradict_labels_change_them_with_replace_alone(costal, folder, tmp_path):
    (tmp_path / "other.csv").write_text("frame,y,x,class\na.tif,0,0,=fibres\na.tif,0,16,=fibres\n", "utf-8")
    arguments = ("label", "--from", tmp_path / "other.csv", "--project", folder)
    text = "Imported 0 new labels; 1 already existed; 0 new frames. 1 rows contradict existing labels: "
    assert costal(*arguments)[:2] == (0, text + "these are unchanged; --replace changes them.\n")
    assert costal(*arguments, "--replace")[:2] == (0, text + "these were changed.\n")
    assert costal(*arguments)[1] == "Imported 0 new labels; 2 already existed; 0 new frames.\n"


def test_a_project_that_an_earlier_version_exported_as_json_comes_back(costal, tmp_path):
    code, out, _ = costal("import", DOCUMENT, tmp_path / "again")
    assert (code, out) == (0, f"Made {tmp_path / 'again'} ({ROWS}).\n")
    assert costal("project", "info", tmp_path / "again")[1].splitlines() == [
        "neurons: 4 labelled crops; crops were shown 8 times",
        "  [1] rings: 2",
        "  [2] =fibres: 2",
        "  skipped or excluded: 2",
        "  no model yet",
    ]
    code, _, err = costal("import", DOCUMENT, tmp_path / "again")
    assert (code, "is not empty" in err) == (1, True)


def test_a_project_is_packed_and_unpacked(costal, folder, tmp_path):
    code, out, _ = costal("project", "pack", folder, "--out", tmp_path / "neurons.zip")
    assert (code, out.startswith(f"Wrote {tmp_path / 'neurons.zip'} (2 files, ")) == (0, True)
    assert costal("project", "unpack", tmp_path / "neurons.zip", tmp_path / "again")[0] == 0
    assert costal("project", "info", tmp_path / "again")[1] == costal("project", "info", folder)[1]
    assert costal("project", "unpack", tmp_path / "neurons.zip", tmp_path / "again")[0] == 1


@pytest.mark.parametrize("kind", EXPORT_KINDS)
def test_every_form_is_written_once_and_replaced_when_asked(costal, folder, tmp_path, kind):
    arguments = ("export", folder, "--as", kind, "--out", tmp_path / "out")
    assert [costal(*arguments)[0], costal(*arguments)[0], costal(*arguments, "--overwrite")[0]] == [0, 1, 0]


def test_an_unknown_form_is_a_mistake_of_the_command(costal, folder, tmp_path):
    code, _, err = costal("export", folder, "--as", "xml", "--out", tmp_path / "out")
    assert code == 2
    assert "geojson" in err


def test_a_share_for_validation_is_said(costal, folder, tmp_path):
    arguments = ("export", folder, "--as", "csv", "--out", tmp_path / "out", "--validation", "0.2")
    assert costal(*arguments)[1].splitlines() == [
        f"Wrote {tmp_path / 'out'} (rings: 1, =fibres: 1, (skip): 1; 3 for train).",
        "There is only one frame, and a frame is never split: all its labels are for training.",
    ]


def test_with_json_each_command_prints_one_object(costal, folder, tmp_path):
    def figures(*arguments):
        code, out, _ = costal(*arguments, "--json")
        assert code == 0
        assert out.count("\n") == 1
        return json.loads(out)

    exported = figures("export", folder, "--as", "coco", "--out", tmp_path / "neurons.json")
    assert (exported["counts"], exported["path"]) == ({"rings": 1, "=fibres": 1}, str(tmp_path / "neurons.json"))
    rows = figures("import", DOCUMENT, tmp_path / "again")["rows"]
    assert rows == {
        "frame": 3,
        "crop": 7,
        "recipe": 0,
        "presentation": 8,
        "event": 16,
        "action": 0,
        "label": 9,
        "arrival": 1,
    }
    labelled = figures("label", "--from", tmp_path / "labels.csv", "--project", folder)
    nothing = {"classes": [], "contradicting": 0, "replaced": False, "notes": [], "dry_run": False}
    assert labelled == {"added": 0, "unchanged": 3, "frames": 0, **nothing}
    result = figures("project", "info", folder)
    assert (result["labels"], result["skipped_or_excluded"], result["presentations"]) == (2, 1, 3)
    assert [(each["name"], each["labels"]) for each in result["classes"]] == [("rings", 1), ("=fibres", 1)]
    assert result["model"] is None
    assert figures("project", "new", tmp_path / "third")["classes"] == ["class 1", "class 2"]
    assert figures("project", "check", folder) == {"folder": str(folder), "whole": True, "findings": []}
    assert figures("project", "repair", folder) == {"folder": str(folder), "done": [], "whole": True}


def test_what_a_crash_left_behind_is_listed_and_no_damage(costal, folder):
    (folder / "project.toml.new").write_text("half")
    code, out, err = costal("project", "check", folder)
    assert (code, err) == (0, "")
    assert "project.toml.new: a crash left it half written" in out
    code, out, _ = costal("project", "check", folder, "--json")
    document = json.loads(out)
    assert (code, document["whole"]) == (0, True)
    assert [(each["kind"], each["where"]) for each in document["findings"]] == [("leftover", "project.toml.new")]


def test_a_damaged_project_fails_the_check_until_it_is_repaired(costal, folder):
    (folder / "project.toml").write_text("half =")
    (folder / "project.toml.new").write_text("half")
    code, out, err = costal("project", "check", folder)
    assert (code, out) == (1, "")
    assert f"Run: costal project repair {folder}" in err
    code, out, _ = costal("project", "check", folder, "--json")
    assert code == 1
    assert [each["kind"] for each in json.loads(out)["findings"]] == ["settings", "leftover"]
    code, out, _ = costal("project", "repair", folder)
    assert code == 0
    assert "Moved project.toml.new to lost and found." in out
    assert costal("project", "check", folder)[:2] == (0, f"{folder} is not damaged.\n")
    assert costal("project", "repair", folder)[1] == "There is nothing to repair.\n"


def test_what_repair_cannot_mend_is_said_and_fails(costal, folder):
    (folder / "labels.sqlite").write_bytes(b"x" * 4096)
    (folder / "project.toml.new").write_text("half")
    code, out, err = costal("project", "repair", folder)
    assert code == 1
    assert "lost and found" in out
    assert "Restore labels.sqlite from a backup" in err


def test_merged_and_retired_classes_are_counted_as_what_they_are_today(costal, folder):
    from costal.labels.classes import merge_classes, new_class, retire_class

    project = new_class(load_project(folder), "old")
    save_project(retire_class(merge_classes(project, 2, 1), 3))
    assert costal("project", "info", folder)[1].splitlines() == [
        "neurons: 2 labelled crops; crops were shown 3 times",
        "  [1] rings: 2",
        "  [] old: 0 (retired)",
        "  skipped or excluded: 1",
        "  no model yet",
    ]


def test_a_project_without_its_store_is_an_error(costal, folder, tmp_path):
    (folder / "labels.sqlite").unlink()
    for arguments in (("export", folder, "--as", "csv", "--out", tmp_path / "out"), ("project", "info", folder)):
        code, _, err = costal(*arguments)
        assert code == 1
        assert "is missing or empty" in err
    assert not (folder / "labels.sqlite").exists()


@pytest.mark.parametrize(
    ("figures", "line"),
    [
        ({"β": float("nan"), "costs": [1.5, float("inf")]}, '{"\\u03b2": null, "costs": [1.5, null]}'),
        ({"nested": {1: (float("-inf"), "a")}}, '{"nested": {"1": [null, "a"]}}'),
        ({}, "{}"),
    ],
)
def test_json_on_the_terminal_is_strict_and_plain(capsys, figures, line):
    tell("text", figures, True)
    assert capsys.readouterr().out == line + "\n"
    tell("text", figures, False)
    assert capsys.readouterr().out == "text\n"


def test_the_table_of_an_export_opens_in_a_spreadsheet_without_formulas(costal, folder, tmp_path):
    costal("export", folder, "--as", "csv", "--out", tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert not [cell for row in csv.reader(file) for cell in row if cell[:1] in "=+-@" and cell]
