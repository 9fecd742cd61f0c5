"""``costal apply`` on what is read piece by piece: the same classes, resumed, in bounded memory, with a pyramid."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from costal.applying.files import FilesRequest, apply_to_files
from costal.labels.project import Tiling
from costal.labels.project_file import create_project, save_project
from costal.scoring import bands
from costal.types import finish


def picture(height=192, width=160, seed=0):
    rng = np.random.default_rng(seed)
    return (np.linspace(1000, 30_000, width) + rng.gamma(2, 2000, (height, width))).astype(np.uint16)


@pytest.fixture
def asked_crops(monkeypatch):
    """Return a list of how many crops each call of the scorer was given, in bands of 20 crops or more."""
    monkeypatch.setattr(bands, "BAND_CROPS", 20)
    counts, own = [], bands.score

    def counting(agent, pool, *rest):
        counts.append(len(pool.crops_N_C_H_W))
        return own(agent, pool, *rest)

    monkeypatch.setattr(bands, "score", counting)
    return counts


def test_an_ome_zarr_is_classified_as_the_same_pixels_in_a_tiff(project, tmp_path, write_zarr, asked_crops):
    tifffile.imwrite(tmp_path / "a.tif", picture())
    group = write_zarr(tmp_path / "b.ome.zarr", picture())
    request = FilesRequest(project, (tmp_path / "a.tif", str(group)), tmp_path / "out", "cpu")
    one, other = finish(apply_to_files(request)).frames
    assert one.counts_K == other.counts_K
    assert one.confidence == pytest.approx(other.confidence, abs=1e-6)
    np.testing.assert_array_equal(
        *(tifffile.imread(tmp_path / "out" / f"{name}-classes.tif") for name in ("a", "b.ome"))
    )
    assert asked_crops[0] == 120  # the TIFF is one band in memory
    assert sum(asked_crops) == 240


def test_an_ome_zarr_in_a_folder_of_images_is_one_of_them(project, tmp_path, write_zarr):
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images" / "a.tif", picture())
    write_zarr(tmp_path / "images" / "b.ome.zarr", picture(seed=1))
    result = finish(apply_to_files(FilesRequest(project, (tmp_path / "images",), tmp_path / "out", "cpu")))
    assert [each.source.rsplit("/", 1)[-1] for each in result.frames] == ["a.tif", "b.ome.zarr"]


def test_a_run_that_was_stopped_goes_on_and_classifies_no_crop_twice(project, tmp_path, write_zarr, asked_crops):
    first, second = (str(write_zarr(tmp_path / f"{name}.zarr", picture(seed=at))) for at, name in enumerate("ab"))
    request = FilesRequest(project, (first, second), tmp_path / "out", "cpu")
    with closing(apply_to_files(request)) as job:
        next(each for each in job if each.message.startswith("b.zarr") and each.done > 130)
    kept = sum(asked_crops)
    assert 120 < kept < 240
    assert not (tmp_path / "out" / "counts.csv").exists()
    result = finish(apply_to_files(request))
    assert len(result.frames) == 2
    assert sum(asked_crops) <= 240 + 24  # a band may have been asked about and not kept
    assert not (tmp_path / "out" / "unfinished.txt").exists()
    asked_crops.clear()
    again = finish(apply_to_files(replace(request, overwrite=True)))
    assert (asked_crops, again.frames) == ([], result.frames)


def test_a_run_by_another_model_does_not_go_on_over_what_is_there(project, tmp_path, write_zarr):
    request = FilesRequest(project, (str(write_zarr(tmp_path / "a.zarr", picture())),), tmp_path / "out", "cpu")
    finish(apply_to_files(request))
    with pytest.raises(Exception, match="exists already"):
        finish(apply_to_files(request))


def test_crops_that_touch_a_missing_chunk_have_no_class(project, tmp_path, write_zarr):
    path = write_zarr(tmp_path / "holed.zarr", picture(128, 128), fill_value=500)
    (path / "0" / "c" / "1" / "1").unlink()
    (refused,) = finish(apply_to_files(FilesRequest(project, (str(path),), tmp_path / "one", "cpu"))).failures
    assert "lacks 1 chunks" in refused.reason
    request = FilesRequest(project, (str(path),), tmp_path / "two", "cpu", missing="skip")
    (counts,) = finish(apply_to_files(request)).frames
    assert (sum(counts.counts_K), counts.blank) == (60, 4)
    assert "4 crops are left out because chunks of the image are missing." in counts.notes
    assert (tifffile.imread(tmp_path / "two" / "holed-classes.tif")[32:64, 32:64] == 0).all()


def test_the_class_map_of_a_large_frame_has_tiles_and_a_pyramid(project, tmp_path, write_zarr, monkeypatch):
    monkeypatch.setattr("costal.applying.outputs.LARGE_BYTES", 1000)
    monkeypatch.setattr("costal.applying.outputs.TILE", 64)
    tifffile.imwrite(tmp_path / "a.tif", picture())
    finish(apply_to_files(FilesRequest(project, (tmp_path / "a.tif",), tmp_path / "out", "cpu")))
    monkeypatch.undo()
    finish(apply_to_files(FilesRequest(project, (tmp_path / "a.tif",), tmp_path / "small", "cpu")))
    whole = tifffile.imread(tmp_path / "small" / "a-classes.tif")
    with tifffile.TiffFile(tmp_path / "out" / "a-classes.tif") as file:
        levels = file.series[0].levels
        assert [level.shape for level in levels] == [(192, 160), (96, 80)]
        assert levels[0].pages[0].is_tiled
        np.testing.assert_array_equal(levels[0].asarray(), whole)
        np.testing.assert_array_equal(levels[1].asarray(), whole[::2, ::2])


def test_a_query_is_made_on_an_ome_zarr_without_a_model(costal, tmp_path, write_zarr):
    empty = replace(create_project(tmp_path / "empty", ("a", "b")), tiling=Tiling(16, 16))
    save_project(empty)
    group = write_zarr(tmp_path / "a.zarr", picture())
    code, out, error = costal("query", group, "--project", empty.folder, "--out", tmp_path / "query.csv", "-n", 5)
    assert (code, error.strip()) == (0, "")
    assert "Wrote a query of 5 crops" in out
    rows = (tmp_path / "query.csv").read_text("utf-8").splitlines()
    assert len(rows) == 6
    assert not (tmp_path / "query.scores").exists()
