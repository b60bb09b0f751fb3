"""What is looked at and not asked: pages, health, metadata, the OpenAPI document and the counts."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib import resources
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from retrograd import __version__
from retrograd.serve import openapi, protocol
from retrograd.serve.asking import no_model
from retrograd.serve.batching import Batcher
from retrograd.serve.metrics import Metrics
from retrograd.serve.refusal import RefusedError, Reply, reply
from retrograd.serve.settings import Settings
from retrograd.serve.shelf import Shelf

_TEXT = b"text/plain; version=1.0.0; charset=utf-8; escaping=underscores"


class Pages:
    """Answers everything that takes no rows; `is_ending` once the server was told to stop."""

    def __init__(self, shelf: Shelf, settings: Settings, metrics: Metrics) -> None:
        """Show these models and counts."""
        self._shelf, self._settings, self._metrics = shelf, settings, metrics
        self.is_ending = False
        model, version = "/models/{name}", "/versions/{version}"
        ways = {
            "/": self._form, "/docs": self._docs, "/openapi.json": self._openapi,
            "/metrics": self._counts, "/healthz": self._live, "/readyz": self._ready,
            "/models": self._models, model: self._model, model + version: self._model,
            "/v2": self._server, "/v2/health/live": self._live, "/v2/health/ready": self._ready,
            "/v2" + model: self._metadata, "/v2" + model + version: self._metadata,
            f"/v2{model}/ready": self._model_ready,
            f"/v2{model}{version}/ready": self._model_ready,
        }  # fmt: skip
        routes = [Route(path, way, methods=["GET"]) for path, way in ways.items()]
        self._router = Router(routes, redirect_slashes=False)
        self._form_page, self._docs_page = _page("form.html"), _page("docs.html")

    async def answer(self, scope: Any) -> tuple[str, Reply]:
        """Return the label and the answer; raises RefusedError for other paths and methods."""
        scope["app"] = self  # the router then raises what it refuses, instead of answering in text
        sent: dict[str, Any] = {}

        async def keep(message: Any) -> None:
            sent[message["type"]] = message

        async def nothing() -> Any:
            return {"type": "http.disconnect"}

        try:
            await self._router(scope, nothing, keep)
        except HTTPException as error:
            raise _refusal(error) from None
        head, body = sent["http.response.start"], sent["http.response.body"]
        own = (b"content-type", b"content-length")
        headers = dict(head["headers"])
        others = [(name, value) for name, value in headers.items() if name not in own]
        found = Reply(body["body"], head["status"], headers[b"content-type"], others)
        return scope["route"].path, found

    async def _form(self, request: Request) -> Response:
        return self._form_page

    async def _docs(self, request: Request) -> Response:
        return self._docs_page

    async def _openapi(self, request: Request) -> Response:
        limits, has_token = self._settings.limits, self._settings.token is not None
        return _response(reply(openapi.document(self._shelf, limits, has_token=has_token)))

    async def _counts(self, request: Request) -> Response:
        return _response(Reply(self._metrics.text(self._shelf), 200, _TEXT))

    async def _live(self, request: Request) -> Response:
        return _response(reply({"live": True}))

    async def _ready(self, request: Request) -> Response:
        if self.is_ending:
            raise _ending()
        return _response(reply({"ready": True}))

    async def _server(self, request: Request) -> Response:
        told = {"name": protocol.PLATFORM, "version": __version__, "extensions": []}
        return _response(reply(told))

    async def _models(self, request: Request) -> Response:
        found = [self._told(each) for each in map(self._shelf.find, self._shelf.models) if each]
        return _response(reply({"models": found}))

    async def _model(self, request: Request) -> Response:
        return _response(reply(self._told(self._batcher(request))))

    async def _metadata(self, request: Request) -> Response:
        served = self._batcher(request).served
        return _response(reply(protocol.metadata(served, list(self._shelf.models[served.name]))))

    async def _model_ready(self, request: Request) -> Response:
        served = self._batcher(request).served
        if self.is_ending:
            raise _ending()
        return _response(reply({"name": served.name, "ready": True}))

    def _batcher(self, request: Request) -> Batcher:
        name, version = request.path_params["name"], request.path_params.get("version")
        found = self._shelf.find(name, version)
        if found is None:
            raise _starlette(no_model(self._shelf, name, version))
        return found

    def _told(self, batcher: Batcher) -> dict[str, Any]:
        """Return what people and pages want to know of a model."""
        served = batcher.served
        return {
            "name": served.name,
            "version": served.version,
            "versions": list(self._shelf.models[served.name]),
            "target": served.target,
            "task": served.model.schema.task.value,
            "classes": list(served.classes),
            "columns": served.encoder.columns(),
            "metrics": {
                k: v for k, v in served.model.metrics.items() if v == v and abs(v) < float("inf")
            },
            "parameters": served.model.parameters,
            "loaded": served.loaded,
            "fault": self._shelf.faults.get((served.name, served.version)),
        }


def _ending() -> HTTPException:
    return _starlette(RefusedError(503, "the server is stopping", headers=[(b"retry-after", b"5")]))


def _starlette(refusal: RefusedError) -> HTTPException:
    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return HTTPException(refusal.status, refusal.error, headers)


def _refusal(error: HTTPException) -> RefusedError:
    given = error.headers or {}
    headers = [(name.lower().encode(), _in_order(value).encode()) for name, value in given.items()]
    words = {"Not Found": "there is no such address; look at /docs",
             "Method Not Allowed": "this address is only looked at, with GET"}  # fmt: skip
    return RefusedError(error.status_code, words.get(error.detail, error.detail), headers=headers)


def _in_order(value: str) -> str:
    """Return the words of a header in order: Starlette's lists of methods come in any."""
    return ", ".join(sorted(value.split(", ")))


def _response(found: Reply) -> Response:
    return Response(found.body, found.status, media_type=found.kind.decode())


def _page(name: str) -> Response:
    """Return a page that may run its own script, ask its own server, and nothing else."""
    text = (resources.files("retrograd.serve") / "pages" / name).read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()) for each in scripts]
    own = " ".join(f"'sha256-{digest.decode()}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src {own}; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"content-security-policy": policy, "referrer-policy": "no-referrer"}
    return Response(text, headers=headers, media_type="text/html")
