"""What counts as personal data, and what only looks like it."""

import pytest

from deft_core.noise.personal_data import kinds, places
from tests.noise.tables import column, row


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("write to jo.smith+tea@mail.bakery.co.uk, please", ("e-mail",)),
        ("someone@example.com, a@b.test and me@localhost", ()),  # reserved for examples
        ("@handle, a@b, v1.2@release", ()),
        ("call +49 30 1234567 tonight", ("phone",)),
        ("+1 (415) 555-2671 or (415) 555-2671 or 415.555.2671", ("phone",)),
        ("(212) 555-0123", ()),  # set aside for fiction
        ("from 1998-2004 we sold 415 555 things; 3+4567; 12-34-56", ()),
        ("GB82 WEST 1234 5698 7654 32", ("IBAN",)),  # the standard's own example: remainder 1
        ("GB82WEST12345698765433", ()),  # one digit off
        ("4111 1111 1111 1111", ("card",)),  # Luhn: 8 + 15 * ... = 30, ends with 0
        ("4111111111111112", ()),
        ("378282246310005", ("card",)),  # 15 digits
        ("ping 8.8.8.8 and 2001:4860:4860::8888", ("IP address",)),
        ("192.168.0.1, 127.0.0.1, 999.1.1.1, version 1.2.3.4.5, 10:30:45", ()),
        ("jo@bakery.org, 8.8.4.4", ("e-mail", "IP address")),
    ],
)
def test_kinds(text, found):
    assert kinds(text) == found


def test_places_are_where_it_stands():
    # "ask " is four characters, the address fourteen, " at " four, the IP address seven; what is reserved is no place
    assert places("ask jo@bakery.org at 8.8.4.4, not a@b.test") == [(4, 17), (21, 28)]


def test_any_text_of_the_row_counts(tmp_path):
    rows = [row("hi", "yes", "no"), row("hi", "yes", "ask jo@bakery.org"), row("I am at 8.8.4.4, jo@bakery.org", "yes", "no")]
    assert column(tmp_path, "personal_data", rows) == [None, "e-mail", "e-mail, IP address"]
