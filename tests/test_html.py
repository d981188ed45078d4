"""HTML of contact lists and reports, as notebooks show them: masked, escaped and short."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import attrs
import pytest
from pages import KEY, PASSWORD, PHONE

from aioburki import (
    BurkiClient,
    Contact,
    ContactData,
    ContactList,
    ContactStatus,
    PullReport,
)
from aioburki.sandbox import Sandbox

CONTACT = Contact(
    id=1_234_567,
    phone_number=PHONE,
    contact_data=ContactData(
        company="Acme", variable_values={"name": PASSWORD}, extra={PASSWORD: "x"}
    ),
    status=ContactStatus.NO_ANSWER,
    attempts=2,
    created_at=datetime(2024, 2, 1, 10, 30, tzinfo=UTC),
)
COMPLETE = PullReport(contacts=3, requests=4, probes=1, elapsed=1.25, proof="coverage")
WRONG = "<script>alert('&\"')</script>"


class Parsed(HTMLParser):
    """The tags and the text of HTML, cell by cell."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.cells.append(data)


def html(contacts: ContactList | PullReport) -> str:
    text = contacts._repr_html_()
    opened = re.findall(r"<(\w+)>", text)
    assert sorted(opened) == sorted(re.findall(r"</(\w+)>", text))
    return text


@pytest.mark.asyncio
async def test_list_shows_head_tail_statuses_and_proof() -> None:
    """A pulled list shows five contacts of each end, how many have each status, and the proof."""
    async with BurkiClient(KEY, transport=Sandbox(30).transport) as burki:
        contacts = await burki.contacts(42)
    cells = Parsed(html(contacts)).cells
    shown = [int(cell) for cell in cells if re.fullmatch(r"1\d\d", cell)]
    assert shown == [*range(101, 106), *range(126, 131)]
    assert "… 20 more …" in cells
    (statuses,) = (cell for cell in cells if cell.startswith("30 contacts: "))
    numbers = [int(number) for number in re.findall(r" (\d+)(?:,|$)", statuses)]
    assert sum(numbers) == 30
    assert numbers == sorted(numbers, reverse=True)
    assert any(cell.startswith("complete (single page); 1 request, 0 probes") for cell in cells)


def test_phone_numbers_are_masked_and_data_is_left_out() -> None:
    """A row has id, two digits of the phone number, status, attempts and times, no more."""
    text = html(ContactList([CONTACT], report=COMPLETE))
    for secret in (PHONE, PHONE[1:], PASSWORD, "Acme"):
        assert secret not in text
    assert Parsed(text).cells[6:11] == [
        "1234567",
        f"…{PHONE[-2:]}",
        "no_answer",
        "2",
        "2024-02-01 10:30:00+00:00",
    ]


def test_all_text_is_escaped() -> None:
    """A status, a drift or a problem that holds HTML is shown as text."""
    status = ContactStatus(WRONG)
    report = attrs.evolve(COMPLETE, drift=(WRONG,), problems=(WRONG,))
    contacts = ContactList([attrs.evolve(CONTACT, phone_number="<b", status=status)], report=report)
    for shown in (contacts, report):
        parsed = Parsed(html(shown))
        assert set(parsed.tags) <= {"table", "thead", "tbody", "tr", "th", "td", "p"}
        assert WRONG in parsed.cells
        assert "<b>" not in html(shown)


def test_lone_surrogates_can_be_sent() -> None:
    """A status that UTF-8 cannot encode is shown in another form."""
    contacts = ContactList([attrs.evolve(CONTACT, status=ContactStatus("\ud800"))])
    assert "<td>\ufffd</td>" in html(contacts).encode().decode()


@pytest.mark.parametrize(("number", "skipped"), [(10, None), (11, "… 1 more …")])
def test_short_lists_are_shown_whole(number: int, skipped: str | None) -> None:
    """Up to ten contacts nothing is left out."""
    text = html(ContactList([CONTACT] * number))
    assert text.count("<td>1234567</td>") == 10
    assert ("more …" in text) == (skipped is not None)
    assert skipped is None or skipped in text


def test_empty_list_and_many_statuses() -> None:
    """An empty list has no statuses; of many different ones the first twelve are counted."""
    assert "0 contacts" in Parsed(html(ContactList())).cells
    statuses = [ContactStatus(f"new-{number}") for number in range(15)]
    cells = Parsed(html(ContactList(attrs.evolve(CONTACT, status=each) for each in statuses))).cells
    (counts,) = (cell for cell in cells if cell.startswith("15 contacts"))
    assert counts.endswith("new-11 1, and 3 other statuses")


def test_report_says_what_is_missing() -> None:
    """Without proof, or with drift, the HTML says so."""
    lost = attrs.evolve(COMPLETE, proof="none", missing=1_200, drift=("it moved",))
    for shown in (lost, ContactList([CONTACT], report=lost)):
        cells = Parsed(html(shown)).cells
        assert (
            "not proved complete: the server counts 1,200 more; 4 requests, 1 probe, 1.2 s" in cells
        )
        assert "it moved" in cells
    cells = Parsed(html(COMPLETE)).cells
    assert "complete (coverage); 4 requests, 1 probe, 1.2 s" in cells
    assert cells[cells.index("contacts")] == "contacts"
    assert "1.2" in cells
