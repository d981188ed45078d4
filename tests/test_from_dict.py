"""`from_dict`: the inverse of `to_dict`, for every data object and lists of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import PHONE

from aioburki import (
    BurkiError,
    ConfigurationError,
    Contact,
    ContactData,
    ContactPage,
    ContactRange,
    ContactStatus,
    PageFetched,
    Pagination,
    PauseStarted,
    PullReport,
    PullStarted,
    RequestFinished,
    RetryScheduled,
    from_dict,
    to_dict,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(), values, max_size=3),
    max_leaves=5,
)
FREE_FORM = st.dictionaries(st.text(), JSON, max_size=3)
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.none() | st.datetimes(timezones=ZONES | st.just(UTC))
CONTACTS = st.builds(
    Contact,
    id=st.integers(),
    phone_number=st.text(),
    contact_data=st.builds(
        ContactData,
        company=st.none() | st.text(),
        source=st.none() | st.text(),
        variable_values=FREE_FORM,
        custom_fields=FREE_FORM,
        extra=FREE_FORM,
    ),
    status=st.sampled_from(list(ContactStatus)) | st.text().map(ContactStatus),
    attempts=st.integers(),
    created_at=MOMENTS,
    last_attempt_at=MOMENTS,
)
CONTACT = Contact(101, PHONE, ContactData(company="Acme"), ContactStatus.BUSY)
PAGINATION = Pagination(
    page=1, per_page=50, total_items=1, total_pages=1, has_next=False, has_prev=False
)
OBJECTS = [
    CONTACT,
    CONTACT.contact_data,
    PAGINATION,
    ContactPage((CONTACT,), PAGINATION),
    PullReport(contacts=3, elapsed=1.5, drift=("it moved",), proof="coverage", problems=("a", "b")),
    PageFetched(
        campaign_id=42, page=1, contacts=3, total_pages=1, total_items=3, attempts=1, seconds=0.5
    ),
    RetryScheduled(
        pull_id="1a", campaign_id=42, page=1, attempt=1, delay=0.5, reason="busy", detail="HTTP 503"
    ),
    PullStarted(
        campaign_id=42, status=None, per_page=10, limit=3, is_complete=True, is_range=False
    ),
    RequestFinished(
        campaign_id=42, page=1, attempt=1, status_code=None, outcome="failed", seconds=1, waited=2
    ),
    PauseStarted(campaign_id=42, page=1, seconds=1.0, retry_after=None, reason="quota"),
    PauseStarted(campaign_id=42, page=1, seconds=1.0, retry_after=1.0),
]


@settings(max_examples=40)
@given(st.lists(CONTACTS, max_size=3))
def test_it_is_the_inverse_of_to_dict(contacts: list[Contact]) -> None:
    """Whatever contacts hold comes back, also through JSON text, in the same types."""
    plain = to_dict(contacts)
    assert from_dict(Contact, plain) == contacts
    back = from_dict(Contact, json.loads(json.dumps(plain)))
    assert back == contacts
    assert repr(to_dict(back)) == repr(plain)
    assert [type(each.status) for each in back] == [ContactStatus] * len(contacts)


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: type(obj).__name__)
def test_every_data_object_comes_back(obj: Any) -> None:
    """Pages, reports and events come back too, and so do lists of them."""
    plain = json.loads(json.dumps(to_dict(obj)))
    assert from_dict(type(obj), plain) == obj
    assert from_dict(type(obj), [plain, plain]) == [obj, obj]
    assert from_dict(type(obj), (plain,)) == [obj]


def test_datetime_objects_are_taken_too() -> None:
    """`attrs.asdict` and pydantic keep datetimes; one without a zone is in UTC."""
    moment = datetime(2024, 2, 1, 10, 30, tzinfo=UTC)
    contact = attrs.evolve(CONTACT, created_at=moment)
    assert from_dict(Contact, attrs.asdict(contact)) == contact
    assert (
        from_dict(Contact, attrs.asdict(contact) | {"created_at": moment.replace(tzinfo=None)})
        == contact
    )


def test_attributes_with_a_default_may_be_absent() -> None:
    """What an older version did not write has its default."""
    plain = to_dict(CONTACT)
    del plain["attempts"], plain["created_at"], plain["contact_data"]["extra"]
    assert from_dict(Contact, plain) == CONTACT


def test_the_object_does_not_share_its_dicts() -> None:
    """A change of the data does not change the contact."""
    plain = to_dict(attrs.evolve(CONTACT, contact_data=ContactData(variable_values={"name": "x"})))
    contact = from_dict(Contact, plain)
    plain["contact_data"]["variable_values"]["name"] = "y"
    assert contact.contact_data.variable_values == {"name": "x"}


SECRET = "hunter2"
MISFITS: list[tuple[type[Any], Any, str]] = [
    (Contact, {}, "data.id: missing; data.phone_number: missing; data.contact_data: missing"),
    (Contact, {"id": 1, "status": "busy", "contact_data": {}}, "data.phone_number: missing"),
    (Contact, SECRET, "data: expected an object, got text"),
    (Contact, None, "data: expected an object, got null"),
    (Contact, [to_dict(CONTACT), SECRET], r"data\[1\]: expected an object, got text"),
    (Contact, to_dict(CONTACT) | {SECRET: 1}, "data: 1 key that is no attribute of Contact$"),
    (Contact, to_dict(CONTACT) | {"contact_data": {SECRET: 1, "x": 2}}, "2 keys that are no"),
    (Contact, to_dict(CONTACT) | {"id": True}, "data.id: expected a whole number, got true or"),
    (Contact, to_dict(CONTACT) | {"id": SECRET}, "data.id: expected a whole number, got text"),
    (Contact, to_dict(CONTACT) | {"status": 7}, "data.status: expected text, got a whole number"),
    (Contact, to_dict(CONTACT) | {"status": {7}}, "data.status: expected text, got a Python set"),
    (Contact, to_dict(CONTACT) | {"created_at": SECRET}, "data.created_at: not an ISO 8601 date"),
    (ContactData, {"extra": [SECRET]}, "data.extra: expected an object, got a list"),
    (ContactPage, {"contacts": SECRET, "pagination": to_dict(PAGINATION)}, "expected a list"),
    (PullReport, {"proof": SECRET}, "data.proof: cannot be read"),
    (PullReport, {"elapsed": SECRET}, "data.elapsed: expected a number"),
    (PullReport, {"drift": SECRET}, "data.drift: expected a list"),
]


@pytest.mark.parametrize(("cls", "data", "problem"), MISFITS)
def test_other_data_is_refused_with_its_place(cls: type[Any], data: Any, problem: str) -> None:
    """The error says what is wrong and where, and neither it nor its causes show a value."""
    with pytest.raises(ConfigurationError, match=problem) as caught:
        from_dict(cls, data)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, BurkiError)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert SECRET not in str(caught.value)
    assert PHONE not in str(caught.value)


@pytest.mark.parametrize("cls", [int, ContactRange, ContactStatus, list[Contact]])
def test_other_classes_are_refused(cls: Any) -> None:
    """What `to_dict` does not take is a TypeError that names what can be made."""
    with pytest.raises(TypeError, match=r"one of ContactData, Contact, .*, not \w+"):
        from_dict(cls, {})
