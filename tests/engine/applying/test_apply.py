import csv
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from typer import Typer
from typer.testing import CliRunner

from costal.applying.applied import (
    NO_CLASS,
    Applied,
    ClassifiedFrame,
    Failure,
    counts_of,
    map_in_pieces,
    uncertain_first,
)
from costal.applying.classify import ApplyRequest, apply_to_frame
from costal.applying.files import FilesRequest, apply_to_files
from costal.applying.image_files import image_sources, output_names
from costal.applying.outputs import write_counts, write_crops, write_geojson, write_label_tiff
from costal.cli import apply as apply_command
from costal.errors import AgentError, FrameError, ProjectError
from costal.frames.grid import crops, index_at, tile
from costal.frames.normalise import intensity_range, normalise
from costal.frames.read import read
from costal.frames.simulate import CLASS_NAMES, simulate_field
from costal.labels.classes import new_class
from costal.labels.models import load_newest, save_agent
from costal.labels.project import Choices, Intake, Tiling
from costal.labels.project_file import create_project, save_project
from costal.loop import learn, new_agent
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import Answer, Progress, Training, finish

CROP = 16


@pytest.fixture(scope="module")
def field():
    return simulate_field((96, 80), CROP, seed=1)


@pytest.fixture
def project(tmp_path):
    """Return a project without a model, for crops of 16 px."""
    made = create_project(tmp_path / "neurons", CLASS_NAMES)
    made = replace(made, tiling=Tiling(CROP, CROP), choices=Choices(passes=4), intake=Intake(z="each", t="first"))
    save_project(made)
    return made


QUICK = Training(min_steps=30, epochs=1)


@pytest.fixture(scope="module")
def agent(field, tmp_path_factory):
    """Return a classifier that was trained for a moment on the simulated field."""
    made = create_project(tmp_path_factory.mktemp("any") / "neurons", CLASS_NAMES)
    made = replace(made, tiling=Tiling(CROP, CROP), choices=Choices(passes=4))
    pixels = field.pixels_Y_X[None]
    (cut,) = crops(pixels, field.grid)
    answers = [
        Answer(crop, int(index), None)
        for crop, index in zip(normalise(cut, intensity_range(pixels)), field.classes_N, strict=True)
    ]
    settings = replace(made.agent_settings(), training=QUICK)
    return finish(learn(new_agent(settings, (1, CROP, CROP)), answers, 0, "cpu"))


@pytest.fixture
def trained(project, agent, monkeypatch):
    """Return the project with the classifier."""
    from costal.labels.project import Project

    settings = Project.agent_settings
    monkeypatch.setattr(Project, "agent_settings", lambda self: replace(settings(self), training=QUICK))
    save_agent(project.model_folder, agent)
    return project


def request(project, pixels_C_Y_X, **tiling):
    project = replace(project, tiling=replace(project.tiling, **tiling))
    return ApplyRequest(project, FramePlane(pixels_C_Y_X, "a", "all", "", None), device="cpu")


def grid_of(apply_request):
    tiling = apply_request.project.tiling
    return tile(apply_request.frame.pixels_C_Y_X.shape[1:], tiling.crop, tiling.stride, tiling.edge)


def at(apply_request, pixel_um):
    return replace(apply_request, frame=replace(apply_request.frame, pixel_um=pixel_um))


def applied(grid, indices, confidence=None, information=None, class_ids=(1, 2, 5)):
    count = len(grid)
    confidence = np.linspace(0.9, 0.5, count) if confidence is None else np.array(confidence)
    information = np.zeros(count) if information is None else np.array(information)
    figures = (each.astype(np.float32) for each in (confidence, information))
    return Applied(grid, class_ids, np.array(indices, np.uint16), *figures, 7, "abc", "cpu")


def classified(grid, indices, source="a.tif", pixel_um=0.02, **figures):
    return ClassifiedFrame(source, "all", pixel_um, applied(grid, indices, **figures))


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_tiff(path, pixels, **metadata):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, **metadata)
    return path


# the class map


def test_the_class_map_of_crops_side_by_side_is_each_crop_in_its_class_and_a_rest_of_zero():
    grid = tile((17, 26), 8)
    expected = np.zeros((17, 26), int)
    expected[:16, :24] = np.kron([[1, 2, 5], [5, 1, 2]], np.ones((8, 8)))
    painted = map_in_pieces(applied(grid, [0, 1, 2, 2, 0, 1]))[:, :]
    assert painted.dtype == np.uint8
    np.testing.assert_array_equal(painted, expected)


