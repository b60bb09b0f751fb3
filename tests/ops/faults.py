"""Faulty ops, and the check of the battery that must find each.

They are families, so they stay out of the registry.
"""

from typing import Any

import numpy as np

from retrograd import ops
from retrograd.ops.arithmetic import Add, Divide, Multiply
from retrograd.ops.choice import Absolute, Maximum, Where
from retrograd.ops.comparison import Less
from retrograd.ops.contraction import Matmul
from retrograd.ops.curves import Erf, Sigmoid, Sin, Tanh
from retrograd.ops.exponential import Exp, Log, Power
from retrograd.ops.flow import Alias
from retrograd.ops.gathering import Gather, OneHot
from retrograd.ops.indexing import ScatterAdd, Take
from retrograd.ops.joining import Concatenate
from retrograd.ops.movement import BroadcastTo, Sum, Transpose
from retrograd.ops.reduction import LogSumExp, Max, Prod
from retrograd.ops.scanning import ArgMax, CumSum
from retrograd.ops.slicing import Pad, Slice
from retrograd.tensor.element import Cast, Loops, Store, call, constant, fold, loop
from retrograd.tensor.history import apply
from retrograd.tensor.op import Op
from retrograd.tensor.types import DType, TensorType


class WrongSign(Sin, family=True):
    def vjp(self, g, out, x):
        return (ops.negative(g * ops.cos(x)),)


class FactorSlightlyOff(Tanh, family=True):
    def vjp(self, g, out, x):
        return (g * (1.0 - out * out) * 1.0005,)


class ForgottenSum(BroadcastTo, family=True):
    def vjp(self, g, out, x):
        while g.rank > x.rank:
            g = g[0]
        for axis, n in enumerate(x.shape):
            g = ops.take(g, [0], axis) if n == 1 else g
        return (g,)


class TransposedOperand(Matmul, family=True):
    @classmethod
    def example(cls, draw):
        n, dtype = draw.integer(2, 3), draw.float_dtype()
        return Matmul.example(draw)._replace(
            op=cls(), inputs=(draw.array((n, n), dtype), draw.array((n, n), dtype))
        )

    def vjp(self, g, out, a, b):
        return g @ b, a.T @ g


class WrongAxis(Sum, family=True):
    def evaluate(self, x):
        return np.add.reduce(x, axis=tuple(x.ndim - 1 - axis for axis in self.axes))


class DroppedTerm(Multiply, family=True):
    def vjp(self, g, out, x, y):
        return g * y, None


class WrongSecondOrder(Exp, family=True):
    def vjp(self, g, out, x):
        return (g * ops.stop_gradient(out),)


class WrongSecondOrderInG(Absolute, family=True):
    def vjp(self, g, out, x):
        return (ops.stop_gradient(g) * ops.sign(x),)


class WrongLower(Add, family=True):
    def element(self, x, y):
        return x - y


class LowerReadsTheWrongPlace(Transpose, family=True):
    def lower(self, out, index, x):
        return x(*(index[axis] for axis in self.axes))


class LowerWithoutAbsolute(Sigmoid, family=True):
    def element(self, x):
        z = call("exp", call("negative", x))
        return constant(1, x.dtype) / (constant(1, x.dtype) + z)


class LowerOfWrongDtype(Less, family=True):
    def lower(self, out, index, x, y):
        return Cast(call("less", x(*index), y(*index)), DType.int32)


class WrongType(ArgMax, family=True):
    def evaluate(self, x):
        return np.argmax(x, self.axis).astype(np.int32)


class WrongShape(Sum, family=True):
    def result_type(self, x):
        return TensorType(x.shape[: x.rank - len(self.axes)], x.dtype)


class OffByOneSlice(Slice, family=True):
    def vjp(self, g, out, x):
        starts = tuple(
            start + 1 if start + 1 + (n - 1) * step < size else start
            for start, n, step, size in zip(
                self.starts, self.lengths, self.steps, x.shape, strict=True
            )
        )
        return (apply(Pad(x.shape, starts, self.steps), g),)


class PadForgetsItsValue(Pad, family=True):
    def lower(self, out, index, x):
        return Pad(self.shape, self.starts, self.steps).lower(out, index, x)


class NoneWhereGradientFlows(Divide, family=True):
    def vjp(self, g, out, x, y):
        return None, ops.negative(g * out / y)


class GradientToIntegers(Take, family=True):
    def vjp(self, g, out, x, indices):
        return super().vjp(g, out, x, indices)[0], indices


class DowncastInValue(Log, family=True):
    def evaluate(self, x):
        return np.log(x.astype(np.float32)).astype(x.dtype)


