"""Networks by name: which features their weights make, and which names there are."""

import numpy as np
import pytest
import timm
import torch
from torchvision import models

from costal.agent.architectures import architecture_of
from costal.agent.backbones import FrozenBackbone, load_backbone
from costal.agent.cards import LITE0_CARD
from costal.agent.weights import lite0_weights
from costal.errors import AgentError


def images_of(side, count=3):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def loaded(name, network):
    """Return the architecture with a network's weights in it."""
    built = architecture_of(name)
    weights = {key: each for key, each in network.state_dict().items() if key in built.needed()}
    assert weights.keys() == built.needed().keys()
    built.network.load_state_dict(weights, strict=False)
    return built


def pooled(*maps):
    return torch.cat([part for each in maps for part in (each.mean((2, 3)), each.std((2, 3), correction=0))], 1)


def differing(network):
    """Return the network in use, statistics of its batches unlike those it begins with."""
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    return network.eval()


@torch.no_grad()
def test_a_network_of_timm_gives_mean_and_spread_of_its_maps_at_an_eighth_and_a_sixteenth_of_the_side():
    network = differing(timm.create_model("test_resnet", pretrained=False))
    images = images_of(64)
    stages = timm.create_model("test_resnet", pretrained=False, features_only=True, out_indices=(2, 3)).eval()
    stages.load_state_dict({key: network.state_dict()[key] for key in stages.state_dict()})
    maps = stages(images)
    assert [tuple(each.shape[2:]) for each in maps] == [(8, 8), (4, 4)]
    built = loaded("timm:test_resnet", network)
    torch.testing.assert_close(built.extract(images), pooled(*maps))
    assert (built.side, built.feature_count) == (64, pooled(*maps).shape[1])


@torch.no_grad()
def test_a_network_of_torchvision_gives_mean_and_spread_of_its_maps_at_an_eighth_and_a_sixteenth_of_the_side():
    network = differing(models.resnet18(weights=None))
    images = images_of(64)
    stem = network.maxpool(network.relu(network.bn1(network.conv1(images))))
    eighth = network.layer2(network.layer1(stem))
    built = loaded("torchvision:resnet18", network)
    torch.testing.assert_close(built.extract(images), pooled(eighth, network.layer3(eighth)))
    assert (built.side, built.feature_count) == (64, 2 * 128 + 2 * 256)


@torch.no_grad()
def test_a_transformer_gives_its_class_token_and_the_mean_of_its_patches():
    network = timm.create_model("test_vit", pretrained=False, dynamic_img_size=True).eval()
    built = loaded("timm:test_vit", network)
    images = images_of(built.side)
    tokens = network.forward_features(images)
    assert (built.side, tokens.shape[1]) == (7 * 16, 1 + 7 * 7)
    torch.testing.assert_close(built.extract(images), torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], 1))


@torch.no_grad()
def test_efficientnet_by_its_own_name_sees_what_the_one_of_the_installation_does():
    built = architecture_of("timm:tf_efficientnet_lite0")
    built.network.load_state_dict({key: each for key, each in lite0_weights().items() if key in built.needed()})
    crops = np.random.default_rng(0).random((5, 1, 40, 40), np.float32)
    by_name = FrozenBackbone(LITE0_CARD, built.extract).features(crops, "cpu")
    np.testing.assert_array_equal(by_name, load_backbone(LITE0_CARD).features(crops, "cpu"))


def test_images_are_scaled_as_the_weights_of_this_name_were_trained():
    half = (0.5, 0.5, 0.5)
    assert (architecture_of("timm:test_vit").mean, architecture_of("timm:test_vit").std) == (half, half)
    assert architecture_of("torchvision:mobilenet_v3_small").mean == LITE0_CARD.mean
    assert architecture_of("torchvision:mobilenet_v3_small").std == LITE0_CARD.std


def test_drawing_weights_that_are_replaced_leaves_the_callers_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    architecture_of("timm:test_vit")
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("timm:resnet_18", r"timm [\d.]+ has no network 'resnet_18'. Did you mean .*resnet18"),
        ("torchvision:resnet19", r"torchvision [\d.+a-z]+ has no network 'resnet19'. Did you mean .*resnet18"),
        ("torchvision:qqqqq", "has no network 'qqqqq'. Look up the name"),
        (
            "torchvision:squeezenet1_1",
            "cannot make features of small images .*an eighth and .*Choose another network",
        ),
        ("resnet18", "'resnet18' is not a network that can be added. Write timm:NAME or torchvision:NAME"),
        ("keras:resnet18", "'keras:resnet18' is not a network that can be added"),
    ],
)
def test_a_name_that_gives_no_features_is_refused_with_the_reason(name, sentence):
    with pytest.raises(AgentError, match=sentence):
        architecture_of(name)
