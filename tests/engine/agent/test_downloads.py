"""Weights fetched on command, from a server on this machine that behaves well, or does not."""

import hashlib
import socket
import threading
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from safetensors.torch import load, save
from torchvision import models

from costal.agent import added as table
from costal.agent import downloads
from costal.agent.added import DOWNLOADS, Download
from costal.agent.adding import add_backbone
from costal.agent.cards import card_of, offered_names
from costal.agent.downloads import download_backbone
from costal.errors import AgentError
from costal.types import finish

NAME = "timm:test_resnet"


@pytest.fixture
def content(small_weights, pickled):
    return pickled(small_weights)


@pytest.fixture
def server(content, monkeypatch):
    """Return a server whose ``answer`` is (status, headers' length, body), for `NAME` and no other."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.paths.append(self.path)
            status, length, body = self.server.answer
            self.send_response(status)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            with suppress(OSError):  # who has seen enough hangs up
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.paths, server.answer = [], (200, len(content), content)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv(downloads.FROM, f"http://127.0.0.1:{server.server_port}/models/")
        sha256 = hashlib.sha256(content).hexdigest()
        monkeypatch.setitem(DOWNLOADS, NAME, Download("small-1.pth", sha256[:8], len(content) / 2**20, "CC0"))
        yield server
        server.shutdown()
        thread.join()


def test_what_is_fetched_is_added_and_progress_is_told_in_bytes(added, server, content):
    job, seen = download_backbone(NAME), []
    while True:
        try:
            seen.append(next(job))
        except StopIteration as stop:
            card = stop.value
            break
    assert server.paths == ["/models/small-1.pth"]
    assert card_of(NAME) == card
    assert card.licence == "CC0"
    assert f"/models/small-1.pth (small-1.pth, SHA-256 {hashlib.sha256(content).hexdigest()})" in card.source
    assert [each.done for each in seen] == sorted(each.done for each in seen)
    assert (seen[-1].done, seen[-1].total) == (len(content), len(content))


def test_what_is_here_is_not_fetched_again_nor_replaced_by_itself(added, server, small_file):
    card = finish(download_backbone(NAME))
    server.answer = (404, 0, b"")
    assert finish(download_backbone(NAME)) == card
    with pytest.raises(AgentError, match="404"):
        finish(download_backbone(NAME, overwrite=True))
    assert card_of(NAME) == card
    changed = {name: each + 1 if name == "bn1.bias" else each for name, each in load(small_file.content).items()}
    other = add_backbone(NAME, replace(small_file, content=save(changed)), overwrite=True)
    server.paths.clear()
    with pytest.raises(AgentError, match="This machine has other weights of 'timm:test_resnet'"):
        finish(download_backbone(NAME))
    assert (card_of(NAME), server.paths) == (other, [])


BAD = {
    "missing": (lambda body: (404, 0, b""), "small-1.pth cannot be downloaded: the server says 404 Not Found"),
    "broken off": (
        lambda body: (200, len(body), body[:5000]),
        r"small-1.pth (was cut short|cannot be downloaded: Incompl)",
    ),
    "shorter": (lambda body: (200, 5000, body[:5000]), "damaged or has other weights: .*It was not opened. Get it"),
    "a page of a portal": (lambda body: (200, 6, b"<html>"), "damaged or has other weights"),
    "another file": (lambda body: (200, len(body), body[:-1] + b"!"), "damaged or has other weights"),
    "without an end": (lambda body: (200, 9 * len(body), 9 * body), r"sends more than the \d"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_server_that_sends_something_else_leaves_nothing_behind(added, server, content, case):
    answer, sentence = BAD[case]
    server.answer = answer(content)
    with pytest.raises(AgentError, match=sentence):
        finish(download_backbone(NAME))
    assert not added.exists()
    assert NAME not in offered_names()


def test_without_a_network_the_sentence_says_what_else_can_be_done(added, monkeypatch):
    def refuse(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.delenv(downloads.FROM, raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with pytest.raises(
        AgentError,
        match=r"download.pytorch.org/models/resnet18-f37072fd.pth cannot be downloaded: .*not known. Check the network "
        "connection. Try again later, or get the file elsewhere and add it with 'costal backbone add'",
    ):
        finish(download_backbone("torchvision:resnet18"))
    assert not added.exists()


def test_a_download_that_is_stopped_leaves_nothing_behind(added, server):
    job = download_backbone(NAME)
    next(job)
    job.close()
    assert not added.exists()


def test_a_name_without_a_known_address_is_refused_before_the_network_is_asked(added, server):
    with pytest.raises(
        AgentError, match=r"The weights of 'timm:resnet18' cannot be downloaded here, only those of torchvision:"
    ):
        finish(download_backbone("timm:resnet18"))
    assert server.paths == []


@pytest.mark.parametrize("name", DOWNLOADS)
def test_each_file_is_the_one_that_torchvision_names_with_its_hash_and_size(name):
    known = DOWNLOADS[name]
    theirs = models.get_model_weights(name.removeprefix("torchvision:")).DEFAULT
    assert theirs.url == table.DOWNLOADS_FROM + known.file
    assert known.file.endswith(f"-{known.sha256}.pth")
    assert known.mebibytes == pytest.approx(theirs.meta["_file_size"], abs=0.05)