def test_where_crops_overlap_the_nearest_centre_wins_and_the_upper_or_left_of_two():
    grid = tile((8, 14), 8, 3)  # centres at x = 3.5, 6.5, 9.5
    painted = map_in_pieces(applied(grid, [0, 1, 2]))[:, :]
    np.testing.assert_array_equal(painted[0], [1] * 6 + [2] * 3 + [5] * 5)


def test_padded_crops_cover_the_whole_frame():
    grid = tile((8, 20), 8, edge="pad")
    painted = map_in_pieces(applied(grid, [0, 1, 2]))[:, :]
    np.testing.assert_array_equal(painted[0], [1] * 8 + [2] * 8 + [5] * 4)


@given(
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.integers(8, 12),
    st.integers(1, 12),
    st.sampled_from(["drop", "pad"]),
)
def test_the_class_map_names_the_crop_that_index_at_finds(shape, crop, stride, edge):
    crop = min(crop, *shape)
    grid = tile(shape, crop, min(stride, crop), edge)
    ids = tuple(range(1, len(grid) + 1))
    painted = map_in_pieces(applied(grid, np.arange(len(grid)), class_ids=ids))[:, :]
    result = [[index_at(grid, y, x) for x in range(shape[1])] for y in range(shape[0])]
    np.testing.assert_array_equal(painted, [[0 if index is None else index + 1 for index in row] for row in result])


def test_class_ids_beyond_255_take_sixteen_bits():
    painted = map_in_pieces(applied(tile((8, 16), 8), [0, 1], class_ids=(3, 300)))[:, :]
    assert painted.dtype == np.uint16
    assert (painted[0, 0], painted[0, 8]) == (3, 300)


# order and counts


def test_uncertain_crops_come_first_and_among_equals_those_with_more_information():
    first = classified(tile((8, 24), 8), [0, 1, 2], confidence=[0.9, 0.4, 0.6], information=[0, 0, 0.1])
    second = classified(tile((8, 16), 8), [2, 0], source="b.tif", confidence=[0.6, 0.3], information=[0.2, 0])
    result = [(each.source, each.index, each.class_id) for each in uncertain_first([first, second])]
    assert result == [("b.tif", 1, 1), ("a.tif", 1, 2), ("b.tif", 0, 5), ("a.tif", 2, 5), ("a.tif", 0, 1)]


def test_no_frame_has_no_uncertain_crop():
    assert list(uncertain_first([])) == []


def test_counts_add_up_and_classes_without_a_crop_are_counted_as_none():
    frame = classified(tile((8, 32), 8), [2, 0, 2, 2], confidence=[1, 0.5, 0.75, 0.75])
    assert counts_of(frame).counts_K == (1, 0, 3)
    assert counts_of(frame).confidence == pytest.approx(0.75)


# a plane


@pytest.mark.parametrize(
    "tiling", [{}, {"edge": "pad", "crop": 16, "stride": 10}, {"stride": 5}], ids=["plain", "padded", "overlapping"]
)
def test_classes_confidence_and_information_are_those_of_score_frame(trained, field, tiling):
    apply_request = request(trained, field.pixels_Y_X[None], **tiling)
    result = finish(apply_to_frame(apply_request))
    scores = finish(
        score_prepared(prepare(ScoreRequest(apply_request.project, apply_request.frame, device="cpu")))
    ).scores
    np.testing.assert_array_equal(result.class_index_N, scores.predicted_class_N)
    np.testing.assert_array_equal(result.confidence_N, scores.probs_N_K.max(1))
    np.testing.assert_array_equal(result.information_N, scores.information_N)
    assert result.class_ids == (1, 2, 3, 4)
    assert (result.generation, result.model_hash) == (1, load_newest(trained.model_folder).model_hash)


def test_a_project_that_asks_at_random_is_classified_by_the_committee_too(trained, field):
    by_std = finish(apply_to_frame(request(trained, field.pixels_Y_X[None])))
    at_random = replace(trained, choices=replace(trained.choices, acquisition="random"))
    result = finish(apply_to_frame(request(at_random, field.pixels_Y_X[None])))
    np.testing.assert_array_equal(result.class_index_N, by_std.class_index_N)
    np.testing.assert_array_equal(result.information_N, by_std.information_N)


def test_memory_is_that_of_a_batch_of_crops_and_not_of_all(trained, field):
    apply_request = request(trained, np.tile(field.pixels_Y_X, (2, 3))[None], stride=2)
    all_crops = 4 * CROP**2 * len(grid_of(apply_request))
    finish(apply_to_frame(request(trained, field.pixels_Y_X[None])))  # what is loaded once does not count
    tracemalloc.start()
    try:
        finish(apply_to_frame(apply_request))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(grid_of(apply_request)) > 9000
    assert peak < all_crops / 2


