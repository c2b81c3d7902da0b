"""Personal data: texts that hold an e-mail address, a telephone number, an IBAN, a payment card's number or an IP address.

Patterns of a fixed form, checked where the form has a checksum; docs/noise.md says what they miss. Names and postal addresses are not
found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address

import pyarrow as pa

from deft_core.noise.batch import Batch
from deft_core.noise.signal import Signal

__all__ = ["SIGNAL", "PersonalData", "kinds", "places"]

SIGNAL = Signal(
    "personal_data",
    "Personal data",
    "Prompt or an answer holds an e-mail address, a telephone number, an IBAN, a card number or an IP address.",
    "all",
)

_RESERVED = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|org|net)|(?:example|invalid|test|localhost))$", re.IGNORECASE)  # RFC 2606
_EMAIL = re.compile(r"(?<![\w.+-])\w[\w.+-]{0,63}@(?:[\w-]{1,63}\.){1,4}[a-zA-Z]{2,24}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.+/-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}"  # +49 30 1234567, +1 (415) 555-2671
    r"|\(\d{3}\) ?\d{3}[ .-]\d{4}|\d{3}([.-])\d{3}\1\d{4})(?![\w-])"  # (415) 555-2671, 415-555-2671
)
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b")
_CARD = re.compile(r"(?<![\w.-])(?:[3-6]\d{3}([ -]?)\d{4}\1\d{4}\1\d{4}|3[47]\d\d([ -]?)\d{6}\2\d{5})(?![\w-])")  # 16 digits; Amex has 15
_IP = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w.:]*[\w:])")


def kinds(text: str) -> tuple[str, ...]:
    """Which kinds of personal data a text holds."""
    return tuple(name for name, pattern, real in _KINDS if any(real(found[0]) for found in pattern.finditer(text)))


def places(text: str) -> list[tuple[int, int]]:
    """Where (start, end) it stands."""
    return sorted(found.span() for _, pattern, real in _KINDS for found in pattern.finditer(text) if real(found[0]))


def _is_email(found: str) -> bool:
    return not _RESERVED.search(found)


def _is_phone(found: str) -> bool:
    """7 to 15 digits (E.164), and none of the numbers 555-0100 to 555-0199 that North America sets aside for fiction."""
    digits = re.sub(r"\D", "", found)
    return 7 <= len(digits) <= 15 and not re.search(r"55501\d\d$", digits)


def _is_iban(found: str) -> bool:
    """ISO 13616: country and check digits moved to the end, letters as 10 to 35, the number leaves 1 when divided by 97."""
    compact = found.replace(" ", "")
    moved = compact[4:] + compact[:4]
    return 15 <= len(compact) <= 34 and int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _is_card(found: str) -> bool:
    """Luhn: from the right every second digit is doubled (less 9 where that is above 9); the sum ends with 0."""
    digits = [int(digit) for digit in re.sub(r"\D", "", found)]
    total = sum(digits[-1::-2]) + sum(2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return total % 10 == 0


def _is_public_ip(found: str) -> bool:
    """A whole address that the public net routes: 10.0.0.1, 127.0.0.1 or 192.0.2.1 belong to nobody."""
    try:
        return ip_address(found).is_global
    except ValueError:
        return False


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[str], bool]], ...] = (
    ("e-mail", _EMAIL, _is_email),
    ("phone", _PHONE, _is_phone),
    ("IBAN", _IBAN, _is_iban),
    ("card", _CARD, _is_card),
    ("IP address", _IP, _is_public_ip),
)


class PersonalData:
    note = ""

    def __init__(self) -> None:
        self._found: list[str | None] = []

    def add(self, batch: Batch) -> None:
        rows = zip(batch.prompts, batch.responses, strict=True)
        self._found += [", ".join(kinds("\n".join((prompt, *texts)))) or None for prompt, texts in rows]

    def column(self) -> pa.Array:
        """The kinds found, separated by commas."""
        return pa.array(self._found, pa.string())
