import re
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace

import pytest

from costal.errors import ProjectError
from costal.labels.exchange import packing
from costal.labels.exchange.packing import pack, unpack
from costal.labels.migrations import MIGRATIONS, migrate
from costal.labels.project_file import load_project
from costal.labels.store import Store
from costal.types import finish


@pytest.fixture
def packed(project, tmp_path):
    """Return the zip file of the project."""
    return finish(pack(project.folder, tmp_path / "neurons.zip")).path


def rewritten(path, edit):
    """Write a zip file anew with its members, by name, as `edit` has changed them."""
    with zipfile.ZipFile(path) as old:
        members = [(each.filename, old.read(each)) for each in old.infolist()]
    with zipfile.ZipFile(path, "w") as new:
        for name, content in edit(members):
            new.writestr(name, content)


def test_a_project_comes_back_with_the_same_settings_rows_and_models(project, packed, tmp_path, rows_of_store):
    (project.model_folder / "0001.safetensors").write_bytes(b"weights without a card")
    again = finish(unpack(finish(pack(project.folder, packed, overwrite=True)).path, tmp_path / "again"))
    assert rows_of_store(again) == rows_of_store(project)
    assert replace(again, folder=project.folder) == project
    assert again == load_project(tmp_path / "again")
    assert (again.model_folder / "0001.safetensors").read_bytes() == b"weights without a card"


def test_locks_caches_and_leftovers_are_not_packed(project, tmp_path):
    for name in ("writer.lock", "labels.sqlite.version-3", "project.toml.new", "scores/a.npz", "features/b.npy"):
        (project.folder / name).parent.mkdir(exist_ok=True)
        (project.folder / name).write_bytes(b"x")
    result = finish(pack(project.folder, tmp_path / "neurons.zip"))
    with zipfile.ZipFile(result.path) as file:
        assert sorted(file.namelist()) == ["labels.sqlite", "project.toml"]
    assert result.files == 2
    assert result.size == result.path.stat().st_size


def test_what_is_labelled_while_it_is_packed_is_not_half_in_it(project, tmp_path, answer, rows_of_store):
    before = rows_of_store(project)
    with Store(project.store_path) as writer:
        job = pack(project.folder, tmp_path / "neurons.zip")
        for progress in job:
            if progress.message == "Packing labels.sqlite":
                writer.answer(answer(1, 24, 8))
    again = finish(unpack(tmp_path / "neurons.zip", tmp_path / "again"))
    assert rows_of_store(again) == before


def test_an_older_store_is_brought_up_to_date(project, packed, tmp_path):
    old = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        migrate(connection, old, MIGRATIONS[:1])
    rewritten(packed, lambda members: [(n, old.read_bytes() if n == "labels.sqlite" else c) for n, c in members])
    with Store(finish(unpack(packed, tmp_path / "again")).store_path, read_only=True) as store:
        assert store.labels() == []


@pytest.mark.parametrize(
    "name",
    [
        "../evil.toml",
        "/etc/evil",
        "models/../../evil.json",
        "models\\evil.json",
        "C:/evil",
        "writer.lock",
        "models/a.py",
    ],
)
def test_a_zip_file_with_what_is_no_part_of_a_project_is_refused(packed, tmp_path, name):
    rewritten(packed, lambda members: [*members, (name, b"evil")])
    with pytest.raises(ProjectError, match=r"not part of a project\. Nothing was unpacked"):
        finish(unpack(packed, tmp_path / "again"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "neurons.zip"]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda members: members[:1], "project.toml or labels.sqlite is missing, or there twice"),
        (lambda members: [*members, members[0]], "is missing, or there twice"),
        (lambda members: [(n, b"name = 1" if n == "project.toml" else c) for n, c in members], "cannot be opened"),
        (lambda members: [(n, b"" if n == "labels.sqlite" else c) for n, c in members], "contains a"),
        (lambda members: [(n, c[:2000] if n == "labels.sqlite" else c) for n, c in members], "contains a"),
        (lambda members: [*members, ("models/0001.json", b"{}")], "contains a damaged project"),
    ],
    ids=["a part is missing", "a part is there twice", "settings", "no labels", "labels cut short", "a model's card"],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_file_that_cannot_be_a_project_is_refused_and_leaves_nothing(packed, tmp_path, edit, sentence):
    rewritten(packed, edit)
    with pytest.raises(ProjectError, match=re.escape(sentence)):
        finish(unpack(packed, tmp_path / "again"))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "neurons.zip"]


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_zip_file_cut_short_is_refused(packed, tmp_path, share):
    content = packed.read_bytes()
    packed.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ProjectError, match="damaged or not a zip file"):
        finish(unpack(packed, tmp_path / "again"))
    assert not (tmp_path / "again").exists()


def test_a_zip_file_larger_than_the_free_space_is_refused_before_anything_is_written(packed, tmp_path, monkeypatch):
    monkeypatch.setattr(packing.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ProjectError, match="MB free"):
        finish(unpack(packed, tmp_path / "again"))


def test_nothing_is_unpacked_over_anything(project, packed, tmp_path):
    with pytest.raises(ProjectError, match="is not empty"):
        finish(unpack(packed, project.folder))
    (tmp_path / "empty").mkdir()
    assert finish(unpack(packed, tmp_path / "empty")).name == "neurons"


def test_a_packed_project_is_not_written_over_by_chance_or_into_the_project(project, packed):
    with pytest.raises(ProjectError, match="exists already"):
        finish(pack(project.folder, packed))
    with pytest.raises(ProjectError, match="is the project's folder, or in it"):
        finish(pack(project.folder, project.folder / "neurons.zip"))


def test_packing_and_unpacking_that_are_stopped_leave_nothing(project, packed, tmp_path):
    for job in (pack(project.folder, tmp_path / "other.zip"), unpack(packed, tmp_path / "again")):
        next(job)
        next(job)
        job.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["neurons", "neurons.zip"]