def test_progress_goes_from_none_to_all_crops(trained, field):
    apply_request = request(trained, field.pixels_Y_X[None], stride=2)
    progress = list(apply_to_frame(apply_request))
    done = [each.done for each in progress]
    assert (done, done[0], done[-1]) == (sorted(done), 0, len(grid_of(apply_request)))
    assert {each.total for each in progress} == {len(grid_of(apply_request))}


def test_without_a_trained_classifier_it_says_what_to_do(project, field):
    with pytest.raises(ProjectError, match=r"'neurons' has no trained classifier yet. Label crops"):
        finish(apply_to_frame(request(project, field.pixels_Y_X[None])))


def test_a_class_added_since_makes_the_model_unfit(trained, field):
    with pytest.raises(ProjectError, match=r"was trained for 4 classes"):
        finish(apply_to_frame(request(new_class(trained, "spines"), field.pixels_Y_X[None])))


def test_crops_of_another_kind_are_refused_with_both_named(trained, field):
    with pytest.raises(AgentError, match=r"for crops of 16 px with 1 channel\(s\), not 16 px with 2"):
        finish(apply_to_frame(request(trained, np.stack([field.pixels_Y_X] * 2))))


# files that come of it


def test_the_label_tiff_has_the_frames_size_and_pixel_size_and_the_colours_of_the_classes(tmp_path, project):
    frame = classified(tile((17, 26), 8), [0, 1, 2, 2, 0, 1], class_ids=(1, 2, 4))
    write_label_tiff(tmp_path / "a.tif", frame, project)
    label_image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(label_image.pixels, map_in_pieces(frame.applied)[:, :])
    assert label_image.pixel_um == pytest.approx(0.02)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        shown = file.imagej_metadata
    assert shown["Info"] == "1 = background\n2 = puncta\n4 = rings"
    (colours,) = [shown["LUTs"]] if isinstance(shown["LUTs"], np.ndarray) else shown["LUTs"]
    assert bytes(colours[:, 2]).hex() == project.classes[1].colour.removeprefix("#")
    assert not colours[:, 0].any()


def test_a_label_tiff_too_large_for_imagej_is_an_ome_tiff_of_the_same_pixels(tmp_path, project, monkeypatch):
    monkeypatch.setattr("costal.applying.outputs.LARGE_BYTES", 100)
    frame = classified(tile((17, 26), 8), [0, 1, 2, 2, 0, 1])
    write_label_tiff(tmp_path / "a.tif", frame, project)
    label_image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(label_image.pixels, map_in_pieces(frame.applied)[:, :])
    assert label_image.pixel_um == pytest.approx(0.02)


def test_a_frame_of_unknown_pixel_size_has_a_label_tiff_of_unknown_pixel_size(tmp_path, project):
    write_label_tiff(tmp_path / "a.tif", classified(tile((16, 16), 8), [0, 1, 1, 0], pixel_um=None), project)
    assert read(tmp_path / "a.tif").pixel_um is None


def test_the_table_of_crops_lists_place_class_and_figures_uncertain_first(tmp_path, project):
    frame = classified(tile((8, 16), 8), [0, 1], confidence=[0.75, 0.5], information=[0.25, 0.125])
    write_crops(tmp_path / "crops.csv", [frame], project)
    assert (tmp_path / "crops.csv").read_text("utf-8").splitlines() == [
        "frame,planes,y,x,side,class,confidence,information",
        "a.tif,all,0,8,8,puncta,0.5,0.125",
        "a.tif,all,0,0,8,background,0.75,0.25",
    ]


def test_probabilities_sum_to_one_and_confidence_is_the_largest(trained, field, tmp_path):
    image, out = write_tiff(tmp_path / "a.tif", field.pixels_Y_X), tmp_path / "out"
    finish(apply_to_files(FilesRequest(trained, (image,), out, "cpu")))
    rows = rows_of(out / "crops.csv")
    probs = np.array([[float(row[key]) for key in row if key.startswith("probability: ")] for row in rows])
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-5)
    np.testing.assert_allclose(probs.max(1), [float(row["confidence"]) for row in rows], rtol=1e-4)


