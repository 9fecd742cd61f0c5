"""Large frames scored band by band: the same scores as in memory whatever the pieces, and nothing done twice."""

import pickle
import time
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import tifffile
import zarr

from costal.agent.features import simple_features
from costal.errors import FrameError, ProjectError
from costal.frames.grid import crop_at, crops, tile
from costal.frames.lazy import open_lazily
from costal.frames.normalise import IntensityRange, intensity_range, normalise
from costal.frames.read import Planes, plane, read
from costal.frames.windows import LazyPlane
from costal.labels.models import save_agent
from costal.labels.project import Tiling
from costal.labels.project_file import create_project
from costal.loop import learn, new_agent, score
from costal.scoring import bands, cold_start, strips
from costal.scoring.bands import BandWork
from costal.scoring.frame_planes import FramePlane, frame_of
from costal.scoring.intensities import background, measured_range
from costal.scoring.job import score_prepared
from costal.scoring.kept import BACKGROUND, BLANK, MISSING, PENDING, SCORED, Band, load_band
from costal.scoring.prepare import Prepared, ScoreRequest, prepare
from costal.scoring.queries import query_among, query_of
from costal.scoring.scores import FrameScores, frame_scores, gather, put_together, write_heatmap
from costal.types import Answer, Pool, finish

RANGE = IntensityRange((0.0,), (40_000.0,))


def picture(height=150, width=130, seed=0):
    rng = np.random.default_rng(seed)
    ramp = np.linspace(1000, 30_000, width)
    return (ramp + rng.gamma(2, 2000, (height, width))).astype(np.uint16)


@pytest.fixture(autouse=True)
def small_bands(monkeypatch):
    monkeypatch.setattr(bands, "BAND_CROPS", 20)


@pytest.fixture
def scored_crops(monkeypatch):
    """Return a list of how many crops each call of the scorer was given."""
    counts = []

    def counting(agent, pool, *rest):
        counts.append(len(pool.crops_N_C_H_W))
        return score(agent, pool, *rest)

    monkeypatch.setattr(bands, "score", counting)
    return counts


def request_for(project, source, folder, **changes):
    changes = {"range": RANGE, "device": "cpu"} | changes
    frame = open_lazily(source, changes.get("missing", "raise"))
    return ScoreRequest(project, frame_of(frame, Planes()), folder, **changes)


class Kept(NamedTuple):
    """What came of a frame whose bands are kept."""

    prepared: Prepared
    bands: Band
    scores: FrameScores

    @property
    def grid(self):
        return self.prepared.work.grid

    @property
    def value_N(self):
        return self.scores.value_N(self.prepared.project.choices.alpha, self.prepared.project.choices.beta)

    def query(self):
        return query_among(self.prepared, self.scores, {})

    def __getattr__(self, name):
        return getattr(self.bands, name)


def score_kept(request):
    prepared = prepare(request)
    scores = yield from score_prepared(prepared)
    return Kept(prepared, gather(prepared), scores)


def in_memory(project, pixels_C_Y_X, limits=RANGE):
    tiling = project.tiling
    grid = tile(pixels_C_Y_X.shape[1:], tiling.crop, tiling.stride, tiling.edge)
    from costal.scoring.model_version import current_version

    cut = np.concatenate([normalise(some, limits) for some in crops(pixels_C_Y_X, grid)])
    agent = current_version(project, cut.shape[1:]).agent
    return finish(score(agent, Pool(cut), project.choices.seed, "cpu"))


def same(found, expected):
    np.testing.assert_allclose(found.information_N, expected.information_N, atol=1e-5)
    np.testing.assert_allclose(found.cost_N, expected.cost_N, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "tiling",
    [Tiling(16, 16), Tiling(16, 16, "pad"), Tiling(16, 5), Tiling(16, 7, "pad")],
    ids=["even", "padded", "overlapping", "both"],
)
@pytest.mark.parametrize("acquisition", ["std", "random"])
def test_the_scores_are_those_of_the_frame_in_memory(tiling, acquisition, project, tmp_path, write_zarr):
    project = replace(project, tiling=tiling, choices=replace(project.choices, acquisition=acquisition))
    pixels = picture()
    found = finish(score_kept(request_for(project, write_zarr(tmp_path / "a.zarr", pixels), tmp_path / "out")))
    expected = in_memory(project, pixels[None])
    assert found.prepared.work.band_count > 1
    same(found, expected)
    np.testing.assert_allclose(found.features_N_F, expected.features_N_F, atol=1e-4) if acquisition == "std" else None


