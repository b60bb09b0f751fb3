"""RETROGRAD_DEBUG=nan names the operation, the layer and the line of the first bad number."""

import sys
from pathlib import Path

import numpy as np
import pytest

from retrograd import nn, ops, optim
from retrograd.autodiff import value_and_grad
from retrograd.compile import Resident, compile
from retrograd.compile.debugging import evaluate, explain, find_origin, trace_places
from retrograd.data import Batch
from retrograd.optim import Optimizer, sgd
from retrograd.tensor.errors import NonFiniteError
from retrograd.tensor.tensor import Tensor, tensor
from retrograd.train.batch import as_tensors
from retrograd.train.fit import fit
from retrograd.train.step import initial_state, make_step

HERE = Path(__file__).name


@pytest.fixture(autouse=True, params=["native", "numpy"])
def debug(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setenv("RETROGRAD_DEBUG", "nan")
    monkeypatch.setenv("RETROGRAD_BACKEND", request.param)


def line() -> int:
    """The line that this was called from."""
    return sys._getframe(1).f_lineno


def said(function, *arguments) -> str:
    with pytest.raises(NonFiniteError) as caught:
        compile(function)(*arguments)
    return str(caught.value)


def test_the_operation_its_operands_and_its_line() -> None:
    def function(x: Tensor) -> Tensor:
        y = x - 3.0
        z = ops.log(y)
        return z * 2.0

    bad = line() - 3
    message = said(function, tensor([4.0, 2.0]))
    assert message.startswith(
        "running a compiled function: the forward pass got nan from log of -1 at [1], applied in "
    )
    assert f"{HERE}:{bad}; look at what that line is given" in message


def test_nothing_is_said_when_all_is_finite(capfd: pytest.CaptureFixture[str]) -> None:
    assert compile(lambda x: ops.log(x) * 2.0)(tensor([1.0])).numpy().tolist() == [0.0]
    hidden = compile(lambda x: ops.where(x > 0, ops.log(x), 0.0 * x))  # never reaches the answer
    assert hidden(tensor([-1.0])).numpy().tolist() == [-0.0]
    assert capfd.readouterr() == ("", "")


def test_off_there_is_no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETROGRAD_DEBUG", "1")
    assert np.isnan(compile(ops.log)(tensor([-1.0])).numpy()).all()


def test_an_argument_that_was_bad_is_named() -> None:
    message = said(lambda state, x: {"y": ops.exp(x["rows"]) + state}, tensor(1.0),
                   {"rows": tensor([0.0, np.nan])})  # fmt: skip
    assert "running a compiled function: 1.rows[1] is nan; " in message
    assert "0[1] is inf" in said(lambda x: x * 2.0, tensor([0.0, np.inf]))


def test_a_mask_of_infinities_is_not_blamed() -> None:
    mask = tensor([0.0, -np.inf, 0.0])

    def masked(x: Tensor) -> Tensor:
        scores = ops.where(mask < 0, mask, x)
        return scores + ops.log(ops.sum(x * 0.0))

    def given(x: Tensor, mask: Tensor) -> Tensor:
        return nn.softmax(x + mask) + ops.log(ops.sum(x * 0.0))

    assert compile(lambda x: nn.softmax(x + mask))(tensor([1.0, 2.0, 3.0])).shape == (3,)
    assert "got -inf from log of 0" in said(masked, tensor([1.0, 2.0, 3.0]))
    assert "got -inf from log of 0" in said(given, tensor([1.0, 2.0, 3.0]), mask)
    lost = tensor([-np.inf] * 3)
    assert "got nan from subtract of -inf and -inf" in said(
        lambda x: x + lost - ops.max(x + lost), tensor([1.0, 2.0, 3.0])
    )


def test_an_answer_called_like_an_infinite_argument_is_looked_at() -> None:
    assert "0[0] is inf" in said(lambda x, y: (x + y, y), tensor([np.inf]), tensor([1.0]))


def test_what_is_shown_are_the_numbers_of_the_run() -> None:
    message = said(lambda x, y, mask: ops.maximum(x + mask, y) + ops.log(y), tensor([1.0, 2.0]),
                   tensor([0.0, 0.0]), tensor([0.0, -np.inf]))  # fmt: skip
    assert "got -inf from log of 0 at [0], applied" in message


def test_a_gradient_has_the_line_of_its_op() -> None:
    def loss(params: dict[str, Tensor]) -> Tensor:
        return ops.sum(ops.sqrt(params["scale"] * 0.0))

    bad = line() - 2
    message = said(value_and_grad(loss), {"scale": tensor([1.0, 2.0])})
    assert "the backward pass got inf from divide of " in message
    assert "in layer 'scale', applied in " in message
    assert f"{HERE}:{bad};" in message


def test_only_the_native_program_shows_it_is_said() -> None:
    traced = trace_places(lambda x: {"y": x + 1.0}, tensor([1.0]))
    assert explain(traced, [np.float32([1.0])], [np.float32([2.0])]) is None
    assert explain(traced, [np.float32([1.0])], [np.float32([np.nan])]) == (
        "its answer 'y' is not finite, but is so in NumPy: only the native program shows it"
    )


def small(*functions, optimizer: Optimizer):
    layers = (nn.Linear.init(ops.key(0), 3, 4), *functions, nn.Linear.init(ops.key(1), 4, 1))
    net = nn.Sequential(layers)
    return (
        make_step(net, nn.mean_squared_error, optimizer),
        initial_state(net, optimizer, ops.key(2)),
    )


def rows(scale: float = 1.0) -> Batch:
    inputs = (scale * np.random.default_rng(0).normal(size=(6, 3))).astype(np.float32)
    return Batch(inputs, inputs[:, :1].copy())


def test_a_resident_step_stops_and_keeps_the_state_before() -> None:
    step, state = small(ops.exp, optimizer=sgd(0.01))
    kept = Resident(step, state, as_tensors(rows()))
    kept.step(as_tensors(rows()))
    before = {name: x.numpy().copy() for name, x in kept.state.params.items()}
    with pytest.raises(NonFiniteError) as caught:
        kept.step(as_tensors(rows(1e4)))
    message = str(caught.value)
    assert message.startswith("taking a compiled step: the forward pass got inf from exp of ")
    assert "in layer 'layers.0', applied in retrograd/nn/" in message  # a container called it
    for name, x in kept.state.params.items():
        assert (x.numpy() == before[name]).all()
    assert int(kept.state.step.numpy()) == 1


def test_resident_steps_agree_with_unchecked_ones() -> None:
    step, state = small(nn.relu, optimizer=optim.adam(0.01))
    stacked = as_tensors(Batch(*(np.stack([x] * 3) for x in (rows().inputs, rows().targets))))
    batch = as_tensors(rows())
    checked, plain = (Resident(step, state, batch, is_checked=x) for x in (None, False))
    found = [kept.run(stacked)["loss"].numpy() for kept in (checked, plain, checked.twin())]
    assert (found[0] == found[1]).all()
    assert found[2].shape == (3,)
    assert (checked.machine is None) == (plain.machine is None)
    assert checked.memory == plain.memory


def test_an_optimizer_may_keep_an_infinity() -> None:
    idle = Optimizer(lambda params: {"best": tensor(np.inf)}, lambda g, s, p: (dict(p), s))
    step, state = small(optimizer=idle)
    Resident(step, state, as_tensors(rows())).step(as_tensors(rows()))


def test_training_names_rows_as_well() -> None:
    step, state = small(ops.exp, optimizer=sgd(0.01))
    with pytest.raises(NonFiniteError, match=r"training, step 1 .* in row 0 of .*applied in"):
        list(fit(step, state, lambda epoch: [rows(1e4)], epochs=1))


def test_an_origin_is_none_where_all_is_finite() -> None:
    traced = trace_places(ops.exp, tensor([1.0]))
    assert find_origin(evaluate(traced, [np.float32([1.0])])) is None
