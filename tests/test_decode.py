"""Decoding: tolerant of what the API may do, exact about what it may not."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import accumulate, takewhile
from typing import Any

import attrs
import cattrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import PHONE, body, contact, page

from aioburki import Contact, ContactData, ContactStatus
from aioburki._decoding import fast, fields
from aioburki._decoding.json_checks import (
    MAX_DEPTH,
    MAX_KEYS,
    MAX_OBJECTS,
    TOO_MUCH,
    Undecodable,
    parse,
)
from aioburki._list_contacts import CONTACTS
from aioburki._page import Page

DECODER = CONTACTS.decoder
assert DECODER.fast is not None
FROM_BYTES, FROM_DATA = DECODER.fast.from_bytes, DECODER.fast.from_data
decode_page = DECODER.decode
read_tolerantly = DECODER.tolerant.read

REFERENCE_PAGE = b"""{
  "contacts": [
    {"id": 101, "phone_number": "+15551234567",
     "contact_data": {"company": "Acme Corp", "source": "csv_import",
       "variable_values": {"name": "John Smith", "appointment_date": "2024-02-15"},
       "custom_fields": {"customer_id": "CUST001"}},
     "status": "completed", "attempts": 1,
     "created_at": "2024-02-01T10:30:00Z", "last_attempt_at": "2024-02-01T11:15:00Z"},
    {"id": 102, "phone_number": "+15559876543",
     "contact_data": {"company": "Tech Inc", "source": "csv_import",
       "variable_values": {"name": "Jane Doe", "appointment_date": "2024-02-16"}},
     "status": "pending", "attempts": 0,
     "created_at": "2024-02-01T10:30:00Z", "last_attempt_at": null}
  ],
  "pagination": {"page": 1, "per_page": 50, "total_items": 250, "total_pages": 5,
                 "has_next": true, "has_prev": false}
}"""


def decoded(content: object) -> Page[Contact]:
    result = decode_page(body(content))
    assert isinstance(result, Page)
    return result


def problems(content: object) -> tuple[str, ...]:
    result = decode_page(body(content))
    assert isinstance(result, Undecodable)
    assert not result.broken
    return result.problems


def one(**changes: Any) -> Contact:
    return decoded(page(1, 50, [1]) | {"contacts": [contact(1, **changes)]}).items[0]


def test_reference_page_is_decoded_whole() -> None:
    """Each field of the API reference's example is decoded."""
    result = decode_page(REFERENCE_PAGE)
    assert isinstance(result, Page)
    first, second = result.items
    assert first == Contact(
        id=101,
        phone_number="+15551234567",
        contact_data=ContactData(
            company="Acme Corp",
            source="csv_import",
            variable_values={"name": "John Smith", "appointment_date": "2024-02-15"},
            custom_fields={"customer_id": "CUST001"},
        ),
        status=ContactStatus.COMPLETED,
        attempts=1,
        created_at=datetime(2024, 2, 1, 10, 30, tzinfo=UTC),
        last_attempt_at=datetime(2024, 2, 1, 11, 15, tzinfo=UTC),
    )
    assert second.contact_data.custom_fields == {}
    assert second.last_attempt_at is None
    assert (result.pagination.total_items, result.pagination.total_pages) == (250, 5)
    assert result.pagination.has_next
    assert not result.pagination.has_prev


@pytest.mark.parametrize(
    "data",
    [None, {}, "", [], {"company": None, "source": None, "variable_values": None},
     {"variable_values": {}, "custom_fields": []}, {"variable_values": ""}],
)  # fmt: skip
def test_contact_data_may_be_null_or_empty(data: Any) -> None:
    """contact_data that is null, empty or absent becomes an empty ContactData."""
    assert one(contact_data=data).contact_data == ContactData()


