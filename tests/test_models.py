"""Models: their values, equality and repr."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, get_args

import attrs
import msgspec
import pytest
from pages import PHONE

from aioburki import (
    BurkiClient,
    Contact,
    ContactData,
    ContactList,
    ContactPage,
    ContactStatus,
    Pagination,
    PullReport,
    to_dict,
)
from aioburki._models import StatusText
from aioburki.sandbox import Sandbox

CONTACT = Contact(
    id=101,
    phone_number=PHONE,
    contact_data=ContactData(
        company="Acme", variable_values={"name": "John"}, custom_fields={"n": [1, {"x": None}]}
    ),
    status=ContactStatus.FAILED,
    attempts=2,
    created_at=datetime(2024, 2, 1, 10, 30, tzinfo=UTC),
)
PAGINATION = Pagination(
    page=1, per_page=50, total_items=1, total_pages=1, has_next=False, has_prev=False
)


def test_statuses_are_the_documented_eight() -> None:
    """The enum holds the values of the API's reference page."""
    assert [status.value for status in ContactStatus] == [
        "pending", "in_progress", "completed", "failed",
        "skipped", "no_answer", "busy", "voicemail",
    ]  # fmt: skip
    assert all(status.is_known for status in ContactStatus)
    assert get_args(StatusText) == tuple(status.value for status in ContactStatus)


def test_new_status_is_kept_as_itself() -> None:
    """A status that the API does not document equals its text, hashes like it and is not known."""
    status = ContactStatus("queued")
    assert status == "queued"
    assert status.value == str(status) == status.name == "queued"
    assert not status.is_known
    assert {status: 1}["queued"] == 1  # type: ignore[index]
    assert isinstance(status, ContactStatus)
    assert pickle.loads(pickle.dumps(status)) == "queued"
    assert status not in list(ContactStatus)


def test_status_in_capitals_is_another_status() -> None:
    """The name of a member is not its value."""
    status = ContactStatus("PENDING")
    assert status != ContactStatus.PENDING
    assert not status.is_known


def test_status_must_be_text() -> None:
    """A status that is not text is a ValueError."""
    with pytest.raises(ValueError, match="7"):
        ContactStatus(7)  # type: ignore[arg-type]


def test_contact_repr_masks_the_phone_number() -> None:
    """A contact in a log shows two digits and nothing of its data."""
    text = repr(CONTACT)
    assert PHONE not in text
    assert "…" + PHONE[-2:] in text
    assert "Acme" not in text
    assert "John" not in text
    assert repr(CONTACT.contact_data) == (
        "ContactData(1 variable_values, 1 custom_fields, 0 extra)"
    )


