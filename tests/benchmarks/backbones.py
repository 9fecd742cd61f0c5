"""Accuracy of what can be learned from few labels: a frozen backbone, the same without knowledge, filters and a forest.

``python -m tests.benchmarks.backbones OUT.json [--repeats 20] [--cnn]``; nuclei, mitocheck come from ``$COSTAL_DATA``.
Labels are drawn at random after a stratified start of 10 that all rows share; frames or movies are for training or for
tests, drawn anew in each repeat.
"""

import argparse
import csv
import json
import os
import platform
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage, stats

from costal.agent.backbones import TURN_OF, FrozenBackbone, load_backbone
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.agent.classifier import classify
from costal.agent.weights import stages_of_efficientnet
from costal.frames.normalise import intensity_range, normalise
from costal.labels.project import Project
from costal.loop import learn, new_agent
from costal.paper.image_folder import _images, _pixels
from costal.paper.sted import sted_dataset
from costal.types import AgentSettings, Answer, finish

LABELS = {"sted": (20, 40, 80, 300), "nuclei": (20, 40, 80, 300), "mitocheck": (40, 80, 300, 900)}
START, TEST_SHARE, FRAMES = 10, 0.25, 12


def sted():
    """Return crops, classes and the frame of each of simulated STED frames."""
    index_N = np.arange(FRAMES * 256)
    return *sted_dataset().take(index_N), index_N // 256


def folder(name):
    """Return crops, classes and the frame of each of a folder of images per class."""
    root = Path(os.environ["COSTAL_DATA"]) / name
    files = _images(root)
    pixels = _pixels(root, files)
    with (root / "costs.csv").open(encoding="utf-8") as opened:
        frame_of = {row["file"]: row["frame"] for row in csv.DictReader(opened)}
    limits = intensity_range(np.concatenate(list(pixels), axis=1))
    class_N = np.unique([file.split("/")[0] for file in files], return_inverse=True)[1]
    return normalise(pixels, limits), class_N, np.unique([frame_of[file] for file in files], return_inverse=True)[1]


def filtered(crops):
    """Return statistics of usual filters at three scales, channel by channel: what pixel classifiers offer."""
    columns = []
    for sigma in (0.7, 1.6, 3.5):

        def along(y, x, sigma=sigma):
            return ndimage.gaussian_filter(crops, (0, 0, sigma, sigma), order=(0, 0, y, x))

        for image in (along(0, 0), np.hypot(along(1, 0), along(0, 1)), along(2, 0) + along(0, 2)):
            spots = np.percentile(image, (5, 25, 50, 75, 95), axis=(2, 3))
            columns += [image.mean((2, 3)), image.std((2, 3)), *spots]
    return np.concatenate(columns, axis=1)


def splits(class_N, frame_N, repeat):
    """Return which crops are for tests, and the others in the order in which they are labelled."""
    rng = np.random.default_rng(repeat)
    frames = rng.permutation(np.unique(frame_N))
    is_test = np.isin(frame_N, frames[: round(TEST_SHARE * len(frames))])
    order = rng.permutation(np.flatnonzero(~is_test))
    turn = np.zeros(len(order), int)
    for each in np.unique(class_N):
        own = class_N[order] == each
        turn[own] = np.arange(own.sum())
    start = order[np.argsort(turn, kind="stable")][:START]
    return is_test, np.concatenate([start, order[~np.isin(order, start)]])


def turned_features(backbone, crops, is_rgb):
    """Return features (N, 8, F), half precision, of the eight turns of crops, from which projects learn."""
    turns = [backbone.features(np.ascontiguousarray(turn(crops)), "cpu", is_rgb) for turn in TURN_OF]
    return np.stack(turns, axis=1).astype(np.float16)