def test_three_fields_are_enough() -> None:
    """id, phone_number and status are the only required fields of a contact."""
    bare = {"id": 1, "phone_number": PHONE, "status": "busy"}
    result = decoded(page(1, 50, [1]) | {"contacts": [bare]}).items[0]
    assert result == Contact(1, PHONE, ContactData(), ContactStatus.BUSY)


def test_undocumented_keys_of_contact_data_are_kept() -> None:
    """Undocumented keys of contact_data are in `extra`; those of a contact are ignored."""
    result = one(contact_data={"company": "A", "zip": 1, "extra": {"a": 2}}, added_later=1)
    assert result.contact_data.extra == {"zip": 1, "extra": {"a": 2}}
    assert result.contact_data.company == "A"


def test_new_status_is_kept() -> None:
    """A status that is not documented is kept."""
    assert one(status="queued").status == "queued"
    assert not one(status="queued").status.is_known


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-02-01T10:30:00Z", datetime(2024, 2, 1, 10, 30, tzinfo=UTC)),
        ("2024-02-01T10:30:00", datetime(2024, 2, 1, 10, 30, tzinfo=UTC)),
        ("2024-02-01 10:30:00", datetime(2024, 2, 1, 10, 30, tzinfo=UTC)),
        ("2024-02-01t10:30:00z", datetime(2024, 2, 1, 10, 30, tzinfo=UTC)),
        ("2024-02-01T10:30:00.123456789", datetime(2024, 2, 1, 10, 30, 0, 123457, tzinfo=UTC)),
        ("2024-02-01", datetime(2024, 2, 1, tzinfo=UTC)),
        ("20240201", datetime(2024, 2, 1, tzinfo=UTC)),
        ("20240201T1030Z", datetime(2024, 2, 1, 10, 30, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2016-12-31 23:59:60.250", datetime(2017, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ("2017-01-01T05:29:60+05:30", datetime(2017, 1, 1, tzinfo=UTC)),
        ("20161231T235960Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("2024-02-28T24:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-02-28 24:00:00.000", datetime(2024, 2, 29, tzinfo=UTC)),
        ("2024-02-28T24:00+01:00", datetime(2024, 2, 28, 23, tzinfo=UTC)),
        ("1701010202", datetime(2023, 11, 26, 14, 50, 2, tzinfo=UTC)),
        ("1701010202345", datetime(2023, 11, 26, 14, 50, 2, 345_000, tzinfo=UTC)),
        ("1701010202.5", datetime(2023, 11, 26, 14, 50, 2, 500_000, tzinfo=UTC)),
        (1701010202, datetime(2023, 11, 26, 14, 50, 2, tzinfo=UTC)),
        (1701010202345, datetime(2023, 11, 26, 14, 50, 2, 345_000, tzinfo=UTC)),
        (1701010202.5, datetime(2023, 11, 26, 14, 50, 2, 500_000, tzinfo=UTC)),
        ("", None),
        (None, None),
    ],
)
def test_timestamps_are_aware(text: str | float | None, expected: datetime | None) -> None:
    """A timestamp is a moment in any usual form, in UTC without a zone; null and empty are None."""
    result = one(created_at=text, last_attempt_at=text)
    assert result.created_at == result.last_attempt_at == expected
    assert expected is None or result.created_at.tzinfo is not None  # type: ignore[union-attr]


UNREADABLE: dict[str, list[Any]] = {
    "created_at": [
        "0000-00-00 00:00:00", "0000-00-00", "yesterday", "2024-02-30T10:30:00Z", 0, "0", 7, "2024",
        -1701010202, 1e300, True, {}, [], "20240201103000", "1" * 5000, "2024-02-01_10:30",
        "9999-12-31T23:59:60Z", "9999-12-31T24:00:00Z", "2024-02-01T24:00:01Z", "2024-02-01T24:30",
        "2024-02-01T10:30:61Z", "2024-02-01T10:60:60Z", "\ud800", "1.7e9", "\u0662024-02-01",
    ],
    "last_attempt_at": ["0000-00-00 00:00:00", {}],
    "attempts": ["1", 1.5, True, [], {}],
    "contact_data": [7, "text", [1], True],
}  # fmt: skip
UNREADABLE_DATA: dict[str, list[Any]] = {
    "company": [4, True, {}, ["A"]],
    "source": [4, []],
    "variable_values": [7, "text", [1], False],
    "custom_fields": [7, "text", [{}], True],
}
DEFAULTS = Contact(1, PHONE, ContactData(), ContactStatus.BUSY)


@pytest.mark.parametrize("name", UNREADABLE)
def test_an_optional_field_that_cannot_be_read_is_its_default(name: str) -> None:
    """Of a contact only the unreadable optional field is lost, and the page names its place."""
    for value in UNREADABLE[name]:
        plain = contact(1, attempts=3, last_attempt_at="2024-02-01T11:15:00Z")
        readable = decoded(page(1, 50, [1]) | {"contacts": [plain]}).items[0]
        result = decoded(page(1, 50, [1, 2]) | {"contacts": [contact(2), plain | {name: value}]})
        expected = attrs.evolve(readable, **{name: getattr(DEFAULTS, name)})
        assert result.items[1] == expected, value
        assert [(each.index, each.place) for each in result.unread] == [(1, f"contacts[1].{name}")]


@pytest.mark.parametrize("name", UNREADABLE_DATA)
def test_other_data_of_a_contact_is_kept(name: str) -> None:
    """An unreadable field of contact_data becomes its default; the other data is kept."""
    for value in UNREADABLE_DATA[name]:
        data = {**contact(1)["contact_data"], "new": 1}
        readable = one(contact_data=data).contact_data
        item = contact(1, contact_data=data | {name: value})
        result = decoded(page(1, 50, [1]) | {"contacts": [item]})
        default = getattr(ContactData(), name)
        assert result.items[0].contact_data == attrs.evolve(readable, **{name: default})
        assert [each.place for each in result.unread] == [f"contacts[0].contact_data.{name}"]


def test_unread_fields_say_what_is_wrong() -> None:
    """Each unread field has its reason; neither its place nor its reason shows the value."""
    items = [contact(1, created_at="0000-00-00 00:00:00", attempts=1.5), contact(2, contact_data=7)]
    result = decoded(page(1, 50, [1, 2]) | {"contacts": items})
    assert [(each.place, each.reason) for each in result.unread] == [
        ("contacts[0].attempts", "expected a whole number, got a fraction"),
        ("contacts[0].created_at", "not an ISO 8601 date and time"),
        ("contacts[1].contact_data", "expected an object, got a whole number"),
    ]


def test_a_page_without_problems_names_none() -> None:
    """Absent, null and empty optional fields are no problem, whichever reader reads them."""
    bare = {"id": 1, "phone_number": PHONE, "status": "busy", "created_at": None, "attempts": None}
    for item in (contact(1), contact(1, new=1), bare, bare | {"last_attempt_at": "2024-W05-4"}):
        assert decoded(page(1, 50, [1]) | {"contacts": [item]}).unread == ()


def test_required_fields_decide_what_is_refused() -> None:
    """A page is refused for a required field, which its cause names beside optional ones."""
    items = [contact(number, created_at="never") for number in range(3)]
    result = decode_page(body(page(1, 50, []) | {"contacts": [*items, contact(3, status=None)]}))
    assert isinstance(result, Undecodable)
    assert result.cause == "contacts[3].status: expected text, got null"
    assert len(result.problems) == 4
    many = [contact(number, created_at="never") for number in range(30)]
    assert problems(page(1, 50, []) | {"contacts": [*many, contact(30, status=None)]}) == (
        "contacts[30].status: expected text, got null",
    )


def test_pages_of_unreadable_optional_fields_take_short_steps() -> None:
    """A page on which each contact has its defaults is decoded in steps of a hundred contacts."""
    items = [contact(number, created_at="0000-00-00 00:00:00") for number in range(1000)]
    steps = list(takewhile_none(DECODER.steps(body(page(1, 50, []) | {"contacts": items}))))
    assert len(steps) >= 10


def takewhile_none(steps: Iterator[object]) -> Iterator[object]:
    return takewhile(lambda done: done is None, steps)


def test_offsets_are_kept() -> None:
    """A timestamp with an offset keeps it."""
    created = one(created_at="2024-02-01T10:30:00+05:30").created_at
    assert created == datetime(2024, 2, 1, 5, 0, tzinfo=UTC)
    assert created.utcoffset() == timedelta(hours=5, minutes=30)


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64 + 1, 10**40, 0, -1])
def test_large_ids_are_exact(number: int) -> None:
    """Large ids are exact: none is converted to a float."""
    assert one(id=number).id == number


