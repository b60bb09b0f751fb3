"""Layers that note what goes in and out of them, and otherwise do what they always do."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrograd import nn
from retrograd.autodiff import watch
from retrograd.nn.containers import is_layer
from retrograd.tensor.tensor import Tensor


@dataclass(frozen=True, eq=False)
class Trace:
    """What a recorded layer leaves behind while the pass runs."""

    path: str
    layer: Any
    x: Tensor
    y: Tensor
    state: Mapping[str, Tensor]
    key: Tensor | None


@dataclass(frozen=True, eq=False)
class Recorded:
    """A member of a container that does what it always does, and notes what went in and out."""

    path: str
    layer: Any
    traces: list[Trace]

    def __call__(self, x: Tensor) -> Tensor:
        """Pass the input on and note it."""
        entered = watch(x)
        y: Tensor = self.layer(entered)
        self.traces.append(Trace(self.path, self.layer, entered, y, {}, None))
        return y

    def apply(
        self, x: Tensor, state: dict[str, Tensor], key: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Pass the input on as training does, and note it."""
        if not is_layer(self.layer):
            return self(x), state
        # A name of its own: where a tensor goes two ways, each way has its own gradient.
        entered = watch(x)
        y, after = self.layer.apply(entered, state, key)
        self.traces.append(Trace(self.path, self.layer, entered, y, state, key))
        return y, after


def recorded(net: Any, traces: list[Trace], path: str = "") -> Any:
    """Return the network with every member of its containers recorded, or itself."""
    if isinstance(net, nn.Sequential):
        members = (
            recorded(member, traces, joined(path, f"layers.{i}"))
            for i, member in enumerate(net.layers)
        )
        return dataclasses.replace(net, layers=tuple(members))
    if isinstance(net, nn.Residual):
        inner = recorded(net.inner, traces, joined(path, "inner"))
        return Recorded(path, dataclasses.replace(net, inner=inner), traces)
    return Recorded(path, net, traces)


def joined(path: str, name: str) -> str:
    """Return the path of a part of what stands at ``path``."""
    return f"{path}.{name}" if path else name
