"""PyTorch.

Forms of training: "eager", modules, autograd and the fused optimizer; "compile", the whole step
with gradient and update as one compiled function; "compile loss", forward and loss compiled and the
fused optimizer.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as everyone names it
from torch import nn

from benchmarks.clock import Run, checksum
from benchmarks.workloads import ADAM, Task, Workload


def network(task: Task) -> nn.Sequential:
    """Return the network with the first weights."""
    layers: list[nn.Module] = []
    for i, (weight, bias) in enumerate(task.weights):
        layer = nn.Linear(*weight.shape)
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weight.T))
            layer.bias.copy_(torch.from_numpy(bias))
        layers.append(layer)
        if i < len(task.weights) - 1:
            layers.append(nn.ReLU())
            layers += [nn.Dropout(task.work.dropout)] if task.work.dropout else []
    return nn.Sequential(*layers)


def loss_of(work: Workload) -> Callable[..., Any]:
    """Return the loss."""
    return F.binary_cross_entropy_with_logits if work.loss == "binary" else F.cross_entropy


def optimizer_of(work: Workload, params: Any) -> Any:
    """Return the fused optimizer."""
    given = work.settings
    if work.optimizer == "momentum":
        rate, momentum = given["learning_rate"], given["momentum"]
        return torch.optim.SGD(params, lr=rate, momentum=momentum, fused=True)
    betas = (given["beta1"], given["beta2"])
    return torch.optim.Adam(
        params, lr=given["learning_rate"], betas=betas, eps=given["epsilon"], fused=True
    )


def adam(p: Any, g: Any, m: Any, v: Any, first: Any, second: Any) -> None:
    """Move one parameter in place, the corrections given."""
    m.mul_(ADAM["beta1"]).add_(g, alpha=1 - ADAM["beta1"])
    v.mul_(ADAM["beta2"]).addcmul_(g, g, value=1 - ADAM["beta2"])
    p.sub_(ADAM["learning_rate"] / first * m / ((v / second).sqrt() + ADAM["epsilon"]))


def functional(task: Task, net: nn.Module) -> Callable[[Any, Any], Any]:
    """Return the whole step as one function that moves parameters and state in place."""
    params = {name: p.detach() for name, p in net.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in params.items()}
    second = {name: torch.zeros_like(p) for name, p in params.items()}
    loss, given, t = loss_of(task.work), task.work.settings, torch.zeros(())
    is_adam = task.work.optimizer == "adam"

    def objective(params: Any, x: Any, y: Any) -> Any:
        return loss(torch.func.functional_call(net, params, (x,)), y)

    differentiated = torch.func.grad_and_value(objective)

    def step(x: Any, y: Any) -> Any:
        gradients, value = differentiated(params, x, y)
        if is_adam:
            t.add_(1.0)
            seen = 1 - ADAM["beta1"] ** t, 1 - ADAM["beta2"] ** t
        for name, p in params.items():
            if is_adam:
                adam(p, gradients[name], first[name], second[name], *seen)
            else:
                first[name].mul_(given["momentum"]).add_(gradients[name])
                p.sub_(given["learning_rate"] * first[name])
        return value

    return step


def train(task: Task) -> Run:
    """Return the training."""
    net, loss = network(task).train(), loss_of(task.work)
    data = [(torch.from_numpy(x), torch.from_numpy(y)) for x, y in task.data]
    if task.form == "compile":
        step = torch.compile(functional(task, net))
    else:
        optimizer = optimizer_of(task.work, net.parameters())

        def forward(x: Any, y: Any) -> Any:
            return loss(net(x), y)

        ahead = torch.compile(forward) if task.form == "compile loss" else forward

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad(set_to_none=True)
            value = ahead(x, y)
            value.backward()
            optimizer.step()
            return value

    return Run(lambda i: step(*data[i % len(data)]), lambda value: [float(value.detach())])


def infer(task: Task) -> Run:
    """Return one row's way through the network."""
    net: Any = network(task).eval()
    if task.form == "compile":
        import torch._inductor.config as inductor

        inductor.freezing = True
        net = torch.compile(net)
    row = task.data

    def call(i: int) -> Any:
        with torch.inference_mode():
            return net(torch.from_numpy(row)).numpy()

    return Run(call, lambda answer: [checksum(answer)])


def softmax(logits: Any, labels: Any) -> tuple[Any, ...]:
    """Return the loss and its gradient."""
    logits = logits.detach().requires_grad_()
    loss = F.cross_entropy(logits, labels)
    return loss.detach(), *torch.autograd.grad(loss, logits)


def norm(x: Any, scale: Any, shift: Any, gradient: Any) -> tuple[Any, ...]:
    """Return layer norm and its three gradients."""
    given = [each.detach().requires_grad_() for each in (x, scale, shift)]
    y = F.layer_norm(given[0], scale.shape, given[1], given[2])
    return y.detach(), *torch.autograd.grad(y, given, gradient)


def kernel(task: Task) -> Run:
    """Return one of the kernels."""
    data = [torch.from_numpy(x) for x in task.data]
    if task.work.kind == "adam":
        return adam_kernel(task, data[0].clone(), data[1])
    function: Any = softmax if task.work.kind == "softmax" else norm
    if task.form == "compile":
        value = torch.func.grad_and_value(F.cross_entropy)

        def norms(x: Any, scale: Any, shift: Any, gradient: Any) -> tuple[Any, ...]:
            def layer(x: Any, scale: Any, shift: Any) -> Any:
                return F.layer_norm(x, scale.shape, scale, shift)

            y, back = torch.func.vjp(layer, x, scale, shift)
            return y, *back(gradient)

        function = torch.compile(value if task.work.kind == "softmax" else norms)
    return Run(lambda i: function(*data), lambda answer: [checksum(*answer)])


def adam_kernel(task: Task, params: Any, gradients: Any) -> Run:
    """Return Adam on all parameters."""
    m, v, t = torch.zeros_like(params), torch.zeros_like(params), torch.zeros(())

    def update() -> Any:
        t.add_(1.0)
        adam(params, gradients, m, v, 1 - ADAM["beta1"] ** t, 1 - ADAM["beta2"] ** t)
        return params

    if task.form == "compile":
        step: Callable[[], Any] = torch.compile(update)
    else:
        leaf = params.requires_grad_()
        leaf.grad = gradients
        optimizer = optimizer_of(task.work, [leaf])

        def step() -> Any:
            optimizer.step()
            return leaf.detach()

    return Run(lambda i: step(), lambda answer: [checksum(answer)])


def prepare(task: Task) -> Run:
    """Return what was asked for, ready to run."""
    torch.set_num_threads(task.threads)
    torch.manual_seed(0)
    makers = {"train": train, "infer": infer}
    return makers.get(task.work.kind, kernel)(task)


def job(task: Task) -> float:
    """Train on the digits; return the accuracy on the test rows."""
    torch.set_num_threads(task.threads)
    inputs, labels, test, truth = task.data
    net, size = network(task), task.work.batch
    optimizer = optimizer_of(task.work, net.parameters())
    x, y = torch.from_numpy(inputs), torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(0)
    for _ in range(task.work.epochs):
        order = torch.randperm(len(x), generator=generator)
        for start, stop in itertools.pairwise(range(0, len(x) + 1, size)):
            rows = order[start:stop]
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        logits = net(torch.from_numpy(test)).numpy()
    return float(np.mean(logits.argmax(1) == truth))
