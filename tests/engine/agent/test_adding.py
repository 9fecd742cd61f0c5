"""Weights that a user brings: checked, kept, loaded; and what becomes of those that do not fit."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save, save_file

from costal import files
from costal.agent import added as cards
from costal.agent.adding import Brought, add_backbone, load_added, read_brought
from costal.agent.architectures import architecture_of
from costal.agent.backbones import load_backbone
from costal.agent.cards import card_of, offered_names
from costal.errors import AgentError, ProjectError

SMALL = "timm:test_resnet"
CROPS = np.random.default_rng(0).random((20, 1, 30, 30), np.float32)


def hash_of(content):
    return hashlib.sha256(content).hexdigest()


def test_what_was_added_is_there_by_its_name_with_its_card(added, small_file):
    card = add_backbone(SMALL, small_file)
    assert offered_names() == ("gal2017", "efficientnet_lite0", SMALL)
    assert card_of(SMALL) == card
    assert (card.name, card.feature_count, card.side, card.licence) == (SMALL, 480, 64, "CC0")
    assert card.source == f"a friend (small.safetensors, SHA-256 {hash_of(small_file.content)})"
    weights, kept = sorted(added.iterdir())
    assert [weights.suffix, kept.suffix] == [".safetensors", ".json"]
    assert weights.name == f"timm-test_resnet-{card.sha256[:12]}.safetensors"


def test_features_are_those_of_the_weights_that_were_added(added, small_file, small_weights):
    backbone = load_backbone(add_backbone(SMALL, small_file))
    built = architecture_of(SMALL)
    built.network.load_state_dict(small_weights, strict=False)
    image = torch.nn.functional.interpolate(torch.from_numpy(CROPS), (64, 64), mode="bilinear", antialias=True)
    norm = [torch.tensor(each)[:, None, None] for each in (built.mean, built.std)]
    expected = built.extract((image.clamp(0, 1).repeat(1, 3, 1, 1) - norm[0]) / norm[1])
    np.testing.assert_allclose(backbone.features(CROPS, "cpu"), expected.numpy(), rtol=2e-3, atol=1e-4)


def test_features_of_an_added_network_do_not_depend_on_the_other_crops(added, small_file):
    backbone = load_backbone(add_backbone(SMALL, small_file))
    together = backbone.features(CROPS, "cpu")
    for rows in ([0], [19], [5, 4]):
        np.testing.assert_array_equal(backbone.features(CROPS[rows], "cpu"), together[rows])


def test_a_pickle_and_safetensors_of_the_same_tensors_are_the_same_backbone(added, small_file, small_weights, pickled):
    content = pickled(dict(reversed(small_weights.items())))
    first = add_backbone(SMALL, small_file)
    again = add_backbone(SMALL, Brought("small.pth", content, hash_of(content)))
    assert again == first
    assert (again.licence, card_of(SMALL).licence) == ("not stated", "not stated")


def test_the_classifier_of_the_network_is_left_out_and_may_have_any_number_of_classes(added, small_weights):
    own = {"fc.weight": torch.ones(7, 3), "fc.bias": torch.ones(7)}
    headless = {key: each for key, each in small_weights.items() if not key.startswith("fc.")}
    first = add_backbone(SMALL, Brought("a.safetensors", save(small_weights)))
    assert add_backbone(SMALL, Brought("b.safetensors", save(headless | own))) == first
    assert add_backbone(SMALL, Brought("c.safetensors", save(headless))) == first
    (path,) = added.glob("*.safetensors")
    assert not [name for name in load_file(path) if name.startswith(("fc.", "layer4"))]


def test_weights_in_half_precision_are_kept_in_single(added, small_weights):
    add_backbone(SMALL, Brought("half.safetensors", save({key: each.half() for key, each in small_weights.items()})))
    assert {each.dtype for each in load_file(cards.weights_file(SMALL)).values()} == {torch.float32}


def cut(file, weights):
    return replace(file, content=file.content[: len(file.content) // 2])


def shaped(file, weights):
    name = "layer1.0.conv1.weight"
    return replace(file, content=save(weights | {name: weights[name][:5].contiguous()}))


def lacking(file, weights):
    return replace(file, content=save({key: each for key, each in weights.items() if key != "bn1.bias"}))


def too_many(file, weights):
    return replace(file, content=save(weights | {"neck.weight": torch.ones(2)}))


def broken(file, weights):
    return replace(file, content=save(weights | {"bn1.bias": weights["bn1.bias"] * torch.nan}))


BAD = {
    "cut": (cut, r"small.safetensors is not a safetensors file, or is cut short .*Get it again"),
    "empty": (lambda file, weights: replace(file, content=b""), "is not a safetensors file"),
    "another hash": (
        lambda file, weights: replace(file, sha256="0" * 64),
        "another file: its SHA-256 begins with .{12}, not with 000000000000",
    ),
    "a pickle without a hash": (
        lambda file, weights: replace(file, file="w.pth"),
        "w.pth is a pickle file, which can run code. Give its publisher's SHA-256 with --sha256.* safetensors",
    ),
    "an unknown ending": (
        lambda file, weights: replace(file, file="weights.h5"),
        "weights.h5 does not have the name of a weights file. Use .safetensors or .pth",
    ),
    "another shape": (shaped, r"not weights of 'timm:test_resnet': layer1.0.conv1.weight has shape \(5, .*, not \("),
    "one is missing": (lacking, r"bn1.bias, one of 60 tensors, is missing. Use another file, or another name"),
    "one too many": (too_many, "the network has no neck.weight. Use another file"),
    "not finite": (broken, "bn1.bias contains values that are not finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_file_that_does_not_fit_is_refused_and_nothing_is_kept(added, small_file, small_weights, case):
    change, sentence = BAD[case]
    with pytest.raises(AgentError, match=sentence):
        add_backbone(SMALL, change(small_file, small_weights))
    assert not added.exists()
    assert SMALL not in offered_names()


def test_a_pickle_that_is_called_safetensors_is_not_opened(added, small_weights, pickled, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(AgentError, match=r"w.safetensors is not a safetensors file"):
        add_backbone(SMALL, Brought("w.safetensors", pickled(small_weights)))


def test_a_pickle_with_another_hash_is_not_opened(added, small_weights, pickled, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    with pytest.raises(AgentError, match=r"w.pth is damaged or has other weights.*It was not opened"):
        add_backbone(SMALL, Brought("w.pth", pickled(small_weights), "0" * 64))


class Harmful:
    def __reduce__(self):
        return (pytest.fail, ("code ran",))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"conv1.weight": Harmful()}, "cannot be opened without running its code"),
        ({"epoch": 3}, "contains more than named tensors"),
        ([torch.ones(2)], "contains more than named tensors"),
    ],
    ids=["code", "a number", "a list"],
)
def test_a_pickle_is_opened_without_running_code_and_only_for_tensors(added, pickled, weights, sentence):
    content = pickled(weights)
    with pytest.raises(AgentError, match=sentence):
        add_backbone(SMALL, Brought("w.pth", content, hash_of(content)))


def test_a_file_that_is_not_there_and_a_hash_that_is_none_are_named(tmp_path):
    with pytest.raises(AgentError, match=r"nowhere.pth cannot be read: .*Check the path"):
        read_brought(tmp_path / "nowhere.pth")
    with pytest.raises(AgentError, match=r"'f37072fd' is not a SHA-256. Give its 64 hexadecimal digits"):
        read_brought(tmp_path, "f37072fd")


def test_other_weights_of_a_name_replace_the_first_only_when_that_is_wanted(added, small_file, small_weights):
    first = add_backbone(SMALL, small_file)
    other = Brought("other.safetensors", save(small_weights | {"bn1.bias": small_weights["bn1.bias"] + 1}))
    with pytest.raises(AgentError, match=r"This machine has other weights of 'timm:test_resnet'.*--overwrite"):
        add_backbone(SMALL, other)
    assert card_of(SMALL) == first
    second = add_backbone(SMALL, other, overwrite=True)
    assert card_of(SMALL) == second != first
    assert [path.name for path in added.glob("*.safetensors")] == [f"timm-test_resnet-{second.sha256[:12]}.safetensors"]
    load_added(second)
    with pytest.raises(
        AgentError,
        match=rf"other weights on this machine than the model: .*{second.sha256[:12]}, .*{first.sha256[:12]}",
    ):
        load_added(first)


def test_cards_that_differ_in_source_and_licence_alone_are_equal(added, small_file):
    card = add_backbone(SMALL, small_file)
    assert replace(card, source="elsewhere", licence="MIT") == card
    assert replace(card, sha256="0" * 64) != card


def test_weights_that_were_changed_cut_or_removed_are_said_with_the_remedy(added, small_file):
    card = add_backbone(SMALL, small_file)
    path = cards.weights_file(SMALL)
    changed = load_file(path)
    changed["bn1.bias"] += 1
    save_file(changed, path)
    with pytest.raises(AgentError, match=r"was changed since it was added. Add them with 'costal backbone add"):
        load_added(card)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(AgentError, match=r"is missing or damaged"):
        load_added(card)
    path.unlink()
    with pytest.raises(AgentError, match=r"is missing or damaged .*costal backbone add FILE --name timm:test_resnet"):
        load_added(card)
    assert add_backbone(SMALL, small_file) == card
    load_added(card)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not a backbone card .*Delete it"),
        ('{"format": 1}', "is not a backbone card .*name"),
        ("[]", "is not a backbone card"),
        ('{"format": 99}', "written by a newer version"),
    ],
)
def test_a_card_that_cannot_be_read_is_named_and_the_others_stay(added, small_file, text, sentence):
    add_backbone(SMALL, small_file)
    (added / "timm-broken.json").write_text(text)
    with pytest.raises(AgentError, match=sentence):
        card_of("timm:broken")
    assert card_of(SMALL).name == SMALL


def test_a_card_names_no_file_outside_its_folder(added, small_file):
    add_backbone(SMALL, small_file)
    (card,) = added.glob("*.json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"weights": "../elsewhere.safetensors"}))
    with pytest.raises(AgentError, match=r"describes other weights"):
        cards.weights_file(SMALL)


def test_what_is_not_here_is_named_with_how_to_get_it(added):
    with pytest.raises(
        AgentError, match=r"not on this machine. Add them with 'costal backbone add FILE --name timm:a1'"
    ):
        card_of("timm:a1")
    with pytest.raises(AgentError, match=r"Download them with 'costal backbone download torchvision:resnet18'"):
        card_of("torchvision:resnet18")


def test_a_full_disk_leaves_nothing_of_new_weights_and_the_old_ones_whole(
    added, small_file, small_weights, monkeypatch
):
    first = add_backbone(SMALL, small_file)
    before = {path.name: path.read_bytes() for path in added.iterdir()}
    other = Brought("other.safetensors", save(small_weights | {"bn1.bias": small_weights["bn1.bias"] + 1}))
    finish, written = files._finish, []

    def full(file, staged):
        written.append(file.name)
        if len(written) == 2:  # the card
            raise OSError(28, "No space left on device")
        finish(file, staged)

    monkeypatch.setattr(files, "_finish", full)
    with pytest.raises(ProjectError, match=r"No space left on device"):
        add_backbone(SMALL, other, overwrite=True)
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in added.iterdir()} == before
    load_added(first, added)