@pytest.mark.parametrize("name", ["a\0b", "👩‍👩‍👧", "\ud800", "ẞ", "\u2028", ""])
def test_any_text_arrives_unchanged(name: str) -> None:
    """NUL, emoji and lone surrogates are unchanged."""
    data = {"variable_values": {"name": name}}
    assert one(contact_data=data).contact_data.variable_values == {"name": name}


def test_byte_order_mark_is_tolerated() -> None:
    """A BOM before the JSON is ignored."""
    assert isinstance(decode_page(b"\xef\xbb\xbf" + REFERENCE_PAGE), Page)


def test_missing_neighbours_follow_from_the_page_numbers() -> None:
    """If has_next or has_prev is absent it follows from page and total_pages."""
    content = page(2, 1, [1, 2, 3], has_next=None)
    del content["pagination"]["has_prev"]
    pagination = decoded(content).pagination
    assert pagination.has_next
    assert pagination.has_prev


def test_problems_name_every_place_and_no_value() -> None:
    """Each wrong field is named with its place and without its value."""
    contacts: list[Any] = [contact(number) for number in range(20)]
    contacts[17] |= {"created_at": "secret", "id": "secret", "attempts": 1.5}
    contacts[18] = None
    del contacts[19]["phone_number"]
    contacts[3]["contact_data"] = {"company": 4, "variable_values": [1]}
    contacts[4]["status"] = None
    assert problems(page(1, 50, range(20)) | {"contacts": contacts}) == (
        "contacts[3].contact_data.company: expected text, got a whole number",
        "contacts[3].contact_data.variable_values: expected an object, got a list",
        "contacts[4].status: expected text, got null",
        "contacts[17].id: expected a whole number, got text",
        "contacts[17].attempts: expected a whole number, got a fraction",
        "contacts[17].created_at: not an ISO 8601 date and time",
        "contacts[18]: expected an object, got null",
        "contacts[19].phone_number: missing",
    )


