"""What tests tell the fault server to do, in words, and what it has seen."""

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
    """The process of `fault_server.py`; `listen` starts a new story on a new port."""

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
        moves: Mapping[int | str, Sequence[Steps]] | None = None,
        *,
        greetings: Sequence[Steps] = (),
        tls: Mapping[str, str] | None = None,
        **script: Any,
    ) -> None:
        """Serve *moves*: what is done to the first, second … request of a page; then pages.

        The key ``"*"`` stands for any page. *greetings* are played when the first, second …
        connection is accepted, before anything is read.
        """
        keyed = {str(asked): list(steps) for asked, steps in (moves or {}).items()}
        script |= {"moves": keyed, "greetings": list(greetings), "tls": tls}
        self.scheme = "http" if tls is None else "https"
        self.port = self._ask({"do": "listen", "script": {"total": TOTAL} | script})["port"]

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    @property
    def events(self) -> list[str]:
        """Return what happened on the wire, in its order."""
        events: list[str] = self.look()["events"]
        return events

    def look(self) -> dict[str, Any]:
        return self._ask({"do": "look"})

    def settled(self) -> int:
        """Return how many connections stay open once the server has noticed what was closed."""
        until = time.monotonic() + 2
        while self.look().get("open", 0) and time.monotonic() < until:
            time.sleep(0.01)
        count: int = self.look().get("open", 0)
        return count

    def end(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        pipes: tuple[IO[str] | None, IO[str] | None] = (self._process.stdin, self._process.stdout)
        to, back = pipes
        assert to is not None
        assert back is not None
        to.write(json.dumps(command) + "\n")
        to.flush()
        answer: dict[str, Any] = json.loads(back.readline())
        return answer


def content(number: int) -> bytes:
    """Return the JSON of page *number*, as the server would send it."""
    return body(page(number, PER_PAGE, range(1, TOTAL + 1)))


def text(raw: bytes) -> str:
    return raw.decode("latin-1")


def head(status: int | str = 200, /, **headers: object) -> str:
    """Return a status line and *headers*, whose names have ``_`` for ``-``."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} Status", *lines, "", ""])


def says(status: int, payload: bytes = b'{"detail": "busy"}', /, **headers: object) -> Steps:
    """Answer with *status*, *payload* and *headers*."""
    known = {"content_type": "application/json", "content_length": len(payload)} | headers
    return [["note", str(status)], ["send", head(status, **known) + text(payload)]]


def raw(note: str, *pieces: str, then: str = "close") -> Steps:
    """Send *pieces* as they are, and *then* ``close``, ``reset``, ``stall`` or ``go on``."""
    ends: Steps = [] if then == "go on" else [[then]]
    return [["note", note], *(["send", piece] for piece in pieces), *ends]


def whole(number: int) -> str:
    """Return a complete answer with page *number*, as text to cut and to glue."""
    return complete(content(number))


def complete(payload: bytes) -> str:
    """Return a complete answer with *payload*."""
    return head(content_type="application/json", content_length=len(payload)) + text(payload)


CLOSE: Steps = [["note", "close"], ["close"]]
RESET: Steps = [["note", "reset"], ["reset"]]
STALL: Steps = [["note", "stall"], ["stall"]]
