import os
import tomllib
from dataclasses import replace

import pytest

from costal.errors import ProjectError
from costal.labels import project as project_module
from costal.labels.project import (
    Choices,
    LabelClass,
    Tiling,
    checked,
    create_project,
    load_project,
    new_class,
    save_project,
    write_atomically,
)
from costal.types import Training


@pytest.fixture
def project(tmp_path):
    return create_project(tmp_path / "neurons", ("rings", "fibres"))


def edit(project, old, new):
    path = project.folder / "project.toml"
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def test_a_project_comes_back_as_it_was_saved(project):
    changed = replace(
        project,
        name="Ünïcode",
        tiling=Tiling(32, 16, "pad", "project"),
        choices=Choices("std", 2.0, 0.0, 7, 3, 11, False, False),
        idle_limit_s=7.5,
    )
    save_project(new_class(changed, "puncta"))
    assert load_project(project.folder) == new_class(changed, "puncta")


def test_a_new_project_has_its_folder_models_and_named_classes(project):
    assert (project.folder / "models").is_dir()
    assert project.name == "neurons"
    assert [(each.id, each.name, each.key) for each in project.classes] == [(1, "rings", "1"), (2, "fibres", "2")]


@pytest.mark.parametrize("inside", ["a file", "a project"])
def test_a_folder_that_holds_something_is_refused(project, tmp_path, inside):
    folder = project.folder if inside == "a project" else tmp_path
    with pytest.raises(ProjectError, match="is not empty"):
        create_project(folder)


def test_an_empty_folder_will_do(tmp_path):
    assert create_project(tmp_path).folder == tmp_path


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ProjectError, match="not empty"):
        create_project(tmp_path / "file")
    with pytest.raises(ProjectError, match="cannot be made"):
        create_project(tmp_path / "file" / "below")


def test_settings_reach_the_agent(project):
    project = replace(
        project,
        classes=(replace(project.classes[0], acquisition_cost_s=2.0), project.classes[1]),
        choices=Choices("std", 2.0, 0.1, 7, 3, 11, False, True),
    )
    settings = project.agent_settings()
    assert (settings.class_count, settings.acquisition, settings.alpha, settings.beta) == (2, "std", 2.0, 0.1)
    assert (settings.passes, settings.n, settings.acquisition_cost_K) == (7, 3, (2.0, 0.0))
    assert settings.training == Training(augment=False, class_weights=True)


# classes


def test_new_classes_take_the_next_id_and_the_first_free_key(project):
    for number in range(3, 13):
        project = new_class(project, f"class {number}")
    assert [each.id for each in project.classes] == list(range(1, 13))
    assert [each.key for each in project.classes] == [*"1234567890", "", ""]
    assert len({each.colour for each in project.classes[:10]}) == 10
    assert project.classes[10].colour == project.classes[0].colour


def test_the_id_of_a_class_taken_out_in_the_middle_is_not_used_again(project):
    without_first = replace(project, classes=project.classes[1:])
    added = new_class(without_first, "puncta").classes[-1]
    assert (added.id, added.key) == (3, "1")


def test_a_class_keeps_its_output_by_its_place(project):
    assert [project.class_index(each) for each in (1, 2)] == [0, 1]
    assert replace(project, classes=project.classes[::-1]).class_index(1) == 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"name": "fibres"}, "Two classes have the name 'fibres'"),
        ({"key": "2"}, "Two classes have the key '2'"),
        ({"id": 2}, "Two classes have the id '2'"),
        ({"name": "  "}, "A class has no name"),
        ({"acquisition_cost_s": -1.0}, "acquisition cost of 'rings'"),
        ({"acquisition_cost_s": float("nan")}, "acquisition cost of 'rings'"),
    ],
)
def test_a_class_that_cannot_be_is_refused(project, changed, sentence):
    with pytest.raises(ProjectError, match=sentence):
        checked(replace(project, classes=(replace(project.classes[0], **changed), project.classes[1])))


def test_classes_without_a_key_are_not_duplicates(project):
    classes = tuple(replace(each, key="") for each in project.classes)
    assert checked(replace(project, classes=classes)).classes == classes


def test_a_duplicate_is_refused_before_anything_is_written(project, tmp_path):
    before = (project.folder / "project.toml").read_bytes()
    with pytest.raises(ProjectError):
        save_project(replace(project, classes=(*project.classes, LabelClass(3, "rings", "3", "#000000"))))
    assert (project.folder / "project.toml").read_bytes() == before
    with pytest.raises(ProjectError):
        create_project(tmp_path / "other", ("a", "a"))
    assert not (tmp_path / "other").exists()


