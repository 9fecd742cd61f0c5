"""What scoring a frame in memory takes beside the committee: cutting and normalising crops, reading the model."""

import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from costal.frames.grid import crops, tile
from costal.frames.normalise import intensity_range, normalise
from costal.labels.models import save_agent
from costal.labels.project_file import create_project, save_project
from costal.loop import new_agent
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.seeds import rng_for, seed_for
from costal.types import finish
from tests.benchmarks.stopwatch import timed

CROPS_A_SIDE, REPEATS = 12, 5


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds that scoring a whole frame takes, and its committee alone on crops already cut: medians, and the ratio's.

    There is no cost model: with one, its network's trunk takes about as long as the committee's.
    """

    crops: int
    side: int
    whole: float
    committee: float
    ratio: float


def measure_overhead(side: int, passes: int, device: str, seed: int) -> Overhead:
    """Return what scoring a 16-bit frame of crops of `side` px takes, the two ways taken in turns."""
    import torch

    from costal.agent.classifier import ask_committee
    from costal.agent.networks import Network, initialise, to_weights

    frame = rng_for(seed, "frame").integers(0, 2**16, (1, CROPS_A_SIDE * side, CROPS_A_SIDE * side), dtype=np.uint16)
    with tempfile.TemporaryDirectory() as folder:
        project = create_project(Path(folder) / "project")
        choices = replace(project.choices, passes=passes)
        project = replace(project, tiling=replace(project.tiling, crop=side, stride=side), choices=choices)
        save_project(project)
        agent = new_agent(project.agent_settings(), (1, side, side))
        network = Network(agent.crop_shape, agent.settings.class_count)
        initialise(network, torch.Generator().manual_seed(seed_for(seed, "network")))
        agent = replace(agent, classifier=(to_weights(network),))
        save_agent(project.model_folder, agent)
        grid, limits = tile(frame.shape[1:], side), intensity_range(frame)
        request = ScoreRequest(project, FramePlane(frame, "made up", "all", "", None), device=device, range=limits)
        cut = np.concatenate([normalise(batch, limits) for batch in crops(frame, grid)])
        spent = []
        for _ in range(REPEATS + 1):
            _, whole = timed(lambda: finish(score_prepared(prepare(request))), device)
            _, alone = timed(lambda: finish(ask_committee(agent, cut, seed, device)), device)
            spent.append((whole.on(device), alone.on(device)))
    whole_s, alone_s = zip(*spent[1:], strict=True)  # the first sets up what is set up once
    ratio = statistics.median(a / b for a, b in zip(whole_s, alone_s, strict=True))
    return Overhead(len(grid), side, statistics.median(whole_s), statistics.median(alone_s), ratio)