class DowncastOfGradient(Erf, family=True):
    def vjp(self, g, out, x):
        slope = ops.exp(-x * x) * (2 / np.sqrt(np.pi))
        return (ops.cast(ops.cast(g * slope, DType.float32), DType.float64),)


class BadOneHot(OneHot, family=True):
    def evaluate(self, labels):
        return np.equal(labels[..., None] + 1, np.arange(self.depth)).astype(self.dtype.numpy)


class ScatterWithoutAccumulation(ScatterAdd, family=True):
    def lower(self, out, index, indices, updates):
        def body(*i):
            end = self.axis + indices.type.rank
            place = (*i[: self.axis], indices(*i[self.axis : end]), *i[end:])
            return (Store(place, updates(*i)),)

        return Loops(constant(0, out.dtype), (loop(updates.type.shape, body),))


class TakeWithoutAccumulation(Take, family=True):
    def vjp(self, g, out, x, indices):
        found = np.zeros(x.shape, x.dtype.numpy)
        place: list[Any] = [slice(None)] * x.rank
        place[self.axis] = indices.numpy()
        found[tuple(place)] = g.numpy()
        return ops.zeros_like(x) + found, None


class GatherFromTheWrongRow(Gather, family=True):
    def lower(self, out, index, x, indices):
        number = indices(*(constant(0) for _ in index))
        return x(*index[: self.axis], number, *index[self.axis + 1 :])


class MaxToTheFirst(Max, family=True):
    def vjp(self, g, out, x):
        return (ops.zeros_like(x),)


class ProdByAdding(Prod, family=True):
    def lower(self, out, index, x):
        return self.fold("add", index, x, lambda e: e)


class LogSumExpOverflows(LogSumExp, family=True):
    def vjp(self, g, out, x):
        return (ops.broadcast_to(ops.reshape(g, self.kept(x)), x.shape) * ops.exp(x),)

    def kept(self, x):
        return tuple(1 if axis in self.axes else n for axis, n in enumerate(x.shape))


class CumSumTheSameWay(CumSum, family=True):
    def vjp(self, g, out, x):
        return (ops.cumsum(g, self.axis, reverse=self.reverse),)


class SwappedConcatenation(Concatenate, family=True):
    def vjp(self, g, out, *inputs):
        return super().vjp(ops.flip(g, self.axis), out, *inputs)


class WhereBothSides(Where, family=True):
    def vjp(self, g, out, condition, x, y):
        return None, g, g


class MaximumToX(Maximum, family=True):
    def vjp(self, g, out, x, y):
        return g, ops.zeros_like(g)


class PowerWithoutLog(Power, family=True):
    def vjp(self, g, out, x, y):
        return g * y * ops.power(x, y - 1.0), g * out


class ChangesItsInput(Alias, family=True):
    def evaluate(self, x):
        x += 1
        return x


class AsksForNumbers(Alias, family=True):
    def vjp(self, g, out, x):
        return (g if x.numpy().sum() < 1e9 else None,)


class InnerFoldForgotten(Matmul, family=True):
    def lower(self, out, index, a, b):
        *lead, i, j = index
        return fold("add", (1,), lambda k: a(*lead, i, k) * b(*lead, k, j))


FAULTS: dict[type[Op], str] = {
    WrongSign: "vjp",
    FactorSlightlyOff: "vjp",
    ForgottenSum: "vjp",
    TransposedOperand: "vjp",
    WrongAxis: "vjp",
    DroppedTerm: "vjp",
    WrongSecondOrder: "second_order",
    WrongSecondOrderInG: "second_order",
    WrongLower: "lower",
    LowerReadsTheWrongPlace: "lower",
    LowerWithoutAbsolute: "special_values",
    LowerOfWrongDtype: "lower",
    WrongType: "type",
    WrongShape: "type",
    OffByOneSlice: "vjp",
    PadForgetsItsValue: "lower",
    NoneWhereGradientFlows: "vjp",
    GradientToIntegers: "gradient_types",
    DowncastInValue: "vjp",
    DowncastOfGradient: "vjp",
    BadOneHot: "lower",
    ScatterWithoutAccumulation: "lower",
    TakeWithoutAccumulation: "vjp",
    GatherFromTheWrongRow: "lower",
    MaxToTheFirst: "vjp",
    ProdByAdding: "lower",
    LogSumExpOverflows: "vjp",
    CumSumTheSameWay: "vjp",
    SwappedConcatenation: "vjp",
    WhereBothSides: "vjp",
    MaximumToX: "vjp",
    PowerWithoutLog: "vjp",
    ChangesItsInput: "type",
    AsksForNumbers: "gradient_types",
    InnerFoldForgotten: "lower",
}