def test_names_that_a_spreadsheet_would_run_are_escaped(tmp_path, project):
    classes = (replace(project.classes[0], name="=1+1"), *project.classes[1:])
    frame = classified(tile((8, 16), 8), [0, 1], source="=cmd.tif")
    renamed, table = replace(project, classes=classes), tmp_path / "table.csv"
    write_crops(table, [frame], renamed)
    assert [(row["frame"], row["class"]) for row in rows_of(table)] == [("'=cmd.tif", "puncta"), ("'=cmd.tif", "'=1+1")]
    failures = [Failure("@b.tif", "", "+broken")]
    write_counts(table, [counts_of(frame)], (1, 2, 4), renamed, failures)
    assert [(row["frame"], row["notes"]) for row in rows_of(table)] == [("'=cmd.tif", ""), ("'@b.tif", "'+broken")]


def test_the_geojson_has_a_square_of_each_crop_and_of_a_padded_one_what_lies_within_the_frame(tmp_path, project):
    frame = replace(classified(tile((8, 13), 8, edge="pad"), [0, 1], confidence=[0.75, 0.5]), planes="z 3, t 0")
    write_geojson(tmp_path / "a.geojson", frame, project)
    features = json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]
    rings = [each["geometry"]["coordinates"][0] for each in features]
    assert rings == [
        [[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]],
        [[8, 0], [13, 0], [13, 8], [8, 8], [8, 0]],
    ]
    assert features[0]["geometry"]["plane"] == {"c": -1, "z": 3, "t": 0}
    assert [each["properties"]["classification"]["name"] for each in features] == ["background", "puncta"]
    assert features[1]["properties"]["measurements"] == {"Confidence": 0.5, "Information": 0.0}
    assert len({each["id"] for each in features}) == 2


def test_a_table_that_cannot_be_written_is_named_and_leaves_nothing(tmp_path, project):
    (tmp_path / "crops.csv").mkdir()
    with pytest.raises(ProjectError, match=r"crops.csv cannot be written"):
        write_crops(tmp_path / "crops.csv", [], project)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["crops.csv", "neurons"]


# crops without information


def half_blank(field):
    """Return the field with its left half, 3 of 5 columns of crops, constant."""
    pixels = field.pixels_Y_X.copy()
    pixels[:, : 3 * CROP] = 7
    return pixels


def test_crops_without_information_have_no_class_and_are_counted_apart(trained, field):
    pixels = half_blank(field)
    result = finish(apply_to_frame(request(trained, pixels[None])))
    blank = np.tile([True, True, True, False, False], 6)
    np.testing.assert_array_equal(result.is_blank_N, blank)
    assert (result.class_id_N[blank] == 0).all()
    assert (result.class_id_N[~blank] > 0).all()
    assert np.isnan(result.confidence_N[blank]).all()
    counts = counts_of(ClassifiedFrame("a.tif", "all", None, result))
    assert (sum(counts.counts_K), counts.blank) == (12, 18)
    assert counts.confidence == pytest.approx(result.confidence_N[~blank].mean())
    assert "18 of 30 crops have no information" in counts.notes
    painted = map_in_pieces(result)[:, :]
    assert (painted[:, : 3 * CROP] == 0).all()
    assert (painted[:, 3 * CROP :] > 0).all()


def test_tables_and_geojson_leave_crops_without_information_empty(tmp_path, project):
    frame = classified(tile((8, 24), 8), [0, NO_CLASS, 1], confidence=[0.75, np.nan, 0.5], information=[0, np.nan, 0])
    write_crops(tmp_path / "crops.csv", [frame], project)
    assert (tmp_path / "crops.csv").read_text("utf-8").splitlines()[1:] == [
        "a.tif,all,0,16,8,puncta,0.5,0",
        "a.tif,all,0,0,8,background,0.75,0",
        "a.tif,all,0,8,8,,,",
    ]
    write_counts(tmp_path / "counts.csv", [counts_of(frame)], (1, 2, 4), project)
    (row,) = rows_of(tmp_path / "counts.csv")
    assert (row["crops"], row["share: puncta"], row["without information"]) == ("2", "0.5", "1")
    write_geojson(tmp_path / "a.geojson", frame, project)
    assert len(json.loads((tmp_path / "a.geojson").read_text("utf-8"))["features"]) == 2
    assert [each.index for each in uncertain_first([frame], 10)] == [2, 0]


@pytest.mark.parametrize("value", [0, 900, np.nan], ids=["zero", "constant", "NaN"])
def test_a_frame_that_shows_nothing_is_said_so(trained, field, tmp_path, command, value):
    pixels = np.full((96, 80), value, np.float32)
    path, out = write_tiff(tmp_path / "a.tif", pixels), tmp_path / "out"
    ran = command(path, "--project", trained.folder, "--out", out, "--device", "cpu")
    (row,) = rows_of(out / "counts.csv")
    if np.isnan(value):
        assert "has no finite pixel" in row["notes"]
        return
    assert ran.exit_code == 0
    assert "Classified 0 crops of 1 frame" in ran.stdout
    assert "  without information: 30" in ran.stdout.splitlines()
    assert "The frame has no information" in ran.stderr
    assert (row["crops"], row["mean confidence"], row["without information"]) == ("0", "", "30")
    assert not read(out / "a-classes.tif").pixels.any()


