import tomllib
from dataclasses import replace

import pytest

from costal.errors import ProjectError
from costal.labels.classes import new_class
from costal.labels.project import TRAINING, Choices, Intake, LabelClass, Tiling, checked
from costal.labels.project_file import create_project, load_project, save_project


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
        choices=Choices(
            acquisition="bald",
            alpha=2.0,
            beta=0.0,
            passes=7,
            n=3,
            by="minutes",
            minutes=12.5,
            diverse=False,
            control_share=0.25,
            seed=11,
            augment=False,
            class_weights=False,
            backbone="efficientnet_lite0",
        ),
        intake=Intake("../frames", "each", "first"),
        idle_limit_s=7.5,
        kept_models=3,
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


def test_a_folder_whose_name_is_too_long_is_refused(tmp_path):
    with pytest.raises(ProjectError, match="cannot be made"):
        create_project(tmp_path / ("n" * 300))


def test_a_folder_whose_name_is_no_text_will_do(tmp_path):
    folder = tmp_path / "ring\udcff"
    try:
        folder.mkdir()
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes text alone")
    assert load_project(create_project(folder).folder).name == "ring?"


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
        choices=Choices(alpha=2.0, beta=0.1, passes=7, n=3, diverse=False, control_share=0.25, augment=False),
    )
    settings = project.agent_settings()
    assert (settings.class_count, settings.acquisition, settings.alpha, settings.beta) == (2, "std", 2.0, 0.1)
    assert (settings.passes, settings.n, settings.acquisition_cost_K) == (7, 3, (2.0, 0.0))
    assert (settings.diverse, settings.control_share, settings.budget) == (False, 0.25, None)
    assert settings.training == replace(TRAINING, augment=False, class_weights=True)


def test_a_budget_in_minutes_reaches_the_agent_in_seconds(project):
    project = replace(project, choices=Choices(by="minutes", minutes=12.5))
    assert project.agent_settings().budget == 750


def test_only_offered_classes_reach_the_agent(project):
    first, second = project.classes
    third = replace(second, id=5, name="puncta", key="5", acquisition_cost_s=3.0)
    settings = replace(project, classes=(replace(first, retired=True), second, third)).agent_settings()
    assert (settings.class_count, settings.class_ids, settings.acquisition_cost_K) == (2, (2, 5), (0.0, 3.0))


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
        ({"id": 0}, r"id = 0 of class 1 \(rings\) should be a whole number from 1 to 65535. Correct it"),
        ({"id": 65_536}, "id = 65536 of class 1 .* should be a whole number from 1 to 65535"),
        ({"name": "n" * 201}, "a name of at most 200"),
        ({"name": "  "}, "name = .* of class 1 should be a name of at most 200 printable characters. Correct it"),
        ({"name": "a\nb"}, "of class 1 should be a name"),
        ({"colour": "red"}, r'colour = "red" of class 1 \(rings\) should be a colour as #rrggbb. Correct it'),
        ({"key": "12"}, r'key = "12" of class 1 \(rings\) should be one digit or letter, or "" for none'),
        ({"key": "?"}, "should be one digit or letter"),
        ({"merged_into": 7}, "'rings' cannot be merged into class 7"),
        ({"merged_into": 1}, "'rings' cannot be merged into class 1"),
        ({"acquisition_cost_s": -1.0}, "acquisition_cost_s = -1.0 of class 1 .* should be a number from 0 to 86400 s"),
        ({"acquisition_cost_s": float("nan")}, "acquisition_cost_s = .* should be a number from 0"),
        ({"acquisition_cost_s": 1e308}, "acquisition_cost_s = .* should be a number from 0"),
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
        pytest.param(
            "beta = 0.3", "betta = 0.3", r"'betta' of \[agent\] is not known. Did you mean 'beta'", id="unknown"
        ),
        pytest.param("idle_limit_s = 20.0", "idle = 20.0", "'idle' is not known", id="unknown key at the top"),
        pytest.param("n = 10", "kept_models = 3", "It belongs to the top of the file: move it there", id="elsewhere"),
        pytest.param(
            "n = 10",
            'n = "ten"',
            r'n = "ten" of \[agent\] should be a whole number from 1 to 10000. Correct it, or remove it for the '
            "default: 10",
            id="text for a number",
        ),
        pytest.param("n = 10", "n = 10.5", "n = 10.5 .* should be a whole number", id="a fraction for a count"),
        pytest.param("n = 10", "n = 10.0", "n = 10.0 .* should be a whole number", id="a whole fraction for a count"),
        pytest.param("n = 10", "n = true", "n = true .* should be a whole number", id="true for a number"),
        pytest.param("alpha = 1.0", "alpha = true", "alpha = true .* should be a number", id="true for a fraction"),
        pytest.param("augment = true", "augment = 1", "augment = 1 .* should be true or false", id="a number for true"),
        pytest.param('edge = "drop"', 'edge = "cut"', 'edge = "cut" .* should be one of drop, pad', id="unknown edge"),
        pytest.param(
            'normalise = "frame"', 'normalise = "all"', "should be one of frame, project", id="unknown normalisation"
        ),
        pytest.param('acquisition = "', 'acquisition = "my', "should be one of bald, predictive_entropy", id="no name"),
        pytest.param(
            "alpha = 1.0", "alpha = -1.0", "alpha = -1.0 .* should be a number from 0 to 100", id="negative α"
        ),
        pytest.param("beta = 0.3", "beta = nan", "beta = .* should be a number from 0 to 10", id="β is not a number"),
        pytest.param("passes = 50", "passes = 0", "should be a whole number from 1 to 10000", id="no passes"),
        pytest.param("crop = 64", "crop = 4", r"of \[tiling\] should be .* from 8 to 10000 px", id="tiny crop"),
        pytest.param("stride = 64", "stride = 65", "would leave gaps", id="stride beyond the crop"),
        pytest.param("seed = 0", "seed = -1", "seed = -1 .* should be a whole number from 0", id="negative seed"),
        pytest.param(
            "idle_limit_s = 20.0", "idle_limit_s = 0", "should be a number above 0 to 86400 s", id="no idle limit"
        ),
        pytest.param("idle_limit_s = 20.0", "idle_limit_s = inf", "idle_limit_s = .* should be", id="endless limit"),
        pytest.param("idle_limit_s = 20.0", "idle_limit_s = 1e300", "= 1e.300 should be", id="huge idle limit"),
        pytest.param(
            "idle_limit_s = 20.0", 'idle_limit_s = "x"', 'idle_limit_s = "x" should be', id="text for seconds"
        ),
        pytest.param('key = "1"\n', "", r"'key' of class 1 \(rings\) is missing. Add it: one digit", id="missing key"),
        pytest.param("format = 3", "format = 99", "project format 99; .* reads up to 3. Update", id="newer format"),
        pytest.param("format = 3", "", "project format None", id="no format"),
        pytest.param("format = 3", "format = ", "is broken: .*line 1.* Restore", id="broken TOML"),
        pytest.param(
            'z = "max"', 'z = "sum"', r'z = "sum" of \[intake\] should be one of each, first', id="unknown projection"
        ),
        pytest.param('by = "crops"', 'by = "hours"', "should be one of crops, minutes", id="unknown rule"),
        pytest.param("minutes = 20.0", "minutes = 0", "minutes = 0 .* should be a number above 0", id="no minutes"),
        pytest.param(
            "control_share = 0.1",
            "control_share = 1.5",
            "control_share = 1.5 .* should be a number from 0 to 1",
            id="more than all",
        ),
        pytest.param(
            "kept_models = 10", "kept_models = 0", "kept_models = 0 should be a whole number from 1", id="no model kept"
        ),
        pytest.param("merged_into = 0", "merged_into = 1", "'rings' cannot be merged into class 1", id="a merge cycle"),
        pytest.param(
            "[tiling]",
            "[[tiling]]",
            r"tiling = .* should be a table. Write its keys below a line \[tiling\]",
            id="a list for a table",
        ),
    ],
)
def test_a_file_that_cannot_be_is_refused_with_the_place_and_the_value(project, old, new, sentence):
    edit(project, old, new)
    with pytest.raises(ProjectError, match=sentence) as refusal:
        load_project(project.folder)
    assert str(project.folder) in str(refusal.value)


