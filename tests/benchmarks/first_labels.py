"""What few labels give through the frozen backbone: the first query, agreement of seeds, and predicted effort.

``python -m tests.benchmarks.first_labels OUT.json [--repeats 20]``; nuclei and mitocheck come from ``$COSTAL_DATA``.
"""

import argparse
import csv
import itertools
import json
import os
import platform
from pathlib import Path

import numpy as np
import torch
from scipy import stats

from costal.agent.backbones import load_backbone
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.agent.classifier import classify
from costal.agent.features import simple_features
from costal.agent.first_query import typical
from costal.frames.grid import tile
from costal.frames.normalise import intensity_range, normalise
from costal.frames.simulate import simulate_field, simulated_effort_s
from costal.loop import learn, new_agent, score
from costal.paper.image_folder import _images
from costal.types import AgentSettings, Answer, Pool, finish
from tests.benchmarks.backbones import folder, interval, sted, turned_features

POOL, FIRST, SEEDS, LABELS, EFFORTS, CROP = 256, 10, 5, 30, 40, 64
BLANK = np.zeros((1, 8, 8), np.float32)


def first_queries(crops, class_N, frame_N, pools):
    """Return how many classes ten crops of a pool have, by way of choosing them; pools keep to one frame each."""
    backbone, is_rgb = load_backbone(LITE0_CARD), crops.shape[1] == 3
    counts = {"typical": [], "typical, simple features": [], "random": []}
    for pool in range(pools):
        rng = np.random.default_rng(pool)
        some = rng.permutation(len(crops))[:POOL]
        features = backbone.features(np.ascontiguousarray(crops[some]), "cpu", is_rgb)
        picks = {
            "typical": typical(features, FIRST, rng),
            "typical, simple features": typical(simple_features(crops[some]), FIRST, rng),
            "random": rng.permutation(len(some))[:FIRST],
        }
        for way, picked in picks.items():
            counts[way].append(len(set(class_N[some[picked]].tolist())))
    return {way: interval(own) for way, own in counts.items()} | {"classes": len(set(class_N.tolist()))}


def agreement(features, class_N, labelled, asked):
    """Return the mean share of crops that two of five trainings from other seeds give the same class."""
    settings = AgentSettings(int(class_N.max()) + 1, backbone=EFFICIENTNET_LITE0)
    agent = new_agent(settings, (features.shape[2] // LITE0_CARD.feature_count, 8, 8))
    answers = [Answer(BLANK, int(class_N[row]), None, features_V_F=features[row]) for row in labelled]
    maps = []
    for seed in range(SEEDS):
        learned = finish(learn(agent, answers, seed, "cpu"))
        maps.append(finish(classify(learned, features[asked, 0].astype(np.float32), "cpu")).argmax(1))
    return float(np.mean([(one == other).mean() for one, other in itertools.combinations(maps, 2)]))


def sted_agreement(frames=3):
    """Return the agreement on frames of 1024 x 1024 px, each with 30 labels of its own."""
    return [_agreement_of_field(simulate_field((1024, 1024), CROP, 50 + at), at) for at in range(frames)]


def _agreement_of_field(simulated, seed):
    pixels = simulated.pixels_Y_X[np.newaxis]
    grid = tile((1024, 1024), CROP)
    crops = normalise(
        np.stack([pixels[:, y : y + CROP, x : x + CROP] for y, x in (grid.origin(at) for at in range(len(grid)))]),
        intensity_range(pixels),
    )
    features = turned_features(load_backbone(LITE0_CARD), crops, False)
    order = np.random.default_rng(seed).permutation(len(crops))
    return agreement(features, simulated.classes_N, order[:LABELS], order[LABELS:])


def nuclei_agreement(features, class_N, pools=3):
    """Return the agreement on pools of 256 nuclei crops, each with 30 other labels."""
    shares = []
    for pool in range(pools):
        order = np.random.default_rng(pool).permutation(len(features))
        shares.append(agreement(features, class_N, order[:LABELS], order[LABELS : LABELS + POOL]))
    return shares


def effort_rank(features, class_N, effort_N, group_N, repeats):
    """Return Spearman's rank correlation of predicted and true effort on crops of unseen groups, after 40 efforts."""
    settings = AgentSettings(int(class_N.max()) + 1, backbone=EFFICIENTNET_LITE0, acquisition="random")
    agent = new_agent(settings, (features.shape[2] // LITE0_CARD.feature_count, 8, 8))
    ranks = []
    for repeat in range(repeats):
        rng = np.random.default_rng(repeat)
        groups = rng.permutation(np.unique(group_N))
        unseen = np.isin(group_N, groups[: max(1, len(groups) // 4)])
        rows = rng.permutation(np.flatnonzero(~unseen))[:EFFORTS]
        answers = [Answer(BLANK, int(class_N[row]), float(effort_N[row]), features_V_F=features[row]) for row in rows]
        learned = finish(learn(agent, answers, repeat, "cpu"))
        pool = Pool(np.zeros((0, 1, 8, 8), np.float32), features_N_F=features[unseen, 0].astype(np.float32))
        ranks.append(float(stats.spearmanr(finish(score(learned, pool, 0, "cpu")).cost_N, effort_N[unseen])[0]))
    return interval(ranks)


def sted_efforts(fields=8):
    """Return features, classes, efforts and the field of each crop of simulated fields."""
    features, classes, efforts, groups = [], [], [], []
    backbone = load_backbone(LITE0_CARD)
    for at in range(fields):
        simulated = simulate_field((512, 512), CROP, 200 + at)
        pixels = simulated.pixels_Y_X[np.newaxis]
        places = [simulated.grid.origin(index) for index in range(len(simulated.grid))]
        crops = normalise(np.stack([pixels[:, y : y + CROP, x : x + CROP] for y, x in places]), intensity_range(pixels))
        features.append(turned_features(backbone, crops, False))
        classes.append(simulated.classes_N)
        efforts.append(simulated_effort_s(simulated, at))
        groups.append(np.full(len(crops), at))
    return tuple(np.concatenate(each) for each in (features, classes, efforts, groups))


def nuclei_efforts():
    """Return the efforts of the nuclei crops, in the order in which `folder` reads them."""
    root = Path(os.environ["COSTAL_DATA"]) / "nuclei"
    with (root / "costs.csv").open(encoding="utf-8") as opened:
        cost_of = {row["file"]: float(row["cost"]) for row in csv.DictReader(opened)}
    return np.array([cost_of[file] for file in _images(root)])


def main():
    """Measure and write the numbers, after each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    figures = {"repeats": chosen.repeats, "machine": f"{platform.machine()}, {os.cpu_count()} cores"}

    def keep(name, value):
        figures[name] = value
        print(name, value, flush=True)
        chosen.out.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")

    keep("agreement, sted, three frames", sted_agreement())
    nuclei = folder("nuclei")
    features = turned_features(load_backbone(LITE0_CARD), nuclei[0], True)
    keep("agreement, nuclei, three pools", nuclei_agreement(features, nuclei[1]))
    keep("rank of effort, nuclei", effort_rank(features, nuclei[1], nuclei_efforts(), nuclei[2], chosen.repeats))
    keep("rank of effort, sted", effort_rank(*sted_efforts(), chosen.repeats))
    for name, (crops, class_N, frame_N) in (
        ("nuclei", nuclei),
        ("sted", sted()),
        ("mitocheck", folder("mitocheck")),
    ):
        keep(f"classes in the first ten, {name}", first_queries(crops, class_N, frame_N, chosen.repeats))


if __name__ == "__main__":
    main()
