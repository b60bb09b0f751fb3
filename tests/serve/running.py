"""A server as a process of its own, and raw sockets to speak to it as nobody should."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROW = {"age": 53, "income": 2949.05, "city": "Basel", "member": True, "joined": "2024-02-29"}
JSON = {"content-type": "application/json"}


@dataclass
class Running:
    """A server's address, its process, and the file that its log goes into."""

    address: str
    process: "subprocess.Popen[str]"
    log: Path
    client: httpx.Client

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@contextlib.contextmanager
def running(folder: Path, *arguments: str, **environment: str) -> Iterator[Running]:
    """Run ``retrograd serve`` on a free port until the block ends."""
    command = [sys.executable, "-m", "retrograd", "serve", *arguments, "--port", "0", "--json"]
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=errors, text=True,
            env=os.environ | environment,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, log.read_text()
        address = json.loads(line)["address"]
        with httpx.Client(base_url=address, timeout=20) as client:
            yield Running(address, process, log, client)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()


def request(body: bytes, *headers: str, path: str = "/predict") -> bytes:
    """Return the bytes of a POST with these headers and the body's own length."""
    own = (
        [f"content-length: {len(body)}"]
        if not any("length" in h or "chunk" in h for h in headers)
        else []
    )
    head = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *headers, *own]
    return "\r\n".join([*head, "", ""]).encode() + body


def response(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read one whole response; (0, {}, b"") where the server closed without one."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                break
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if not head:
        return 0, {}, b""
    first, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    wanted = int(headers.get("content-length", "-1"))
    with contextlib.suppress(ConnectionError):
        while wanted < 0 or len(body) < wanted:
            more = connection.recv(65536)
            if not more:
                break
            body += more
    return int(first.split()[1]), headers, body
