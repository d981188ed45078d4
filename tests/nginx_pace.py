"""Pull through nginx with `limit_req`, over real HTTP and without knowing the limit.

``python tests/nginx_pace.py`` starts an nginx on loopback (tried with 1.22) and pulls for a
minute at each of several limits. It prints one line for each pull. A pull is bad if it used less
than 95 % of the limit, if more than 1.5 % of its requests got a 429, if one page got more than
three, or if a contact was not delivered exactly once. The exit code is 1 if two pulls in a row
at the same limit are bad. nginx must be installed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pages import KEY, body, page

from aioburki import BurkiClient, Event, PauseStarted

LIMITS = ((50, 10), (100, 20))  # requests per second, burst
CONFIGURATION = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000;
  limit_req_zone $binary_remote_addr zone=api:1m rate={rate}r/s;
  limit_req_status 429;
  server {{
    listen 127.0.0.1:{port};
    root {folder}/pages;
    default_type application/json;
    location / {{
      limit_req zone=api burst={burst} nodelay;
      try_files /$arg_page.json =404;
    }}
  }}
}}
"""


@contextmanager
def nginx(rate: int, burst: int, pages: int) -> Iterator[str]:
    """Serve *pages* pages of one contact at this limit; yield the base URL."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        sys.exit("nginx is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "pages").mkdir()
        for number in range(1, pages + 1):
            (folder / "pages" / f"{number}.json").write_bytes(body(page(number, 1, range(pages))))
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        configuration = folder / "nginx.conf"
        configuration.write_text(
            CONFIGURATION.format(folder=folder, port=port, rate=rate, burst=burst)
        )
        with subprocess.Popen([program, "-c", configuration, "-p", folder]) as process:
            try:
                _wait_for(port)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)  # nginx does not say when it accepts connections
        else:
            return
    sys.exit("nginx did not accept connections within 5 s")


async def pull(rate: int, burst: int, seconds: float, in_flight: int) -> bool:
    """Pull for about *seconds*, print the result, and return whether it is good."""
    pages = int(rate * seconds)
    refusals: Counter[int] = Counter()

    def count_refusals(event: Event) -> None:
        if isinstance(event, PauseStarted):
            refusals[event.page] += 1

    with nginx(rate, burst, pages) as url:
        async with BurkiClient(
            KEY, base_url=url, concurrency=in_flight, on_event=count_refusals
        ) as burki:
            contacts = await burki.contacts(42, per_page=1)
    report = contacts.report
    used = 100 * pages / (rate * report.elapsed)
    refused = 100 * report.rate_limited / report.requests
    max_refusals = max(refusals.values(), default=0)
    is_complete = [contact.id for contact in contacts] == list(range(pages))
    is_good = is_complete and used >= 95 and refused <= 1.5 and max_refusals <= 3
    print(
        f"nginx {rate}/s, burst {burst}, {in_flight} in flight: {report.elapsed:.1f} s, "
        f"{used:.1f} % used, {refused:.2f} % refused, at most {max_refusals} times for one page: "
        f"{'good' if is_good else 'BAD'}{'' if is_complete else ', INCOMPLETE'}",
        flush=True,
    )
    return is_good


async def main() -> None:
    """Pull at each limit; exit with 1 if a limit fails twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--in-flight", type=int, default=8)
    options = parser.parse_args()
    for rate, burst in LIMITS:
        for _ in range(2):  # the first may fail because the machine was busy
            if await pull(rate, burst, options.seconds, options.in_flight):
                break
        else:
            sys.exit(1)


if __name__ == "__main__":
    asyncio.run(main())
