"""A run as one file: written whole, read with suspicion, taken back in."""

import io
import tarfile
from dataclasses import replace

import pytest

from deft_core.errors import InputError
from deft_core.processes import identity
from deft_core.runs import archive, monitor
from deft_core.runs.prepare import prepare_control
from deft_core.runs.spec import read_run, write_run
from deft_core.workspace import Workspace, write_json
from tests.runs.made import a_run


@pytest.fixture
def elsewhere(tmp_path):
    return Workspace(tmp_path / "elsewhere")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ended(folder, state="finished", step=3):
    """As a process leaves it."""
    write_json(folder / "status.json", {"pid": 1, "started": 2.0, "state": state, "step": step, "of": 3, "seconds": 9.0})
    write_json(folder / "exit.json", {"pid": 1, "started": 2.0, "state": state, "message": None, "remedy": None, "step": step})


def test_a_run_is_the_same_elsewhere_and_can_be_started_there(tmp_path, workspace, elsewhere):
    folder = a_run(workspace)
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    assert archive.unpack(elsewhere, tmp_path / "run.tar") == [folder.name]
    assert contents(elsewhere.run(folder.name)) == contents(folder)
    assert monitor.status(elsewhere.run(folder.name)) == "stopped" == monitor.status(folder)
    with tarfile.open(tmp_path / "run.tar") as found:
        assert {(member.uid, member.gid, member.uname, member.gname) for member in found} == {(0, 0, "", "")}


def test_it_comes_back_finished_and_takes_its_own_place(tmp_path, workspace, elsewhere):
    folder = a_run(workspace)
    archive.pack(workspace, [folder.name], tmp_path / "there.tar")
    archive.unpack(elsewhere, tmp_path / "there.tar")
    away = elsewhere.run(folder.name)
    ended(away)
    (away / "checkpoints" / "step-3").mkdir(parents=True)
    (away / "checkpoints" / "step-3" / "optimizer.pt").write_bytes(b"large")
    (away / "model").mkdir()
    (away / "model" / "model.safetensors").write_bytes(b"weights")
    archive.pack(elsewhere, [folder.name], tmp_path / "back.tar")
    archive.unpack(workspace, tmp_path / "back.tar")
    assert monitor.status(folder) == "finished" and (folder / "model" / "model.safetensors").read_bytes() == b"weights"
    assert not (folder / "checkpoints").exists(), "nobody goes on from them"


def test_a_stopped_run_goes_with_its_checkpoints(tmp_path, workspace, elsewhere):
    folder = a_run(workspace)
    ended(folder, "stopped", step=2)
    (folder / "checkpoints" / "step-2").mkdir(parents=True)
    (folder / "checkpoints" / "step-2" / "cost.json").write_text("{}")
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    archive.unpack(elsewhere, tmp_path / "run.tar")
    assert monitor.status(elsewhere.run(folder.name)) == "stopped"
    assert (elsewhere.run(folder.name) / "checkpoints" / "step-2" / "cost.json").read_text() == "{}"


def test_a_run_that_was_started_here_too_is_replaced_only_where_that_is_said(tmp_path, workspace):
    folder = a_run(workspace)
    ended(folder, "stopped", step=2)
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    ended(folder, "failed", step=2)
    with pytest.raises(InputError, match=r"failed at step 2 here. Add --replace"):
        archive.unpack(workspace, tmp_path / "run.tar")
    assert monitor.status(folder) == "failed"
    archive.unpack(workspace, tmp_path / "run.tar", replace_runs=True)
    assert monitor.status(folder) == "stopped"
    write_json(folder / "status.json", identity() | {"state": "running", "step": 1, "of": 3})
    with pytest.raises(InputError, match=r"which is running here.*Stop it first"):
        archive.unpack(workspace, tmp_path / "run.tar", replace_runs=True)
    with pytest.raises(InputError, match=r"which is running.*Stop it first"):
        archive.pack(workspace, [folder.name], tmp_path / "again.tar")


@pytest.mark.parametrize("state, step, said", [("finished", 2, "finished, at step 2"), ("stopped", 3, "stopped, at step 3")])
def test_a_run_that_is_further_here_is_not_replaced(tmp_path, workspace, state, step, said):
    folder = a_run(workspace)
    ended(folder, "stopped", step=2)
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    ended(folder, state, step)
    before = contents(folder)
    with pytest.raises(
        InputError, match=rf"as far as it is here: {said}; found not finished, at step 2\. .*`deft run delete {folder.name}`"
    ):
        archive.unpack(workspace, tmp_path / "run.tar", replace_runs=True)
    assert contents(folder) == before


