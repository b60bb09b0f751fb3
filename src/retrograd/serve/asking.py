"""Requests that send rows: as JSON, as Arrow, or in the Open Inference Protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from retrograd.serve import arrow, protocol
from retrograd.serve.batching import Batcher
from retrograd.serve.body import Receive, check_head, read_body, read_json
from retrograd.serve.refusal import JSON, RefusedError, Reply, reply
from retrograd.serve.settings import Limits
from retrograd.serve.shelf import Shelf

ARROW: Final = b"application/vnd.apache.arrow.stream"


@dataclass(frozen=True)
class Asked:
    """What an address means: a label for counts, and the model, if there is one of that name."""

    route: str
    name: str
    version: str | None
    batcher: Batcher | None


class Asking:
    """Finds the model that an address names, and answers what is sent to it."""

    def __init__(self, shelf: Shelf, limits: Limits) -> None:
        """Answer for the models of a shelf."""
        self._shelf, self._limits = shelf, limits

    def find(self, path: str) -> Asked | None:
        """Return what an address that takes rows means, or None for other addresses.

        They are `/predict`, `/models/NAME/predict` and `/v2/models/NAME/infer`, the last two also
        with `/versions/VERSION` after the name.
        """
        if path == "/predict":
            name = self._shelf.first
            return Asked("predict", name, None, self._shelf.find(name))
        words = path.split("/")
        match words:
            case ["", "models", name, "predict"]:
                return self._asked("predict", name, None)
            case ["", "models", name, "versions", version, "predict"]:
                return self._asked("predict", name, version)
            case ["", "v2", "models", name, "infer"]:
                return self._asked("infer", name, None)
            case ["", "v2", "models", name, "versions", version, "infer"]:
                return self._asked("infer", name, version)
        return None

    def _asked(self, route: str, name: str, version: str | None) -> Asked:
        return Asked(route, name, version, self._shelf.find(name, version))

    async def answer(self, asked: Asked, scope: Any, receive: Receive) -> Reply:
        """Return the answer; raises RefusedError and RowError for what cannot be answered."""
        batcher, limits = asked.batcher, self._limits
        if batcher is None:
            raise no_model(self._shelf, asked.name, asked.version)
        if asked.route == "infer":
            check_head(scope["headers"], (JSON,), limits)
            return await protocol.infer(
                batcher, read_json(await read_body(receive, limits)), limits
            )
        kind = check_head(scope["headers"], (JSON, ARROW), limits)
        body = await read_body(receive, limits)
        if kind == ARROW:
            return Reply(await arrow.answer(batcher, body, limits), 200, ARROW)
        return await self.predict(asked, body)

    async def predict(self, asked: Asked, body: bytes) -> Reply:
        """Return the answer to rows in JSON; raises RefusedError and RowError."""
        if asked.batcher is None:
            raise no_model(self._shelf, asked.name, asked.version)
        return await _predict(asked.batcher, read_json(body), self._limits)


async def _predict(batcher: Batcher, value: Any, limits: Limits) -> Reply:
    """Return the answer to one row, or to a list of rows."""
    served = batcher.served
    told = {"model": served.name, "version": served.version, "target": served.target}
    if type(value) is not list:
        return reply({**told, **await batcher.answer(value)})
    if not value:
        raise RefusedError(422, "the list holds no rows; send at least one")
    require_few(len(value), limits)
    return reply({**told, "predictions": await batcher.answers(value)})


def require_few(rows: int, limits: Limits) -> None:
    """Refuse more rows than one request may send."""
    if rows > limits.rows:
        found = f"{rows:,} rows are more than the {limits.rows:,} that one request may send"
        raise RefusedError(422, f"{found}; send them in parts, or use `retrograd predict`")


def no_model(shelf: Shelf, name: str, version: str | None = None) -> RefusedError:
    """Return the refusal of a model or version that there is none of."""
    versions = shelf.models.get(name)
    if versions is None:
        have = ", ".join(shelf.models)
        return RefusedError(404, f"no model is called {name[:64]!r}; there are: {have}")
    have = ", ".join(versions)
    return RefusedError(404, f"{name!r} has no version {str(version)[:64]!r}; there are: {have}")
