"""How the bands of large images are given to workers; no worker is started."""

import numpy as np

from costal.frames.lazy import open_lazily
from costal.frames.normalise import IntensityRange
from costal.frames.planes import Planes
from costal.scoring import bands
from costal.scoring.frame_planes import frame_of
from costal.scoring.prepare import ScoreRequest, prepare
from costal.spread import images


def test_neighbouring_bands_are_a_task_and_each_band_is_in_one(project, tmp_path, write_zarr, monkeypatch):
    monkeypatch.setattr(bands, "BAND_CROPS", 20)
    monkeypatch.setattr(images, "TASK_CROPS", 40)
    pixels = np.random.default_rng(0).integers(0, 4000, (208, 160), dtype=np.uint16)
    frame = frame_of(open_lazily(write_zarr(tmp_path / "a.zarr", pixels)), Planes())
    request = ScoreRequest(project, frame, tmp_path / "out", device="cpu", range=IntensityRange((0.0,), (4000.0,)))
    prepared = prepare(request)
    tasks = images._tasks([(prepared.work, prepared.to_do)])
    # 13 rows of 10 crops are 7 bands, the last of one row
    assert [task.numbers for task in tasks] == [(0, 1), (2, 3), (4, 5), (6,)]
    assert [task.left() for task in tasks] == [40, 40, 40, 10]