def test_many_problems_are_summed_up() -> None:
    """The number of problems in a message is bounded."""
    found = problems(page(1, 50, []) | {"contacts": [None] * 1000})
    assert len(found) == 21
    assert found[-1] == "and more"


def test_pages_of_wrong_items_are_refused_fast() -> None:
    """Pages with up to 200,000 wrong items are refused in less than two seconds."""
    start = time.perf_counter()
    many = page(1, 50, []) | {"contacts": [1] * 200_000}
    assert problems(many) == ("contacts: more than 10,000 on one page cannot be right",)
    good = {"id": 1, "phone_number": PHONE, "status": "busy", "contact_data": {}}
    assert problems(many | {"contacts": [good] * 10_001}) == problems(many)
    assert len(problems(page(1, 50, []) | {"contacts": [1] * 10_000})) == 21
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("3", "expected a whole number, got text"),
        (1.0, "expected a whole number, got a fraction"),
        (True, "expected a whole number, got true or false"),
        (None, "expected a whole number, got null"),
        (-1, "must not be negative"),
        (10**9, "more than 10,000,000 cannot be right"),
    ],
)
def test_total_pages_must_be_a_credible_number(value: Any, problem: str) -> None:
    """A total_pages that is no whole number within bounds is refused."""
    content = page(1, 50, [1], total_pages=value)
    assert problems(content) == (f"pagination.total_pages: {problem}",)


