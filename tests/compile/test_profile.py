"""A profile counts exactly what a kernel does, and its times add up to no more than the step's."""

import importlib

import numpy as np
import pytest
from tests.agreeing import assert_agree

from retrograd import nn, ops, optim
from retrograd.autodiff import grad
from retrograd.compile import compile, native, pool
from retrograd.compile import limits as limits_module
from retrograd.compile.limits import Clock, Limits, measure
from retrograd.compile.profile import Profile, profile, profile_step
from retrograd.compile.trace import trace
from retrograd.data import Batch
from retrograd.tensor.errors import InputError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.tensor.types import Array
from retrograd.train.batch import as_tensors
from retrograd.train.step import initial_state, make_step

pytestmark = pytest.mark.skipif(native.can_compile() is not None, reason="no native code here")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """No measurement of the machine: its figures are not what is tested."""
    fixed = lambda threads: Limits(threads, 1e11, 1e10)  # noqa: E731
    monkeypatch.setattr(importlib.import_module("retrograd.compile.profile"), "measure", fixed)


def floats(*shape: int, dtype: str = "float32") -> Tensor:
    return tensor(np.random.default_rng(0).normal(size=shape).astype(dtype))


def profile_of(function, *inputs: Tensor) -> Profile:
    arrays: list[Array] = [x.numpy() for x in inputs]
    return profile(trace(function, *inputs), [arrays], runs=3, threads=1)


def test_a_dense_layer_is_counted_exactly() -> None:
    rows, inputs, outputs = 32, 48, 80
    found = profile_of(
        lambda x, w, b: x @ w + b, floats(rows, inputs), floats(inputs, outputs), floats(outputs)
    )
    (kernel,) = found.kernels
    assert kernel.kind == "product"
    assert kernel.work.flops == found.flops == 2 * rows * inputs * outputs + rows * outputs
    assert kernel.work.bytes_read == 4 * (rows * inputs + inputs * outputs + outputs)
    assert kernel.work.bytes_written == 4 * rows * outputs


def test_elementwise_operations_and_folds_are_counted_by_their_elements() -> None:
    (mapped,) = profile_of(lambda x: ops.exp(x) * x + 1.0, floats(20, 30)).kernels
    assert (mapped.kind, mapped.work) == ("map", (3 * 600, 2400, 2400))
    (row,) = profile_of(lambda x: ops.sum(x * x, 1), floats(20, 30)).kernels
    assert (row.kind, row.work) == ("fold", (2 * 600, 2400, 80))
    # What is the same for every row is counted once.
    found = profile_of(lambda x, y: x * (y + 1.0), floats(20, 30), floats(30))
    assert found.flops == 600 + 30
    (whole,) = profile_of(lambda x: ops.cast(x, "int64") + 1, floats(20, 30)).kernels
    assert whole.work.flops == 0


def test_few_reads_of_a_large_buffer_are_counted_as_they_are() -> None:
    (kernel,) = profile_of(lambda x: x[3] * 2.0, floats(1000, 8)).kernels
    assert kernel.work == (8, 32, 32)


def test_loops_have_their_kind() -> None:
    found = profile_of(
        lambda x, i: ops.scatter_add(ops.zeros((10, 4)), i, x),
        floats(6, 4),
        tensor([1, 2, 2, 0, 9, 1]),
    )
    assert "loops" in {kernel.kind for kernel in found.kernels}
    assert all(kernel.work.bytes_written > 0 for kernel in found.kernels)


