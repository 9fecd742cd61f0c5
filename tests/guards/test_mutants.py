"""The list of mutants stays alive: each can be planted in the code as it is, and none is one that nothing caught."""

from tests.guards.mutants import MUTANTS, ROOT, Mutant, complaints, copied, files_of_tests, planted, read_record


def test_every_mutant_can_be_planted():
    assert complaints() == []


def test_there_are_forty_of_different_names():
    assert len({mutant.name for mutant in MUTANTS}) == 40


def test_a_text_that_is_gone_or_there_twice_is_told():
    twice = Mutant("twice", "import numpy as np\n", "", "", ("frames/test_grid.py",))
    gone = Mutant("gone", "no such text anywhere", "", "", ("frames/test_nothing.py",))
    lines = complaints([twice, gone])
    assert [line.partition(":")[0] for line in lines] == ["'twice'", "'gone'", "'gone'"]


def test_planting_changes_one_file_of_the_copy_and_not_this_one(tmp_path):
    root = copied(tmp_path / "copy")
    path, before = planted(MUTANTS[0], root)
    assert path.is_relative_to(root)
    assert path.read_text("utf-8") == before.replace(MUTANTS[0].old, MUTANTS[0].new) != before
    assert complaints() == []


def test_what_is_recorded_was_caught_by_tests_of_the_files_that_are_named():
    names = {mutant.name: mutant for mutant in MUTANTS}
    for name, caught in read_record().items():
        assert caught, f"'{name}' was caught by nothing: write the test that catches it"
        files = {path.relative_to(ROOT).name for path in files_of_tests(names[name])}
        assert {each.partition("::")[0].rpartition("/")[2] for each in caught} <= files
