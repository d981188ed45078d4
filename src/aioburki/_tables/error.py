"""Error: contacts that are as documented, and that a table has no column for."""

from __future__ import annotations

from .._errors import ResponseDecodeError


class TableError(ResponseDecodeError):
    """A contact does not fit in the schema, or the contacts have too many keys for columns."""

    advice = "Or read the contacts as objects: `await contacts`."
