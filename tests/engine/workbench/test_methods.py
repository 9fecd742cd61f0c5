"""The methods paragraph, word for word: what a project holds, and what it lacks."""

from dataclasses import replace

import numpy as np
import pytest

from costal.agent.cards import LITE0_CARD
from costal.labels.classes import describe_class
from costal.labels.effort import Event, EventKind
from costal.labels.models import ModelVersion
from costal.labels.project_file import create_project, save_project
from costal.labels.records import ActionRecord, AnswerRecord, FrameRecord, QueryReason
from costal.labels.store import Store
from costal.types import Agent, AgentSettings
from costal.workbench.methods import methods_of, versions

S = 1_000_000_000
NO_MODEL = QueryReason()
PIXELS = np.zeros((1, 64, 64), np.uint8)
VERSIONS = {"napari-costal": "1.0", "Python": "3.11", "NumPy": "2.0", "PyTorch": "2.5"}
SHOWN = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, 6 * S, 6 * S))


@pytest.fixture
def project(tmp_path):
    project = create_project(tmp_path / "neurons", ("rings", "fibres"))
    project = describe_class(project, 1, "periodic, along the axon.")
    save_project(project)
    return project


def answer(store, x, class_id=1, *, pixel_um=0.03, why=NO_MODEL, rank=1, events=SHOWN, annotator="ada", **how):
    frame = FrameRecord(f"hash {pixel_um}", "all", "field.tif", 64, 9999, pixel_um, (0.0,), (1.0,))
    record = AnswerRecord(
        store.add_frame(frame), 0, 64 * x, PIXELS, "class", class_id, annotator, events, 1, rank, why=why, **how
    )
    return record if how.get("given") == "bulk" else store.answer(record)


def text_of(project, newest=None):
    return replace(methods_of(project.folder), versions=VERSIONS, newest=newest).text


def test_a_full_project_says_labels_choice_effort_model_accuracy_and_consistency(project):
    by_value = QueryReason((1, 2), (0.8, 0.2), 0.5, 2.0, 0.4, 0.4, 1.0, 0.3, "std", 50, 0, "abc")
    with Store(project.store_path) as store:
        answer(store, 0)
        answer(store, 1, why=by_value)
        answer(store, 2, 2, why=by_value, unsure=True)
        answer(store, 3, why=by_value, control=True)
        answer(store, 4, 2, rank=None, annotator="ben")
        answer(store, 5, why=by_value)
        answer(store, 5, why=by_value, repeated=True)
        together = [answer(store, x, 2, given="bulk", rank=None, events=()) for x in (6, 7)]
        store.answer_together(ActionRecord("bulk", "ada", 3.0), together)
    agent = Agent(AgentSettings(2, passes=50), (1, 64, 64), ({},), None, 6, backbone=LITE0_CARD)
    assert text_of(project, ModelVersion(4, agent, model_hash="f00")) == (
        "Crops of 64 × 64 px (pixel size 0.03 µm) from 1 image were labelled with napari-costal 1.0, Python 3.11, "
        "NumPy 2.0, PyTorch 2.5. The project has 8 labels of 2 classes: rings (4: periodic, along the axon) and fibres "
        "(4). The labels were given by ada (7) and ben (1): 6 one by one and 2 several at once. The expert marked 1 of "
        "them as unsure. The crops that were labelled one by one were chosen by the highest value I^α / C^β with α = 1 "
        "and β = 0.3, where I is the standard deviation over dropout passes (2, 33%), as typical crops of each kind, "
        "without a model (1, 17%), at random, as controls (1, 17%), by the expert (1, 17%) and to be shown again "
        "without notice (1, 17%). Single crops took 0.7 min of active time; pauses and gaps longer than 20 s do not "
        "count. Model 4 was trained on 6 labels: heads on the "
        f"frozen network efficientnet_lite0 (version {LITE0_CARD.version}; from {LITE0_CARD.source}; licence "
        f"{LITE0_CARD.licence}; weights SHA-256 {LITE0_CARD.sha256}) (50 passes of MC dropout; model SHA-256 f00). "
        "Accuracy was measured on 1 control crop, drawn at random and predicted before labelling: 100% (95% interval "
        "21% to 100%) of these predictions were right. Of 1 crop shown again without notice, the expert "
        "gave 100% (95% interval 21% to 100%) the same label again; a measured accuracy cannot be higher than this "
        "share."
    )


def test_what_is_missing_is_said(project):
    with Store(project.store_path) as store:
        answer(store, 0, pixel_um=None, rank=None, events=(), annotator="", given="imported")
    assert text_of(project) == (
        "Crops of 64 × 64 px (the pixel size is not known) from 1 image were labelled with napari-costal 1.0, Python "
        "3.11, NumPy 2.0, PyTorch 2.5. The project has 1 label of 1 class: rings (1: periodic, along the axon). The "
        "labels were given by an unnamed annotator (1): 1 imported from files. The committee chose none of these "
        "crops. The effort was not measured. No model has been trained. No control crop was predicted before it was "
        "labelled, so no accuracy can be given. No crop was labelled twice to measure how consistent the expert is."
    )


def test_a_project_without_labels_says_so(project):
    assert text_of(project) == (
        "Crops of 64 × 64 px (the pixel size is not known) were labelled with napari-costal 1.0, Python 3.11, NumPy "
        "2.0, PyTorch 2.5. No crop has been labelled yet."
    )


def test_labels_that_were_taken_back_or_replaced_are_not_counted(project):
    with Store(project.store_path) as store:
        store.undo(answer(store, 0))
        answer(store, 1)
        answer(store, 1, 2)
    assert "The project has 1 label of 1 class: fibres (1)." in text_of(project)


def test_a_model_of_its_own_network_says_that_it_was_trained_from_scratch(project):
    with Store(project.store_path) as store:
        answer(store, 0)
    agent = Agent(AgentSettings(2, passes=7), (1, 64, 64), ({},), None, 1)
    assert (
        "Model 2 was trained on 1 label: a CNN trained from scratch (gal2017) (7 passes of MC dropout; model SHA-256 "
        "not known)."
    ) in text_of(project, ModelVersion(2, agent))


def test_versions_name_this_software_and_leave_out_what_is_not_installed(monkeypatch):
    from costal.workbench import methods

    monkeypatch.setattr(methods, "PACKAGES", {"NumPy": "numpy", "Nothing": "no-such-package-at-all"})
    assert list(versions()) == ["napari-costal", "Python", "NumPy"]
