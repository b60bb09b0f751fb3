"""What a server is told once, before it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from retrograd.tensor.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much one request, one connection and all of them together may take.

    body: bytes of a request.  rows: of a request.  at_once: requests being answered; more are told
    to come back later.  connections: open sockets; beyond it the longest idle ones are closed.
    header_seconds, body_seconds: until a request has been sent.  idle_seconds: a connection is kept
    between requests.  ending_seconds: requests are given to end in when the server stops.
    """

    body: int = 16 * 2**20
    rows: int = 10_000
    at_once: int = 128
    connections: int = 2048
    header_seconds: float = 10.0
    body_seconds: float = 20.0
    idle_seconds: int = 60
    ending_seconds: int = 20

    def __post_init__(self) -> None:
        """Refuse a limit that nothing could pass."""
        for name, value in vars(self).items():
            if not value > 0:
                asked = f"serving with the limit {name}={value}"
                raise InputError(asked, "no request could pass it", "give a number above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Where a server listens, what it waits for, and who may ask.

    window: seconds that a row waits for others to be predicted with; 0 takes what has arrived.
    token: what requests must bear, or nothing.  reload_seconds: between looks at the models' files.
    logs_requests: whether each request is a line of the log.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    window: float = 0.0
    token: str | None = field(default=None, repr=False)
    reload_seconds: float = 1.0
    logs_requests: bool = True
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Refuse what no server can do."""
        if not 0 <= self.port < 65536:
            found = "ports are numbers from 0 to 65535"
            raise InputError(f"serving on port {self.port}", found, "try 8000")
        if not 0 <= self.window <= 1:
            found = "a row may wait from 0 to 1 second for others"
            raise InputError(f"serving with window={self.window:g}", found, "try 0.002")
        if self.token is not None and not (
            self.token.isascii()
            and self.token.isprintable()
            and len(self.token) >= 8
            and " " not in self.token
        ):
            found = "it needs 8 or more ASCII letters, digits or signs without blanks"
            raise InputError("serving with this token", found, "make one: openssl rand -hex 24")