def by_agent(features, class_N, labelled, is_test, seed):
    """Return the accuracy of the product's agent, which learns from all turns of a crop and is asked about one."""
    blank = np.zeros((1, 8, 8), np.float32)
    settings = AgentSettings(int(class_N.max()) + 1, backbone=EFFICIENTNET_LITE0)
    agent = new_agent(settings, (features.shape[2] // LITE0_CARD.feature_count, 8, 8))
    answers = [Answer(blank, int(class_N[row]), None, features_V_F=features[row]) for row in labelled]
    probs = finish(classify(finish(learn(agent, answers, seed, "cpu")), features[is_test, 0].astype(np.float32), "cpu"))
    return float((probs.argmax(1) == class_N[is_test]).mean())


def by_cnn(crops, class_N, labelled, is_test, seed):
    """Return the accuracy of gal2017, as projects train it."""
    settings = replace(Project(Path(), "", ()).agent_settings(), class_count=int(class_N.max()) + 1)
    agent = new_agent(settings, crops.shape[1:])
    answers = [Answer(np.ascontiguousarray(crops[row]), int(class_N[row]), None) for row in labelled]
    probs = finish(classify(finish(learn(agent, answers, seed, "cpu")), crops[is_test], "cpu"))
    return float((probs.argmax(1) == class_N[is_test]).mean())


def by_forest(columns, class_N, labelled, is_test, seed):
    """Return the accuracy of a random forest."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(200, class_weight="balanced", random_state=seed)
    return float(forest.fit(columns[labelled], class_N[labelled]).score(columns[is_test], class_N[is_test]))


def rows_of(crops):
    """Return each row's inputs and how it learns."""
    is_rgb = crops.shape[1] == 3
    torch.manual_seed(0)
    blind = FrozenBackbone(LITE0_CARD, stages_of_efficientnet(None))
    return {
        "efficientnet_lite0": (turned_features(load_backbone(LITE0_CARD), crops, is_rgb), by_agent),
        "random weights": (turned_features(blind, crops, is_rgb), by_agent),
        "filters and forest": (filtered(crops), by_forest),
    }


def interval(values):
    """Return mean, lower and upper end of the 95 % interval of the mean."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return [round(float(each), 4) for each in (np.mean(values), np.mean(values) - half, np.mean(values) + half)]


def measured(name, repeats, cnn):
    """Return accuracies of every row at every number of labels, and differences to filters and forest.

    With `cnn` they are those of gal2017 alone.
    """
    crops, class_N, frame_N = sted() if name == "sted" else folder(name)
    rows = {"gal2017": (crops, by_cnn)} if cnn else rows_of(crops)
    accuracy = {row: {str(count): [] for count in LABELS[name]} for row in rows}
    for repeat in range(repeats):
        is_test, order = splits(class_N, frame_N, repeat)
        for row, (inputs, learned) in rows.items():
            for count in LABELS[name]:
                accuracy[row][str(count)].append(learned(inputs, class_N, order[:count], is_test, repeat))
        print(name, repeat, {row: [own[-1] for own in by.values()] for row, by in accuracy.items()}, flush=True)
    means = {row: {count: interval(own) for count, own in by.items()} for row, by in accuracy.items()}
    if cnn:
        return {"crops": len(crops), "accuracy": means}
    peer = accuracy["filters and forest"]
    gain = {count: interval(np.subtract(own, peer[count])) for count, own in accuracy["efficientnet_lite0"].items()}
    return {"crops": len(crops), "accuracy": means, "gain over filters and forest": gain}


def main():
    """Measure and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--sets", nargs="*", default=list(LABELS))
    parser.add_argument("--cnn", action="store_true", help="measure gal2017 instead, which takes hours")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    packages = ("torch", "timm", "scikit-learn", "scipy", "numpy")
    found = {
        "repeats": chosen.repeats,
        "machine": f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {platform.platform()}",
        "versions": {package: version(package) for package in packages},
        "sets": {},
    }
    for name in chosen.sets:
        began = time.process_time()
        found["sets"][name] = measured(name, chosen.repeats, chosen.cnn) | {"cpu_s": round(time.process_time() - began)}
        chosen.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
