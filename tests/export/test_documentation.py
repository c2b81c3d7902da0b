"""docs/exporting.md shows what is written."""

import json
import re
from pathlib import Path

import pytest

from deft_core.export import LAYOUTS, usage
from deft_core.preferences import Message, Preference, Response

DOC = (Path(__file__).parents[2] / "docs" / "exporting.md").read_text(encoding="utf-8")
ASKED = (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "2+2?"))
ROW = Preference(ASKED, (Response("4", 1, 0.9), Response("four", 1, 0.9), Response("5", 2, 0.1)))


def section(name):
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", DOC, re.DOTALL | re.MULTILINE)[1]


def block(name, language, place=0):
    return re.findall(rf"```{language}\n(.*?)```", section(name), re.DOTALL)[place]


def test_every_layout_has_a_section():
    assert [name for name in re.findall(r"^## (\S+)$", DOC, re.MULTILINE) if name in LAYOUTS] == list(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_row_shown_is_what_is_written(name):
    assert json.loads(block(name, "json")) == LAYOUTS[name].columns(ROW)


@pytest.mark.parametrize("name", ["llamafactory", "axolotl"])
def test_the_settings_shown_are_those_printed(name):
    assert block(name, "yaml") == usage.snippet(name, Path("/data/exports/best.jsonl"))


def test_the_entry_shown_is_what_is_added():
    assert json.loads(block("llamafactory", "json", 1)) == usage.entry(Path("/data/exports/best.jsonl"))
