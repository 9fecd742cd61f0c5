from dataclasses import replace

import numpy as np
import pytest

from costal.errors import ProjectError
from costal.frames.grid import crop_at
from costal.frames.normalise import intensity_range, normalise
from costal.frames.read import Planes, frame_from_array, plane
from costal.frames.simulate import CLASS_NAMES, simulate_field, simulated_effort_s
from costal.labels.effort import Event, EventKind
from costal.labels.project import Choices, Tiling, create_project, load_project, new_class, save_project
from costal.labels.store import AnswerRecord, Store
from costal.types import Training, finish
from costal.workbench import (
    FrameRequest,
    RetrainRequest,
    Workbench,
    answers_of,
    query_of,
    retrain,
    score_frame,
)

CROP = 16
S = 1_000_000_000


@pytest.fixture(scope="module")
def field():
    return simulate_field((96, 96), CROP, seed=1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Return a project for the simulated field whose agent trains for a few steps."""
    from costal.labels.project import Project

    settings = Project.agent_settings
    quick = Training(min_steps=5, epochs=1)
    monkeypatch.setattr(Project, "agent_settings", lambda self: replace(settings(self), training=quick))
    project = create_project(tmp_path / "neurons", CLASS_NAMES)
    save_project(replace(project, tiling=Tiling(CROP, CROP), choices=Choices(passes=4, n=5)))
    return project.folder


@pytest.fixture
def bench(folder):
    workbench = Workbench(folder)
    yield workbench
    workbench.close()


def frame_of(field, gain=1):
    return frame_from_array(field.pixels_Y_X * gain, "YX", field.pixel_um, f"gain {gain}")


def place(bench, field, gain=1):
    frame = frame_of(field, gain)
    pixels = plane(frame, Planes())
    return bench.place(frame, pixels, "all"), pixels


def events_of(seconds, end=EventKind.ANSWERED):
    at_ns = round(seconds * S)
    return (Event(EventKind.SHOWN, 0, 0), Event(end, at_ns, at_ns))


def answer_with(bench, field, placed, pixels, index, kind="class", seconds=None, annotator="ada"):
    y, x = field.grid.origin(index)
    class_id = bench.project.classes[field.classes_N[index]].id if kind == "class" else None
    seconds = simulated_effort_s(field, 0)[index] if seconds is None else seconds
    end = {"class": EventKind.ANSWERED, "skip": EventKind.SKIPPED, "abandoned": EventKind.ABANDONED}[kind]
    record = AnswerRecord(
        placed.id, y, x, crop_at(pixels, field.grid, index), kind, class_id, annotator, events_of(seconds, end)
    )
    return bench.answer(record)


def score(folder, field, placed, pixels):
    return finish(score_frame(FrameRequest(load_project(folder), pixels, placed.range, field.grid, "ada", 0, 0, "cpu")))


def label_and_train(bench, folder, field, count=18):
    placed, pixels = place(bench, field)
    for index in range(count):
        answer_with(bench, field, placed, pixels, index)
    return placed, pixels, finish(retrain(RetrainRequest(load_project(folder), (1, CROP, CROP), 0, "cpu")))


def test_the_first_query_of_a_project_without_labels_is_spread_out_and_says_why(bench, folder, field):
    placed, pixels = place(bench, field)
    found = score(folder, field, placed, pixels)
    assert (found.scores, found.generation) == (None, 0)
    assert "No crop is labelled yet" in found.reason
    candidates = np.arange(3, 36)
    query = query_of(found, bench.project, candidates, 0)
    assert query.value_N is None
    assert len(set(query.picked_n.tolist())) == 5
    assert set(query.picked_n.tolist()) <= set(candidates.tolist())
    features = found.features_N_F
    first, second = query.picked_n[:2]
    distances = np.linalg.norm(features[candidates] - features[first], axis=1)
    assert np.linalg.norm(features[second] - features[first]) == pytest.approx(distances.max())


def test_after_retraining_a_frame_has_probabilities_and_a_query_by_value(bench, folder, field):
    placed, pixels, generation = label_and_train(bench, folder, field)
    assert generation.number == 1
    assert generation.agent.cost_model.annotators == ("ada",)
    found = score(folder, field, placed, pixels)
    assert (found.generation, found.reason) == (1, "")
    np.testing.assert_allclose(found.scores.probs_N_K.sum(1), np.ones(36), rtol=1e-5)
    candidates = np.arange(18, 36)
    query = query_of(found, bench.project, candidates, 0)
    best = candidates[np.argsort(-query.value_N[candidates])][:5]
    assert query.picked_n.tolist() == best.tolist()


def test_reopening_a_project_resumes_where_it_was(bench, folder, field):
    label_and_train(bench, folder, field)
    labels, counts = bench.labels(), bench.label_counts()
    bench.close()
    again = Workbench(folder)
    assert (again.labels(), again.label_counts(), again.presentation_count("ada")) == (labels, counts, 18)
    placed, pixels = place(again, field)
    assert placed.id == 1
    assert score(folder, field, placed, pixels).generation == 1
    again.close()


def test_the_same_content_is_the_same_frame_and_another_plane_is_not(bench, field):
    placed, pixels = place(bench, field)
    renamed = replace(frame_of(field), source="elsewhere.tif")
    assert bench.place(renamed, pixels, "all").id == placed.id
    assert bench.place(renamed, pixels, "z 3").id != placed.id


def test_labels_are_counted_by_class_and_undone(bench, field):
    placed, pixels = place(bench, field)
    ids = [answer_with(bench, field, placed, pixels, index) for index in range(4)]
    answer_with(bench, field, placed, pixels, 5, kind="skip")
    assert sum(bench.label_counts().values()) == 4
    bench.undo(ids[0])
    assert sum(bench.label_counts().values()) == 3
    assert len(bench.labels(placed.id)) == 4


def test_one_class_alone_saves_no_model_and_says_why(bench, folder, field):
    placed, pixels = place(bench, field)
    alike = np.flatnonzero(field.classes_N == field.classes_N[0])[:2]
    for index in alike:
        answer_with(bench, field, placed, pixels, int(index))
    generation = finish(retrain(RetrainRequest(load_project(folder), (1, CROP, CROP), 0, "cpu")))
    assert generation.number == 0
    assert "of 1 class. Label crops of another class." in " ".join(generation.agent.notes)
    assert list((folder / "models").iterdir()) == []


def test_a_class_added_after_training_makes_the_model_old_with_a_note(bench, folder, field):
    placed, pixels, _ = label_and_train(bench, folder, field)
    bench.configure(new_class(bench.project, "spines"))
    found = score(folder, field, placed, pixels)
    assert found.scores is None
    assert "was trained for 4 classes" in found.reason
    assert finish(retrain(RetrainRequest(load_project(folder), (1, CROP, CROP), 0, "cpu"))).number == 2
    assert score(folder, field, placed, pixels).scores.probs_N_K.shape == (36, 5)


def test_todays_settings_decide_not_those_of_the_day_of_training(bench, folder, field):
    placed, pixels, _ = label_and_train(bench, folder, field)
    before = score(folder, field, placed, pixels)
    bench.configure(replace(bench.project, choices=replace(bench.project.choices, acquisition="variation_ratio")))
    after = score(folder, field, placed, pixels)
    expected = 1 - after.scores.probs_N_K.max(1)
    np.testing.assert_allclose(after.scores.information_N, expected, atol=1e-5)
    assert (before.scores.information_N != after.scores.information_N).any()


def test_a_frame_without_candidates_is_refused(bench, folder, field):
    placed, pixels = place(bench, field)
    with pytest.raises(ProjectError, match="Every crop of this frame is labelled"):
        query_of(score(folder, field, placed, pixels), bench.project, np.arange(0), 0)


# what the agent learns from


@pytest.mark.parametrize("mode", ["frame", "project"])
def test_crops_are_normalised_by_their_frame_or_by_the_whole_project(bench, folder, field, mode):
    bench.configure(replace(bench.project, tiling=replace(bench.project.tiling, normalise=mode)))
    placed, pixels = place(bench, field)
    brighter, bright_pixels = place(bench, field, gain=10)
    answer_with(bench, field, placed, pixels, 0)
    with Store(bench.project.store_path, read_only=True) as store:
        (answer,) = answers_of(bench.project, store.presented(), store.ranges(), (1, CROP, CROP))
    own, other = intensity_range(pixels), intensity_range(bright_pixels)
    limits = own if mode == "frame" else replace(own, low_C=min(own.low_C, other.low_C), high_C=other.high_C)
    np.testing.assert_array_equal(answer.crop_C_H_W, normalise(crop_at(pixels, field.grid, 0), limits))
    assert brighter.range == (other if mode == "frame" else limits)


def test_effort_reaches_the_agent_with_its_censoring_order_and_annotator(bench, folder, field):
    placed, pixels = place(bench, field)
    answer_with(bench, field, placed, pixels, 0, seconds=2.5)
    answer_with(bench, field, placed, pixels, 1, kind="skip", seconds=4)
    answer_with(bench, field, placed, pixels, 2, seconds=3, annotator="bob")
    answer_with(bench, field, placed, pixels, 3, seconds=25)  # beyond the idle limit of 20 s
    answer_with(bench, field, placed, pixels, 4, kind="abandoned", seconds=6)
    with Store(bench.project.store_path, read_only=True) as store:
        answers = answers_of(bench.project, store.presented(), store.ranges(), (1, CROP, CROP))
    seen = [(each.effort, each.censored, each.annotator, each.order) for each in answers]
    assert seen == [
        (2.5, False, "ada", 0),
        (4.0, True, "ada", 1),
        (3.0, False, "bob", 0),
        (0.0, True, "ada", 2),
        (6.0, True, "ada", 3),
    ]
    assert [each.class_index is None for each in answers] == [False, True, False, False, True]
    assert answers[0].class_index == field.classes_N[0]


def test_an_unusable_effort_is_left_out_while_its_label_teaches(bench, folder, field):
    placed, pixels = place(bench, field)
    y, x = field.grid.origin(0)
    jumped = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, S, 60 * S))
    bench.answer(AnswerRecord(placed.id, y, x, crop_at(pixels, field.grid, 0), "class", 1, "ada", jumped))
    with Store(bench.project.store_path, read_only=True) as store:
        (answer,) = answers_of(bench.project, store.presented(), store.ranges(), (1, CROP, CROP))
    assert (answer.effort, answer.class_index) == (None, 0)


def test_a_crop_labelled_twice_teaches_its_label_once_and_its_effort_twice(bench, folder, field):
    placed, pixels = place(bench, field)
    for _ in range(2):
        answer_with(bench, field, placed, pixels, 0, seconds=2)
    with Store(bench.project.store_path, read_only=True) as store:
        answers = answers_of(bench.project, store.presented(), store.ranges(), (1, CROP, CROP))
    assert [each.class_index for each in answers] == [None, field.classes_N[0]]
    assert [each.effort for each in answers] == [2.0, 2.0]


def test_labels_of_a_class_that_is_gone_do_not_teach_the_classifier(bench, folder, field):
    placed, pixels = place(bench, field)
    answer_with(bench, field, placed, pixels, 0)
    gone = bench.project.classes[field.classes_N[0]]
    bench.configure(replace(bench.project, classes=tuple(each for each in bench.project.classes if each != gone)))
    with Store(bench.project.store_path, read_only=True) as store:
        (answer,) = answers_of(bench.project, store.presented(), store.ranges(), (1, CROP, CROP))
    assert answer.class_index is None


def test_crops_of_another_size_are_left_out_and_counted_in_a_note(bench, folder, field):
    placed, pixels, _ = label_and_train(bench, folder, field)
    y, x = field.grid.origin(20)
    small = pixels[:, y : y + 8, x : x + 8]
    bench.answer(AnswerRecord(placed.id, y, x, small, "class", 1, "ada", events_of(1)))
    generation = finish(retrain(RetrainRequest(load_project(folder), (1, CROP, CROP), 0, "cpu")))
    assert "1 answers for crops unlike 16 px were not used." in generation.agent.notes
    assert generation.agent.label_count == 18


def test_a_diverging_training_leaves_the_newest_model(bench, folder, field, monkeypatch):
    label_and_train(bench, folder, field)
    monkeypatch.setattr("costal.workbench.normalise", lambda pixels, limits: normalise(pixels, limits) * np.nan)
    with pytest.raises(Exception, match="diverged"):
        finish(retrain(RetrainRequest(load_project(folder), (1, CROP, CROP), 0, "cpu")))
    assert sorted(each.name for each in (folder / "models").iterdir()) == ["0001.json", "0001.safetensors"]


def test_a_refused_setting_changes_neither_the_file_nor_the_project(bench, folder):
    before, text = bench.project, (folder / "project.toml").read_bytes()
    with pytest.raises(ProjectError, match="Two classes have the name"):
        bench.configure(replace(before, classes=(before.classes[0], replace(before.classes[0], id=9, key="9"))))
    assert bench.project is before
    assert (folder / "project.toml").read_bytes() == text