# pixel sizes


def learned_at(project, *pixel_um):
    """Let the project's newest model say that it learned at these pixel sizes."""
    newest = load_newest(project.model_folder)
    save_agent(project.model_folder, newest.agent, replace(newest.provenance, pixel_um=pixel_um))


def micrometres(um):
    return {"imagej": True, "resolution": (1 / um, 1 / um), "metadata": {"unit": "um"}}


@pytest.mark.parametrize(
    ("um", "learned", "is_warned"),
    [(0.5, (0.1,), True), (0.111, (0.1,), True), (0.11, (0.1,), False), (0.092, (0.1,), False), (0.02, (0.1,), True),
     (0.5, (0.1, 0.5), False), (0.5, (), False)],
)  # fmt: skip
def test_a_frame_of_another_pixel_size_than_was_learned_at_is_warned_of(trained, field, um, learned, is_warned):
    learned_at(trained, *learned)
    result = finish(apply_to_frame(at(request(trained, field.pixels_Y_X[None]), um)))
    assert any("another scale" in note for note in result.notes) == is_warned


def test_the_command_warns_of_another_pixel_size_on_the_screen_in_json_and_in_the_table(
    trained, field, tmp_path, command
):
    learned_at(trained, 0.1)
    path, out = write_tiff(tmp_path / "a.tif", field.pixels_Y_X, **micrometres(0.5)), tmp_path / "out"
    ran = command(path, "--project", trained.folder, "--out", out, "--device", "cpu", "--json")
    (row,) = rows_of(out / "counts.csv")
    warning = "The frame has 0.5 µm per pixel, but the labels are from 0.1 µm"
    notes = json.loads(ran.stdout)["frames"][0]["notes"]
    assert all(warning in text and "--resample" in text for text in (ran.stderr, notes, row["notes"]))


@pytest.mark.parametrize("factor", [2, 5])
def test_a_frame_of_smaller_pixels_is_classified_as_the_native_one_where_it_is_resampled(
    trained, field, tmp_path, factor, command
):
    learned_at(trained, 0.1)
    native = field.pixels_Y_X
    fine = np.kron(native, np.ones((factor, factor), native.dtype))
    paths = [
        write_tiff(tmp_path / name, pixels, **micrometres(um))
        for name, pixels, um in (("native.tif", native, 0.1), ("fine.tif", fine, 0.1 / factor))
    ]
    out = tmp_path / "out"
    ran = command(*paths, "--project", trained.folder, "--out", out, "--device", "cpu", "--resample")
    assert ran.exit_code == 0
    assert f"Resampled from {0.1 / factor:.3g} to 0.1 µm per pixel." in ran.stderr
    one, other = (
        {(int(row["y"]), int(row["x"]), int(row["side"])): row["class"] for row in rows_of(out / "crops.csv")
         if row["frame"] == str(path)}
        for path in paths
    )  # fmt: skip
    assert {(y * factor, x * factor, side * factor): name for (y, x, side), name in one.items()} == other
    small, large = (read(out / f"{name}-classes.tif") for name in ("native", "fine"))
    np.testing.assert_array_equal(np.kron(small.pixels, np.ones((factor, factor), int)), large.pixels)
    assert large.pixel_um == pytest.approx(0.1 / factor, rel=1e-4)


def test_a_frame_of_larger_pixels_keeps_its_own_positions_when_resampled(trained, field):
    learned_at(trained, 0.1)
    apply_request = replace(at(request(trained, field.pixels_Y_X[None]), 0.2), resample=True)
    result = finish(apply_to_frame(apply_request))
    assert (result.grid.height, result.grid.width, result.shape) == (192, 160, (96, 80))
    assert len(result.grid) == 12 * 10
    frame = ClassifiedFrame("a.tif", "all", 0.2, result)
    places = {(each.y, each.x, each.side) for each in uncertain_first([frame])}
    assert places == {(y, x, 8) for y in range(0, 96, 8) for x in range(0, 80, 8)}
    assert map_in_pieces(result)[:, :].shape == (96, 80)
    np.testing.assert_array_equal(map_in_pieces(result)[:, :][4::8, 4::8].ravel(), result.class_id_N)


