import json

import numpy as np
import pytest

from costal.errors import CostalError
from costal.frames.lazy import open_lazily
from costal.frames.read import Planes
from costal.frames.windows import missing_boxes
from costal.loop import learn, new_agent
from costal.types import AgentSettings, Answer, Training, finish
from tests.benchmarks import frames, frames_turn
from tests.benchmarks.frames import make_image
from tests.benchmarks.frames_peer import score_with_dask


def test_the_image_has_its_size_and_a_sparse_one_few_chunks(tmp_path):
    frame = open_lazily(make_image(tmp_path / "a.zarr", 200, 0, share=0.5))
    assert (frame.shape, frame.pixel_um, frame.dtype) == ((100, 200), 0.1, np.uint16)
    assert missing_boxes(frame, Planes(), (0, 100, 0, 200)) == []
    sparse = open_lazily(make_image(tmp_path / "b.zarr", 4000, 0, one_in=8))
    assert len(missing_boxes(sparse, Planes(), (0, 4000, 0, 4000))) == 14


def test_the_peer_gives_the_statistics_of_the_product(tmp_path):
    rng = np.random.default_rng(0)
    answers = [Answer(rng.normal(k, 0.3, (1, 16, 16)).astype(np.float32), k, None) for k in (0, 1) * 4]
    settings = AgentSettings(2, training=Training(min_steps=5, epochs=0))
    agent = finish(learn(new_agent(settings, (1, 16, 16)), answers, 0, "cpu"))
    array = open_lazily(make_image(tmp_path / "a.zarr", 128, 0)).levels[0]
    found = score_with_dask(array, 16, 8, frames_turn.RANGE, agent.classifier[0], 2, 40)
    assert found.shape == (8, 8)
    from costal.frames.grid import crops, tile
    from costal.frames.normalise import IntensityRange, normalise
    from costal.loop import score
    from costal.types import Pool

    low, high = frames_turn.RANGE
    cut = normalise(np.concatenate(list(crops(array[:][None], tile((128, 128), 16)))), IntensityRange((low,), (high,)))
    ours = finish(score(agent, Pool(cut), 0, "cpu")).information_N
    assert found.mean() == pytest.approx(ours.mean(), rel=0.2)


def test_frames_are_told_as_a_table_and_kept_as_json_with_a_plot(measured, tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "_done", lambda turn, folder: frames_turn.run(turn))
    out = tmp_path / "frames.json"
    small = ("--side", "320", "--sparse-side", "2100", "--crop", "16", "-T", "2", "--repeats", "1", "--peer-share", "1")
    code, told, stages = measured("frames", *small, "--out", out)
    assert code == 0, stages
    figures = json.loads(out.read_text("utf-8"))
    assert figures["rescored"] == 0
    assert figures["sparse_crops"] == 131**2
    assert [crops for crops, _ in figures["growth"]] == [100, 200, 300, 400]
    assert f"that is {figures['ratio']:.1f} x" in told
    assert (tmp_path / "frames.png").read_bytes().startswith(b"\x89PNG")
    assert "Repeat 1: peer" in stages


def test_a_turn_runs_in_a_process_of_its_own_and_tells_why_it_failed(tmp_path):
    turn = frames_turn.Turn("ours", str(tmp_path / "nowhere.zarr"), str(tmp_path), str(tmp_path), 2)
    with pytest.raises(CostalError, match=r"(?s)The turn 'ours' failed: .*ProjectError"):
        frames._done(turn, tmp_path)