# a file that someone edited


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        pytest.param("beta = 0.3", "betta = 0.3", "agent: 'betta' is not known. Known are .*beta", id="unknown key"),
        pytest.param("idle_limit_s = 20.0", "idle = 20.0", "'idle' is not known", id="unknown key at the top"),
        pytest.param("n = 10", 'n = "ten"', "n = 'ten' should be a int", id="text for a number"),
        pytest.param("n = 10", "n = 10.5", "n = 10.5 should be a int", id="a fraction for a count"),
        pytest.param("n = 10", "n = true", "n = True should be a int", id="true for a number"),
        pytest.param("augment = true", "augment = 1", "augment = 1 should be a bool", id="a number for true"),
        pytest.param('edge = "drop"', 'edge = "cut"', "edge = 'cut' should be one of drop, pad", id="unknown edge"),
        pytest.param(
            'normalise = "frame"', 'normalise = "all"', "should be one of frame, project", id="unknown normalisation"
        ),
        pytest.param(
            'acquisition = "', 'acquisition = "my', "'my.*' is not an acquisition function. Use bald", id="unknown name"
        ),
        pytest.param("alpha = 1.0", "alpha = -1.0", "α and β must be 0 or more", id="negative α"),
        pytest.param("beta = 0.3", "beta = nan", "α and β must be 0 or more", id="β is not a number"),
        pytest.param("passes = 50", "passes = 0", "n and T 1 to 10000", id="no passes"),
        pytest.param("crop = 64", "crop = 4", "cannot be cut", id="tiny crop"),
        pytest.param("stride = 64", "stride = 65", "cannot be cut", id="stride beyond the crop"),
        pytest.param('key = "1"', 'key = "s"', "'s' cannot be the key", id="a key that skips"),
        pytest.param("seed = 0", "seed = -1", "seed -1 must be 0 or more", id="negative seed"),
        pytest.param(
            "idle_limit_s = 20.0", "idle_limit_s = 0", "idle limit of 0 s must be above 0", id="no idle limit"
        ),
        pytest.param("idle_limit_s = 20.0", "idle_limit_s = inf", "idle limit of inf s", id="endless idle limit"),
        pytest.param(
            "idle_limit_s = 20.0", 'idle_limit_s = "x"', "idle_limit_s = 'x' should be", id="text for seconds"
        ),
        pytest.param('key = "1", ', "", "missing 1 required positional argument: 'key'", id="missing key"),
        pytest.param("format = 1", "format = 99", "project format 99; .* reads up to 1. Update", id="newer format"),
        pytest.param("format = 1", "", "project format None", id="no format"),
        pytest.param("format = 1", "format = ", "is broken: .*line 1.* Restore", id="broken TOML"),
        pytest.param("[tiling]", "[[tiling]]", "tiling: .* should be a table", id="a list for a table"),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_the_place_and_the_value(project, old, new, sentence):
    edit(project, old, new)
    with pytest.raises(ProjectError, match=sentence):
        load_project(project.folder)


def test_classes_that_are_no_list_are_refused(project):
    (project.folder / "project.toml").write_text('format = 1\nclasses = "rings"\n')
    with pytest.raises(ProjectError, match="classes = 'rings' should be a list"):
        load_project(project.folder)


def test_a_whole_number_will_do_for_a_fraction(project):
    edit(project, "alpha = 1.0", "alpha = 2")
    assert load_project(project.folder).choices.alpha == 2


def test_what_is_left_out_has_its_default(project):
    (project.folder / "project.toml").write_text("format = 1\n")
    loaded = load_project(project.folder)
    assert (loaded.name, loaded.classes, loaded.tiling, loaded.choices) == ("neurons", (), Tiling(), Choices())


def test_a_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(ProjectError, match=r"is no project: it has no project.toml"):
        load_project(tmp_path)


def test_a_file_of_other_bytes_is_refused(project):
    (project.folder / "project.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProjectError, match="is broken"):
        load_project(project.folder)


def test_the_file_holds_nothing_that_only_one_machine_understands(project):
    text = (project.folder / "project.toml").read_text("utf-8")
    assert str(project.folder.parent) not in text
    assert tomllib.loads(text)["format"] == 1


# writing in one step


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_says_so(tmp_path, monkeypatch, failing):
    path = tmp_path / "kept"
    write_atomically(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if failing == "fsync" else (project_module.Path, "replace")), full)
    with pytest.raises(ProjectError, match=r"cannot be written: No space left on device. Free some space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


def test_a_write_replaces_the_whole_content_and_leaves_nothing_beside_it(tmp_path):
    write_atomically(tmp_path / "kept", b"a long old content")
    write_atomically(tmp_path / "kept", b"new")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("kept", b"new")]


def test_the_content_is_on_disk_before_it_takes_the_old_ones_place(tmp_path, monkeypatch):
    order = []
    fsync, replace_ = os.fsync, project_module.Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (order.append("fsync"), fsync(number)))
    monkeypatch.setattr(
        project_module.Path, "replace", lambda self, to: (order.append("replace"), replace_(self, to))[1]
    )
    write_atomically(tmp_path / "kept", b"new")
    assert order == ["fsync", "replace"]
