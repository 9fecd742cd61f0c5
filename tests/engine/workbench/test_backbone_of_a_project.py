"""A project that looks through a frozen backbone: chosen by a key, trained, asked, switched, applied."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import save

from costal.agent.adding import add_backbone
from costal.agent.cards import EFFICIENTNET_LITE0, LITE0_CARD
from costal.applying.classify import ApplyRequest, apply_to_frame
from costal.errors import AgentError, ProjectError
from costal.frames.grid import crop_at
from costal.frames.simulate import CLASS_NAMES, simulate_field, simulated_effort_s
from costal.labels.effort import Event, EventKind
from costal.labels.models import load_newest
from costal.labels.project import PROJECT_FILE, Choices, Tiling
from costal.labels.project_file import create_project, load_project, save_project
from costal.labels.records import AnswerRecord
from costal.scoring.frame_planes import FramePlane
from costal.scoring.job import score_prepared
from costal.scoring.prepare import ScoreRequest, prepare
from costal.types import finish
from costal.workbench.retraining import RetrainRequest, retrain
from costal.workbench.session import ProjectSession, recorded

CROP, LABELS, S = 32, 24, 1_000_000_000


@pytest.fixture(scope="module")
def field():
    return simulate_field((256, 256), CROP, seed=1)


@pytest.fixture
def frame(field):
    return FramePlane(field.pixels_Y_X[np.newaxis], "field.tif", "all", "0" * 64, field.pixel_um)


@pytest.fixture
def project(tmp_path, field, frame):
    """Return a project with 24 labelled crops that looks through the frozen backbone."""
    made = create_project(tmp_path / "neurons", CLASS_NAMES)
    choices = Choices(passes=20, n=5, backbone=EFFICIENTNET_LITE0)
    save_project(replace(made, tiling=Tiling(CROP, CROP), choices=choices))
    efforts = simulated_effort_s(field, 0)
    with ProjectSession(made.folder, "ada") as session:
        stored = session.place(recorded(frame))
        for index in range(LABELS):
            y, x = field.grid.origin(index)
            end_ns = round(efforts[index] * S)
            events = (Event(EventKind.SHOWN, 0, 0), Event(EventKind.ANSWERED, end_ns, end_ns))
            crop = crop_at(frame.pixels_C_Y_X, field.grid, index)
            class_id = 1 + int(field.classes_N[index])
            session.answer(AnswerRecord(stored.id, y, x, crop, "class", class_id, "ada", events))
    return load_project(made.folder)


def test_the_models_of_a_project_look_through_its_backbone(project, frame, field):
    model_version = finish(retrain(RetrainRequest(project, 0, "cpu")))
    assert load_newest(project.model_folder).agent.backbone == LITE0_CARD
    assert model_version.agent.cost_model is not None
    scores = finish(score_prepared(prepare(ScoreRequest(project, frame, device="cpu")))).scores
    applied = finish(apply_to_frame(ApplyRequest(project, frame, device="cpu")))
    np.testing.assert_array_equal(applied.class_index_N, scores.probs_N_K.argmax(axis=1))
    unseen = np.arange(LABELS, len(field.grid))
    assert (applied.class_index_N[unseen] == field.classes_N[unseen]).mean() > 0.6


def test_a_model_of_another_backbone_is_kept_and_not_asked(project, frame):
    finish(retrain(RetrainRequest(project, 0, "cpu")))
    other = replace(project, choices=replace(project.choices, backbone="gal2017"))
    found = finish(score_prepared(prepare(ScoreRequest(other, frame, device="cpu"))))
    assert found.scores is None
    assert "uses 'efficientnet_lite0', but the project now uses 'gal2017'" in found.reason
    again = finish(score_prepared(prepare(ScoreRequest(project, frame, device="cpu"))))
    assert (again.generation, again.scores is None) == (1, False)


def test_a_project_file_says_its_backbone_and_refuses_one_that_is_not_known(project):
    path = project.folder / PROJECT_FILE
    text = path.read_text("utf-8")
    assert 'backbone = "efficientnet_lite0"' in text
    path.write_text(text.replace("efficientnet_lite0", "resnet9000"), "utf-8")
    with pytest.raises(ProjectError, match=r'"resnet9000" .* should be one of gal2017, efficientnet_lite0, timm'):
        load_project(project.folder)
    path.write_text(text.replace('backbone = "efficientnet_lite0"\n', ""), "utf-8")
    assert load_project(project.folder).choices.backbone == "gal2017"


def test_a_project_looks_through_weights_that_were_added_and_through_no_others(
    project, frame, added, small_file, small_weights
):
    named = replace(project, choices=replace(project.choices, backbone="timm:test_resnet"))
    save_project(named)
    assert load_project(project.folder) == named  # its labels can be looked at where the weights are not
    with pytest.raises(AgentError, match=r"weights of 'timm:test_resnet' are not on this machine. Add them with"):
        finish(retrain(RetrainRequest(named, 0, "cpu")))
    card = add_backbone("timm:test_resnet", small_file)
    model_version = finish(retrain(RetrainRequest(named, 0, "cpu")))
    assert (load_newest(project.model_folder).agent.backbone, model_version.agent.label_count) == (card, LABELS)
    assert finish(score_prepared(prepare(ScoreRequest(named, frame, device="cpu")))).generation == 1
    other = replace(small_file, content=save(small_weights | {"bn1.bias": small_weights["bn1.bias"] + 1}))
    second = add_backbone("timm:test_resnet", other, overwrite=True)
    refused = finish(score_prepared(prepare(ScoreRequest(named, frame, device="cpu"))))
    assert refused.scores is None
    assert f"'timm:test_resnet' with weights {card.sha256[:12]}, but the project now uses {second.sha256[:12]}" in (
        refused.reason
    )
    with pytest.raises(ProjectError, match=f"with weights {card.sha256[:12]}"):
        finish(apply_to_frame(ApplyRequest(named, frame, device="cpu")))
    add_backbone("timm:test_resnet", small_file, overwrite=True)
    assert finish(apply_to_frame(ApplyRequest(named, frame, device="cpu"))).class_index_N.shape
