import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from costal.agent.first_query import typical
from costal.errors import ProjectError
from costal.frames.grid import crop_at, tile
from costal.frames.normalise import intensity_range, normalise
from costal.frames.read import Planes, frame_from_array
from costal.frames.simulate import CLASS_NAMES, simulate_field, simulated_effort_s
from costal.labels.classes import merge_classes, new_class, rename_class, retire_class
from costal.labels.controls import control_flags
from costal.labels.effort import Event, EventKind
from costal.labels.models import kept_versions, newest_provenance, roll_back
from costal.labels.project import Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.labels.store import Store
from costal.scoring.frame_planes import FramePlane, frame_of
from costal.scoring.job import score_prepared
from costal.scoring.model_version import range_of_project
from costal.scoring.prepare import ScoreRequest, prepare
from costal.scoring.queries import query_of
from costal.seeds import rng_for
from costal.types import Training, finish
from costal.workbench.retraining import RetrainRequest, answers_of, retrain
from costal.workbench.session import ProjectSession, recorded

ALL = Planes(None, None, None)

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
def session(folder):
    with ProjectSession(folder, "ada") as workbench:
        yield workbench


def is_stale(session):
    """Return whether the newest model learned from a label that was taken back or replaced since."""
    return newest_provenance(session.project.model_folder).is_stale(session.store.label_snapshot())


def place(session, field, gain=1):
    frame = frame_from_array(field.pixels_Y_X[np.newaxis] * gain, "CYX", field.pixel_um, f"gain {gain}")
    return session.place(recorded(frame_of(frame, ALL))), frame.pixels


def events_of(seconds, end=EventKind.ANSWERED):
    at_ns = round(seconds * S)
    return (Event(EventKind.SHOWN, 0, 0), Event(end, at_ns, at_ns))


def class_id_of(field, index):
    """Return the id of a crop's class in a project whose classes were made in the order of the field's."""
    return 1 + int(field.classes_N[index])


def answer_with(session, field, stored, pixels, index, kind="class", seconds=None, annotator="ada"):
    y, x = field.grid.origin(index)
    class_id = class_id_of(field, index) if kind == "class" else None
    seconds = simulated_effort_s(field, 0)[index] if seconds is None else seconds
    end = {"class": EventKind.ANSWERED, "abandoned": EventKind.ABANDONED}.get(kind, EventKind.SKIPPED)
    record = AnswerRecord(
        stored.id, y, x, crop_at(pixels, field.grid, index), kind, class_id, annotator, events_of(seconds, end)
    )
    return session.answer(record)


def score(folder, field, stored, pixels):
    frame = FramePlane(pixels, "field", "all", stored.content_hash, None)
    request = ScoreRequest(load_project(folder), frame, annotator="ada", device="cpu", range=stored.range)
    return finish(score_prepared(prepare(request)))


def label_and_train(session, folder, field, count=18):
    stored, pixels = place(session, field)
    for index in range(count):
        answer_with(session, field, stored, pixels, index)
    return stored, pixels, finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))


def test_the_first_query_of_a_project_without_labels_asks_typical_crops_and_says_why(session, folder, field):
    stored, pixels = place(session, field)
    found = score(folder, field, stored, pixels)
    assert (found.scores, found.generation) == (None, 0)
    assert "No crop is labelled yet" in found.reason
    candidates = np.flatnonzero(~control_flags(session.project, "abc", field.grid))[3:]
    query = query_of(found, session.project, field.grid, np.arange(candidates[0], 36), 0, "abc")
    assert query.value_N is None
    assert not query.control_n.any()
    assert len(set(query.picked_n.tolist())) == 5
    assert set(query.picked_n.tolist()) <= set(candidates.tolist())
    expected = typical(found.features_M_F[candidates], 5, rng_for(0, "first query"))
    assert query.picked_n.tolist() == candidates[expected].tolist()


