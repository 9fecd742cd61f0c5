"""The window says when a class is starved because it is dear."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from costal.frames.grid import tile
from costal.labels.classes import new_class
from costal.labels.project import Project
from costal.scoring.queries import query_of
from costal.scoring.scores import FrameScores
from costal.scoring.starving import starving_text
from costal.types import Scores

CROPS, DEAR = 200, 50
GRID = tile((160, 320), 16)
ALL = np.arange(CROPS)


def project(beta=0.3, **rest):
    made = new_class(new_class(Project(Path("cells"), "cells", ()), "one"), "clump")
    return replace(made, choices=replace(made.choices, beta=beta, **rest))


def scored(dear_s=64.0, uniform=False, dear_information=0.6):
    """Return 200 crops of which the last 50 are predicted to be clumps, dear and the most informative of all."""
    is_dear = np.arange(CROPS) >= CROPS - DEAR
    probs = np.where(is_dear[:, None], (0.1, 0.9), (0.9, 0.1)).astype(np.float32)
    information = np.where(is_dear, dear_information, 0.5).astype(np.float32)
    cost = np.where(is_dear, dear_s, 1.0).astype(np.float32)
    return FrameScores(Scores(information, cost, probs, uniform, "cpu"), 1)


def said(found, settings):
    value_N = found.value_N(settings.choices.alpha, settings.choices.beta)
    return starving_text(found, settings, ALL, value_N)


def test_a_class_that_is_predicted_often_and_not_asked_for_its_cost_is_named_with_the_figures():
    # 0.6 / 64 ** 0.3 is below 0.5: all thirty of the next crops are cheap ones, without cost all are clumps.
    assert said(scored(), project()) == (
        "The next queries neglect 'clump': it is predicted for 25% of the unlabelled crops, but for none of the next "
        "30 to label, because its crops take long (64 s, others 1 s). Move the slider towards informative, or click "
        "crops of this class on the image."
    )


@pytest.mark.parametrize(
    ("found", "settings"),
    [
        (scored(), project(beta=0.0)),
        (scored(uniform=True), project()),
        (scored(dear_s=1.1), project()),
        (scored(dear_s=0.5, dear_information=0.0), project()),
        (scored(dear_information=0.0), project()),
        (scored(), project(n=60)),
    ],
    ids=["no cost", "cost unknown", "still asked", "not dear", "dull without cost too", "nearly all are asked"],
)
def test_nothing_is_said_of_a_class_that_cost_does_not_starve(found, settings):
    assert said(found, settings) == ""


def test_nothing_is_said_where_no_committee_was_asked():
    found = scored()
    blind = replace(found, scores=replace(found.scores, probs_N_K=np.full((CROPS, 2), np.nan, np.float32)))
    assert said(blind, project()) == ""


def test_a_query_brings_the_sentence():
    picked = query_of(scored(), project(diverse=False), GRID, ALL, 0, "hash")
    assert picked.starving.startswith("The next queries neglect 'clump': it is predicted for 25%")
