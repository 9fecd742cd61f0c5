import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from costal.errors import ProjectError
from costal.labels.classes import (
    describe_class,
    free_name,
    merge_classes,
    new_class,
    recolour_class,
    rekey_class,
    rename_class,
    restore_class,
    retire_class,
)
from costal.labels.project import LabelClass, Project, checked
from costal.labels.project_file import create_project, load_project, save_project

ONE = LabelClass(1, "rings", "1", "#4477aa")
TWO = LabelClass(2, "fibres", "2", "#ee6677")
THREE = LabelClass(3, "puncta", "3", "#228833")
PROJECT = Project(Path("neurons"), "neurons", (ONE, TWO, THREE))


def by_id(project, class_id):
    return next(each for each in project.classes if each.id == class_id)


def meanings(project):
    """Return what each stored id means, and its output."""
    return [
        (meant.id if (meant := project.class_of(stored)) else None, project.class_index(stored)) for stored in (1, 2, 3)
    ]


def test_a_renamed_class_keeps_its_id_key_and_output():
    assert rename_class(PROJECT, 2, "filaments").classes == (ONE, replace(TWO, name="filaments"), THREE)


def test_a_recoloured_class_keeps_all_else():
    assert recolour_class(PROJECT, 2, "#ABCDEF").classes == (ONE, replace(TWO, colour="#abcdef"), THREE)


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        pytest.param(lambda: rename_class(PROJECT, 2, "rings"), "Two classes have the name 'rings'", id="taken name"),
        pytest.param(lambda: rename_class(PROJECT, 2, " "), "name = .* should be a name", id="no name"),
        pytest.param(lambda: rename_class(PROJECT, 9, "x"), "no class 9 in 'neurons'", id="rename an unknown class"),
        pytest.param(lambda: recolour_class(PROJECT, 2, "blue"), "blue.* should be a colour", id="no colour"),
        pytest.param(lambda: recolour_class(PROJECT, 2, "#12345"), "should be a colour", id="a digit too few"),
        pytest.param(lambda: rekey_class(PROJECT, 2, "?"), "should be one digit or letter", id="the key sheet's"),
        pytest.param(lambda: rekey_class(PROJECT, 2, "12"), "should be one digit or letter", id="two signs"),
        pytest.param(lambda: rekey_class(PROJECT, 9, "4"), "no class 9", id="rekey an unknown class"),
        pytest.param(lambda: merge_classes(PROJECT, 2, 2), "'fibres' cannot be merged into 'fibres'", id="itself"),
        pytest.param(lambda: merge_classes(PROJECT, 2, 9), "no class 9", id="into an unknown class"),
        pytest.param(lambda: merge_classes(PROJECT, 9, 2), "no class 9", id="merge an unknown class"),
        pytest.param(lambda: retire_class(PROJECT, 9), "no class 9", id="retire an unknown class"),
        pytest.param(lambda: restore_class(PROJECT, 9), "no class 9", id="restore an unknown class"),
        pytest.param(lambda: new_class(PROJECT, "rings"), "Two classes have the name 'rings'", id="a name twice"),
    ],
)  # fmt: skip
def test_an_edit_that_cannot_be_is_refused(edit, sentence):
    with pytest.raises(ProjectError, match=sentence):
        edit()


# keys


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        pytest.param("f", ["1", "F", "3"], id="a free letter, in capitals"),
        pytest.param("3", ["1", "3", "2"], id="another's key: they swap"),
        pytest.param("2", ["1", "2", "3"], id="its own"),
        pytest.param("", ["1", "", "3"], id="none"),
    ],
)
def test_a_class_gets_the_key_and_no_two_have_the_same(key, keys):
    assert [each.key for each in rekey_class(PROJECT, 2, key).classes] == keys


@pytest.mark.parametrize("key", ["x", "X"])
def test_the_key_that_a_tool_has_now_is_refused_with_the_tool_and_the_remedy(key):
    with pytest.raises(ProjectError, match=r"'X' cannot be the key of 'fibres': Exclude uses it\. Choose another key"):
        rekey_class(PROJECT, 2, key, {"Skip": "Ctrl+S", "Exclude": "x"})


@pytest.mark.parametrize("tools", [{}, {"Skip": "D"}, {"Skip": ""}, {"Skip": "Ctrl+S"}], ids=str)
def test_a_key_that_no_tool_has_any_more_is_free_for_a_class(tools):
    assert [each.key for each in rekey_class(PROJECT, 2, "s", tools).classes] == ["1", "S", "3"]


def test_a_class_that_has_the_key_of_a_tool_keeps_it_and_may_change_it():
    project = rekey_class(PROJECT, 2, "S")
    assert rekey_class(project, 2, "s", {"Skip": "S"}) == project
    assert [each.key for each in rekey_class(project, 2, "", {"Skip": "S"}).classes] == ["1", "", "3"]


def test_a_key_written_small_in_the_file_is_swapped_too():
    project = checked(replace(PROJECT, classes=(replace(ONE, key="f"), TWO, THREE)))
    assert [each.key for each in rekey_class(project, 2, "F").classes] == ["2", "F", "3"]


def test_taking_a_key_from_another_leaves_a_class_without_one_where_it_had_none():
    without = rekey_class(PROJECT, 2, "")
    assert [each.key for each in rekey_class(without, 2, "3").classes] == ["1", "3", ""]