@pytest.mark.parametrize("chunk", [7, 16, 64, 200])
@pytest.mark.parametrize(
    ("module", "name", "value"),
    [(bands, "BAND_CROPS", 1), (bands, "BAND_CROPS", 1000), (strips, "KEPT_STRIP_BYTES", 0)],
)
def test_chunks_bands_and_strips_change_no_score(
    chunk, module, name, value, project, tmp_path, write_zarr, monkeypatch
):
    monkeypatch.setattr(module, name, value)
    source = write_zarr(tmp_path / "a.zarr", picture(90, 70), chunk=chunk)
    same(finish(score_kept(request_for(project, source, tmp_path / "out"))), in_memory(project, picture(90, 70)[None]))


def test_channels_of_a_tiff_are_scored_as_in_memory(project, tmp_path, small_agent):
    pixels = np.stack([picture(seed=seed) for seed in (1, 2)])
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=(32, 32), compression="zlib", metadata={"axes": "CYX"})
    rng = np.random.default_rng(0)
    answers = [Answer(rng.normal(k, 0.3, (2, 16, 16)).astype(np.float32), k, None) for k in (0, 1) * 4]
    agent = finish(learn(new_agent(project.agent_settings(), (2, 16, 16)), answers, 0, "cpu"))
    save_agent(project.model_folder, agent)
    whole = plane(read(tmp_path / "a.tif"))
    limits = intensity_range(whole)
    found = finish(score_kept(request_for(project, tmp_path / "a.tif", tmp_path / "out", range=None)))
    assert found.prepared.work.range == limits
    same(found, in_memory(project, whole, limits))


def test_a_rerun_scores_nothing_and_a_kill_costs_what_was_not_finished(project, tmp_path, write_zarr, scored_crops):
    source = write_zarr(tmp_path / "a.zarr", picture())
    request = request_for(project, source, tmp_path / "out")
    with closing(score_kept(request)) as job:
        for each in job:
            if each.done >= 48:  # bands are of 24 crops
                break
    kept = sum(scored_crops)
    begun = time.monotonic()
    first = finish(score_kept(request_for(project, source, tmp_path / "out")))
    assert sum(scored_crops) - kept <= len(first.grid) - 48 + 24
    scored_crops.clear()
    again = finish(score_kept(request_for(project, source, tmp_path / "out")))
    assert scored_crops == []
    assert time.monotonic() - begun < 60
    np.testing.assert_array_equal(first.information_N, again.information_N)
    assert again.prepared.differs == ()