def test_pagination_must_be_there() -> None:
    """A response without items or pagination is not a page."""
    assert problems({"items": []}) == ("contacts: missing", "pagination: missing")
    assert problems([]) == ("body: expected an object, got a list",)
    assert problems(None) == ("body: expected an object, got null",)
    assert problems(page(1, 50, []) | {"contacts": None}) == (
        "contacts: expected a list, got null",
    )
    missing = page(1, 50, [])
    missing["pagination"] = {"page": 0, "has_next": 1}
    assert problems(missing) == (
        "pagination.page: must be at least 1",
        "pagination.per_page: missing",
        "pagination.total_items: missing",
        "pagination.total_pages: missing",
        "pagination.has_next: expected true or false, got a whole number",
    )


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff\xfe", b"NaN", b'{"contacts": NaN}', b"[1e400]", b'[1e400, "\\ud800"]',
        b"[" + b"9" * 5000 + b"]", b'"\\ud800" x', REFERENCE_PAGE[:-2],
        REFERENCE_PAGE.decode().encode("utf-16"), b"[-Infinity]",
    ],
)  # fmt: skip
def test_broken_bytes_are_told_from_wrong_content(content: bytes) -> None:
    """A body that is not JSON is broken, so the request may be repeated."""
    assert decode_page(content) == Undecodable(
        ("the body is not complete, valid JSON",), broken=True
    )


TOO_DEEP = Undecodable(("the JSON is nested deeper than 32 levels",), broken=False)


def nested(levels: int) -> Any:
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


@pytest.mark.parametrize("name", ["John", "\ud800"])
@pytest.mark.parametrize("key", ["variable_values", "new", None])
def test_nesting_has_one_limit(key: str | None, name: str) -> None:
    """32 levels of nesting are decoded and 33 are refused, anywhere in a contact."""
    for levels in (31, 32, 33):
        if key is None:
            change = {"new": nested(levels - 3)}
        elif key == "new":
            change = {"contact_data": {"company": name, key: nested(levels - 4)}}
        else:
            change = {"contact_data": {"company": name, key: {"a": nested(levels - 5)}}}
        result = decode_page(body(page(1, 50, [1]) | {"contacts": [contact(1, **change)]}))
        assert (result == TOO_DEEP) is (levels > 32)


def test_envelope_is_bounded_too() -> None:
    """The bound on nesting holds for ignored keys too, before and after the contacts."""
    for content in ({"new": nested(32)} | page(1, 50, [1]), page(1, 50, [1], new=nested(31))):
        assert decode_page(body(content)) == TOO_DEEP
    assert decoded({"new": nested(31)} | page(1, 50, [1], new=nested(30)))


def test_brackets_in_texts_are_no_nesting() -> None:
    """Brackets in strings, and strings that end with a backslash, are no nesting."""
    values = {"a": "{[" * 40, "b": '"{' * 40, "c": "\\", "d": "", "{[" * 20: '\\\\"{' * 20}
    for data in ({"variable_values": values}, {"variable_values": values, "new": 1}):
        result = one(contact_data=data)
        assert result.contact_data.variable_values == values


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b'[{"a":' * 50_000])
def test_deep_nesting_is_refused(deep: bytes) -> None:
    """JSON nested 100,000 levels deep is refused without a RecursionError."""
    for text in (deep, b'["\\ud800", ' + deep, deep + b"1" + deep[::-1].translate(CLOSING)):
        assert decode_page(text) == TOO_DEEP


CLOSING = bytes.maketrans(b"[{", b"]}")


STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}
TOKENS = [*STEPS, '""', '"{["', '"]}"', r'"\\"', r'"\"["', r'"\\\"}"', "1,"]