@pytest.mark.parametrize("keys", list(itertools.permutations("123")))
def test_every_order_of_keys_is_reached_by_swaps(keys):
    project = PROJECT
    for class_id, key in enumerate(keys, 1):
        project = rekey_class(project, class_id, key)
    assert tuple(each.key for each in project.classes) == keys


# merge, retire, restore


def test_labels_of_a_merged_class_count_as_the_others():
    merged = merge_classes(PROJECT, 1, 3)
    assert meanings(merged) == [(3, 1), (2, 0), (3, 1)]
    assert [each.id for each in merged.offered] == [2, 3]
    assert by_id(merged, 1) == replace(ONE, key="", merged_into=3)


def test_a_chain_of_merges_leads_to_its_end():
    chain = merge_classes(merge_classes(PROJECT, 1, 2), 2, 3)
    assert meanings(chain) == [(3, 0), (3, 0), (3, 0)]


@pytest.mark.parametrize("second", [(2, 1), (1, 3)], ids=["back again", "a merged class once more"])
def test_a_class_that_is_not_offered_takes_part_in_no_merge(second):
    with pytest.raises(ProjectError, match="Choose two active classes"):
        merge_classes(merge_classes(PROJECT, 1, 2), *second)


def test_a_retired_class_takes_part_in_no_merge():
    retired = retire_class(PROJECT, 1)
    for pair in ((1, 2), (2, 1)):
        with pytest.raises(ProjectError, match="Choose two active classes"):
            merge_classes(retired, *pair)


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_cycle_of_merges_is_refused_wherever_it_comes_from(length):
    cycle = [replace(each, merged_into=1 + each.id % length) for each in PROJECT.classes[:length]]
    with pytest.raises(ProjectError, match="cannot be merged into class"):
        checked(replace(PROJECT, classes=(*cycle, *PROJECT.classes[length:])))


def test_a_retired_class_is_not_offered_or_learned_but_its_labels_stay_readable():
    retired = retire_class(PROJECT, 2)
    assert [each.id for each in retired.offered] == [1, 3]
    assert retired.class_of(2) == replace(TWO, retired=True, key="")
    assert meanings(retired) == [(1, 0), (2, None), (3, 1)]


def test_labels_of_a_class_merged_into_a_retired_one_are_not_learned():
    project = retire_class(merge_classes(PROJECT, 1, 2), 2)
    assert meanings(project) == [(2, None), (2, None), (3, 0)]


def test_a_restored_class_is_offered_with_a_free_key():
    project = restore_class(rekey_class(retire_class(PROJECT, 1), 3, "1"), 1)
    assert [(each.id, each.key) for each in project.offered] == [(1, "3"), (2, "2"), (3, "1")]
    assert meanings(project) == [(1, 0), (2, 1), (3, 2)]


def test_a_restored_class_has_its_own_labels_back_and_the_rest_of_the_chain_stays_merged():
    chain = merge_classes(merge_classes(PROJECT, 1, 2), 2, 3)
    assert meanings(restore_class(chain, 1)) == [(1, 0), (3, 1), (3, 1)]
    assert meanings(restore_class(chain, 2)) == [(2, 0), (2, 0), (3, 1)]


def test_a_merge_and_its_restoring_change_nothing_but_the_key():
    assert restore_class(merge_classes(PROJECT, 1, 2), 1) == PROJECT
    assert restore_class(retire_class(PROJECT, 3), 3) == PROJECT


def test_restoring_an_offered_class_changes_nothing():
    project = rekey_class(PROJECT, 1, "R")
    assert restore_class(project, 1) == project


def test_a_merged_class_leaves_its_name_to_a_new_one_and_needs_another_to_come_back():
    project = new_class(merge_classes(PROJECT, 1, 2), "rings")
    with pytest.raises(ProjectError, match="Two classes have the name 'rings'"):
        restore_class(project, 1)
    assert by_id(restore_class(rename_class(project, 1, "old rings"), 1), 1).is_offered


def test_an_id_is_never_given_twice_while_merged_and_retired_classes_stay():
    project = new_class(retire_class(merge_classes(PROJECT, 3, 2), 2), "spines")
    assert [each.id for each in project.classes] == [1, 2, 3, 4]
    assert project.classes[-1].key == "2"


@pytest.mark.parametrize("stored", [None, 9])
def test_an_unknown_id_means_nothing(stored):
    assert PROJECT.class_index(stored) is None
    assert PROJECT.class_of(9) is None


def test_edited_classes_come_back_from_disk(tmp_path):
    project = create_project(tmp_path / "neurons", ("rings", "fibres", "puncta"))
    edited = retire_class(rename_class(merge_classes(project, 1, 2), 1, "old"), 3)
    save_project(edited)
    assert load_project(project.folder) == edited


def test_a_description_of_several_lines_is_kept_as_one(tmp_path):
    project = create_project(tmp_path / "project", ("rings", "fibres"))
    save_project(describe_class(project, 2, "long,\n  thin\tand straight "))
    assert [each.description for each in load_project(project.folder).classes] == ["", "long, thin and straight"]


def test_a_description_without_end_is_refused():
    with pytest.raises(ProjectError, match="description"):
        describe_class(PROJECT, 2, "x" * 1001)


def test_a_class_more_is_called_by_its_number_and_like_no_other(tmp_path):
    project = create_project(tmp_path / "neurons", ("rings", "class 3"))
    assert free_name(project) == "class 4"
    assert free_name(create_project(tmp_path / "other", ("rings", "fibres"))) == "class 3"