def test_after_retraining_a_frame_has_probabilities_and_a_query_by_value(session, folder, field):
    stored, pixels, model_version = label_and_train(session, folder, field)
    assert model_version.number == 1
    assert model_version.agent.cost_model.annotators == ("ada",)
    found = score(folder, field, stored, pixels)
    assert (found.generation, found.reason) == (1, "")
    np.testing.assert_allclose(found.scores.probs_N_K.sum(1), np.ones(36), rtol=1e-5)
    candidates = np.arange(18, 36)
    project = replace(session.project, choices=replace(session.project.choices, diverse=False, control_share=0.0))
    query = query_of(found, project, field.grid, candidates, 0, "abc")
    best = candidates[np.argsort(-query.value_N[candidates])][:5]
    assert query.picked_n.tolist() == best.tolist()
    assert not query.control_n.any()


def test_a_share_of_the_query_is_drawn_at_random_whatever_its_value(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    found, candidates = score(folder, field, stored, pixels), np.arange(18, 36)
    project = replace(session.project, choices=replace(session.project.choices, control_share=0.4))
    query = query_of(found, project, field.grid, candidates, 7, "abc")
    reversed_ = replace(found, scores=replace(found.scores, information_N=1 - found.scores.information_N))
    other = query_of(reversed_, project, field.grid, candidates, 7, "abc")
    assert query.control_n.sum() == 2
    assert len(set(query.picked_n.tolist())) == 5
    assert control_flags(project, "abc", field.grid)[query.picked_n].tolist() == query.control_n.tolist()
    assert set(query.picked_n[query.control_n]) == set(other.picked_n[other.control_n])
    assert set(query.picked_n) != set(other.picked_n)


def test_neighbours_of_a_better_crop_are_passed_over_where_the_project_wants_diversity(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    found, everywhere = score(folder, field, stored, pixels), np.arange(36)
    found = replace(found, scores=replace(found.scores, features_N_F=None))
    chosen = {}
    for diverse in (True, False):
        project = replace(session.project, choices=replace(session.project.choices, diverse=diverse, control_share=0.0))
        chosen[diverse] = query_of(found, project, field.grid, everywhere, 0, "abc").picked_n
    rows, cols = np.divmod(chosen[True], field.grid.cols)
    apart = np.maximum(np.abs(rows[:, None] - rows), np.abs(cols[:, None] - cols))
    assert apart[~np.eye(5, dtype=bool)].min() > 1
    assert chosen[True][0] == chosen[False][0]


def test_reopening_a_project_resumes_where_it_was(session, folder, field):
    _, _, model_version = label_and_train(session, folder, field)
    labels, counts = session.store.labels(), session.store.label_counts()
    session.close()
    with ProjectSession(folder, "ada") as again:
        assert (again.store.labels(), again.store.label_counts()) == (labels, counts)
        assert again.store.presentation_count("ada") == 18
        stored, pixels = place(again, field)
        assert stored.id == 1
        found = score(folder, field, stored, pixels)
        assert (found.generation, found.model_hash) == (1, model_version.model_hash)


def test_one_class_alone_saves_no_model_and_says_why(session, folder, field):
    stored, pixels = place(session, field)
    alike = np.flatnonzero(field.classes_N == field.classes_N[0])[:2]
    for index in alike:
        answer_with(session, field, stored, pixels, int(index))
    model_version = finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
    assert model_version.number == 0
    assert "of 1 class. Label crops of another class." in " ".join(model_version.agent.notes)
    assert list((folder / "models").iterdir()) == []


def test_a_class_added_after_training_makes_the_model_old_with_a_note(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    session.configure(new_class(session.project, "spines"))
    found = score(folder, field, stored, pixels)
    assert found.scores is None
    assert "was trained for 4 classes" in found.reason
    assert finish(retrain(RetrainRequest(load_project(folder), 0, "cpu"))).number == 2
    assert score(folder, field, stored, pixels).scores.probs_N_K.shape == (36, 5)


def test_todays_settings_decide_not_those_of_the_day_of_training(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    before = score(folder, field, stored, pixels)
    session.configure(replace(session.project, choices=replace(session.project.choices, acquisition="variation_ratio")))
    after = score(folder, field, stored, pixels)
    expected = 1 - after.scores.probs_N_K.max(1)
    np.testing.assert_allclose(after.scores.information_N, expected, atol=1e-5)
    assert (before.scores.information_N != after.scores.information_N).any()


def test_a_frame_without_candidates_is_refused(session, folder, field):
    stored, pixels = place(session, field)
    with pytest.raises(ProjectError, match="Every crop of this frame is labelled"):
        query_of(score(folder, field, stored, pixels), session.project, field.grid, np.arange(0), 0, "abc")


# what the agent learns from


@pytest.mark.parametrize("mode", ["frame", "project"])
def test_crops_are_normalised_by_their_frame_or_by_the_whole_project(session, folder, field, mode):
    session.configure(replace(session.project, tiling=replace(session.project.tiling, normalise=mode)))
    stored, pixels = place(session, field)
    brighter, bright_pixels = place(session, field, gain=10)
    answer_with(session, field, stored, pixels, 0)
    with Store(session.project.store_path, read_only=True) as store:
        shared = range_of_project(session.project, store.ranges(), 1)
        (answer,) = answers_of(session.project, store.presented(), shared, (1, CROP, CROP))
    own, other = intensity_range(pixels), intensity_range(bright_pixels)
    limits = own if mode == "frame" else replace(own, low_C=min(own.low_C, other.low_C), high_C=other.high_C)
    np.testing.assert_array_equal(answer.crop_C_H_W, normalise(crop_at(pixels, field.grid, 0), limits))
    assert brighter.range == (other if mode == "frame" else limits)


def test_effort_reaches_the_agent_with_its_censoring_order_and_annotator(session, folder, field):
    stored, pixels = place(session, field)
    answer_with(session, field, stored, pixels, 0, seconds=2.5)
    answer_with(session, field, stored, pixels, 1, kind="skip", seconds=4)
    answer_with(session, field, stored, pixels, 2, seconds=3, annotator="bob")
    answer_with(session, field, stored, pixels, 3, seconds=25)  # beyond the idle limit of 20 s
    answer_with(session, field, stored, pixels, 4, kind="abandoned", seconds=6)
    with Store(session.project.store_path, read_only=True) as store:
        answers = [*answers_of(session.project, store.presented(), None, (1, CROP, CROP))]
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


def test_an_unusable_effort_is_left_out_while_its_label_teaches(session, folder, field):
    stored, pixels = place(session, field)
    y, x = field.grid.origin(0)
    jumped = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, S, 60 * S))
    session.answer(AnswerRecord(stored.id, y, x, crop_at(pixels, field.grid, 0), "class", 1, "ada", jumped))
    with Store(session.project.store_path, read_only=True) as store:
        (answer,) = answers_of(session.project, store.presented(), None, (1, CROP, CROP))
    assert (answer.effort, answer.class_index) == (None, 0)


def test_a_crop_labelled_twice_teaches_its_label_once_and_its_effort_twice(session, folder, field):
    stored, pixels = place(session, field)
    for _ in range(2):
        answer_with(session, field, stored, pixels, 0, seconds=2)
    with Store(session.project.store_path, read_only=True) as store:
        answers = [*answers_of(session.project, store.presented(), None, (1, CROP, CROP))]
    assert [each.class_index for each in answers] == [None, field.classes_N[0]]
    assert [each.effort for each in answers] == [2.0, 2.0]


@pytest.mark.parametrize("kind", ["skip", "exclude"])
def test_a_crop_without_a_class_teaches_its_effort_alone(session, folder, field, kind):
    stored, pixels = place(session, field)
    answer_with(session, field, stored, pixels, 0, kind=kind, seconds=4)
    with Store(session.project.store_path, read_only=True) as store:
        (answer,) = answers_of(session.project, store.presented(), None, (1, CROP, CROP))
    assert (answer.class_index, answer.effort, answer.censored) == (None, 4.0, True)


def learned_classes(session, field, count):
    """Label crops of as many classes, one each in the order of their ids, and return a reader of what they teach."""
    stored, pixels = place(session, field)
    for class_id in range(1, 1 + count):
        answer_with(session, field, stored, pixels, int(np.flatnonzero(field.classes_N == class_id - 1)[0]))

    def read(project):
        with Store(project.store_path, read_only=True) as store:
            return [each.class_index for each in answers_of(project, store.presented(), None, (1, CROP, CROP))]

    return read


@pytest.mark.parametrize(
    ("edit", "indices"),
    [
        pytest.param(lambda project: rename_class(project, 2, "new name"), [0, 1, 2, 3], id="renamed"),
        pytest.param(lambda project: merge_classes(project, 2, 4), [0, 2, 1, 2], id="merged"),
        pytest.param(lambda project: retire_class(project, 2), [0, None, 1, 2], id="retired"),
        pytest.param(
            lambda project: retire_class(merge_classes(project, 2, 4), 4), [0, None, 1, None], id="merged and retired"
        ),
        pytest.param(
            lambda project: replace(project, classes=project.classes[1:]), [None, 0, 1, 2], id="taken out of the file"
        ),
    ],
)
def test_labels_teach_what_their_class_means_today(session, folder, field, edit, indices):
    learned = learned_classes(session, field, 4)
    assert learned(session.project) == [0, 1, 2, 3]
    session.configure(edit(session.project))
    assert learned(load_project(folder)) == indices


def test_a_model_learns_the_classes_that_are_offered_after_a_merge(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    session.configure(merge_classes(session.project, 1, 3))
    assert "was trained for 4 classes" in score(folder, field, stored, pixels).reason
    model_version = finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
    assert model_version.agent.settings.class_ids == (2, 3, 4)
    assert score(folder, field, stored, pixels).scores.probs_N_K.shape == (36, 3)


# what a model tells of its origin


def test_a_model_knows_the_labels_the_seed_and_the_minutes_it_came_from(session, folder, field):
    _, _, model_version = label_and_train(session, folder, field)
    assert model_version.provenance.label_ids == session.store.label_snapshot() == tuple(range(1, 19))
    minutes = sum(simulated_effort_s(field, 0)[:18]) / 60
    assert model_version.provenance.metrics["expert minutes"] == pytest.approx(minutes, abs=1e-5)
    assert not is_stale(session)


def test_a_model_is_stale_after_an_undo_and_fresh_again_after_the_redo(session, folder, field):
    label_and_train(session, folder, field)
    session.undo()
    assert is_stale(session)
    session.redo()
    assert not is_stale(session)


def test_a_model_is_stale_after_a_crop_was_labelled_anew(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    answer_with(session, field, stored, pixels, 30)
    assert not is_stale(session)
    answer_with(session, field, stored, pixels, 0, kind="exclude")
    assert is_stale(session)
    finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
    assert not is_stale(session)


def test_a_model_rolled_back_to_is_asked_and_as_stale_as_it_was(session, folder, field):
    stored, pixels, first = label_and_train(session, folder, field)
    before = score(folder, field, stored, pixels)
    session.undo()
    finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
    assert not is_stale(session)
    roll_back(folder / "models", 1)
    assert is_stale(session)
    after = score(folder, field, stored, pixels)
    assert (after.generation, after.model_hash) == (3, first.model_hash)
    np.testing.assert_array_equal(after.scores.probs_N_K, before.scores.probs_N_K)


def test_as_many_models_are_kept_as_the_project_says(session, folder, field):
    session.configure(replace(session.project, kept_models=1))
    label_and_train(session, folder, field)
    finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
    assert [each.number for each in kept_versions(folder / "models")] == [2]


# which crops a model learns from


def train(folder):
    return finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))


def answer_cut(session, stored, pixels_C_Y_X, side, at, kind="class", class_id=1):
    """Answer a crop of any size and channels, at (at, 0)."""
    own = pixels_C_Y_X[:, at : at + side, :side]
    end = EventKind.ANSWERED if kind == "class" else EventKind.SKIPPED
    record = AnswerRecord(stored.id, at, 0, own, kind, class_id if kind == "class" else None, "ada", events_of(1, end))
    return session.answer(record)


def stacked(session, field, channels):
    frame = frame_from_array(np.stack([field.pixels_Y_X] * channels), "CYX", None, f"{channels} channels")
    return session.place(recorded(frame_of(frame, ALL))), frame.pixels


def test_labels_of_another_size_are_left_out_and_counted_though_they_came_last(session, folder, field):
    stored, pixels, _ = label_and_train(session, folder, field)
    for at in (0, 8):
        answer_cut(session, stored, pixels, 8, at)
    model_version = train(folder)
    assert "2 of 20 labels were left out: their crops are 8 px, the project's are 16 px." in model_version.agent.notes
    assert (model_version.number, model_version.agent.label_count, model_version.agent.crop_shape) == (
        2,
        18,
        (1, CROP, CROP),
    )
    assert model_version.provenance.label_ids == tuple(range(1, 19))


def test_an_unanswered_crop_of_another_kind_changes_no_training(session, folder, field):
    label_and_train(session, folder, field)
    answer_cut(session, *stacked(session, field, 3), CROP, 0, kind="skip")
    model_version = train(folder)
    assert model_version.agent.crop_shape == (1, CROP, CROP)
    assert (
        "1 of 1 answers without a label were left out: their crops have 3 channels, the project's have 1."
        in model_version.agent.notes
    )


def test_labels_with_other_channels_than_most_are_left_out_and_counted(session, folder, field):
    label_and_train(session, folder, field)
    stored, pixels = stacked(session, field, 2)
    for at in (0, 16):
        answer_cut(session, stored, pixels, CROP, at)
    model_version = train(folder)
    assert model_version.agent.crop_shape == (1, CROP, CROP)
    assert (
        "2 of 20 labels were left out: their crops have 2 channels, the project's have 1." in model_version.agent.notes
    )


def test_after_a_change_of_crop_size_training_names_the_reason_and_keeps_the_older_model(session, folder, field):
    label_and_train(session, folder, field)
    session.configure(replace(session.project, tiling=Tiling(24, 24)))
    model_version = train(folder)
    assert model_version.number == 0
    assert [each.number for each in kept_versions(folder / "models")] == [1]
    assert model_version.agent.notes[-3:] == (
        "18 of 18 labels were left out: their crops are 16 px, the project's are 24 px.",
        "Label crops of 24 px, or set the project's crop size back to 16 px, then train again.",
        "No model was saved. Model 1 stays the newest.",
    )
    session.configure(replace(session.project, tiling=Tiling(CROP, CROP)))
    assert train(folder).agent.label_count == 18


# pixel sizes and crops without information


def test_a_model_knows_the_pixel_sizes_of_the_frames_it_learned_from_most_labels_first(session, folder, field):
    label_and_train(session, folder, field)
    frame = frame_from_array(field.pixels_Y_X[np.newaxis] + 1, "CYX", 0.5, "coarse")
    stored = session.place(recorded(frame_of(frame, ALL)))
    for at in (0, 16):
        answer_cut(session, stored, frame.pixels, CROP, at)
    for at in (0, 8):  # left out: of another size
        answer_cut(
            session, *(session.place(recorded(frame_of(replace(frame, pixel_um=9.0), ALL))), frame.pixels), 8, at
        )
    assert train(folder).provenance.pixel_um == (field.pixel_um, 0.5)


@pytest.mark.parametrize("is_trained", [True, False], ids=["with a model", "by the labels alone"])
def test_scores_of_a_frame_of_another_pixel_size_come_with_a_warning(session, folder, field, is_trained):
    stored, pixels, _ = label_and_train(session, folder, field)
    if not is_trained:
        for path in (folder / "models").iterdir():
            path.unlink()
    for um, count in ((field.pixel_um, 0), (None, 0), (5 * field.pixel_um, 1)):
        frame = FramePlane(pixels, "field", "all", stored.content_hash, um)
        warnings = finish(score_prepared(prepare(ScoreRequest(load_project(folder), frame, device="cpu")))).warnings
        assert [
            each.startswith("The frame has 0.1 µm per pixel, but the labels are from 0.02") for each in warnings
        ] == [True] * count


def test_a_first_query_passes_over_crops_without_information(session, folder, field):
    pixels = field.pixels_Y_X[np.newaxis].copy()
    pixels[:, :, :48] = 3
    stored = session.place(recorded(frame_of(frame_from_array(pixels, "CYX", None, "half"), ALL)))
    found = score(folder, field, stored, pixels)
    shown = [6 * row + col for row in range(6) for col in (3, 4, 5)]
    assert (found.scores, found.which_M.tolist(), found.features_M_F.shape) == (None, shown, (18, 4))
    project = replace(session.project, choices=replace(session.project.choices, n=36))
    assert sorted(query_of(found, project, field.grid, np.arange(36), 0, "abc").picked_n) == shown
    assert "18 of 36 crops have no information" in found.warnings[0]


def test_a_frame_that_shows_nothing_is_not_asked_and_says_so(session, folder, field):
    pixels = np.zeros_like(field.pixels_Y_X)[np.newaxis]
    stored = session.place(recorded(frame_of(frame_from_array(pixels, "CYX", None, "dark"), ALL)))
    found = score(folder, field, stored, pixels)
    with pytest.raises(ProjectError, match="The frame has no information"):
        query_of(found, session.project, field.grid, np.arange(36), 0, "abc")


def test_efforts_without_a_classifier_save_no_model(session, folder, field):
    stored, pixels = place(session, field)
    for index in range(12):
        answer_with(session, field, stored, pixels, index, kind="skip", seconds=1 + index)
    model_version = train(folder)
    assert (model_version.number, list((folder / "models").iterdir())) == (0, [])
    assert model_version.agent.notes[-1] == "No model was saved."


def test_a_diverging_training_leaves_the_newest_model(session, folder, field, monkeypatch):
    label_and_train(session, folder, field)
    monkeypatch.setattr(
        "costal.workbench.retraining.normalise", lambda pixels, limits: normalise(pixels, limits) * np.nan
    )
    with pytest.raises(Exception, match="diverged"):
        finish(retrain(RetrainRequest(load_project(folder), 0, "cpu")))
    assert sorted(each.name for each in (folder / "models").iterdir()) == ["0001.json", "0001.safetensors"]


def test_a_refused_setting_changes_neither_the_file_nor_the_project(session, folder):
    before, text = session.project, (folder / "project.toml").read_bytes()
    with pytest.raises(ProjectError, match="Two classes have the name"):
        session.configure(replace(before, classes=(before.classes[0], replace(before.classes[0], id=9, key="9"))))
    assert session.project is before
    assert (folder / "project.toml").read_bytes() == text


@pytest.mark.parametrize(("is_trained", "times"), [(False, 6), (True, 3)])
def test_scoring_a_frame_holds_a_batch_of_crops_and_not_all(is_trained, times, session, folder, field):
    if is_trained:
        label_and_train(session, folder, field)
    stored, pixels = place(session, field)
    wide = np.tile(pixels, (1, times, times))
    project = replace(session.project, tiling=Tiling(CROP, 2))
    frame = FramePlane(wide, "wide", "all", "", None)
    request = ScoreRequest(project, frame, device="cpu", range=stored.range)
    loads = replace(request, project=session.project, frame=replace(frame, pixels_C_Y_X=pixels))
    finish(score_prepared(prepare(loads)))
    tracemalloc.start()
    found = finish(score_prepared(prepare(request)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found.scores is not None) == is_trained
    assert peak < 4 * CROP**2 * len(tile(wide.shape[1:], CROP, 2)) / 2