def test_contacts_are_frozen_and_hashable() -> None:
    """A contact cannot be changed and can be put into a set."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        CONTACT.attempts = 3  # type: ignore[misc]
    assert len({CONTACT, attrs.evolve(CONTACT)}) == 1
    assert not hasattr(CONTACT, "__dict__")
    assert pickle.loads(pickle.dumps(CONTACT)) == CONTACT


CHANGES: list[dict[str, Any]] = [
    {"id": 102}, {"phone_number": PHONE[:-1]}, {"contact_data": ContactData()}, {"attempts": 3},
    {"status": ContactStatus.BUSY}, {"created_at": None}, {"last_attempt_at": CONTACT.created_at},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_contacts_that_differ_are_not_equal(change: dict[str, Any]) -> None:
    """Equality compares every field and the class."""
    assert attrs.evolve(CONTACT, **change) != CONTACT
    assert attrs.evolve(CONTACT, **change) == attrs.evolve(CONTACT, **change)
    assert attrs.asdict(CONTACT) != CONTACT


@pytest.mark.parametrize("field", [field.name for field in attrs.fields(ContactData)])
def test_data_that_differs_is_not_equal(field: str) -> None:
    """Equality compares every field and the class."""
    change: dict[str, Any] = {field: {"x": 1}}
    changed = attrs.evolve(CONTACT.contact_data, **change)
    assert changed != CONTACT.contact_data
    assert changed == attrs.evolve(changed)
    assert attrs.asdict(changed) != changed


def test_hidden_fields_are_data_like_others() -> None:
    """Fields that tools do not show are there for attrs, msgspec, pickle and `dir` of the class."""
    plain = attrs.asdict(CONTACT)
    assert plain["phone_number"] == PHONE
    assert plain["contact_data"]["company"] == "Acme"
    assert msgspec.convert(CONTACT, Contact, from_attributes=True) == CONTACT
    assert pickle.loads(pickle.dumps(CONTACT)).phone_number == PHONE
    assert {"phone_number", "contact_data"} <= set(dir(Contact))
    assert {field.name for field in attrs.fields(ContactData)} <= set(dir(ContactData))


def test_dir_leaves_out_what_is_hidden() -> None:
    """Tools that print the value of every name in `dir` print no personal data."""
    shown = {"id", "status", "attempts", "created_at", "last_attempt_at"}
    assert {name for name in dir(CONTACT) if not name.startswith("_")} == shown
    assert [name for name in dir(CONTACT.contact_data) if not name.startswith("_")] == []


def test_page_is_a_sequence_of_its_contacts() -> None:
    """A page can be iterated and counted, and an empty one is still a page."""
    page = ContactPage(contacts=(CONTACT,), pagination=PAGINATION)
    assert list(page) == [CONTACT]
    assert len(page) == 1
    assert repr(page) == "ContactPage(page 1 of 1, 1 contacts)"
    assert ContactPage(contacts=(), pagination=PAGINATION)


def test_to_dict_gives_json_ready_data() -> None:
    """A contact becomes plain data under its attribute names, phone number included."""
    plain = to_dict(CONTACT)
    assert plain == {
        "id": 101,
        "phone_number": PHONE,
        "contact_data": {
            "company": "Acme",
            "source": None,
            "variable_values": {"name": "John"},
            "custom_fields": {"n": [1, {"x": None}]},
            "extra": {},
        },
        "status": "failed",
        "attempts": 2,
        "created_at": "2024-02-01T10:30:00Z",
        "last_attempt_at": None,
    }
    assert json.loads(json.dumps(plain)) == plain
    assert type(plain["status"]) is str


def test_to_dict_takes_every_data_object() -> None:
    """Pages and reports become plain data too, and an offset stays one."""
    zone = timezone(timedelta(hours=5, minutes=30))
    moved = attrs.evolve(CONTACT, created_at=datetime(2024, 2, 1, tzinfo=zone))
    assert to_dict(moved)["created_at"] == "2024-02-01T00:00:00+05:30"
    page = ContactPage(contacts=(CONTACT,), pagination=PAGINATION)
    assert to_dict(page)["contacts"] == [to_dict(CONTACT)]
    assert to_dict(page)["pagination"]["total_items"] == 1
    report = to_dict(PullReport(drift=("it moved",)))
    assert report["drift"] == ["it moved"]
    assert report["consistent"] is False


def test_to_dict_takes_lists() -> None:
    """A list, a tuple and a `ContactList` become lists of plain data."""
    for several in ([CONTACT, CONTACT], (CONTACT, CONTACT), ContactList([CONTACT, CONTACT])):
        assert to_dict(several) == [to_dict(CONTACT)] * 2
    assert to_dict([]) == []


def test_to_dict_of_a_query_says_to_await_it() -> None:
    """A `Contacts`, which holds no contacts, is refused like other objects."""
    contacts = BurkiClient("any", transport=Sandbox(1).transport).contacts(42)
    with pytest.raises(TypeError, match=r"not Contacts: await it first$"):
        to_dict(contacts)


@pytest.mark.parametrize("other", [None, {}, "x", Contact, [CONTACT, None], [[CONTACT]]])
def test_to_dict_refuses_what_is_no_data_object(other: object) -> None:
    """Anything else is a TypeError that names its type."""
    wrong = other[-1] if isinstance(other, list) else other
    with pytest.raises(TypeError, match=f"not {type(wrong).__name__}$"):
        to_dict(other)
