"""Request id: what the server calls a request, so that its support can find it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .._settings import Secret
from .redaction import safe_text, without_key

# The first that a response has. The second is Cloudflare's.
HEADERS = ("x-request-id", "cf-ray")
MAX_LENGTH = 128

# UUIDs, trace ids and Cloudflare's ids. They often have seven digits in a row, as phone numbers do.
_ID = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[0-9]*[a-f])[0-9a-f]{16,64}(?:-[A-Z]{3})?",
    re.IGNORECASE,
)


def read_request_id(headers: Mapping[str, str], secret: Secret) -> str | None:
    """Return the id of a request in the headers of its response; None if they have none.

    It has at most `MAX_LENGTH` printable characters. *secret* (the API key) is masked, and whatever
    looks like a phone number, unless the id is of a usual form.

    Args:
        headers: must ignore case, as `httpx.Headers` do.
        secret: the API key.
    """
    text = next((value for name in HEADERS if (value := headers.get(name, "").strip())), "")
    if _ID.fullmatch(text):
        return without_key(text, secret)
    return safe_text(text, secret)[:MAX_LENGTH] or None
