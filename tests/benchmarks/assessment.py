"""What cross-validation on labels says, beside the truth on a large test set; look-again, forecasts and the hash.

``python -m tests.benchmarks.assessment OUT.json [--sessions 20] [--first 0] [--data sted nuclei] [--head product]``;
nuclei come from ``$COSTAL_DATA``. In each session whole frames are set aside for the truth. Labels are drawn at random,
or chosen: ten at random, then queries of ten, retrained each time. Folds, intervals, temperature, doubts and forecasts
are the product's. What learns on the features of its backbone is by default a logistic regression, whose most uncertain
crops (entropy) are chosen, for it is fitted in a hundredth of the time; ``--head product`` takes the product's
committee and its acquisition function. Sessions are written as they end, so a stopped run goes on; ``--first`` is the
seed of the first one.
"""

import argparse
import json
import os
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

from costal.agent.backbones import load_backbone
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.agent.learning_curve import expected_gain
from costal.agent.validation import at_temperature, block_groups, doubtful, frame_groups
from costal.files import write_atomically
from costal.labels.controls import control_numbers_of
from costal.labels.project import Choices, Project
from costal.loop import learn, new_agent, propose
from costal.seeds import seed_for
from costal.types import Answer, Grid, Pool, finish
from costal.workbench.cross_validation import committees, cross_validate, learning_curve, predicted
from tests.benchmarks.backbones import folder, sted, turned_features

AT, MORE, QUERY, TEST_SHARE = (40, 80), 40, 10, 0.35
PLANTED_LABELS, PLANTED_SHARE, LOOKED_AT = 160, 0.05, 20
BLANK = np.zeros((1, 8, 8), np.float32)


def regressions(agent, tasks, inputs, seeds, device):
    """Return what a logistic regression says that learned from each lesson, for its own inputs."""
    yield from ()
    said = []
    for own, asked in zip(tasks, inputs, strict=True):
        features = np.stack([each.features_V_F[0] for each in own]).astype(np.float32)
        mean, spread = features.mean(0), features.std(0) + 1e-3
        class_N = np.array([each.class_index for each in own])
        fitted = LogisticRegression(C=0.1, class_weight="balanced", max_iter=60).fit(
            (features - mean) / spread, class_N
        )
        probs_N_K = np.zeros((len(asked), agent.settings.class_count), np.float32)
        probs_N_K[:, fitted.classes_] = fitted.predict_proba((asked - mean) / spread)
        said.append(probs_N_K)
    return said


