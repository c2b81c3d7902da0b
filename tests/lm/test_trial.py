"""One question to several models."""

import pytest

from deft_core.errors import ModelError
from deft_core.lm import models, sampling, trial
from deft_core.lm.sampling import stream
from deft_core.lm.shelf import Shelf, Wanted
from deft_core.lm.trial import Question, Trial
from deft_core.runs.spec import Settings, read_run
from tests.conftest import small_rows
from tests.lm.run_folders import run_folder, trained

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED = Question(({"role": "user", "content": "What is blue?"},), seed=3, temperature=0.8, new_tokens=12)


@pytest.fixture(scope="module")
def finished(tiny, tmp_path_factory):
    folder = run_folder(tmp_path_factory.mktemp("runs") / "run", tiny, Settings(steps=2, lr=1e-2, warmup=0.0), small_rows(6))
    trained(folder)
    return folder


def asked(*wanted, question=ASKED):
    made = Trial(Shelf(lambda: None), question, wanted)
    made.start()
    made.wait()
    return made.answers


def test_base_and_tuned_model_answer_the_same_question(finished, tiny):
    run = read_run(finished)
    answers = asked(
        trial.base_of_run(run, finished, "base"), trial.tuned_by_run(run, finished, "mine"), trial.of_name(str(tiny), "it", None)
    )
    assert [(one.name, one.state) for one in answers] == [("base", "done"), ("mine", "done"), ("it", "done")]
    for one, folder in zip(answers, (tiny, finished / "model", tiny), strict=True):
        expected = "".join(stream(models.load("m", folder), list(ASKED.messages), seed=3, temperature=0.8, new_tokens=12))
        assert one.text == expected and one.pieces > 0


def test_how_much_memory_a_model_takes_is_known_before(finished, tiny):
    run = read_run(finished)
    numbers = sum(one.numel() for one in models.load("m", tiny).model.parameters())
    assert trial.tuned_by_run(run, finished, "mine").bytes == trial.base_of_run(run, finished, "base").bytes == 4 * numbers
    assert trial.of_name("m", "m", None).bytes is None


def test_a_model_that_changed_on_disk_is_another_one(finished):
    run = read_run(finished)
    before = trial.tuned_by_run(run, finished, "mine").key
    path = finished / "model" / "model.safetensors"
    path.write_bytes(path.read_bytes())
    assert trial.tuned_by_run(run, finished, "mine").key != before


def test_one_that_fails_does_not_take_the_others_along(tiny, caplog):
    def fail(say):
        raise ModelError("a model", "none", "Bring one.")

    def break_(say):
        raise KeyError("config")

    answers = asked(Wanted("x", "x", None, fail), Wanted("y", "y", None, break_), trial.of_name(str(tiny), "it", None))
    assert [one.state for one in answers] == ["failed", "failed", "done"]
    assert answers[0].error.remedy == "Bring one." and "KeyError" in answers[1].error.found


def test_stopped_it_keeps_what_is_there_and_asks_nobody_else(tiny, monkeypatch):
    def slowly(*given, **settings):
        yield "The "
        made.stop()
        yield "sky"
        pytest.fail("it went on")

    monkeypatch.setattr(sampling, "stream", slowly)
    made = Trial(Shelf(lambda: None), ASKED, [trial.of_name(str(tiny), name, None) for name in ("a", "b")])
    made.start()
    made.wait()
    assert [(one.state, one.text) for one in made.answers] == [("stopped", "The sky"), ("stopped", "")]
