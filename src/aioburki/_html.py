"""HTML: tables and lines that notebooks show, of values that may be any text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from ._surrogates import replace_surrogates


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; None is an empty cell. All text is escaped."""
    head = "".join(f"<th>{_escaped(name)}</th>" for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{_escaped(value)}</td>' for value in row)}</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def html_lines(lines: Iterable[str]) -> str:
    """Return paragraphs, one for each of *lines*. All text is escaped."""
    return "".join(f"<p>{_escaped(line)}</p>" for line in lines)


def _escaped(value: object) -> str:
    text = "" if value is None else str(value)
    return escape(replace_surrogates(text))  # with a surrogate it could not be sent