def step_profile(threads: int, dtype: str = "float32") -> Profile:
    key = ops.key(0)
    layers = (nn.Linear.init(key, 40, 64), nn.relu, nn.Linear.init(key, 64, 5))
    net, optimizer = nn.Sequential(layers), optim.adam(1e-3)
    state = initial_state(net, optimizer, key)
    data = np.random.default_rng(0)
    batches = [
        as_tensors(Batch(data.normal(size=(32, 40)).astype(dtype), data.integers(0, 5, 32)))
        for _ in range(3)
    ]
    step = make_step(net, nn.cross_entropy, optimizer)
    return profile_step(step, state, batches, runs=4, threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_parts_are_no_more_than_the_whole(threads: int) -> None:
    found = step_profile(threads)
    assert found.limits.threads == threads
    kernels = sum(kernel.seconds for kernel in found.kernels)
    assert 0 < kernels <= found.seconds * 1.1  # the clock is compared with the wall's now and then
    assert found.seconds <= found.median
    assert found.seconds_outside >= 0
    for kernel in found.kernels:
        assert 0 <= kernel.seconds <= kernel.median
        assert kernel.limit in ("arithmetic", "memory")
        assert kernel.share_of_peak >= 0
    products = 2 * 32 * (2 * 40 * 64 + 3 * 64 * 5)  # no gradient of the first inputs
    assert products < found.flops < 2 * products
    # The gradient's norm is added up in float64, which has half the peak.
    assert 1.0 <= found.share_of_peak / (found.flops / 1e11 / found.seconds) < 1.1


def test_every_layer_is_in_the_profile() -> None:
    labels = " ".join(kernel.label for kernel in step_profile(1).kernels)
    assert all(f"layers.{i} {phase}" in labels for i in (0, 2) for phase in ("forward", "backward"))


def test_float64_has_half_the_peak() -> None:
    (kernel,) = profile_of(lambda x: x * 2.0, floats(4, 5, dtype="float64")).kernels
    assert kernel.limits.flops == 5e10
    assert kernel.work == (20, 160, 160)


def test_what_cannot_be_profiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="profiling a step on batches: there is none; give at"):
        profile_step(lambda s, b: (s, {}), {}, [])
    with pytest.raises(InputError, match="0 runs were asked for"):
        profile_step(lambda s, b: (s, {}), {}, [tensor(1.0)], runs=0)
    monkeypatch.setattr(native, "can_compile", lambda: "no memory may be run")
    with pytest.raises(InputError, match="programs run in NumPy here: no memory may be run; prof"):
        profile_of(ops.exp, floats(2))
    with pytest.raises(InputError, match="measuring this machine: programs run in NumPy here"):
        measure.__wrapped__(1)


def test_limits_are_measured_with_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "SECONDS", 0.0)
    monkeypatch.setattr(limits_module, "COPIED", 2**16)
    for threads in (1, 2):
        found = measure.__wrapped__(threads)
        assert found.threads == threads
        assert found.flops > 1e8
        assert found.bytes > 1e6
    with pytest.raises(InputError, match="measuring 0 threads: there is no such number; give 1"):
        measure.__wrapped__(0)
    monkeypatch.setattr(pool, "start", lambda threads: 1)
    with pytest.raises(InputError, match="measuring 3 threads: the system does not start as many"):
        measure.__wrapped__(3)


def test_the_copy_reaches_every_element() -> None:
    assert limits_module.COPIED % (4 * 4 * 16) == 0


def test_a_tick_has_a_length() -> None:
    clock = Clock()
    assert 0 < clock.seconds_a_tick() < 1e-3


def test_a_dense_layer_of_a_leading_axis_is_a_product_there_and_back() -> None:
    """A reshape between rows and leading axes leaves plain strides, and so tiles."""

    def step(x: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
        def loss(weight: Tensor) -> Tensor:
            return ops.sum(ops.square(nn.relu(nn.Linear(weight)(x) * scale)))

        return grad(loss)(weight)

    rows = 32 * 8
    x, weight, scale = floats(32, 8, 48), floats(48, 80), floats(8, 80)
    found = [k for k in profile_of(step, x, weight, scale).kernels if k.kind == "product"]
    assert len(found) == 2
    assert sum(kernel.work.flops for kernel in found) >= 2 * 2 * rows * 48 * 80
    given = x, weight, scale
    assert_agree(compile(step)(*given).numpy(), step(*given).numpy(), scale=300.0)