class Session:
    """Labels of one simulated expert: features (N, V, F), classes and frames of crops, a test set of whole frames."""

    def __init__(self, features, class_N, frame_N, number, ask):
        self.ask = ask
        self.features, self.class_N, self.frame_N, self.seed = features, class_N, frame_N, number
        self.rng = np.random.default_rng(number)
        frames = self.rng.permutation(np.unique(frame_N))
        self.is_test = np.isin(frame_N, frames[: round(TEST_SHARE * len(frames))])
        self.pool = self.rng.permutation(np.flatnonzero(~self.is_test))
        settings = Project(Path(), "", ()).agent_settings()
        self.settings = replace(settings, class_count=int(class_N.max()) + 1, class_ids=(), backbone=EFFICIENTNET_LITE0)
        self.settings = replace(self.settings, n=QUERY, beta=0.0, control_share=0.0)
        self.agent = new_agent(self.settings, (features.shape[2] // LITE0_CARD.feature_count, 8, 8))

    def answers(self, rows, class_N=None):
        classes = self.class_N if class_N is None else class_N
        return [Answer(BLANK, int(classes[row]), None, features_V_F=self.features[row]) for row in rows]

    def asked(self, rows, places):
        """Return the probabilities of crops by a model that learned from these rows."""
        inputs = self.features[places, 0].astype(np.float32)
        seed = seed_for(self.seed, "learn", len(rows))
        return finish(self.ask(self.agent, [self.answers(rows)], [inputs], [seed], "cpu"))[0]

    def truth(self, rows):
        """Return the accuracy on the test frames of a model that learned from these rows, and its probabilities."""
        probs_N_K = self.asked(rows, np.flatnonzero(self.is_test))
        return float((probs_N_K.argmax(1) == self.class_N[self.is_test]).mean()), probs_N_K

    def chosen(self, count):
        """Return the first so many rows that are asked for."""
        rows = self.pool[:QUERY].tolist()
        while len(rows) < count:
            rest = self.pool[~np.isin(self.pool, rows)]
            seed = seed_for(self.seed, "query", len(rows))
            if len(set(self.class_N[rows].tolist())) < 2:
                rows += rest[:QUERY].tolist()
            elif self.ask is regressions:
                probs_N_K = self.asked(rows, rest)
                rows += rest[np.argsort((probs_N_K * np.log(probs_N_K + 1e-9)).sum(1))[:QUERY]].tolist()
            else:
                taught = finish(learn(self.agent, self.answers(rows), seed, "cpu"))
                query = finish(propose(taught, Pool(self.features[rest, 0].astype(np.float32)), seed, "cpu"))
                rows += rest[query.picked_n].tolist()
        return rows[:count]

    def groups(self, rows):
        """Return what a project would leave out together: frames, or else single crops."""
        class_N, frame_N = self.class_N[rows], self.frame_N[rows]
        groups = frame_groups(frame_N, class_N)
        if groups is not None and len(np.unique(groups)) >= 5:
            return groups, "frames"
        order = np.arange(len(rows))
        return block_groups(frame_N, order, order, 1, class_N), "crops"


def assessed(session, rows, truth, truth_after):
    """Return what cross-validation on these labels says beside the truth."""
    group_N, left_out = session.groups(rows)
    if group_N is None:
        return {"labels": len(rows), "reason": "a class has one label only"}
    answers = session.answers(rows)
    arguments = session.agent, answers, group_N, None, session.seed, "cpu"
    found = finish(cross_validate(*arguments, ask=session.ask))
    share, probs_N_K = truth
    class_N = session.class_N[session.is_test]
    errors = [calibration_error(at_temperature(probs_N_K, each), class_N) for each in (1.0, found.temperature)]
    told = {
        "labels": len(rows), "left out": left_out, "groups": found.groups, "share": found.share, "low": found.low,
        "high": found.high, "truth": share, "temperature": found.temperature, "calibration error": errors[0],
        "calibration error after": errors[1], "calibration error told": found.calibration.expected_error,
    }  # fmt: skip
    if truth_after is not None:
        right_S_N, learned_S = finish(learning_curve(*arguments, ask=session.ask))
        rng = np.random.default_rng(session.seed)
        gain = expected_gain(right_S_N, learned_S, group_N, len(rows), MORE, rng)
        told |= {"foretold": gain.points, "plus minus": gain.plus_minus, "came": 100 * (truth_after - share)}
    return told


def calibration_error(probs_N_K, class_N):
    from costal.agent.metrics import calibration

    return float(calibration(probs_N_K.max(1), probs_N_K.argmax(1) == class_N).expected_error)


def planted(session):
    """Return how many of the first labels to look at again are wrong, of those that were planted."""
    rows = session.pool[:PLANTED_LABELS]
    count = len(rows)
    wrong = session.rng.choice(count, round(PLANTED_SHARE * count), replace=False)
    class_N = session.class_N.copy()
    classes = int(class_N.max()) + 1
    class_N[rows[wrong]] = (class_N[rows[wrong]] + session.rng.integers(1, classes, len(wrong))) % classes
    answers = session.answers(rows, class_N)
    labels_N = class_N[rows]
    groups = frame_groups(session.frame_N[rows], labels_N)
    group_N = groups if groups is not None else np.arange(count)
    probs_N_K, _ = finish(predicted(session.agent, answers, group_N, None, session.seed, "cpu", ask=session.ask))
    first = doubtful(probs_N_K, labels_N)[:LOOKED_AT]
    return {
        "labels": count, "errors": len(wrong), "doubted": len(doubtful(probs_N_K, labels_N)), "looked at": len(first),
        "found": int(np.isin(first, wrong).sum()), "by chance": len(first) * len(wrong) / count,
    }  # fmt: skip


def seen(crops, is_turned):
    """Return the features (N, V, F) of crops as they stand, or of all their turns."""
    backbone, crops, is_rgb = load_backbone(LITE0_CARD), np.ascontiguousarray(crops), crops.shape[1] == 3
    if is_turned:
        return turned_features(backbone, crops, is_rgb)
    return backbone.features(crops, "cpu", is_rgb)[:, None].astype(np.float16)


def run_session(features, class_N, frame_N, number, ask):
    """Return what one session comes to, for labels drawn at random and chosen ones."""
    session = Session(features, class_N, frame_N, number, ask)
    last = AT[-1] + MORE
    told = {"session": number}
    for way, rows in (("random", session.pool[:last].tolist()), ("chosen", session.chosen(last))):
        truths = {count: session.truth(rows[:count]) for count in sorted({*AT, *(each + MORE for each in AT)})}
        told[way] = [assessed(session, rows[:at], truths[at], truths[at + MORE][0]) for at in AT]
    return told | {"planted": planted(session)}


def summary(sessions):
    """Return bias, coverage and the like over sessions, by way and number of labels."""
    told = {}
    for way in ("random", "chosen"):
        for at in AT:
            own = [each for one in sessions for each in one[way] if each["labels"] == at and "share" in each]
            if not own:
                continue
            apart = np.array([each["share"] - each["truth"] for each in own])
            covers = np.array([each["low"] <= each["truth"] <= each["high"] for each in own])
            gains = [each for each in own if "foretold" in each]
            error = np.array([each["foretold"] - each["came"] for each in gains])
            within = [abs(each["foretold"] - each["came"]) <= each["plus minus"] for each in gains]
            told[f"{way}, {at} labels"] = {
                "sessions": len(own), "truth": float(np.mean([each["truth"] for each in own])),
                "bias": float(apart.mean()), "bias 95 %": float(1.96 * apart.std(ddof=1) / np.sqrt(len(apart))),
                "root mean square": float(np.sqrt((apart**2).mean())), "coverage": float(covers.mean()),
                "width": float(np.mean([each["high"] - each["low"] for each in own])),
                "too high": int((apart > 0).sum()),
                "calibration error": float(np.mean([each["calibration error"] for each in own])),
                "calibration error after": float(np.mean([each["calibration error after"] for each in own])),
                "foretold": float(np.mean([each["foretold"] for each in gains])),
                "came": float(np.mean([each["came"] for each in gains])),
                "forecast bias": float(error.mean()), "forecast coverage": float(np.mean(within)),
                "forecast plus minus": float(np.mean([each["plus minus"] for each in gains])),
            }  # fmt: skip
    own = [each["planted"] for each in sessions]
    told["planted errors"] = {key: float(np.mean([each[key] for each in own])) for key in own[0]}
    return told


def hashed(features, class_N, frame_N):
    """Return chi-square tests of the hash that decides on controls: uniform, and independent of what crops show."""
    grid = Grid(1024, 1024, 32, 32, "drop", 32, 32)
    project = Project(Path(), "", (), choices=Choices(control_share=0.1))
    numbers = np.concatenate([control_numbers_of(project, f"{at:064x}", grid) for at in range(400)])
    counts = np.histogram(numbers, np.linspace(0, 1, 21))[0]
    told = {"crops": len(numbers), "share below 0.1": float((numbers < 0.1).mean())}
    told["uniform, p"] = float(stats.chisquare(counts).pvalue)
    own = Grid(16 * 32, 16 * 32, 32, 32, "drop", 16, 16)
    parts = [control_numbers_of(project, f"{int(at):064x}", own) for at in np.unique(frame_N)]
    is_control_N = np.concatenate(parts)[: len(class_N)] < 0.1
    told["controls of the crops with features"] = int(is_control_N.sum())
    told["independent of class, p"] = _independent(is_control_N, class_N)
    centred = features[:, 0].astype(np.float32)
    centred -= centred.mean(0)
    axes = np.linalg.svd(centred[::4], full_matrices=False)[2][:3]
    for number, axis in enumerate(axes, 1):
        along = centred @ axis
        bins = np.searchsorted(np.quantile(along, (0.2, 0.4, 0.6, 0.8)), along)
        told[f"independent of feature axis {number}, p"] = _independent(is_control_N, bins)
    return told


def _independent(is_it_N, kind_N):
    table = np.zeros((2, int(kind_N.max()) + 1))
    np.add.at(table, (is_it_N.astype(int), kind_N), 1)
    return float(stats.chi2_contingency(table[:, table.sum(0) > 0]).pvalue)


def main():
    """Run the sessions and write what they come to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="The seed of the first session.")
    parser.add_argument("--data", nargs="+", default=["sted", "nuclei"])
    parser.add_argument("--head", choices=["logistic", "product"], default="logistic")
    chosen = parser.parse_args()
    ask = regressions if chosen.head == "logistic" else committees
    known = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    told = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "head": chosen.head,
        "first seed": chosen.first,
        **known,
    }
    for name in chosen.data:
        crops, class_N, frame_N = sted() if name == "sted" else folder(name)
        features = seen(crops, chosen.head == "product")
        if name == "sted":
            told["control hash"] = hashed(features, class_N, frame_N)
        sessions = told.get(name, {}).get("sessions", [])
        for number in range(len(sessions), chosen.sessions):
            sessions.append(run_session(features, class_N, frame_N, chosen.first + number, ask))
            told[name] = {"summary": summary(sessions) if len(sessions) > 1 else {}, "sessions": sessions}
            write_atomically(chosen.out, json.dumps(told, indent=1).encode())
            print(name, number + 1, json.dumps(told[name]["summary"]), flush=True)


if __name__ == "__main__":
    main()
