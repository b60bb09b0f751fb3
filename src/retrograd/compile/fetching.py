"""Fetching: memory is asked for what a tile's epilogue will read, while the tile is summed."""

from __future__ import annotations

from retrograd.compile.contraction_epilogue import Prelude
from retrograd.compile.emitter import Emitter
from retrograd.compile.expressions import loads_in
from retrograd.compile.graph import Graph
from retrograd.compile.kernels import Kernel
from retrograd.compile.products import ProductPlan, flat, strides
from retrograd.compile.values import BYTES, Integer


def tile_lines(emitter: Emitter, graph: Graph, kernel: Kernel, plan: ProductPlan) -> Prelude | None:
    """Return what asks for the lines that an epilogue reads, or None if it reads few.

    An optimiser's update reads three more matrices where the gradient is made; they lie in rows
    far apart, which the hardware does not foresee.
    """
    text, moving = emitter.text, plan.row
    loads = {
        load.source: load
        for output in kernel.outputs
        for load in loads_in(output.element)
        if load.index == kernel.variables
    }
    if len(loads) < 2 or moving is None:
        return None

    def fetch(row: Integer, column: Integer, height: int, width: int) -> None:
        for source, load in loads.items():
            with emitter.scope({plan.column: column, moving: row}):
                start = emitter.place(source, flat(emitter.interner, graph, load))
            size = BYTES[load.dtype]
            pitch = strides(emitter.buffers[source].shape)[-2] * size
            for down in range(height):
                text.prefetch(text.address(start, down * pitch), width * size)

    return fetch
