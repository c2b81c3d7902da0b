"""What a first start gets ready, and what a later one leaves alone."""

import socket

import pytest

from deft_core import dashboard, processes
from deft_core.errors import InputError
from deft_core.lm import default_model
from deft_core.status import Status
from deft_core.workspace import SCORE_KEYS, Workspace, write_json


def test_the_demo_is_scored_once_and_again_only_where_it_was_left(tmp_path, monkeypatch):
    workspace, started, said = Workspace(tmp_path), [], []
    monkeypatch.setattr(default_model, "ensure", lambda say: None)
    monkeypatch.setattr(processes, "start_scoring", lambda root, name: started.append((root, name)))

    dashboard.prepare_demo(workspace, said.append)
    assert started == [(tmp_path, "demo")]
    assert said == ["scoring the demo's 296 rows in the background"]

    folder = workspace.score_set("demo", "tiny")
    folder.mkdir(parents=True)
    fingerprint = workspace.dataset_info("demo")["fingerprint"]
    write_json(folder / "score.json", dict.fromkeys(SCORE_KEYS) | {"created": "2026-11-22", "dataset_fingerprint": fingerprint})
    with Status(folder, lambda _: None, done=296):
        dashboard.prepare_demo(workspace, said.append)  # somebody is at work on it
    dashboard.prepare_demo(workspace, said.append)  # it is finished
    assert len(started) == 1

    with Status(folder, lambda _: None, done=5):
        pass
    dashboard.prepare_demo(workspace, said.append)  # a few rows alone were asked for, and are there
    assert len(started) == 2

    write_json(folder / "status.json", {"state": "running", "pid": 2**22 + 1, "started": 0.0})
    dashboard.prepare_demo(workspace, said.append)  # its process was killed
    assert len(started) == 3


def test_a_port_that_is_taken_is_an_error_that_says_what_to_open():
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InputError) as caught:
            dashboard.check_port(port)
    assert f"http://localhost:{port}" in caught.value.found
    assert "deft app --port" in caught.value.remedy
    dashboard.check_port(port)  # free again


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(InputError, match=f"between 1 and 65535; found {port}"):
        dashboard.check_port(port)
