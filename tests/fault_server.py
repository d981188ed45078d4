"""A raw-socket server in its own process, whose responses and faults follow a script.

It reads commands from standard input, one JSON object per line, and writes one JSON object as
the reply to each: ``listen`` opens a new port with a script and closes the old one, ``state``
returns what happened on the wire. A script holds lists of steps; a step is a list of its name
and its arguments; bytes travel as Latin-1 text:

    ["note", "503"]       append this line to the events, before the bytes that it describes
    ["send", text]        send these bytes
    ["drip", text, s]     send these bytes one by one, one every *s* seconds
    ["repeat", text]      send these bytes over and over until the client disconnects
    ["page"]              send the requested page
    ["sleep", s]          wait *s* seconds
    ["stall"]             wait until the client disconnects
    ["deaf"]              do not read, write or close until the next ``listen``
    ["close"], ["reset"]  close the connection with FIN or with RST

``faults.py`` is the client side.
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
MAX_STALL = 60.0  # seconds


class Disconnected(Exception):  # noqa: N818 - not an error: clients may disconnect
    """The connection has ended, or is to be closed."""


class Port:
    """One listening socket with its script and what happened on it."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.steps_by_page: dict[str, list[list[Step]]] = script.get("steps_by_page", {})
        self.greetings: list[list[Step]] = script.get("greetings", [])
        self.lock = threading.Lock()
        self.closed = threading.Event()
        self.counts: Counter[str] = Counter()
        self.events: list[str] = []
        self.heads: list[str] = []
        self.fillers: list[socket.socket] = []
        self.connections: set[Connection] = set()
        self.tls = _tls_context(script.get("tls"))
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
        """Fill the listen backlog, so that further SYN packets get no answer."""
        self.socket.listen(0)
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(self.socket.getsockname())
            self.fillers.append(filler)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                accepted, _ = self.socket.accept()
                with self.lock:
                    number = self.counts["accepted"]
                    self.counts.update(("accepted", "open"))
                    self.events.append("connect")
                threading.Thread(target=self._serve, args=(accepted, number), daemon=True).start()

    def _serve(self, accepted: socket.socket, number: int) -> None:
        connection = Connection(accepted, self)
        with self.lock:
            self.connections.add(connection)
            if self.closed.is_set():  # accepted while `close` was running
                accepted.close()
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if number < len(self.greetings):
                connection.play(self.greetings[number], {})
            if self.tls is not None:
                connection.socket = secure = self.tls.wrap_socket(
                    accepted, server_side=True, do_handshake_on_connect=False
                )
                secure.do_handshake()
            while True:
                self._respond(connection)
        except ssl.SSLError:
            self.note("tls refused")
            # Closing with unread bytes resets the connection, and the client loses the alert.
            with suppress(OSError):
                socket.socket.shutdown(connection.socket, socket.SHUT_WR)
                while socket.socket.recv(connection.socket, 65_536):
                    pass
        except (Disconnected, OSError):
            pass
        finally:
            with suppress(OSError):
                connection.socket.close()
            with self.lock:
                self.connections.discard(connection)
                self.counts["open"] -= 1

    def _respond(self, connection: Connection) -> None:
        head = connection.read_head()
        query = parse_qs(urlsplit(head.split(" ")[1]).query)
        number = query.get("page", ["?"])[0]
        with self.lock:
            self.heads.append(head)
            self.events.append(f"GET {number}")
            planned = self.steps_by_page.get(number) or self.steps_by_page.get("*")
            steps = planned.pop(0) if planned else [["note", "200"], ["page"]]
        if latency := self.script.get("latency"):
            connection.wait(latency)
        connection.play(steps, query)

    def note(self, event: str) -> None:
        with self.lock:
            self.events.append(event)

    def state(self) -> dict[str, Any]:
        """Return the events, the heads of requests, and the counters."""
        with self.lock:
            return {"events": self.events, "heads": self.heads, **self.counts}

    def close(self) -> None:
        self.closed.set()
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        for each in (self.socket, *self.fillers):
            each.close()
        with self.lock:
            for connection in self.connections:
                with suppress(OSError):  # not SSLSocket.shutdown: another thread uses its state
                    socket.socket.shutdown(connection.socket, socket.SHUT_RDWR)


class Connection:
    """One accepted connection."""

    def __init__(self, accepted: socket.socket, port: Port) -> None:
        self.socket = accepted
        self.port = port

    def read_head(self) -> str:
        """Return the next request: its request line and headers."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            piece = self.socket.recv(65_536)
            if not piece:
                raise Disconnected
            received += piece
            with self.port.lock:
                self.port.counts["bytes"] += len(piece)
        return received.decode("latin-1")

    def wait(self, seconds: float) -> None:
        """Wait *seconds*, but end early if the client disconnects."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.port.closed.is_set():
            if select.select([self.socket], [], [], min(left, 0.1))[0]:
                raise Disconnected

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
                        self.wait(arguments[1])
                case "repeat":
                    self._repeat(arguments[0].encode("latin-1"))
                case "page":
                    self.socket.sendall(self._page(query))
                case "sleep":
                    self.wait(*arguments)
                case "stall":
                    self.wait(MAX_STALL)
                case "deaf":
                    self.port.closed.wait(MAX_STALL)
                case "close":
                    raise Disconnected
                case "reset":
                    linger = struct.pack("ii", 1, 0)
                    self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    raise Disconnected

    def _repeat(self, content: bytes) -> None:
        while not self.port.closed.is_set():
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


def _tls_context(files: dict[str, str] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if "certificate" in files:  # without one there is no cipher suite that both sides have
        context.load_cert_chain(files["certificate"], files["key"])
    if "version" in files:
        version = ssl.TLSVersion[files["version"]]
        context.minimum_version = context.maximum_version = version
    if "clients" in files:  # whose issuer is in this file
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(files["clients"])
    if "alert" in files:
        alert = ssl.AlertDescription[f"ALERT_DESCRIPTION_{files['alert']}"]
        context.sni_callback = lambda *_: alert
    return context


def main() -> None:
    """Run commands until standard input ends."""
    port: Port | None = None
    for line in sys.stdin:
        command = json.loads(line)
        reply: dict[str, Any]
        if command["do"] == "listen":
            if port is not None:
                port.close()
            port = Port(command["script"])
            reply = {"port": port.number}
        else:
            assert port is not None
            reply = port.state()
        sys.stdout.write(json.dumps(reply) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
