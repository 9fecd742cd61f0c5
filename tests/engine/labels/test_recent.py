import json

import pytest

from costal.labels.project_file import create_project
from costal.labels.recent import MOST, recent_projects, remember


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "recent.json"


def test_the_project_opened_last_comes_first_and_once(file, tmp_path):
    folders = [create_project(tmp_path / name).folder for name in "abc"]
    for folder in (*folders, folders[0]):
        remember(file, folder)
    assert recent_projects(file) == (folders[0], folders[2], folders[1])


def test_a_project_that_is_gone_is_not_offered(file, tmp_path):
    folder = create_project(tmp_path / "a").folder
    remember(file, folder)
    (folder / "project.toml").unlink()
    assert recent_projects(file) == ()


def test_only_so_many_are_remembered(file, tmp_path):
    for number in range(MOST + 3):
        remember(file, create_project(tmp_path / str(number)).folder)
    assert len(recent_projects(file)) == MOST


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", '{"a": 1}'])
def test_a_damaged_list_counts_as_empty(file, tmp_path, content):
    file.parent.mkdir()
    file.write_text(content)
    assert recent_projects(file) == ()
    remember(file, create_project(tmp_path / "a").folder)
    assert json.loads(file.read_text()) == [str(tmp_path / "a")]
