"""What the command writes: the progress line on standard error where that is a file, values for people on standard output."""

from deft_core.status import Status
from deft_core.terminal import ProgressLine, print_values


def test_a_phase_shows_a_count_of_its_own_alone(tmp_path, capsys):
    with ProgressLine() as line, Status(tmp_path, line.show, total=60) as status:
        status.update(phase="counting", done=1_094, total=1_094)
        status.update(phase="checking")
        status.update(phase="scoring", done=3, total=60)
    assert capsys.readouterr().err.splitlines() == ["starting", "counting  1,094/1,094", "checking", "scoring  3/60", "finished  3/60"]


def test_what_counts_for_itself_is_shown_with_its_count(capsys):
    with ProgressLine() as line:
        line.show({"phase": "writing", "done": 0, "total": 1_000})
        line.show({"phase": "reading"})
    assert capsys.readouterr().err.splitlines() == ["writing  0/1,000", "reading"]


def test_lists_and_objects_are_shown_as_words(capsys):
    print_values({"runs": ["a", "b"], "status": {"a": "stopped", "b": "finished"}}, as_json=False)
    lines = [line.split(maxsplit=1)[1].strip() for line in capsys.readouterr().out.splitlines()]
    assert lines == ["a, b", "a: stopped, b: finished"]