@given(st.lists(st.sampled_from(TOKENS)), st.integers(0, MAX_DEPTH + 1))
@settings(max_examples=500)
def test_depth_is_that_of_brackets_outside_of_texts(inner: list[str], around: int) -> None:
    """The depth that is found is that of a slow, plain count, for JSON and for any other text."""
    tokens = ["["] * around + ["[", "]"] + inner + ["]"] * around
    depths = accumulate(STEPS.get(token, 0) for token in tokens)
    assert (parse("".join(tokens).encode(), "contacts") == TOO_DEEP) is (max(depths) > MAX_DEPTH)


@pytest.mark.parametrize("name", ["John", "\ud800", "\\ud800"])
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize(
    ("again", "key"),
    [
        (b'"contacts":[]', "contacts"),
        (b'"pagination":{}', "pagination"),
        (b'"\\u0070agination":7', "pagination"),
        (b'"page":2', "pagination.page"),
        (b'"total_page\\u0073":9', "pagination.total_pages"),
    ],
)
def test_keys_of_the_envelope_stand_once(
    again: bytes, key: str, name: str, indent: int | None
) -> None:
    """A repeated key is refused, with escapes in it too, and whatever keys are beside it."""
    content = page(1, 50, [1], new={"page": 1, "pagination": {}})
    content["contacts"][0]["contact_data"]["variable_values"] = {"name": name, "contacts": []}
    text = json.dumps(content, indent=indent).encode()
    assert isinstance(decode_page(text), Page)
    start, end = 1, len(text) - 1
    if "." in key:
        start, end = text.index(b"{", text.index(b'"pagination"')) + 1, text.rindex(b"}", 0, end)
    for twice in (
        text[:start] + again + b"," + text[start:],
        text[:end] + b"," + again + text[end:],
    ):
        assert decode_page(twice) == Undecodable((f"{key}: given twice",), broken=False)


@pytest.mark.parametrize("key", ["contacts", "pagination"])
def test_documented_envelope_has_each_key_once(key: str) -> None:
    """A repeated key is refused in the documented shape too, also if it replaces another key."""
    text = body(page(1, 50, [1]))
    for twice in (
        text[:-1] + b',"' + key.encode() + b'":[]}',
        text[:-1].removesuffix(b"}") + b',"page":2}}',
        text.replace(b'"has_prev": false', b'"page": 2'),
    ):
        assert twice != text
        name = key if twice.endswith(b'":[]}') else "pagination.page"
        assert decode_page(twice) == Undecodable((f"{name}: given twice",), broken=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("page", 0),
        ("per_page", 0),
        ("total_items", -1),
        ("total_items", fields.MAX_ITEMS + 1),
        ("total_pages", -1),
        ("total_pages", fields.MAX_PAGES + 1),
        ("page", True),
        ("has_next", 1),
    ],
)
def test_quick_pagination_is_no_less_strict(name: str, value: object) -> None:
    """The fast reader does not decode a pagination that the tolerant reader refuses."""
    content = page(1, 50, [1])
    content["pagination"][name] = value
    refused = read_tolerantly(content)
    assert not isinstance(refused, Page)
    assert problems(content) == refused


def test_quick_pagination_has_the_same_limits() -> None:
    """The fast reader decodes the largest numbers that the tolerant reader accepts."""
    content = page(1, 50, [1])
    content["pagination"] |= {
        "page": 10**30,
        "per_page": 2**64,
        "total_items": fields.MAX_ITEMS,
        "total_pages": fields.MAX_PAGES,
    }
    assert decoded(content) == read_tolerantly(content)


