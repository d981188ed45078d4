"""Check that an editor completes the eight statuses after ``status=``, as pyright does it.

    python tests/completions.py

Asks pyright's language server, as editors do, for the completions in a line of code, and exits
with 1 if a status is not among them. It needs the group `check`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from aioburki import ContactStatus

CODE = """\
from aioburki import BurkiClient

contacts = BurkiClient("key").contacts(42, status="")
"""
LINE, COLUMN = 2, CODE.splitlines()[2].index('""') + 1


def send(stream: IO[bytes], **message: Any) -> None:
    """Send a message of the language server protocol."""
    body = json.dumps({"jsonrpc": "2.0", **message}).encode()
    stream.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Return the next message."""
    length = 0
    while line := stream.readline().strip():
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return json.loads(stream.read(length))


def answer(server: subprocess.Popen[bytes], number: int) -> Any:
    """Return the result of request *number*; answer what the server asks for meanwhile."""
    assert server.stdin is not None
    assert server.stdout is not None
    while True:
        message = receive(server.stdout)
        if "method" in message and "id" in message:
            items = message.get("params", {}).get("items", [])
            result = [{"pythonPath": sys.executable} for _ in items] or None
            send(server.stdin, id=message["id"], result=result)
        elif message.get("id") == number:
            return message["result"]


def completions(folder: Path) -> list[str]:
    """Return what is completed inside the quotes of `CODE`."""
    path = folder / "editor.py"
    path.write_text(CODE, encoding="utf-8")
    document = {"uri": path.as_uri()}
    command = [str(Path(sys.executable).with_name("pyright-langserver")), "--stdio"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdin is not None
        folders = [{"uri": folder.as_uri(), "name": "editor"}]
        able = {"workspace": {"configuration": True, "workspaceFolders": True}}
        start = {"processId": None, "rootUri": folder.as_uri(), "workspaceFolders": folders}
        send(server.stdin, id=1, method="initialize", params={**start, "capabilities": able})
        answer(server, 1)
        send(server.stdin, method="initialized", params={})
        opened = {**document, "languageId": "python", "version": 1, "text": CODE}
        send(server.stdin, method="textDocument/didOpen", params={"textDocument": opened})
        place = {"textDocument": document, "position": {"line": LINE, "character": COLUMN}}
        send(server.stdin, id=2, method="textDocument/completion", params=place)
        found = answer(server, 2)
        server.kill()
    return [item["label"].strip("\"'") for item in found["items"]]


def main() -> int:
    """Print what is completed, and return 1 if a status is missing."""
    with tempfile.TemporaryDirectory() as folder:
        found = completions(Path(folder))
    missing = [status.value for status in ContactStatus if status.value not in found]
    print(f"completed after status=: {', '.join(found)}")
    if missing:
        print(f"not completed: {', '.join(missing)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