def test_an_archive_is_never_written_over(tmp_path, workspace):
    folder = a_run(workspace)
    (tmp_path / "mine.tar").write_text("something dear")
    with pytest.raises(InputError, match="Choose another name"):
        archive.pack(workspace, [folder.name], tmp_path / "mine.tar")
    assert (tmp_path / "mine.tar").read_text() == "something dear"


def test_the_model_may_be_called_otherwise_there(tmp_path, workspace, elsewhere):
    folder = a_run(workspace)
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    with pytest.raises(InputError, match=f"found no folder {tmp_path / 'model'}"):
        archive.unpack(elsewhere, tmp_path / "run.tar", model=str(tmp_path / "model"))
    (tmp_path / "model").mkdir()
    for model in (str(tmp_path / "model"), "a-hub/model"):
        archive.unpack(elsewhere, tmp_path / "run.tar", model=model)
        assert read_run(elsewhere.run(folder.name)) == replace(read_run(folder), model=model)


def test_a_control_takes_the_weight_along_that_its_run_measured(tmp_path, workspace, elsewhere):
    folder = a_run(workspace, guidance=None)
    control = prepare_control(workspace, folder.name)
    with pytest.raises(InputError, match=rf"Pack both: `deft run pack {folder.name} {control.run_id} --to FILE`"):
        archive.pack(workspace, [control.run_id], tmp_path / "control.tar")
    archive.pack(workspace, [folder.name, control.run_id], tmp_path / "both.tar")
    assert archive.unpack(elsewhere, tmp_path / "both.tar") == [folder.name, control.run_id]
    write_json(folder / "resolved.json", {"omega": 1.25})
    archive.pack(workspace, [control.run_id], tmp_path / "control.tar")
    archive.unpack(elsewhere, tmp_path / "control.tar")
    assert read_run(elsewhere.run(control.run_id)).omega == 1.25


def member(name, kind=tarfile.REGTYPE, link=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, 2 if kind == tarfile.REGTYPE else 0
    return made


KINDS = {"run/.hidden": "a hidden name", ".queue.json": "a hidden name", "run/link": "a link", "run/hard": "a link", "run/pipe": "a device"}
BAD = [member(name) for name in ("../x", "/tmp/x", "run/../../x", "run/a/../../x", "run\\..\\x", "C:/x", "run/.hidden", ".queue.json")]
BAD += [
    member("run/link", tarfile.SYMTYPE, "/etc/passwd"),
    member("run/hard", tarfile.LNKTYPE, "run/run.json"),
    member("run/pipe", tarfile.FIFOTYPE),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda one: one.name)
def test_nothing_leads_out_of_a_run_folder(tmp_path, workspace, elsewhere, bad):
    folder = a_run(workspace)
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    with tarfile.open(tmp_path / "run.tar", "a") as changed:
        changed.addfile(bad, io.BytesIO(b"ha") if bad.size else None)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=rf"only files below a run's folder .*{KINDS.get(bad.name, 'elsewhere')}.*Nothing was unpacked"):
        archive.unpack(elsewhere, tmp_path / "run.tar")
    left = set(tmp_path.rglob("*")) - before - {elsewhere.root, elsewhere.runs, elsewhere.runs / ".queue.lock"}
    assert not left


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_half_an_archive_is_none(tmp_path, workspace, elsewhere, share):
    folder = a_run(workspace)
    archive.pack(workspace, [folder.name], tmp_path / "run.tar")
    whole = (tmp_path / "run.tar").read_bytes()
    (tmp_path / "half.tar").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="copy the whole file"):
        archive.unpack(elsewhere, tmp_path / "half.tar")
    assert elsewhere.run_ids() == [] and [path.name for path in elsewhere.runs.iterdir()] == [".queue.lock"]


def test_what_is_no_archive_of_runs_is_refused(tmp_path, workspace, elsewhere):
    (tmp_path / "text.tar").write_text("not a tar at all")
    with pytest.raises(InputError, match=r"text\.tar: file could not be opened successfully\. Pack the run again"):
        archive.unpack(elsewhere, tmp_path / "text.tar")
    folder = a_run(workspace)
    write_run(folder, replace(read_run(folder), run_id="another"))
    archive.pack(workspace, [folder.name], tmp_path / "renamed.tar")
    with pytest.raises(InputError, match=r"with the run.json of another"):
        archive.unpack(elsewhere, tmp_path / "renamed.tar")
    (folder / "run.json").write_text("{}")
    with tarfile.open(tmp_path / "empty.tar", "w") as made:
        made.add(folder, folder.name)
    with pytest.raises(InputError, match=rf"the run.json of a run in .*empty.tar; found another one in {folder.name}"):
        archive.unpack(elsewhere, tmp_path / "empty.tar")
    assert elsewhere.run_ids() == []