def test_documented_envelope_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The envelope of a documented page is not parsed a second time for repeated keys."""
    monkeypatch.setattr(fast, "parse", None)
    assert len(decoded(page(1, 50, [1])).items) == 1


def test_other_keys_may_be_repeated() -> None:
    """Of other repeated keys the last value is taken, as parsers do."""
    text = REFERENCE_PAGE.replace(b'"attempts": 1', b'"attempts": 1, "attempts": 7')
    text = text.replace(b'"per_page"', b'"new": 1, "new": 2, "per_page"')
    result = decode_page(text)
    assert isinstance(result, Page)
    assert result.items[0].attempts == 7


def test_pagination_may_come_first() -> None:
    """The pagination may come before the contacts."""
    content = page(1, 50, [1, 2])
    turned = {name: content[name] for name in ("pagination", "contacts")}
    assert repr(attrs.astuple(decoded(turned))) == repr(attrs.astuple(decoded(content)))


def test_no_two_contacts_share_a_dict() -> None:
    """No two contacts share a dict."""
    bare = [contact(number, contact_data={"company": "A"}) for number in range(2)]
    for content in (bare, [*bare, contact(3, new=1)], [*bare, contact(3, attempts=None)]):
        result = decoded(page(1, 50, []) | {"contacts": content})
        data = [one.contact_data for one in result.items]
        parts = [[d.variable_values, d.custom_fields, d.extra] for d in data]
        assert len({id(part) for three in parts for part in three}) == 3 * len(content)


def test_ignored_fields_must_be_valid_json() -> None:
    """Invalid JSON in an ignored field makes the body broken."""
    for value in (b'"\xff"', b"NaN", b"1e400", b'"\n"', b"9" * 5000):
        text = REFERENCE_PAGE.replace(b'"attempts": 1', b'"attempts": 1, "new": ' + value)
        assert decode_page(text) == Undecodable(
            ("the body is not complete, valid JSON",), broken=True
        )


@pytest.mark.parametrize("item", [b"[]", b'{"id":1}', b'"{"', b'"\\"["'])
def test_more_objects_than_a_page_has_are_refused(item: bytes) -> None:
    """A body with more than `MAX_OBJECTS` lists and objects is refused before it is parsed."""
    many = (item + b",") * (MAX_OBJECTS + 1)
    for text in (b"[" + many[:-1] + b"]", b'{"contacts":[' + many):
        assert decode_page(text) == TOO_MUCH


def test_large_pages_are_pages() -> None:
    """A body of 3 MB with 400,000 objects is decoded."""
    data = {"variable_values": {"a": "x" * 3_000_000, "b": [{}] * 400_000}}
    assert one(contact_data=data).contact_data.variable_values == data["variable_values"]


def test_unknown_keys_of_the_envelope_are_ignored() -> None:
    """Unknown keys of the envelope and of the pagination are ignored."""
    content = page(1, 50, [1], links={}) | {"meta": 1}
    assert len(decoded(content).items) == 1


@pytest.mark.parametrize(("more", "is_page"), [(MAX_KEYS - 7, True), (MAX_KEYS, False)])
@pytest.mark.parametrize("is_envelope", [True, False])
def test_the_envelope_has_a_bounded_number_of_keys(
    more: int, *, is_page: bool, is_envelope: bool
) -> None:
    """An envelope, or a pagination, of more than `MAX_KEYS` keys is refused; of some less not."""
    keys = {f"key{number}": number for number in range(more)}
    content = page(1, 50, [1], **({} if is_envelope else keys)) | (keys if is_envelope else {})
    assert isinstance(decode_page(json.dumps(content).encode()), Page) is is_page


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={name: JSON | st.just(value) for name, value in {**contact(1), "new": 1}.items()},
    )
)
def test_any_json_is_a_contact_or_a_named_problem(item: dict[str, Any]) -> None:
    """Any JSON with the required fields is a contact; else the first problem names one of them."""
    content = page(1, 50, [1]) | {"contacts": [item]}
    result = decode_page(json.dumps(content).encode())
    if isinstance(result, Undecodable):
        assert all(problem.startswith("contacts[0]") for problem in result.problems)
        assert re.match(r"contacts\[0\]\.(id|phone_number|status): ", result.cause)
    else:
        assert result.items[0].id == item["id"]
        assert result.items[0].phone_number == item["phone_number"]


def test_zone_of_other_kinds_is_kept() -> None:
    """An offset without a colon is read."""
    created = one(created_at="2024-02-01T10:30:00-0800").created_at
    assert created == datetime(2024, 2, 1, 10, 30, tzinfo=timezone(timedelta(hours=-8)))


AWKWARD = st.fixed_dictionaries(
    {
        "id": st.integers(-(2**70), 2**70),
        "phone_number": st.text(),
        "status": st.text() | st.sampled_from([*ContactStatus]),
    },
    optional={
        "attempts": st.integers(-(2**40), 2**70) | st.none(),
        "created_at": st.datetimes().map(datetime.isoformat)
        | st.datetimes(timezones=st.timezones()).map(datetime.isoformat)
        | st.sampled_from(["2024-02-01T10:30:00.123456789Z", "2024-02-01t10:30:00z", "", None]),
        "last_attempt_at": st.none() | st.just("2024-02-01T10:30:00"),
        "contact_data": st.none()
        | st.fixed_dictionaries(
            {},
            optional={
                "company": st.text() | st.none(),
                "variable_values": st.dictionaries(st.text(), JSON, max_size=3),
                "custom_fields": st.dictionaries(st.text(), JSON, max_size=3) | st.none(),
                "new": JSON,
            },
        ),
        "new": JSON,
    },
)


def read_by(converter: cattrs.Converter, value: object) -> Page[Contact] | None:
    """Return the page that a fast reader makes of *value*, or None if it cannot read it."""
    *_, done = DECODER.fast_steps(converter, value)
    return done


@given(st.lists(AWKWARD, max_size=3))
@settings(max_examples=500)
def test_all_readers_agree(contacts: list[dict[str, Any]]) -> None:
    """All readers decode a page to equal contacts, to the microsecond and the zone."""
    text = body(page(1, 50, []) | {"contacts": contacts})
    content = json.loads(text)
    expected = read_tolerantly(content)
    assert isinstance(expected, Page)
    for way, value in ((FROM_BYTES, text), (FROM_DATA, content)):
        quick = read_by(way, value)
        assert quick is None or repr(attrs.astuple(quick)) == repr(attrs.astuple(expected))


def test_documented_pages_are_read_from_bytes() -> None:
    """The reference example, a new status and naive timestamps are read from bytes."""
    plain = page(1, 50, range(50))
    for change in ({"id": 4}, {"status": "queued"}, {"created_at": "2024-02-01T10:30:00"}):
        plain["contacts"][3] = contact(3, **change)
        assert read_by(FROM_BYTES, body(plain))
    assert read_by(FROM_BYTES, REFERENCE_PAGE)


def test_new_and_null_fields_are_read_from_parsed_json() -> None:
    """Pages with new, null or absent fields are read by msgspec from parsed JSON."""
    plain = page(1, 50, range(50), links={}) | {"meta": 1}
    data = {"email": "a@example.com", "company": None}
    changes: list[dict[str, Any]] = [
        {"agent": {}},
        {"attempts": None},
        {"contact_data": data},
        {"contact_data": None},
    ]
    for change in changes:
        plain["contacts"][3] = contact(3, **change)
        assert read_by(FROM_DATA, plain)


def test_detailed_converter_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """If quick converters fail without a problem, the page of the detailed one is returned."""
    broken = cattrs.Converter()
    for cl in (Contact, Page):
        broken.register_structure_hook(cl, lambda *_: 1 / 0)
    for converter in ("_quick", "_lenient"):
        monkeypatch.setitem(vars(DECODER.tolerant), converter, broken)
    content = json.loads(REFERENCE_PAGE)
    content["contacts"][1]["attempts"] = "1"
    result = read_tolerantly(content)
    assert isinstance(result, Page)
    assert [each.place for each in result.unread] == ["contacts[1].attempts"]
