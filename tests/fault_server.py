"""A server of raw sockets in a process of its own, which does to connections what it is told.

It reads one JSON object a line from standard input and answers each with one: ``listen`` opens
a port and forgets what was, ``look`` tells what happened on the wire. What is done to a request
is a list of steps, each a list of a name and its arguments; bytes travel as Latin-1 text:

    ["note", "503"]       write a line into the events, before what it speaks of is sent
    ["send", text]        send these bytes
    ["drip", text, s]     send them one by one, every *s* seconds
    ["repeat", text]      send them again and again until the client is gone
    ["page"]              send the page that was asked for
    ["sleep", s]          wait
    ["stall"]             wait until the client is gone
    ["deaf"]              neither read nor write nor close until the next ``listen``
    ["close"], ["reset"]  end the connection, with FIN or with RST

``faults.py`` drives it.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import struct
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pages import body, page

Step = list[Any]
LONGEST = 60.0


class Gone(Exception):  # noqa: N818 - not an error: a client may go
    """The connection has ended."""


class Port:
    """One listening socket with its script, and what happened there."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.moves: dict[str, list[list[Step]]] = script.get("moves", {})
        self.greetings: list[list[Step]] = script.get("greetings", [])
        self.lock = threading.Lock()
        self.over = threading.Event()
        self.counts: Counter[str] = Counter()
        self.events: list[str] = []
        self.heads: list[str] = []
        self.fillers: list[socket.socket] = []
        self.wires: set[Wire] = set()
        self.tls = _tls(script.get("tls"))
        family = socket.AF_INET6 if script.get("ipv6") else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.bind(("::1" if script.get("ipv6") else "127.0.0.1", 0))
        self.number: int = self.socket.getsockname()[1]
        if script.get("black_hole"):
            self._fill()
        else:
            self.socket.listen(512)
            threading.Thread(target=self._accept, daemon=True).start()

    def _fill(self) -> None:
        """Fill the queue of connections that wait to be accepted: further ones get no answer."""
        self.socket.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.socket.getsockname())
            self.fillers.append(filler)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                with self.lock:
                    number = self.counts["accepted"]
                    self.counts.update(("accepted", "open"))
                    self.events.append("connect")
                threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        wire = Wire(connection, self)
        with self.lock:
            self.wires.add(wire)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if number < len(self.greetings):
                wire.play(self.greetings[number], {})
            if self.tls is not None:
                wire.socket = self.tls.wrap_socket(connection, server_side=True)
            while True:
                self._answer(wire)
        except ssl.SSLError:
            self.note("tls refused")
        except (Gone, OSError):
            pass
        finally:
            with suppress(OSError):
                wire.socket.close()
            with self.lock:
                self.wires.discard(wire)
                self.counts["open"] -= 1

    def _answer(self, wire: Wire) -> None:
        head = wire.head()
        query = parse_qs(urlsplit(head.split(" ")[1]).query)
        asked = query.get("page", ["?"])[0]
        with self.lock:
            self.heads.append(head)
            self.events.append(f"GET {asked}")
            moves = self.moves.get(asked) or self.moves.get("*")
            steps = moves.pop(0) if moves else [["note", "200"], ["page"]]
        if latency := self.script.get("latency"):
            wire.pause(latency)
        wire.play(steps, query)

    def note(self, event: str) -> None:
        with self.lock:
            self.events.append(event)

    def look(self) -> dict[str, Any]:
        with self.lock:
            return {"events": self.events, "heads": self.heads, **self.counts}

    def close(self) -> None:
        self.over.set()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        for each in (self.socket, *self.fillers):
            each.close()
        with self.lock:
            for wire in self.wires:
                with suppress(OSError):  # not that of TLS, which its thread is still using
                    socket.socket.shutdown(wire.socket, socket.SHUT_RDWR)


class Wire:
    """One accepted connection."""

    def __init__(self, connection: socket.socket, port: Port) -> None:
        self.socket = connection
        self.port = port

    def head(self) -> str:
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(65_536)
            if not piece:
                raise Gone
            received += piece
            with self.port.lock:
                self.port.counts["bytes"] += len(piece)
        return received.decode("latin-1")

    def pause(self, seconds: float) -> None:
        """Wait, but not for a client that is gone."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.port.over.is_set():
            if select.select([self.socket], [], [], min(left, 0.1))[0]:
                raise Gone

    def play(  # noqa: C901 - one case for each kind of step
        self, steps: list[Step], query: dict[str, list[str]]
    ) -> None:
        for name, *arguments in steps:
            match name:
                case "note":
                    self.port.note(*arguments)
                case "send":
                    self.socket.sendall(arguments[0].encode("latin-1"))
                case "drip":
                    for character in arguments[0]:
                        self.socket.sendall(character.encode("latin-1"))
                        self.pause(arguments[1])
                case "repeat":
                    self._repeat(arguments[0].encode("latin-1"))
                case "page":
                    self.socket.sendall(self._page(query))
                case "sleep":
                    self.pause(*arguments)
                case "stall":
                    self.pause(LONGEST)
                case "deaf":
                    self.port.over.wait(LONGEST)
                case "close":
                    raise Gone
                case "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    raise Gone

    def _repeat(self, content: bytes) -> None:
        while not self.port.over.is_set():
            self.socket.sendall(content)
            with self.port.lock:
                self.port.counts["repeated"] += len(content)

    def _page(self, query: dict[str, list[str]]) -> bytes:
        total = self.port.script.get("total", 20)
        content = _content(int(query["page"][0]), int(query["per_page"][0]), total)
        head = (
            f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
        )
        return head.encode() + b"\r\n\r\n" + content


@lru_cache(maxsize=1000)
def _content(number: int, per_page: int, total: int) -> bytes:
    return body(page(number, per_page, range(1, total + 1)))


def _tls(files: dict[str, str] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files["certificate"], files["key"])
    return context


def main() -> None:
    """Obey until standard input ends."""
    port: Port | None = None
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any]
        if command["do"] == "listen":
            if port is not None:
                port.close()
            port = Port(command["script"])
            answer = {"port": port.number}
        else:
            assert port is not None
            answer = port.look()
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
