"""Text work of the pair inspector: what may be anything goes in, what is safe and readable comes out."""

from __future__ import annotations

import re
from html import unescape

import pytest

from deft_core.queries import ScoredToken
from deft_core.reading import SHOWN_CHARACTERS, Piece, answer_html, boxed, differing_words, escaped, excerpt, pieces, tint_scale, visible


def tokens(*texts: bytes, contribution: float = 0.1) -> list[ScoredToken]:
    return [ScoredToken(text, contribution, -1.0, 0.001, 3, 2) for text in texts]


def text_of(html: str) -> str:
    return unescape(re.sub("<[^>]*>", "", html))


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "a & b &lt; c", "\"'><b>", "](javascript:1)"]
)
def test_escaped_text_has_no_tag_and_reads_the_same(text: str) -> None:
    html = escaped(text)
    assert "<" not in html and ">" not in html and '"' not in html
    assert unescape(html) == text


def test_what_cannot_be_seen_is_made_visible() -> None:
    assert visible("a\x00b\x1b[31m") == "a[U+0000]b[U+001B][31m"
    assert visible("left \u202eright") == "left [U+202E]right"
    assert visible("tab\tline\nشكرا zwj👩\u200d🚀") == "tab\tline\nشكرا zwj👩\u200d🚀"
    assert visible("windows\r\nline") == "windows\nline"


def test_an_excerpt_is_one_line() -> None:
    assert excerpt("one\n two   three", 80) == "one two three"
    assert excerpt("x" * 100_000, 10) == "x" * 9 + "…"


def test_differing_words_are_marked_where_they_stand() -> None:
    first, second = "I would be happy to help.", "I would not be happy to!"
    marks = differing_words(first, second)
    assert [first[start:end] for start, end in marks[0]] == ["help", "."]
    assert [second[start:end] for start, end in marks[1]] == ["not", "!"]


def test_huge_texts_are_compared_as_bags_of_words() -> None:
    first, second = " ".join(str(n) for n in range(20_000)), " ".join(str(n) for n in range(1, 20_001))
    assert [
        [text[start:end] for start, end in marks] for text, marks in zip((first, second), differing_words(first, second), strict=True)
    ] == [
        ["0"],
        ["20000"],
    ]


def test_tokens_are_joined_until_they_are_characters() -> None:
    robot = "🤖".encode()
    joined = pieces([ScoredToken(robot[:2], 1.0, 0.0, 0.2, 1, 1), ScoredToken(robot[2:], 3.0, 0.0, 0.4, 1, 1), *tokens(b" hi")])
    assert [piece.text for piece in joined] == ["🤖", " hi"]
    assert joined[0].contributions == (1.0, 3.0) and joined[0].contribution == 2.0


def test_bytes_that_are_no_character_are_shown_as_such() -> None:
    assert "".join(piece.text for piece in pieces(tokens(b"a", b"\xff", b"b"))).startswith("a")
    assert "�" in "".join(piece.text for piece in pieces(tokens(b"\xf0\x9f")))


def test_an_answer_keeps_its_text_and_shows_each_contribution() -> None:
    response = [Piece("Sure", (0.2,), (0.001,)), Piece(", <b>", (-0.1,), (0.0,)), Piece(" ok", (0.0,), (0.0,))]
    html = answer_html("Sure, <b> ok and more", response, [(0, 4)], 0.2)
    assert text_of(html) == "Sure, <b> ok and more"
    assert html.count("<span title=") == 3 and "contribution +0.200" in html
    assert "rgba(0, 114, 178, 0.6)" in html and "rgba(213, 94, 0, 0.3)" in html
    assert html.count("underline;") == 1


def test_a_space_that_a_tokenizer_puts_first_is_not_shown() -> None:
    assert text_of(answer_html("Hello you", pieces(tokens(b" Hello", b" you")), [], 0.1)) == "Hello you"


def test_tokens_that_do_not_spell_the_answer_are_not_shown_instead_of_it() -> None:
    html = answer_html("the answer", pieces(tokens(b"another", b" text")), [], 0.1)
    assert text_of(html) == "the answer" and "title=" not in html


def test_a_very_long_answer_is_cut_with_the_number_of_characters_left() -> None:
    html = answer_html("x" * (SHOWN_CHARACTERS + 1_234), [], [], 0.0)
    assert text_of(html).endswith("… 1,234 more characters")


def test_the_scale_is_not_set_by_one_token() -> None:
    many = [Piece("a", (0.1,), (0.0,))] * 99 + [Piece("b", (5.0,), (0.0,))]
    assert tint_scale([many]) == 0.1
    assert tint_scale([[]]) == 0.0


def test_a_box_wraps_and_scrolls() -> None:
    assert 'dir="auto"' in boxed("x") and "overflow-wrap:anywhere" in boxed("x") and "max-height:5rem" in boxed("x", 5)