# files and folders


def test_every_file_of_a_folder_is_classified_and_the_outputs_fit_together(trained, field, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    for name, seed in (("a", 1), ("b", 2)):
        other = simulate_field((96, 80), CROP, seed)
        write_tiff(folder / f"{name}.tif", other.pixels_Y_X, imagej=True, resolution=(50, 50), metadata={"unit": "um"})
    result = finish(apply_to_files(FilesRequest(trained, (folder,), out, "cpu")))
    assert result.failures == ()
    assert sorted(each.name for each in out.iterdir()) == [
        "a-classes.tif", "a.geojson", "b-classes.tif", "b.geojson", "classes.json", "counts.csv", "crops.csv",
    ]  # fmt: skip
    listed = rows_of(out / "crops.csv")
    confidence = [float(row["confidence"]) for row in listed]
    assert (len(listed), confidence) == (60, sorted(confidence))
    assert [each.confidence for each in result.uncertain] == pytest.approx(confidence, rel=1e-5)
    for name, counts, row in zip("ab", result.frames, rows_of(out / "counts.csv"), strict=True):
        source = str(folder / f"{name}.tif")
        labels = read(out / f"{name}-classes.tif")
        assert (row["frame"], row["crops"], labels.pixel_um) == (source, "30", pytest.approx(0.02))
        for each, count in zip(trained.classes, counts.counts_K, strict=True):
            of_class = [crop for crop in listed if (crop["frame"], crop["class"]) == (source, each.name)]
            assert int(row[f"count: {each.name}"]) == len(of_class) == count
            assert float(row[f"share: {each.name}"]) == pytest.approx(count / 30, rel=1e-5)
            assert np.count_nonzero(labels.pixels == each.id) == count * CROP**2
    named = json.loads((out / "classes.json").read_text("utf-8"))
    assert [(each["id"], each["name"]) for each in named["classes"]] == list(enumerate(CLASS_NAMES, 1))
    assert named["model_hash"] == result.model_hash


def test_a_file_is_classified_as_its_plane_alone_would_be(trained, field, tmp_path):
    path = write_tiff(tmp_path / "a.tif", field.pixels_Y_X)
    finish(apply_to_files(FilesRequest(trained, (path,), tmp_path / "out", "cpu")))
    alone = finish(apply_to_frame(request(trained, field.pixels_Y_X[None])))
    np.testing.assert_array_equal(read(tmp_path / "out" / "a-classes.tif").pixels, map_in_pieces(alone)[:, :])


def test_broken_files_are_listed_with_their_reasons_and_stop_nothing(trained, field, tmp_path):
    folder, out = tmp_path / "images", tmp_path / "out"
    for name in ("a", "d"):
        write_tiff(folder / f"{name}.tif", field.pixels_Y_X)
    (folder / "b.tif").write_bytes((folder / "a.tif").read_bytes()[:-500])
    (folder / "c.png").write_text("no image")
    write_tiff(folder / "e.tif", field.pixels_Y_X[:10, :10])
    write_tiff(folder / "f.tif", np.stack([field.pixels_Y_X] * 2), photometric="minisblack", metadata={"axes": "CYX"})
    result = finish(apply_to_files(FilesRequest(trained, (folder,), out, "cpu")))
    assert [each.source for each in result.frames] == [str(folder / name) for name in ("a.tif", "d.tif")]
    reasons = {each.source: each.reason for each in result.failures}
    assert list(reasons) == [str(folder / name) for name in ("b.tif", "c.png", "e.tif", "f.tif")]
    for (_, reason), word in zip(reasons.items(), ("cut short", "is not a TIFF", "10 x 10", "with 2."), strict=True):
        assert word in reason
    rows = rows_of(out / "counts.csv")
    assert [(row["frame"], row["crops"]) for row in rows[2:]] == [(source, "0") for source in reasons]
    assert [row["notes"] for row in rows[2:]] == list(reasons.values())


def test_each_plane_of_a_stack_is_a_frame_with_files_of_its_own(trained, field, tmp_path):
    stack = np.stack([field.pixels_Y_X, np.zeros_like(field.pixels_Y_X), field.pixels_Y_X[::-1]])
    path = write_tiff(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    result = finish(apply_to_files(FilesRequest(trained, (path,), tmp_path / "out", "cpu")))
    assert [each.planes for each in result.frames] == ["z 0", "z 1", "z 2"]
    assert "1 of 3 planes hold only zeros" in result.frames[0].notes
    for z, pixels in enumerate(stack):
        alone = finish(apply_to_frame(request(trained, pixels[None])))
        np.testing.assert_array_equal(read(tmp_path / "out" / f"a-z{z}-classes.tif").pixels, map_in_pieces(alone)[:, :])


def test_files_of_one_stem_do_not_take_each_others_place(trained, field, tmp_path):
    for name in ("day1/a.tif", "day2/a.tif", "day2/A.tiff", "x/day2/a.tif"):
        write_tiff(tmp_path / "images" / name, field.pixels_Y_X)
    result = finish(apply_to_files(FilesRequest(trained, (tmp_path / "images",), tmp_path / "out", "cpu")))
    assert len(result.frames) == 4
    assert sorted(each.name for each in (tmp_path / "out").glob("*.tif")) == [
        "day1-a-classes.tif", "day2-A-classes.tif", "day2-a_2-classes.tif", "day2-a_3-classes.tif",
    ]  # fmt: skip


def test_outputs_are_called_by_the_stem_and_by_the_folder_too_where_stems_are_shared(tmp_path):
    files = [tmp_path / name for name in ("b.tif", "day1/a.tif", "day2/A.png")]
    assert output_names(files) == ["b", "day1-a", "day2-A"]


def test_outputs_are_called_so_that_every_system_takes_them(tmp_path):
    files = [tmp_path / name for name in ("con.tif", "a:b.tif", "n" * 250 + ".tif", "神" * 80 + ".tif")]
    assert output_names(files) == ["_con", "a_b", "n" * 180, "神" * 60]


def test_a_file_whose_name_is_no_text_is_named_and_stops_nothing(trained, field, tmp_path):
    write_tiff(tmp_path / "images" / "a.tif", field.pixels_Y_X)
    try:
        (tmp_path / "images" / "b\udcff.tif").write_bytes((tmp_path / "images" / "a.tif").read_bytes())
    except (OSError, UnicodeEncodeError):
        pytest.skip("this file system takes text alone")
    result = finish(apply_to_files(FilesRequest(trained, (tmp_path / "images",), tmp_path / "out", "cpu")))
    assert (len(result.frames), len(result.failures)) == (1, 1)
    assert "Rename the file" in result.failures[0].reason


def test_images_below_a_folder_are_found_but_not_what_is_hidden_or_was_written_by_us(field, tmp_path):
    for name in ("b.TIF", "sub/a.tif", ".hidden/a.tif", "sub/._a.tif", "old/a-classes.tif", "out/x.tif"):
        write_tiff(tmp_path / name, field.pixels_Y_X)
    (tmp_path / "notes.txt").write_text("no image")
    result = image_sources([tmp_path / "sub" / "a.tif", tmp_path], tmp_path / "out")
    assert result == [str(tmp_path / "sub" / "a.tif"), str(tmp_path / "b.TIF")]


def test_a_device_that_is_not_here_is_said_once(trained, field, tmp_path):
    path = write_tiff(tmp_path / "a.tif", field.pixels_Y_X)
    with pytest.raises(AgentError, match="This machine has no device 'nowhere'"):
        finish(apply_to_files(FilesRequest(trained, (path,), tmp_path / "out", "nowhere")))


def test_progress_over_files_and_planes_never_goes_back(trained, field, tmp_path):
    stack = np.stack([field.pixels_Y_X] * 2)
    paths = [write_tiff(tmp_path / f"{name}.tif", stack, imagej=True, metadata={"axes": "ZYX"}) for name in "ab"]
    progress = list(apply_to_files(FilesRequest(trained, tuple(paths), tmp_path / "out", "cpu")))
    shares = [each.done / each.total for each in progress]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0, 1)
    assert progress[-2].message == "b.tif (2 of 2): z 1: Scoring"


def test_a_folder_without_images_is_refused(trained, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(FrameError, match=r"There is no TIFF, PNG, JPEG or OME-Zarr image in .*empty"):
        finish(apply_to_files(FilesRequest(trained, (tmp_path / "empty",), tmp_path / "out", "cpu")))
    assert not (tmp_path / "out").exists()


def test_earlier_results_are_replaced_only_when_that_is_said(trained, field, tmp_path):
    out = tmp_path / "out"
    apply_request = FilesRequest(trained, (write_tiff(tmp_path / "a.tif", field.pixels_Y_X),), out, "cpu")
    finish(apply_to_files(apply_request))
    (out / "crops.csv").write_text("mine")
    with pytest.raises(ProjectError, match=r"crops.csv exists already"):
        finish(apply_to_files(apply_request))
    assert (out / "crops.csv").read_text() == "mine"
    assert len(finish(apply_to_files(replace(apply_request, overwrite=True))).frames) == 1
    assert len(rows_of(out / "crops.csv")) == 30


def test_a_geojson_of_the_users_own_is_left_alone(trained, field, tmp_path):
    (tmp_path / "a.geojson").write_text("mine")
    path = write_tiff(tmp_path / "a.tif", field.pixels_Y_X)
    result = finish(apply_to_files(FilesRequest(trained, (path,), tmp_path, "cpu")))
    assert "a.geojson exists already" in result.failures[0].reason
    assert (tmp_path / "a.geojson").read_text() == "mine"


def test_a_stopped_job_leaves_whole_files_and_no_tables(trained, field, tmp_path):
    for name in "abc":
        write_tiff(tmp_path / "images" / f"{name}.tif", field.pixels_Y_X)
    job = apply_to_files(FilesRequest(trained, (tmp_path / "images",), tmp_path / "out", "cpu"))
    at = next(each for each in job if each.message.startswith("b.tif (2 of 3)"))
    assert (at.done, at.total) == (100, 300)
    job.close()
    assert sorted(each.name for each in (tmp_path / "out").iterdir()) == [
        "a-classes.tif",
        "a.geojson",
        "unfinished.txt",
    ]


def test_many_files_need_no_more_memory_than_one(trained, field, tmp_path):
    paths = [write_tiff(tmp_path / f"{name}.tif", np.tile(field.pixels_Y_X, (5, 6))) for name in "abcdef"]

    def peak(apply_request):
        tracemalloc.start()
        try:
            finish(
                apply_to_files(
                    FilesRequest(trained, tuple(apply_request), tmp_path / f"out{len(apply_request)}", "cpu")
                )
            )
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(paths[:2])
    one = peak(paths[:1])
    assert peak(paths) < one + paths[0].stat().st_size


def test_every_frame_is_classified_by_the_model_that_was_newest_at_the_start(trained, field, tmp_path):
    for name in "ab":
        write_tiff(tmp_path / "images" / f"{name}.tif", field.pixels_Y_X)
    job = apply_to_files(FilesRequest(trained, (tmp_path / "images",), tmp_path / "out", "cpu"))
    assert isinstance(next(job), Progress)
    agent = load_newest(trained.model_folder).agent
    blank = tuple({name: 0 * array for name, array in each.items()} for each in agent.classifier)
    save_agent(trained.model_folder, replace(agent, classifier=blank))
    result = finish(job)
    assert result.generation == 1
    assert result.frames[0].counts_K == result.frames[1].counts_K


# the command


@pytest.fixture
def command():
    app = Typer()
    apply_command.register(app)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_the_command_says_how_many_crops_each_class_has(trained, field, tmp_path, command):
    path, out = write_tiff(tmp_path / "a.tif", field.pixels_Y_X), tmp_path / "out"
    ran = command(path, "--project", trained.folder, "--out", out, "--device", "cpu")
    assert ran.exit_code == 0
    (row,) = rows_of(out / "counts.csv")
    first, *counts = ran.stdout.splitlines()
    assert first == f"Classified 30 crops of 1 frame with model 1; wrote {out}"
    assert counts == [f"  {name}: {row[f'count: {name}']} ({float(row[f'share: {name}']):.1%})" for name in CLASS_NAMES]


def test_the_command_finishes_the_rest_then_fails_with_a_sentence_when_a_file_could_not_be_classified(
    trained, field, tmp_path, command
):
    good, bad = write_tiff(tmp_path / "a.tif", field.pixels_Y_X), tmp_path / "b.tif"
    bad.write_text("no image")
    ran = command(bad, good, "--project", trained.folder, "--out", tmp_path / "out", "--device", "cpu")
    assert isinstance(ran.exception, FrameError)
    assert str(ran.exception).startswith("1 of 2 frames could not be classified.")
    assert f"not classified: {bad} is not a TIFF, PNG or JPEG image." in ran.stdout
    assert (tmp_path / "out" / "a-classes.tif").exists()


def test_the_command_speaks_json(trained, field, tmp_path, command):
    good, bad = write_tiff(tmp_path / "a.tif", field.pixels_Y_X), tmp_path / "gone.tif"
    ran = command(good, bad, "--project", trained.folder, "--out", tmp_path / "out", "--device", "cpu", "--json")
    document = json.loads(ran.stdout)
    assert sum(document["counts"].values()) == 30
    assert [(each["frame"], each["counts"]) for each in document["frames"]] == [(str(good), document["counts"])]
    assert [each["frame"] for each in document["failures"]] == [str(bad)]
    assert document["generation"] == 1