def test_classes_that_are_no_list_are_refused(project):
    (project.folder / "project.toml").write_text('format = 1\nclasses = "rings"\n')
    with pytest.raises(ProjectError, match="'classes' should be a list of tables"):
        load_project(project.folder)


def test_a_whole_number_will_do_for_a_fraction(project):
    edit(project, "alpha = 1.0", "alpha = 2")
    assert repr(load_project(project.folder).choices.alpha) == "2.0"


def test_a_class_of_a_file_may_have_the_key_that_a_tool_has_by_default(project):
    edit(project, 'key = "1"', 'key = "s"')
    assert load_project(project.folder).classes[0].key == "s"


def test_what_is_left_out_has_its_default(project):
    (project.folder / "project.toml").write_text("format = 1\n")
    loaded = load_project(project.folder)
    assert (loaded.name, loaded.classes, loaded.tiling, loaded.choices) == ("neurons", (), Tiling(), Choices())


def test_a_folder_without_a_project_is_refused(tmp_path):
    with pytest.raises(ProjectError, match=r"is not a project: it has no project.toml"):
        load_project(tmp_path)


def test_a_file_of_other_bytes_is_refused(project):
    (project.folder / "project.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProjectError, match="is broken"):
        load_project(project.folder)


def test_the_file_holds_nothing_that_only_one_machine_understands(project):
    text = (project.folder / "project.toml").read_text("utf-8")
    assert str(project.folder.parent) not in text
    assert tomllib.loads(text)["format"] == 3


FORMAT_1 = """
format = 1
name = "old"
idle_limit_s = 30.0

[tiling]
crop = 32
stride = 16
edge = "pad"
normalise = "project"

[agent]
acquisition = "bald"
alpha = 1.0
beta = 0.5
passes = 20
n = 5
seed = 3
augment = true
class_weights = false

[[classes]]
id = 1
name = "rings"
key = "1"
colour = "#4477aa"
acquisition_cost_s = 0.0

[[classes]]
id = 3
name = "fibres"
key = "F"
colour = "#ee6677"
acquisition_cost_s = 1.5
"""


def test_a_file_of_format_1_still_loads_with_the_defaults_for_what_is_new(project):
    (project.folder / "project.toml").write_text(FORMAT_1)
    loaded = load_project(project.folder)
    assert loaded.classes == (
        LabelClass(1, "rings", "1", "#4477aa"),
        LabelClass(3, "fibres", "F", "#ee6677", acquisition_cost_s=1.5),
    )
    assert loaded.choices == Choices(acquisition="bald", beta=0.5, passes=20, n=5, seed=3, class_weights=False)
    assert (loaded.tiling, loaded.intake) == (Tiling(32, 16, "pad", "project"), Intake())
    assert (loaded.name, loaded.idle_limit_s, loaded.kept_models) == ("old", 30.0, 10)


def test_a_file_of_format_1_is_the_newest_once_it_is_saved(project):
    (project.folder / "project.toml").write_text(FORMAT_1)
    loaded = load_project(project.folder)
    save_project(loaded)
    assert tomllib.loads((project.folder / "project.toml").read_text("utf-8"))["format"] == 3
    assert load_project(project.folder) == loaded
