"""Requests that send rows: as JSON, as Arrow, or in the Open Inference Protocol."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from retrograd.serve import arrow, protocol
from retrograd.serve.batching import Batcher
from retrograd.serve.body import Receive, check_head, read_body, read_json
from retrograd.serve.refusal import JSON, RefusedError, Reply, reply
from retrograd.serve.settings import Limits
from retrograd.serve.shelf import Shelf
from retrograd.tensor.errors import InputError

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
        coverage = _coverage(scope["query_string"])
        body = await read_body(receive, limits)
        if kind == ARROW:
            return Reply(await arrow.answer(batcher, body, limits, coverage), 200, ARROW)
        return await self.predict(asked, body, coverage)

    async def predict(self, asked: Asked, body: bytes, coverage: float | None = None) -> Reply:
        """Return the answer to rows in JSON; raises RefusedError and RowError."""
        if asked.batcher is None:
            raise no_model(self._shelf, asked.name, asked.version)
        try:
            return await _predict(asked.batcher, read_json(body), self._limits, coverage)
        except InputError as error:
            raise RefusedError(422, str(error)) from None


def _coverage(query: bytes) -> float | None:
    """Return how often an interval or a set shall hold the truth, if that is asked."""
    given = parse_qs(query.decode("latin-1"), keep_blank_values=True).get("coverage")
    if given is None:
        return None
    if len(given) == 1 and re.fullmatch(r"[0-9]*\.?[0-9]+(?:[eE]-?[0-9]+)?", given[0], re.ASCII):
        return float(given[0])
    raise RefusedError(422, "the coverage is no number; give one such as 0.9", field="coverage")


async def _predict(batcher: Batcher, value: Any, limits: Limits, coverage: float | None) -> Reply:
    """Return the answer to one row, or to a list of rows."""
    served = batcher.served
    told = {"model": served.name, "version": served.version, "target": served.target}
    if type(value) is not list:
        answer = await batcher.answer(value)
        return reply(
            {**told, **(served.surer(answer, coverage) if coverage is not None else answer)}
        )
    if not value:
        raise RefusedError(422, "the list holds no rows; send at least one")
    require_few(len(value), limits)
    answers = await batcher.answers(value)
    if coverage is not None:
        answers = [served.surer(answer, coverage) for answer in answers]
    return reply({**told, "predictions": answers})


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
