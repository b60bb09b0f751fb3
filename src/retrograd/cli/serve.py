"""``retrograd serve``: trained networks answer over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from retrograd.cli.output import Output

if TYPE_CHECKING:
    from retrograd.serve.shelf import Shelf

_OUTPUT = Output()
_LIMITS = Group.create_ordered("Limits")
_TOKEN = "RETROGRAD_TOKEN"


def serve(
    models: Annotated[tuple[str, ...], Parameter(negative="")],
    /,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: Path | None = None,
    window: float = 0.0,
    log_requests: bool = True,
    max_body: Annotated[int, Parameter(group=_LIMITS)] = 16 * 2**20,
    max_rows: Annotated[int, Parameter(group=_LIMITS)] = 10_000,
    max_at_once: Annotated[int, Parameter(group=_LIMITS)] = 128,
    max_connections: Annotated[int, Parameter(group=_LIMITS)] = 2048,
    timeout: Annotated[float, Parameter(group=_LIMITS)] = 20.0,
    output: Output = _OUTPUT,
) -> None:
    """Answer requests for predictions, on a page for people and in JSON for programs.

    Args:
        models: Run directories or model.retro files, or NAME=path; a directory may hold versions.
        host: The address to listen on; 0.0.0.0 lets other machines ask.
        port: The port to listen on; 0 takes a free one.
        token_file: A file with the token that requests must bear; also read from RETROGRAD_TOKEN.
        window: Milliseconds that a row waits for others, to be predicted together.
        log_requests: Write a line of JSON for each request to standard error.
        max_body: Bytes that one request may send.
        max_rows: Rows that one request may send.
        max_at_once: Requests that are answered at once; others are told to come back.
        max_connections: Connections that may be open.
        timeout: Seconds in which a request must have been sent.
        output: How to print it.
    """
    from retrograd.serve.server import serve as run
    from retrograd.serve.settings import Limits, Settings

    settings = Settings(
        host=host,
        port=port,
        window=window / 1e3,
        token=_token(token_file),
        logs_requests=log_requests and not output.quiet,
        limits=Limits(
            body=max_body,
            rows=max_rows,
            at_once=max_at_once,
            connections=max_connections,
            header_seconds=min(timeout, 10.0),
            body_seconds=timeout,
        ),
    )
    run(models, settings, lambda address, shelf: _tell(address, shelf, output))


def _token(path: Path | None) -> str | None:
    """Return the token of a file or of the environment: arguments can be seen by other users."""
    from retrograd.tensor.errors import InputError
    from retrograd.train.files import read_file

    if path is None:
        return os.environ.get(_TOKEN) or None
    asked = f"reading the token in {str(path)!r}"
    try:
        return read_file(path, asked).decode("ascii").strip()
    except UnicodeDecodeError:
        found = "it holds more than ASCII letters"
        raise InputError(asked, found, "make one: openssl rand -hex 24") from None


def _tell(address: str, shelf: Shelf, output: Output) -> None:
    models = [
        {"name": each.served.name, "version": each.served.version, "target": each.served.target}
        for each in shelf
    ]
    lines = [
        f"{each['name']} (version {each['version']}) predicts {each['target']!r}" for each in models
    ]
    lines += [f"try a row: {address}", f"for programs: {address}/docs", "stop with Ctrl-C"]
    output.result({"address": address, "models": models}, lines)
    import sys

    sys.stdout.flush()
