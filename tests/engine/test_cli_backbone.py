"""``costal backbone``, and names of backbones in other commands."""

import hashlib
import json

import pytest
from safetensors.torch import save

from costal.agent import listing
from costal.agent.added import DOWNLOADS
from costal.agent.downloads import FROM
from costal.labels.project_file import load_project

SMALL = "timm:test_resnet"


def test_weights_are_added_listed_and_chosen_by_name(costal, tmp_path, added, small_weights, monkeypatch):
    monkeypatch.setattr(listing, "RUNS", 1)
    path = tmp_path / "small.safetensors"
    path.write_bytes(save(small_weights))
    code, out, err = costal("backbone", "add", path, "--name", SMALL, "--licence", "CC0", "--source", "a friend")
    assert (code, err) == (0, "")
    own = hashlib.sha256(path.read_bytes()).hexdigest()
    assert out == (
        "Added timm:test_resnet: 480 features per channel at 64 px, licence: CC0\n"
        f"from a friend (small.safetensors, SHA-256 {own})\n"
    )
    code, out, _ = costal("backbone", "list", "--json")
    figures = json.loads(out)
    assert [each["name"] for each in figures["backbones"]] == ["gal2017", "efficientnet_lite0", SMALL]
    assert figures["downloads"] == list(DOWNLOADS)
    assert figures["folder"] == str(added)
    code, out, _ = costal("backbone", "list")
    assert "CPU ms: on one thread, for a grey crop of 64 px, on " in out
    assert "timm:test_resnet: 480 features per channel at 64 px, " in out
    assert costal("project", "new", tmp_path / "neurons", "--backbone", SMALL)[0] == 0
    assert load_project(tmp_path / "neurons").choices.backbone == SMALL


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("resnet18", "There is no backbone 'resnet18'. Choose one of gal2017, efficientnet_lite0, or timm:NAME"),
        ("timm:resnet18", "The weights of 'timm:resnet18' are not on this machine. Add them with 'costal backbone add"),
    ],
)
def test_a_project_is_not_made_with_a_backbone_that_is_not_here(costal, tmp_path, added, name, sentence):
    code, _, err = costal("project", "new", tmp_path / "neurons", "--backbone", name)
    assert code == 1
    assert err.startswith(f"costal: {sentence}")
    assert not (tmp_path / "neurons").exists()


def test_size_hash_and_licence_are_told_before_a_download_that_fails(costal, added, monkeypatch):
    monkeypatch.setenv(FROM, "http://127.0.0.1:9")  # nobody listens to the port of discarding
    code, out, err = costal("backbone", "download", "torchvision:resnet18")
    assert (code, out) == (1, "")
    announcement, failed = [line for line in err.splitlines() if "resnet18-f37072fd.pth" in line]
    assert announcement.startswith("http://127.0.0.1:9/resnet18-f37072fd.pth: 44.7 MiB, SHA-256 f37072fd")
    assert "licence: BSD-3-Clause" in announcement
    assert failed.startswith("costal: http://127.0.0.1:9/resnet18-f37072fd.pth cannot be downloaded")
    assert not added.exists()
