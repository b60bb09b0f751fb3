"""Serving one row a request: requests a second, latencies, and what happens at ten times too much.

Run: python -m benchmarks.serving [seconds]

A network for 30 columns of numbers is trained and served with `retrograd serve` as people run it.
The load generator runs on the same machine: plain sockets in one process, each connection sends its
next request when it has the answer. Then come ten times as many connections as the server answers
at once, and after them the first load again.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

COLUMNS = 30
ROWS = 2000
CONNECTIONS = 16
AT_ONCE = 64


@dataclass
class Seen:
    """What one load met: seconds of each answer, statuses, and connections that broke."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0
    wall: float = 0.0
    work: float = 0.0  # seconds of a core that the server used

    def line(self, name: str) -> str:
        """Return it as a row of the table."""
        good = np.array(self.seconds or [np.nan]) * 1e3
        middle, late = np.percentile(good, [50, 99])
        rate = self.statuses[200] / self.wall
        shed = self.statuses[503] / self.wall
        other = sum(self.statuses.values()) - self.statuses[200] - self.statuses[503] + self.broken
        work = self.work / max(sum(self.statuses.values()), 1) * 1e6
        return (
            f"| {name} | {rate:,.0f} | {middle:.2f} | {late:.2f} | {shed:,.0f} | {other} "
            f"| {work:.0f} |"
        )


class Asker(asyncio.Protocol):
    """One connection, which asks again as soon as it is answered."""

    def __init__(self, request: bytes, seen: Seen, until: float) -> None:
        self._request, self._seen, self._until = request, seen, until
        self.done = asyncio.get_running_loop().create_future()
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask()

    def _ask(self) -> None:
        self._start = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Ask again once the answer is whole."""
        self._data += data
        head = self._data.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._data.find(b"content-length: ", 0, head) + 16
        length = int(self._data[at : self._data.find(b"\r", at)])
        if len(self._data) < head + 4 + length:
            return
        now, status = time.perf_counter(), int(self._data[9:12])
        self._data = b""
        self._seen.statuses[status] += 1
        if status == 200:
            self._seen.seconds.append(now - self._start)
        if now < self._until:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        """Count it if it broke."""
        self._seen.broken += error is not None
        if not self.done.done():
            self.done.set_result(None)


def worked(process: int) -> float:
    """Return the seconds of a core that a process has used, 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def load(port: int, request: bytes, connections: int, seconds: float) -> Seen:
    """Ask for so many seconds, on so many connections."""
    seen, start = Seen(), time.perf_counter()
    loop = asyncio.get_running_loop()
    until = start + seconds
    askers = []
    for _ in range(connections):
        _, asker = await loop.create_connection(
            lambda: Asker(request, seen, until), "127.0.0.1", port
        )
        askers.append(asker.done)
    await asyncio.gather(*askers)
    seen.wall = time.perf_counter() - start
    return seen


def prepare(folder: Path) -> bytes:
    """Train the network, and return a request for it."""
    from retrograd import train

    draw = np.random.default_rng(0)
    table: dict[str, object] = {
        f"x{i}": draw.standard_normal(ROWS).round(4) for i in range(COLUMNS)
    }
    table["y"] = np.where(table["x0"] + table["x1"] > 0, "yes", "no")  # type: ignore[operator]
    run = train(table, "y", epochs=2, directory=str(folder))
    (folder / "model.retro").write_bytes((run.directory / "model.retro").read_bytes())
    row = {f"x{i}": float(table[f"x{i}"][0]) for i in range(COLUMNS)}  # type: ignore[index]
    body = json.dumps(row).encode()
    head = "POST /predict HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
    return head.encode() + f"content-length: {len(body)}\r\n\r\n".encode() + body


def main(seconds: float) -> int:
    """Print the table; 0 if the server lived through it and lost nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        request = prepare(folder)
        command = [
            sys.executable,
            "-m",
            "retrograd",
            "serve",
            "m=model.retro",
            "--port",
            "0",
            "--json",
        ]
        command += ["--max-at-once", str(AT_ONCE)]
        with (folder / "log").open("w") as log:
            server = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=log,
                                      env=os.environ)  # fmt: skip
        assert server.stdout is not None
        port = int(json.loads(server.stdout.readline())["address"].rpartition(":")[2])
        heads = "connections | answers a second | median ms | p99 ms | shed a second | lost"
        print(f"| {heads} | server's us |")
        print("|---|---|---|---|---|---|---|")
        lost = 0
        crowd = 10 * AT_ONCE
        loads = {"1": 1, f"{CONNECTIONS}": CONNECTIONS, f"{crowd}, 10x": crowd, "16 again": 16}
        for label, connections in loads.items():
            before = worked(server.pid)
            seen = asyncio.run(load(port, request, connections, seconds))
            seen.work = worked(server.pid) - before
            lost += seen.broken + sum(n for s, n in seen.statuses.items() if s not in (200, 503))
            print(seen.line(label), flush=True)
        server.send_signal(signal.SIGTERM)
        code = server.wait()
        server.stdout.close()
        return 1 if code or lost else 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))
