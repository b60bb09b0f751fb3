"""The server's life: an address is taken, models are loaded, requests answered, all in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from retrograd.serve.asking import Asking
from retrograd.serve.connections import Doorkeeper
from retrograd.serve.gate import Gate
from retrograd.serve.journal import Journal, JournalHandler
from retrograd.serve.metrics import Metrics
from retrograd.serve.routes import Pages
from retrograd.serve.settings import Limits, Settings
from retrograd.serve.shelf import Shelf, parse_sources
from retrograd.serve.wire import Wire
from retrograd.tensor.errors import InputError

_SPARE = 64  # descriptors that are no connections: files, the log, those of libraries
_HEAD_BYTES = 32_768
Ready = Callable[[str, Shelf], None]


def serve(models: Sequence[str], settings: Settings, ready: Ready) -> None:
    """Serve models until SIGTERM or Ctrl-C; what was asked by then is answered first.

    models: paths of runs or model files, or NAME=path; a directory may hold several versions.
    ready: told the address and the models once they are loaded, before the first request.

    Raises InputError for an address that cannot be taken or a model that is none, FileFormatError
    for a damaged one.
    """
    sources = parse_sources(models)
    with listening(settings.host, settings.port) as listener:
        journal = Journal(sys.stderr)
        handler = JournalHandler(journal)
        loggers = [logging.getLogger(name) for name in ("uvicorn.error", "asyncio")]
        try:
            for logger in loggers:
                logger.addHandler(handler)
                logger.propagate = False
            shelf = Shelf(sources, settings.window, journal.tell)
            ready(address_of(listener, settings.host), shelf)
            asyncio.run(_run(listener, shelf, settings, journal))
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
                logger.propagate = True
            journal.close()


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """Give a socket that has the address, and is closed afterwards; raises InputError."""
    asked = f"serving on {host}:{port}"
    try:
        family, kind, number, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        found = "there is no such address"
        raise InputError(asked, found, "try --host 127.0.0.1") from None
    with socket.socket(family, kind, number) as listener:
        if sys.platform != "win32":  # there it would let two servers have one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen(1024)
        except OSError as error:
            raise _refused(asked, port, error) from None
        listener.setblocking(False)
        yield listener


def _refused(asked: str, port: int, error: OSError) -> InputError:
    if error.errno == errno.EADDRINUSE:
        found = "another program has this port"
        return InputError(asked, found, f"stop it, or take another: --port {port % 65535 + 1}")
    if error.errno == errno.EACCES:
        return InputError(asked, "ports below 1024 are for the system", "try --port 8000")
    found = error.strerror or "the system refused it"
    return InputError(asked, found, "try --host 127.0.0.1 --port 8000")


def address_of(listener: socket.socket, host: str) -> str:
    """Return the address of a listening socket, as browsers take it."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open_files(wanted: int) -> int:
    """Return how many connections the system's limit on open files leaves, after raising it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = wanted + _SPARE
    if soft != resource.RLIM_INFINITY and soft < enough:
        raised = enough if hard == resource.RLIM_INFINITY else min(enough, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        return max(16, min(wanted, soft - _SPARE))
    return wanted


async def _run(listener: socket.socket, shelf: Shelf, settings: Settings, journal: Journal) -> None:
    """Answer until a signal comes."""
    limits = settings.limits
    room = _open_files(limits.connections)
    metrics = Metrics()
    doorkeeper = Doorkeeper(Limits(**{**vars(limits), "connections": room}), metrics)
    pages = Pages(shelf, settings, metrics)
    gate = Gate(Asking(shelf, limits), pages, settings, metrics, journal)
    protocol: Any = functools.partial(Wire, doorkeeper, gate)
    config = uvicorn.Config(
        gate,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=limits.idle_seconds,
        timeout_graceful_shutdown=limits.ending_seconds,
        h11_max_incomplete_event_size=_HEAD_BYTES,
    )
    server = _Server(config, pages)
    tasks = [
        asyncio.create_task(doorkeeper.sweep_on()),
        asyncio.create_task(shelf.watch(settings.reload_seconds)),
    ]
    journal.tell("started", models=list(shelf.models), connections=room)
    try:
        await server.serve([listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        journal.tell("stopped", requests=sum(metrics.requests.values()))


class _Server(uvicorn.Server):
    """uvicorn's server, which ends with 0 after SIGTERM and Ctrl-C: it was told to."""

    def __init__(self, config: uvicorn.Config, pages: Pages) -> None:
        super().__init__(config)
        self._pages = pages

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order at the first signal, at once at the second."""
        before = {}

        def note(number: int, frame: Any) -> None:
            self.force_exit = self.should_exit
            self.should_exit = True

        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not the main thread: whoever runs us stops us
                before[number] = signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what was sent, close."""
        self._pages.is_ending = True
        for server in self.servers:
            server.close()
        await asyncio.sleep(0.1)  # requests that were on their way are read now
        await super().shutdown(sockets)