def test_a_job_that_is_closed_stops_within_a_second(project, tmp_path, write_zarr):
    source = write_zarr(tmp_path / "a.zarr", picture(600, 600))
    job = score_kept(request_for(project, source, tmp_path / "out"))
    next(each for each in job if each.done)
    began = time.monotonic()
    job.close()
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "gone", "not a number"])
def test_a_band_that_cannot_be_trusted_is_scored_again(damage, project, tmp_path, write_zarr, scored_crops):
    source, folder = write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "out"
    first = finish(score_kept(request_for(project, source, folder)))
    path = folder / "band-00001.npz"
    if damage == "gone":
        path.unlink()
    elif damage == "not a number":
        with np.load(path) as held:
            arrays = dict(held)
        arrays["cost"][3] = np.nan
        np.savez(path, **arrays)
    else:
        whole = path.read_bytes()
        path.write_bytes({"cut": whole[: len(whole) // 2], "empty": b"", "other": b"x" * 900}[damage])
    scored_crops.clear()
    again = finish(score_kept(request_for(project, source, folder)))
    assert sum(scored_crops) == 24
    np.testing.assert_array_equal(first.information_N, again.information_N)


@pytest.mark.parametrize("change", ["pixels", "model", "seed", "range", "tiling"])
def test_stale_scores_are_made_anew_and_what_changed_is_told(change, project, tmp_path, write_zarr, small_agent):
    source, folder = write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "out"
    finish(score_kept(request_for(project, source, folder)))
    changes, differs = {}, {change}
    if change == "pixels":
        zarr.open_array(str(source / "0"), mode="r+")[0, 0] += 1
        differs = {"image", "plane"}
    elif change == "model":
        save_agent(project.model_folder, replace(small_agent, settings=project.agent_settings(), cost_model=None))
    elif change == "seed":
        project = replace(project, choices=replace(project.choices, seed=3))
    elif change == "range":
        changes = {"range": IntensityRange((0.0,), (9.0,))}
    else:
        project, differs = replace(project, tiling=Tiling(16, 8)), {"grid"}
    prepared = prepare(request_for(project, source, folder, **changes))
    assert set(prepared.differs) == differs
    assert len(prepared.to_do) == prepared.work.band_count


def test_answers_given_since_make_no_score_stale(project, tmp_path, write_zarr, monkeypatch):
    source, folder = write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "out"
    finish(score_kept(request_for(project, source, folder, annotator="ada")))
    monkeypatch.setattr("costal.labels.store.Store.presentation_count", lambda *_: 7)
    prepared = prepare(request_for(project, source, folder, annotator="ada"))
    assert (prepared.to_do, prepared.differs, prepared.work.order) == ((), (), 0)
    other = prepare(request_for(project, source, folder, annotator="ben"))
    assert (other.differs, other.work.order) == (("annotator",), 7)


def test_alpha_beta_and_n_make_no_score_stale(project, tmp_path, write_zarr):
    source, folder = write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "out"
    one = finish(score_kept(request_for(project, source, folder)))
    project = replace(project, choices=replace(project.choices, alpha=2.0, beta=0.9, n=5, diverse=False))
    prepared = prepare(request_for(project, source, folder))
    assert (prepared.to_do, prepared.differs) == ((), ())
    other = put_together(prepared)
    assert len(query_among(prepared, other, {}).picked_n) == 5
    assert not np.array_equal(one.value_N, other.value_N(2.0, 0.9))


# chunks that are missing


@pytest.fixture
def holed(tmp_path, write_zarr):
    """Return an image of 128 x 128 with chunks of 32, of which the second of the second row is missing."""
    path = write_zarr(tmp_path / "holed.zarr", picture(128, 128), fill_value=500)
    (path / "0" / "c" / "1" / "1").unlink()
    return path


def test_a_missing_chunk_is_refused_at_once(holed, project, tmp_path, scored_crops):
    with pytest.raises(FrameError, match=r"lacks 1 chunks, the first at rows 32 to 64 and columns 32 to 64.*--missing"):
        finish(score_kept(request_for(project, holed, tmp_path / "out")))
    assert scored_crops == []


def test_crops_that_touch_a_missing_chunk_are_skipped_and_the_others_are_as_ever(holed, project, tmp_path):
    project = replace(project, tiling=Tiling(16, 8))
    found = finish(score_kept(request_for(project, holed, tmp_path / "out", missing="skip")))
    origins = np.array([found.grid.origin(index) for index in range(len(found.grid))])
    touches = ((origins > 16) & (origins < 64)).all(axis=1)
    np.testing.assert_array_equal(found.skipped_N == MISSING, touches)
    expected = in_memory(project, picture(128, 128)[None])
    np.testing.assert_allclose(found.information_N[~touches], expected.information_N[~touches], atol=1e-4)
    assert np.isnan(found.information_N[touches]).all()
    assert not set(found.query().picked_n) & set(np.flatnonzero(touches))


def test_what_is_filled_and_nothing_else_has_no_information(holed, project, tmp_path):
    found = finish(score_kept(request_for(project, holed, tmp_path / "out", missing="fill")))
    filled = np.zeros((8, 8), bool)
    filled[2:4, 2:4] = True
    np.testing.assert_array_equal(found.skipped_N == BLANK, filled.ravel())
    expected = in_memory(project, picture(128, 128)[None])
    np.testing.assert_allclose(found.information_N[~filled.ravel()], expected.information_N[~filled.ravel()], atol=1e-5)
    assert "4 of 64 crops have no information" in found.scores.warnings[0]


@pytest.mark.parametrize("tiling", [Tiling(16, 16), Tiling(16, 5, "pad")], ids=["even", "padded"])
@pytest.mark.parametrize("acquisition", ["std", "random"])
def test_crops_without_information_are_the_same_in_memory_and_band_by_band_and_never_asked(
    tiling, acquisition, project, tmp_path, write_zarr
):
    choices = replace(project.choices, acquisition=acquisition, n=2000, control_share=0.5, diverse=False)
    project = replace(project, tiling=tiling, choices=choices)
    pixels = picture(128, 128).astype(np.float32)
    pixels[:, :64] = 700
    pixels[:40, 100:] = np.nan
    found = finish(score_kept(request_for(project, write_zarr(tmp_path / "a.zarr", pixels), tmp_path / "out")))
    frame = FramePlane(pixels[None], "a", "all", "", None)
    whole = finish(score_prepared(prepare(ScoreRequest(project, frame, range=RANGE, device="cpu"))))
    scored = np.flatnonzero(found.skipped_N == SCORED)
    assert set(found.skipped_N) == {SCORED, BLANK}
    np.testing.assert_array_equal(whole.which_M, scored)
    same(found.scores.scores, whole.scores)
    assert whole.warnings == found.scores.warnings
    everything = np.arange(len(found.grid))
    for each in (found.scores, whole):
        assert sorted(query_of(each, project, found.grid, everything, 0, "abc").picked_n) == scored.tolist()


def test_a_first_look_passes_over_crops_without_information(project, tmp_path, write_zarr):
    pixels = picture(128, 128)
    pixels[:, :64] = 700
    for path in project.model_folder.iterdir():
        path.unlink()
    request = request_for(project, write_zarr(tmp_path / "a.zarr", pixels), tmp_path / "out")
    found = finish(score_prepared(prepare(request)))
    assert found.which_M.tolist() == [row * 8 + col for row in range(8) for col in range(4, 8)]


# what is looked at first


def test_a_small_plane_has_the_range_of_all_its_pixels(tmp_path, write_zarr):
    frame = open_lazily(write_zarr(tmp_path / "a.zarr", picture(), levels=2))
    assert measured_range(LazyPlane(frame, Planes()), "raise") == (intensity_range(picture()[None]), "")


def test_a_large_plane_has_the_range_of_a_level_or_of_windows(tmp_path, write_zarr, monkeypatch):
    from costal.scoring import intensities

    monkeypatch.setattr(intensities, "MOST_PIXELS", 100)
    monkeypatch.setattr(intensities, "ENOUGH_PIXELS", 60)
    monkeypatch.setattr(intensities, "SAMPLED_SIDE", 64)
    pixels = picture(64, 64)
    found, note = measured_range(
        LazyPlane(open_lazily(write_zarr(tmp_path / "a.zarr", pixels, levels=4)), Planes()), "raise"
    )
    assert "level 3 of the pyramid, 8 x 8" in note
    assert found == intensity_range(pixels[None, ::8, ::8])
    found, note = measured_range(LazyPlane(open_lazily(write_zarr(tmp_path / "b.zarr", pixels)), Planes()), "raise")
    assert "64 windows spread over the image" in note
    assert found == intensity_range(pixels[None])


def test_background_is_what_is_dark_on_the_coarsest_level(project, tmp_path, write_zarr):
    pixels = np.random.default_rng(0).integers(100, 200, (128, 128)).astype(np.uint16)
    pixels[40:44, 60:100] += 5000  # in crops of row 2, columns 3 to 6
    source = write_zarr(tmp_path / "a.zarr", pixels, levels=3)
    found = finish(score_kept(request_for(project, source, tmp_path / "out", background="skip")))
    shown = np.flatnonzero(found.skipped_N == SCORED)
    assert shown.tolist() == [2 * 8 + col for col in range(3, 7)]
    assert set(found.skipped_N) == {SCORED, BACKGROUND}
    whole = background(LazyPlane(open_lazily(write_zarr(tmp_path / "b.zarr", pixels)), Planes()), found.grid)
    np.testing.assert_array_equal(whole, found.skipped_N == BACKGROUND)


def test_the_heatmap_has_a_pixel_for_each_crop(holed, project, tmp_path):
    found = finish(score_kept(request_for(project, holed, tmp_path / "out", missing="skip")))
    drawn = tifffile.imread(write_heatmap(tmp_path, found.grid, found.value_N))
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn.ravel(), found.value_N)
    assert np.isnan(drawn).sum() == 4


def test_a_band_says_what_it_is_made_of(project, tmp_path, write_zarr):
    found = finish(score_kept(request_for(project, write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "out")))
    work = found.prepared.work
    assert load_band(work.folder, 0, work.digest, 24) is not None
    assert load_band(work.folder, 0, "00" * 32, 24) is None
    assert load_band(work.folder, 0, work.digest, 23) is None


# for the screen


def args(work, number):
    first, end = work.span(number)
    return work.folder, number, work.digest, end - first


def test_what_is_there_so_far_is_gathered_and_read_once(project, tmp_path, write_zarr, monkeypatch):
    prepared = prepare(request_for(project, write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "out"))
    with closing(score_prepared(prepared)) as job:
        next(each for each in job if each.done >= 24)  # bands are of 24 crops
    some = gather(prepared)
    assert set(some.skipped_N[:24]) == {SCORED}
    assert set(some.skipped_N[-24:]) == {PENDING}
    shown = frame_scores(prepared, some)
    np.testing.assert_array_equal(shown.which_M, np.flatnonzero(some.skipped_N == SCORED))
    finish(score_prepared(prepared))
    read = []
    monkeypatch.setattr(BandWork, "kept", lambda work, number: read.append(number) or load_band(*args(work, number)))
    whole = gather(prepared, before=some)
    assert read == list(range(len(shown.which_M) // 24, prepared.work.band_count))
    expected = gather(prepared)
    for name in ("information_N", "cost_N", "probs_N_K", "skipped_N"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))


def test_the_scores_for_the_screen_are_those_of_the_frame_in_memory(project, tmp_path, write_zarr):
    found = finish(
        score_prepared(prepare(request_for(project, write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "o")))
    )
    expected = in_memory(project, picture()[None])
    same(found.scores, expected)
    np.testing.assert_allclose(found.scores.probs_N_K, expected.probs_N_K, atol=1e-5)
    assert found.which_M is None
    assert (found.scores.device, found.scores.cost_spread) == (expected.device, pytest.approx(expected.cost_spread))


def test_only_crops_that_are_scored_are_asked(holed, project, tmp_path):
    found = finish(score_prepared(prepare(request_for(project, holed, tmp_path / "out", missing="skip"))))
    assert found.warnings == ("4 crops are left out because chunks of the image are missing.",)
    grid = tile((128, 128), 16)
    everything = np.arange(len(grid))
    choices = replace(project.choices, n=200, diverse=False)
    asked = query_of(found, replace(project, choices=choices), grid, everything, 0, "abc")
    assert sorted(asked.picked_n) == found.which_M.tolist() == sorted(set(everything) - {18, 19, 26, 27})
    with pytest.raises(ProjectError, match="Every scored crop is labelled"):
        query_of(found, project, grid, np.array([18, 27]), 0, "abc")


def test_without_a_model_a_first_query_is_spread_over_some_crops_of_a_large_frame(holed, tmp_path, monkeypatch):
    monkeypatch.setattr(cold_start, "LOOKED_AT", 40)
    monkeypatch.setattr(cold_start, "LARGE_BYTES", 1000)
    empty = replace(create_project(tmp_path / "empty", ("a", "b")), tiling=Tiling(16, 16))
    prepared = prepare(request_for(empty, holed, tmp_path / "out", missing="skip"))
    found, grid = finish(score_prepared(pickle.loads(pickle.dumps(prepared)))), prepared.work.grid
    assert found.scores is None
    assert f"from {len(found.which_M)} crops drawn at random" in found.reason
    drawn = np.flatnonzero(found.skipped_N != PENDING)
    lacking = {18, 19, 26, 27} & set(drawn)
    assert len(drawn) == 40
    assert lacking, "some of the crops that were drawn lack their chunk"
    assert sorted(found.which_M) == sorted(set(drawn) - lacking)
    asked = query_of(found, empty, grid, np.arange(len(grid)), 0, "abc")
    assert len(set(asked.picked_n) & set(found.which_M)) == empty.choices.n
    cut = np.stack([crop_at(picture(128, 128)[None], grid, index) for index in found.which_M])
    np.testing.assert_allclose(found.features_M_F, simple_features(normalise(cut, RANGE)), atol=1e-5)


def test_without_a_model_a_small_frame_is_looked_at_as_one_in_memory(holed, tmp_path, write_zarr):
    empty = replace(create_project(tmp_path / "empty", ("a", "b")), tiling=Tiling(16, 16))
    source = write_zarr(tmp_path / "a.zarr", picture(128, 128))
    found = finish(score_prepared(prepare(request_for(empty, source, tmp_path / "out"))))
    frame = FramePlane(picture(128, 128)[None], "a", "all", "", None)
    whole = finish(score_prepared(prepare(ScoreRequest(empty, frame, range=RANGE, device="cpu"))))
    np.testing.assert_array_equal(found.features_M_F, whole.features_M_F)
    assert (found.which_M, found.reason) == (None, whole.reason)
    assert not (tmp_path / "out").exists()
    skipping = finish(score_prepared(prepare(request_for(empty, holed, tmp_path / "out", missing="skip"))))
    assert np.flatnonzero(skipping.skipped_N == MISSING).tolist() == [18, 19, 26, 27]


def test_an_image_that_changed_since_is_not_scored(project, tmp_path, write_zarr):
    source = write_zarr(tmp_path / "a.zarr", picture())
    prepared = prepare(request_for(project, source, tmp_path / "out"))
    zarr.open_array(str(source / "0"), mode="r+")[0, 0] += 1
    with pytest.raises(FrameError, match="is not the image that was opened"):
        finish(score_prepared(prepared))
