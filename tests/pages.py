"""Pages as the API's reference documents them, and a server of a list that tests can change."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx

KEY = "canary-key-9f8e7d6c5b4a"
PHONE = "+15550199887"
PASSWORD = "hunter2"


def contact(contact_id: int, **changes: Any) -> dict[str, Any]:
    """Return a contact as the API would send it."""
    return {
        "id": contact_id,
        "phone_number": PHONE,
        "contact_data": {
            "company": "Acme Corp",
            "source": "csv_import",
            "variable_values": {"name": "John Smith"},
            "custom_fields": {"customer_id": "CUST001"},
        },
        "status": "completed",
        "attempts": 1,
        "created_at": "2024-02-01T10:30:00Z",
        "last_attempt_at": None,
    } | changes


def page(number: int, per_page: int, ids: Sequence[int], **pagination: Any) -> dict[str, Any]:
    """Return page *number* of a list that holds *ids*."""
    total_pages = -(-len(ids) // per_page)
    first = (number - 1) * per_page
    return {
        "contacts": [contact(contact_id) for contact_id in ids[first : first + per_page]],
        "pagination": {
            "page": number,
            "per_page": per_page,
            "total_items": len(ids),
            "total_pages": total_pages,
            "has_next": number < total_pages,
            "has_prev": number > 1,
        }
        | pagination,
    }


def body(content: object) -> bytes:
    """Return *content* as a JSON body."""
    return json.dumps(content).encode()


class ListServer:
    """Serve pages of a list of ids; *change* may modify the list before each response."""

    def __init__(
        self, ids: Sequence[int], change: Callable[[ListServer, int], None] | None = None
    ) -> None:
        self.ids = list(ids)
        self.change = change
        self.asked: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        number = int(request.url.params["page"])
        self.asked.append(number)
        if self.change is not None:
            self.change(self, number)
        return httpx.Response(200, json=page(number, int(request.url.params["per_page"]), self.ids))

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)
