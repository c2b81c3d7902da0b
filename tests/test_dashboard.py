"""What a first start gets ready, and what a later one leaves alone."""

from deft_core import dashboard, processes
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
