"""``costal score`` for what is read piece by piece: the table of the in-memory path, resumed, skipped and spread."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

from costal.labels.project_file import save_project
from costal.labels.records import AnswerRecord, FrameRecord
from costal.labels.store import Store
from costal.scoring import bands


def picture(height=200, width=160, seed=0):
    rng = np.random.default_rng(seed)
    return (np.linspace(1000, 30_000, width) + rng.gamma(2, 2000, (height, width))).astype(np.uint16)


@pytest.fixture
def scored(costal, project, tmp_path, monkeypatch):
    """Return a function that scores an image and gives what was printed, with the rows of the table."""
    monkeypatch.setattr(bands, "BAND_CROPS", 20)

    def run(image, *options, out="scores.csv"):
        arguments = ("score", image, "--project", project.folder, "--out", tmp_path / out, "--device", "cpu", "--json")
        code, text, error = costal(*arguments, *options)
        rows = []
        if (tmp_path / out).exists():
            with (tmp_path / out).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
        return SimpleNamespace(code=code, figures=json.loads(text) if text else {}, error=error, rows=rows)

    return run


def figures(rows, *names):
    return np.array([[float(row[name] or "nan") for name in names] for row in rows])


def test_the_table_is_that_of_the_frame_in_memory(scored, tmp_path, write_zarr):
    tifffile.imwrite(tmp_path / "a.tif", picture(), tile=(64, 64))
    plain = scored(tmp_path / "a.tif", out="plain.csv")
    lazy = scored(tmp_path / "a.tif", "--lazy", out="lazy.csv")
    stored = scored(write_zarr(tmp_path / "a.zarr", picture()), out="zarr.csv")
    assert (plain.code, lazy.code, stored.code) == (0, 0, 0)
    for other in (lazy, stored):
        assert list(other.rows[0]) == list(plain.rows[0])
        for name in ("content_hash", "planes", "crop", "y", "x", "side", "rank", "control"):
            assert [row[name] for row in other.rows] == [row[name] for row in plain.rows], name
        shown = figures(other.rows, "information", "cost", "value")
        np.testing.assert_allclose(shown, figures(plain.rows, "information", "cost", "value"), rtol=1e-4, atol=1e-5)
        assert other.figures["query"] == plain.figures["query"]
    drawn = tifffile.imread(tmp_path / "zarr.scores" / "heatmap.tif")
    np.testing.assert_allclose(drawn.ravel(), figures(stored.rows, "value")[:, 0], rtol=1e-4)


def test_a_rerun_scores_nothing_and_a_change_is_told(scored, tmp_path, write_zarr, monkeypatch):
    path = write_zarr(tmp_path / "a.zarr", picture())
    first = scored(path)
    own = bands.score
    monkeypatch.setattr(bands, "score", None)
    assert scored(path).rows == first.rows
    monkeypatch.setattr(bands, "score", own)
    write_zarr(path, picture(seed=1))
    changed = scored(path)
    assert any("scored again: image, plane, range changed" in note for note in changed.figures["notes"])
    assert changed.rows != first.rows


def test_crops_that_are_answered_are_scored_but_not_asked(scored, project, tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", picture())
    first = scored(path)
    row = first.rows[first.figures["query"][0]]
    frame = FrameRecord(row["content_hash"], "all", str(path), 200, 160, None, (0.0,), (1.0,))
    crop = picture()[None, int(row["y"]) :, int(row["x"]) :][:, :16, :16]
    with Store(project.store_path) as store:
        number = store.add_frame(frame)
        answer = AnswerRecord(number, int(row["y"]), int(row["x"]), crop, "class", 1, "me", ())
        store.answer(answer)
    again = scored(path)
    assert int(row["crop"]) not in again.figures["query"]
    assert len(again.rows) == len(first.rows)


def test_missing_chunks_are_refused_left_out_or_filled(scored, tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", picture())
    (path / "0" / "c" / "1" / "1").unlink()
    refused = scored(path)
    assert (refused.code, refused.rows, "lacks 1 chunks" in refused.error) == (1, [], True)
    skipped = scored(path, "--missing", "skip")
    assert skipped.figures["skipped"] == 4
    blank = [(row["y"], row["x"]) for row in skipped.rows if row["information"] == ""]
    with (tmp_path / "scores.scores" / "skipped.csv").open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    assert [(row["y"], row["x"]) for row in listed] == blank
    assert {row["reason"] for row in listed} == {"missing chunk"}
    filled = scored(path, "--missing", "fill")
    assert [(row["y"], row["x"]) for row in filled.rows if row["information"] == ""] == blank
    with (tmp_path / "scores.scores" / "skipped.csv").open(encoding="utf-8") as file:
        assert {row["reason"] for row in csv.DictReader(file)} == {"no information"}


def test_a_folder_of_images_is_scored_and_one_that_cannot_be_is_named(scored, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in (1, 2):
        tifffile.imwrite(folder / f"{seed}.tif", picture(64, 64, seed))
    (folder / "3.tif").write_bytes(b"II*\0 no tiff")
    result = scored(folder)
    assert result.code == 1
    assert "1 of 3 images could not be scored" in result.error
    assert list(result.figures["failures"]) == [str(folder / "3.tif")]
    assert len(result.rows) == 32
    assert sorted(each.name for each in (tmp_path / "scores.scores").iterdir()) == ["1", "2"]


def test_each_plane_of_a_series_has_its_own_folder(scored, tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", np.stack([picture(64, 64), picture(64, 64, 1)]), "tyx")
    result = scored(path)
    assert {row["planes"] for row in result.rows} == {"t 0", "t 1"}
    assert sorted(each.name for each in (tmp_path / "scores.scores").iterdir()) == ["a t 0", "a t 1"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_give_equal_scores_however_many_they_are(scored, tmp_path, write_zarr, monkeypatch):
    images = tmp_path / "images"
    images.mkdir()
    tifffile.imwrite(images / "a.tif", picture())
    tifffile.imwrite(images / "b.tif", picture(seed=1))
    plain = scored(images, out="plain.csv")
    for where in ("local:1", "local:2"):
        spread = scored(images, "--dask", where, out=f"{where[-1]}.csv")
        assert spread.code == 0, spread.error
        names = ("information", "cost", "value")
        np.testing.assert_allclose(figures(spread.rows, *names), figures(plain.rows, *names), rtol=1e-4, atol=1e-5)
        assert [row["rank"] for row in spread.rows] == [row["rank"] for row in plain.rows]
    # what workers kept is there for a run without them
    monkeypatch.setattr(bands, "score", None)
    assert scored(images, out="2.csv").rows == spread.rows


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no signal that reaches one process as Ctrl+C does")
def test_ctrl_c_keeps_what_is_done_and_the_same_command_goes_on(scored, project, tmp_path, write_zarr):
    path = write_zarr(tmp_path / "a.zarr", picture(1600, 1600), chunk=400)
    out = tmp_path / "scores.csv"
    command = [sys.executable, "-m", "costal.cli", "score", str(path), "--project", str(project.folder)]
    command += ["--out", str(out), "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        until = time.monotonic() + 120
        while not list((tmp_path / "scores.scores").glob("band-*.npz")):
            assert time.monotonic() < until
            assert running.poll() is None, "it was over before it could be stopped"
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        text, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Stopped: the same command continues" in text
    assert not out.exists()
    kept = len(list((tmp_path / "scores.scores").glob("band-*.npz")))
    assert kept >= 1


def test_a_query_of_a_large_image_is_a_csv_to_take_labels_from(costal, scored, project, tmp_path, write_zarr):
    path, out = write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "query.csv"
    arguments = ("query", path, "--project", project.folder, "-n", "4", "--out", out, "--device", "cpu")
    assert costal(*arguments)[0] == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4"]
    best = {int(row["crop"]): row["rank"] for row in rows}
    save_project(replace(project, choices=replace(project.choices, n=4)))
    assert {int(row["crop"]): row["rank"] for row in scored(path).rows if row["rank"]} == best
    out.write_text(out.read_text().replace(",0,\n", ",0,a\n").replace(",1,\n", ",1,b\n"))
    code, text, error = costal("label", "--from", out, "--project", project.folder)
    assert (code, error.strip(), "4 new labels" in text, "1 new frames" in text) == (0, "", True, True)
    with Store(project.store_path, read_only=True) as store:
        for each, label in zip(store.presented(), store.labels(), strict=True):
            y, x = label.y, label.x
            np.testing.assert_array_equal(each.pixels_C_H_W[0], picture()[y : y + 16, x : x + 16])
    assert not best.keys() & set(scored(path).figures["query"])


def test_a_crop_whose_chunk_is_missing_is_no_label(costal, project, tmp_path, write_zarr):
    path, table = write_zarr(tmp_path / "a.zarr", picture()), tmp_path / "labels.csv"
    (path / "0" / "c" / "1" / "1").unlink()
    table.write_text("frame,y,x,class\na.zarr,0,0,a\na.zarr,32,48,b\n")
    code, _, error = costal("label", "--from", table, "--project", project.folder)
    assert code == 1
    assert re.search(r"row 3.*lacks chunks at rows 32 to 48 and columns 48 to 64", error)
    with Store(project.store_path, read_only=True) as store:
        assert store.labels() == []
