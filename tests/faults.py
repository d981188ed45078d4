"""The client side of the fault server: what it sends, and what it has recorded."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pages import body, page

Steps = list[list[Any]]
TOTAL = 20
PER_PAGE = 10


class FaultServer:
    """The process of `fault_server.py`; `listen` starts a new script on a new port."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("fault_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = 0
        self.scheme = "http"

    def listen(
        self,
        steps_by_page: Mapping[int | str, Sequence[Steps]] | None = None,
        *,
        greetings: Sequence[Steps] = (),
        tls: Mapping[str, str] | None = None,
        **script: Any,
    ) -> None:
        """Open a new port that answers with pages, except where *steps_by_page* says otherwise.

        *steps_by_page* holds the steps for the first, second … request for a page number; the
        key ``"*"`` matches any page. *greetings* holds the steps for the first, second …
        connection, played when it is accepted and before anything is read from it.
        """
        keyed = {str(number): list(steps) for number, steps in (steps_by_page or {}).items()}
        script |= {"steps_by_page": keyed, "greetings": list(greetings), "tls": tls}
        self.scheme = "http" if tls is None else "https"
        command = {"do": "listen", "script": {"total": TOTAL} | script}
        self.port = self._send_command(command)["port"]

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def events(self) -> list[str]:
        """Return what happened on the wire, in order."""
        events: list[str] = self.state()["events"]
        return events

    def state(self) -> dict[str, Any]:
        """Return the events, the heads of requests, and the counters of the current port."""
        return self._send_command({"do": "state"})

    def connections_left(self) -> int:
        """Wait up to 2 s for all connections to be closed; return how many are still open."""
        until = time.monotonic() + 2
        while self.state().get("open", 0) and time.monotonic() < until:
            time.sleep(0.01)  # the server is another process, whose clock cannot be skipped
        count: int = self.state().get("open", 0)
        return count

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)

    def _send_command(self, command: dict[str, Any]) -> dict[str, Any]:
        pipes: tuple[IO[str] | None, IO[str] | None] = (self._process.stdin, self._process.stdout)
        commands, replies = pipes
        assert commands is not None
        assert replies is not None
        commands.write(json.dumps(command) + "\n")
        commands.flush()
        reply: dict[str, Any] = json.loads(replies.readline())
        return reply


def page_body(number: int) -> bytes:
    """Return the JSON body of page *number*, as the server would send it."""
    return body(page(number, PER_PAGE, range(1, TOTAL + 1)))


def latin_1(data: bytes) -> str:
    """Return *data* as the text that travels to the fault server: one character a byte."""
    return data.decode("latin-1")


def response_head(status: int | str = 200, /, **headers: object) -> str:
    """Return a status line and *headers*, in whose names ``_`` stands for ``-``."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Status", *lines, "", ""])


def respond(status: int, payload: bytes = b'{"detail": "busy"}', /, **headers: object) -> Steps:
    """Return the steps that send a complete response with *status*, *payload* and *headers*."""
    known = {"content_type": "application/json", "content_length": len(payload)} | headers
    return [["note", str(status)], ["send", response_head(status, **known) + latin_1(payload)]]


def send_raw(note: str, *pieces: str, then: str = "close") -> Steps:
    """Return the steps that send *pieces* as they are.

    *then* is what follows: ``close``, ``reset``, ``stall``, or ``continue`` for the next request.
    """
    ends: Steps = [] if then == "continue" else [[then]]
    return [["note", note], *(["send", piece] for piece in pieces), *ends]


def page_response(number: int) -> str:
    """Return the complete response with page *number*, as text."""
    return json_response(page_body(number))


def json_response(payload: bytes) -> str:
    """Return a complete response with *payload*, as text."""
    head = response_head(content_type="application/json", content_length=len(payload))
    return head + latin_1(payload)


CLOSE: Steps = [["note", "close"], ["close"]]
RESET: Steps = [["note", "reset"], ["reset"]]
STALL: Steps = [["note", "stall"], ["stall"]]
