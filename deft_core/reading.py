"""Text made safe and readable: escaping, the words in which two answers differ, tokens tinted by what they contribute.

Whatever a dataset holds comes out of here as inert HTML: every character is escaped, what cannot be seen is made visible,
and each text stands in a box that wraps and scrolls. Pure text in, text out; no page and no model is known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from html import escape
from itertools import groupby

from deft_core.queries import ScoredToken

__all__ = ["Piece", "answer_html", "boxed", "differing_words", "escaped", "excerpt", "legend_html", "pieces", "tint_scale", "visible"]

SHOWN_CHARACTERS = 200_000  # of one text; the box says how many more there are
COMPARED_PAIRS = 1_000_000  # words times words; longer answers are compared as bags of words
POSITIVE, NEGATIVE = "0, 114, 178", "213, 94, 0"
MARK_STYLE = "text-decoration:underline;text-decoration-thickness:2px;text-underline-offset:3px;font-weight:600"
BOX_STYLE = "white-space:pre-wrap;overflow-wrap:anywhere;overflow:auto;unicode-bidi:isolate;padding:.5rem .7rem;line-height:1.65"
BOX_STYLE += ";border:1px solid rgba(128,128,128,.35);border-radius:.4rem;max-height:28rem"

# invisible or order-changing: C0 and C1 controls but for tab and line feed, zero-width and direction marks, surrogates
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_WORD = re.compile(r"\w+|[^\w\s]+")


def visible(text: str) -> str:
    """The text with characters that nobody could see, or that would turn its order round, written as their numbers."""
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", text.replace("\r\n", "\n"))


def escaped(text: str) -> str:
    """Safe between tags and inside a quoted attribute."""
    return escape(visible(text), quote=True)


def excerpt(text: str, characters: int) -> str:
    """One line of at most so many characters."""
    line = " ".join(visible(text[: characters * 4]).split())
    return line if len(line) <= characters else line[: characters - 1] + "…"


def boxed(html: str, height_rem: float = 28) -> str:
    """HTML that is already escaped, in a box that wraps long lines and scrolls."""
    return f'<div dir="auto" style="{BOX_STYLE};max-height:{height_rem:g}rem">{html}</div>'


# the words in which two answers differ


def differing_words(first: str, second: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Where (start, end) the words stand that are in one text and not, at that place, in the other."""
    places = [[match.span() for match in _WORD.finditer(text[:SHOWN_CHARACTERS])] for text in (first, second)]
    words = [[text[start:end] for start, end in spans] for text, spans in zip((first, second), places, strict=True)]
    if len(words[0]) * len(words[1]) > COMPARED_PAIRS:
        bags = [set(words[0]), set(words[1])]
        different = [{place for place, word in enumerate(words[side]) if word not in bags[1 - side]} for side in (0, 1)]
    else:
        different = _aligned(words[0], words[1])
    return [places[0][place] for place in sorted(different[0])], [places[1][place] for place in sorted(different[1])]


def _aligned(first: list[str], second: list[str]) -> list[set[int]]:
    changes = [code for code in SequenceMatcher(None, first, second, autojunk=False).get_opcodes() if code[0] != "equal"]
    return [{place for change in changes for place in range(*change[1:3])}, {place for change in changes for place in range(*change[3:5])}]


# tokens


@dataclass(frozen=True)
class Piece:
    """One or more tokens that together are whole characters."""

    text: str
    contributions: tuple[float, ...]
    d: tuple[float, ...]

    @property
    def contribution(self) -> float:
        return sum(self.contributions) / len(self.contributions)


def pieces(tokens: Sequence[ScoredToken]) -> list[Piece]:
    """Tokens joined until their bytes are whole characters; bytes that never become any are shown as �."""
    done: list[Piece] = []
    waiting: list[ScoredToken] = []
    for token in tokens:
        waiting.append(token)
        joined = b"".join(part.text for part in waiting)
        if _whole(joined) or len(joined) > 8:  # no character has more than four bytes: longer, and it is not UTF-8
            done.append(_piece(waiting, joined))
            waiting = []
    return [*done, _piece(waiting, b"".join(part.text for part in waiting))] if waiting else done


def _whole(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _piece(tokens: Sequence[ScoredToken], data: bytes) -> Piece:
    return Piece(data.decode(errors="replace"), tuple(token.contribution for token in tokens), tuple(token.d for token in tokens))


def tint_scale(responses: Iterable[Sequence[Piece]]) -> float:
    """The contribution that gets the full tint: the 95th percentile of their sizes over the answers on the screen."""
    sizes = sorted(abs(piece.contribution) for response in responses for piece in response)
    return sizes[int(0.95 * (len(sizes) - 1))] if sizes else 0.0


# HTML


def answer_html(text: str, response: Sequence[Piece], marks: Sequence[tuple[int, int]], scale: float) -> str:
    """An answer: its tokens tinted, the words at `marks` underlined. What was not scored (cut off) follows without a tint."""
    scored = "".join(piece.text for piece in response)
    if not text.startswith(scored) and text.startswith(scored[1:]) and scored[:1] == " ":
        response = [Piece(response[0].text[1:], response[0].contributions, response[0].d), *response[1:]]  # a tokenizer's leading space
        scored = scored[1:]
    if not text.startswith(scored):
        return _run(text[:SHOWN_CHARACTERS], 0, _flags(marks, len(text))) + _rest(text)
    flags = _flags(marks, len(text))
    html, place = [], 0
    for piece in response:
        html.append(f'<span title="{escape(_hover(piece))}"{_tint(piece.contribution, scale)}>{_run(piece.text, place, flags)}</span>')
        place += len(piece.text)
    return "".join(html) + _run(text[place : place + SHOWN_CHARACTERS], place, flags) + _rest(text[place:])


def _flags(marks: Sequence[tuple[int, int]], length: int) -> bytearray:
    flags = bytearray(length)
    for start, end in marks:
        flags[start:end] = b"\x01" * (end - start)
    return flags


def _run(text: str, place: int, flags: bytearray) -> str:
    """Escaped text, underlined where its flags are set; `place` is where it starts in them."""
    html = []
    for marked, group in groupby(range(len(text)), key=lambda index: flags[place + index]):
        indices = list(group)
        part = escaped(text[indices[0] : indices[-1] + 1])
        html.append(f'<span style="{MARK_STYLE}">{part}</span>' if marked else part)
    return "".join(html)


def _rest(text: str) -> str:
    return f"<em> … {len(text) - SHOWN_CHARACTERS:,} more characters</em>" if len(text) > SHOWN_CHARACTERS else ""


def _hover(piece: Piece) -> str:
    values = " ".join(f"{value:+.3f}" for value in piece.contributions)
    return f"contribution {values} · d {' '.join(f'{value:+.5f}' for value in piece.d)}"


def _tint(contribution: float, scale: float) -> str:
    strength = round(min(abs(contribution) / scale, 1.0) * 0.6, 2) if scale else 0.0
    if not strength:
        return ""
    return f' style="background:rgba({POSITIVE if contribution > 0 else NEGATIVE}, {strength:g})"'


def legend_html(scale: float) -> str:
    """What the tints and the underlining mean."""
    steps = "".join(f"<span{_tint(part * scale, scale)}>&nbsp;{part * scale:+.2f}&nbsp;</span>" for part in (-1, -0.5, 0, 0.5, 1))
    words = f'<span style="{MARK_STYLE}">underlined</span>: only in this answer'
    return f'<div style="font-size:.85rem">contribution of a token to the reward {steps} · {words}</div>'
