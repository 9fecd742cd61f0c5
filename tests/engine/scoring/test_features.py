"""Features of a frozen backbone, kept on disk: the same scores whatever is kept, and each crop looked at once."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from costal.agent import backbones, devices
from costal.agent.backbones import FrozenBackbone
from costal.agent.cards import EFFICIENTNET_LITE0
from costal.errors import ProjectError
from costal.frames.grid import crop_at
from costal.frames.normalise import IntensityRange
from costal.frames.simulate import CLASS_NAMES, simulate_field
from costal.labels.effort import Event, EventKind
from costal.labels.lock import HOLDER_FILE
from costal.labels.models import load_newest
from costal.labels.project import Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.scoring import features
from costal.scoring.features import FeatureFiles, kept_or_computed
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import finish
from costal.workbench.retraining import RetrainRequest, retrain
from costal.workbench.session import ProjectSession, recorded

CROP, LABELS, COUNT, S = 32, 12, 64, 1_000_000_000


@pytest.fixture(scope="module")
def field():
    return simulate_field((256, 256), CROP, seed=1)


def frame_of(field):
    return FramePlane(field.pixels_Y_X[np.newaxis], "field.tif", "all", "0" * 64, field.pixel_um)


@pytest.fixture
def frame(field):
    return frame_of(field)


@pytest.fixture
def looked_at(monkeypatch):
    """Return how many images went through the backbone, call by call; nothing of an earlier test is in memory."""
    counts = []
    before = FrozenBackbone.features

    def counted(self, crops, *rest):
        counts.append(len(crops))
        return before(self, crops, *rest)

    monkeypatch.setattr(FrozenBackbone, "features", counted)
    forget()
    return counts


def forget():
    """Empty what is in memory, as another process would find it."""
    backbones._kept.cache_clear()


@pytest.fixture(scope="module")
def folders(tmp_path_factory, field):
    """Return the folder of a project with twelve labels that looks through the frozen backbone, before and after."""
    frame = frame_of(field)
    made = create_project(tmp_path_factory.mktemp("cache") / "neurons", CLASS_NAMES)
    choices = Choices(passes=10, n=5, backbone=EFFICIENTNET_LITE0, augment=False)
    save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
    with ProjectSession(made.folder, "ada") as session:
        stored = session.place(recorded(frame))
        for index in range(LABELS):
            y, x = field.grid.origin(index)
            events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, S, S))
            crop = crop_at(frame.pixels_C_Y_X, field.grid, index)
            class_id = 1 + int(field.classes_N[index])
            session.answer(AnswerRecord(stored.id, y, x, crop, "class", class_id, "ada", events))
    after = made.folder.with_name("trained")
    shutil.copytree(made.folder, after)
    finish(retrain(RetrainRequest(load_project(after), 0, "cpu")))
    return made.folder, after


@pytest.fixture
def project(folders, tmp_path):
    return load_project(Path(shutil.copytree(folders[0], tmp_path / "neurons")))


@pytest.fixture
def trained(folders, tmp_path):
    return load_project(Path(shutil.copytree(folders[1], tmp_path / "trained")))


def scores_of(project, frame):
    forget()
    return finish(score_prepared(prepare(ScoreRequest(project, frame, device="cpu")))).scores


def files_in(project):
    return sorted(project.features_folder.glob("*.npz"))


def same(one, other):
    for name in ("information_N", "cost_N", "probs_N_K", "features_N_F"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_a_frame_scored_again_looks_at_no_crop_and_has_the_same_scores(trained, frame, looked_at):
    cold = scores_of(trained, frame)
    assert sum(looked_at) == COUNT
    looked_at.clear()
    same(scores_of(trained, frame), cold)
    assert looked_at == []


def test_labelled_crops_are_looked_at_once_and_train_the_same_model(project, looked_at):
    first = finish(retrain(RetrainRequest(project, 0, "cpu")))
    assert sum(looked_at) == LABELS
    forget()
    looked_at.clear()
    assert finish(retrain(RetrainRequest(project, 0, "cpu"))).model_hash == first.model_hash
    assert looked_at == []


def damage_by_cutting(path):
    path.write_bytes(path.read_bytes()[:-100])


def damage_by_foreign_keys(path):
    np.savez(path, keys=np.array(["a", "b"]), features=np.zeros((2, 3), np.float16), name=np.array(path.stem))


def damage_by_the_features_of_another_frame(path):
    with np.load(path) as held:
        np.savez(path, keys=held["keys"], features=held["features"] + np.float16(1), name=np.array("another"))


def damage_by_numbers_that_are_none(path):
    with np.load(path) as held:
        nan = np.full_like(held["features"], np.nan)
        np.savez(path, keys=held["keys"], features=nan, name=held["name"])


def damage_by_a_pickle(path):
    np.savez(path, keys=np.array([{}], dtype=object), features=np.zeros((1, 304), np.float16))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        damage_by_cutting,
        damage_by_foreign_keys,
        damage_by_the_features_of_another_frame,
        damage_by_numbers_that_are_none,
        damage_by_a_pickle,
    ],
    ids=["deleted", "cut", "foreign", "another", "nan", "pickle"],
)
def test_scores_are_the_same_whatever_became_of_the_files(trained, frame, damage):
    cold = scores_of(trained, frame)
    for path in files_in(trained):
        damage(path)
    same(scores_of(trained, frame), cold)
    same(scores_of(trained, frame), cold)  # and the mended file is right, too


def test_a_file_that_has_half_of_the_crops_gets_the_other_half(trained, frame, looked_at):
    cold = scores_of(trained, frame)
    for path in files_in(trained):
        with np.load(path) as held:
            keys, halves, name = held["keys"], held["features"], held["name"]
        np.savez(path, keys=keys[::2], features=halves[::2], name=name)
    looked_at.clear()
    same(scores_of(trained, frame), cold)
    assert sum(looked_at) == COUNT // 2


@pytest.mark.parametrize("rows", [1, 3])
def test_features_are_the_same_whatever_the_bands(trained, frame, monkeypatch, tmp_path, rows):
    whole = scores_of(trained, frame)
    monkeypatch.setattr("costal.scoring.bands.BAND_CROPS", rows * 8)
    forget()
    kept = ScoreRequest(trained, frame, tmp_path / "scores", device="cpu")
    np.testing.assert_allclose(finish(score_prepared(prepare(kept))).scores.probs_N_K, whole.probs_N_K, atol=1e-6)
    by_band = sorted(len(np.load(path)["keys"]) for path in files_in(trained))
    assert by_band == sorted([*[8 * rows] * (8 // rows), *([8 * (8 % rows)] if 8 % rows else []), LABELS, COUNT])


@pytest.mark.parametrize("batch", [7, 1000])
def test_features_are_the_same_whatever_the_batch(trained, frame, monkeypatch, batch):
    whole = scores_of(trained, frame)
    for path in files_in(trained):
        path.unlink()
    monkeypatch.setattr(backbones, "CUT_AT_ONCE", batch)
    same(scores_of(trained, frame), whole)


def test_while_another_program_holds_the_project_features_are_read_and_not_written(trained, frame, looked_at):
    cold = scores_of(trained, frame)
    (frame_file,) = [path for path in files_in(trained) if len(np.load(path)["keys"]) == COUNT]
    (trained.folder / HOLDER_FILE).write_text('{"user": "eve", "host": "elsewhere", "pid": 1, "since": ""}', "utf-8")
    looked_at.clear()
    same(scores_of(trained, frame), cold)
    assert looked_at == []
    frame_file.unlink()
    same(scores_of(trained, frame), cold)
    assert frame_file not in files_in(trained)


def test_where_nothing_can_be_written_scoring_goes_on(trained, frame, monkeypatch):
    cold = scores_of(trained, frame)
    for path in files_in(trained):
        path.unlink()

    def full(path, content):
        raise ProjectError(f"{path} cannot be written: No space left on device.")

    monkeypatch.setattr(features, "write_atomically", full)
    same(scores_of(trained, frame), cold)
    assert files_in(trained) == []


def test_the_files_unused_for_longest_go_when_there_are_too_many(tmp_path):
    files = FeatureFiles(tmp_path / "features", 1, may_write=True)
    third = np.zeros((1, 200_000), np.float16)  # 0.4 MB
    for at, name in enumerate("abc"):
        files.keep({"name": name}, np.arange(1), third)
        if name != "c":
            os.utime(files._path({"name": name}), (at, at))
        if name == "b":
            assert files.load({"name": "a"}) is not None  # used again, so b is the one unused for longest
    assert [files.load({"name": name}) is not None for name in "abc"] == [True, False, True]


def test_a_limit_of_nothing_keeps_nothing(tmp_path):
    files = FeatureFiles(tmp_path / "features", 0, may_write=True)
    files.keep({}, np.arange(1), np.zeros((1, 2), np.float16))
    assert not files.folder.exists()


def test_only_what_a_file_lacks_is_computed_and_all_come_in_the_order_asked(tmp_path):
    files, asked = FeatureFiles(tmp_path / "features", 1, may_write=True), []

    def of(keys):
        def compute(places):
            asked.append(keys[places].tolist())
            return keys[places, np.newaxis].astype(np.float32)
            yield

        return finish(kept_or_computed(files, {}, keys, compute))[:, 0].tolist()

    assert of(np.array([3, 1])) == [3, 1]
    assert of(np.array([1, 2, 3])) == [1, 2, 3]
    assert of(np.array([2, 1, 3])) == [2, 1, 3]
    assert asked == [[3, 1], [2]]


def test_another_backbone_range_or_frame_has_files_of_its_own(trained, frame, looked_at):
    scores_of(trained, frame)
    looked_at.clear()
    scores_of(trained, replace(frame, content_hash="1" * 64))
    assert sum(looked_at) == COUNT
    looked_at.clear()
    forget()
    wider = IntensityRange((0.0,), (2.0 * float(frame.pixels_C_Y_X.max()),))
    finish(score_prepared(prepare(ScoreRequest(trained, frame, device="cpu", range=wider))))
    assert sum(looked_at) == COUNT


def test_the_first_query_and_the_scores_look_at_a_crop_once(project, frame, looked_at):
    finish(score_prepared(prepare(ScoreRequest(project, frame, device="cpu"))))
    assert sum(looked_at) == COUNT
    finish(retrain(RetrainRequest(project, 0, "cpu")))
    looked_at.clear()
    scores_of(project, frame)
    assert looked_at == []


def test_the_backbone_is_not_loaded_when_all_is_kept(trained, frame, monkeypatch):
    scores_of(trained, frame)

    def missing(card):
        raise AssertionError("The backbone was loaded.")

    monkeypatch.setattr(backbones, "load_backbone", missing)
    scores_of(trained, frame)


def test_features_of_another_precision_have_files_of_their_own_and_the_model_says_so(trained, frame, monkeypatch):
    here = finish(score_prepared(prepare(ScoreRequest(trained, frame, device="cpu")))).scores
    count = len(files_in(trained))
    own = devices.fast_dtype("cpu")
    other = torch.bfloat16 if own is torch.float32 else torch.float32
    own_name, other_name = (str(each).removeprefix("torch.") for each in (own, other))
    monkeypatch.setattr(devices, "fast_dtype", lambda device: other)
    forget()
    there = finish(score_prepared(prepare(ScoreRequest(trained, frame, device="cpu")))).scores
    assert len(files_in(trained)) == count + 1
    np.testing.assert_allclose(there.probs_N_K, here.probs_N_K, atol=0.2)
    (note,) = [note for note in there.notes if "precision" in note]
    assert f"learned from features in {own_name}, but this machine computes them in {other_name}" in note
    finish(retrain(RetrainRequest(trained, 0, "cpu")))
    assert load_newest(trained.model_folder).agent.precision == other_name
    again = finish(score_prepared(prepare(ScoreRequest(trained, frame, device="cpu")))).scores
    assert not [note for note in again.notes if "precision" in note]
