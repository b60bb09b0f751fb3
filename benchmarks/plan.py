"""Who works at what: the contestants of each workload, the groups to run, and the aims."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks.workloads import GROWTH, WORKLOADS


class Contestant(NamedTuple):
    """One form of one library. ``is_local``: it runs in this Python, not in the peers'."""

    name: str
    module: str
    form: str = ""
    is_local: bool = False

    @property
    def library(self) -> str:
        """The name that ``--peers`` takes."""
        return self.module.rpartition(".")[2]

    @property
    def is_ours(self) -> bool:
        """Whether it is retrograd."""
        return self.library == "ours"


class Group(NamedTuple):
    """Contestants that are measured in turn, on the same work and as many threads."""

    workload: str
    batch: int
    threads: int
    contestants: tuple[Contestant, ...]


ONE = Contestant("retrograd", "benchmarks.ours", "one", True)
MANY = Contestant("retrograd, many steps a call", "benchmarks.ours", "many", True)
PEAK = Contestant("FMA peak", "benchmarks.peak", "", True)
EAGER = Contestant("PyTorch eager", "benchmarks.peers.torch", "eager")
COMPILED = Contestant("torch.compile", "benchmarks.peers.torch", "compile")
COMPILED_LOSS = Contestant(
    "torch.compile, fused optimizer", "benchmarks.peers.torch", "compile loss"
)
JIT = Contestant("JAX jit", "benchmarks.peers.jax", "jit")
SCAN = Contestant("JAX scan", "benchmarks.peers.jax", "scan")
SKLEARN = Contestant("scikit-learn", "benchmarks.peers.sklearn")
TINYGRAD = Contestant("tinygrad", "benchmarks.peers.tinygrad")
KERAS = Contestant("Keras", "benchmarks.peers.keras")
ONNX = Contestant("ONNX Runtime", "benchmarks.peers.onnx")
BY_HAND = Contestant("NumPy by hand", "benchmarks.peers.numpy", "", True)

BY_KIND = {
    "train": (
        PEAK, ONE, MANY, EAGER, COMPILED, COMPILED_LOSS, JIT, SCAN, SKLEARN, TINYGRAD, KERAS,
    ),
    "softmax": (ONE, EAGER, COMPILED, JIT),
    "norm": (ONE, EAGER, COMPILED, JIT),
    "adam": (ONE, EAGER, COMPILED, JIT),
    "infer": (ONE, ONNX, BY_HAND, EAGER, COMPILED, JIT),
    "job": (ONE, SKLEARN, SCAN, EAGER, KERAS),
}  # fmt: skip
GROWING = (ONE, MANY, EAGER, JIT, SCAN)
IMPORTS = {
    "retrograd": (True, "import retrograd"),
    "retrograd, ready to train": (True, "import retrograd.train.fit"),
    "PyTorch": (False, "import torch"),
    "JAX": (False, "import jax, jax.numpy; jax.devices()"),
    "scikit-learn": (False, "from sklearn.neural_network import MLPClassifier"),
    "tinygrad": (False, "import tinygrad"),
    "Keras": (False, "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras"),
    "ONNX Runtime": (False, "import onnxruntime"),
}
CHOICES = (*WORKLOADS, "growth", "start")


class Aim(NamedTuple):
    """How many times faster than a peer; no peer named: than the best of them."""

    workload: str
    least: float
    peer: str = ""
    ours: str = ""
    threads: int = 0


AIMS = (
    Aim("W1", 1.8, SCAN.name, MANY.name),
    Aim("W1", 3.0, JIT.name, ONE.name),
    Aim("W1", 20.0, EAGER.name),
    Aim("W2", 1.6),
    Aim("W3", 1.2, threads=1),
    Aim("W3", 1.3, threads=2),
    Aim("W4", 1.15),
    Aim("softmax", 3.0),
    Aim("norm", 1.3),
    Aim("adam", 1.3),
    Aim("I1", 2.0, ONNX.name),
    Aim("I1", 1.3, BY_HAND.name),
    Aim("I3", 2.0, ONNX.name),
    Aim("I3", 1.3, BY_HAND.name),
    Aim("J1", 3.0, SKLEARN.name),
    Aim("J1", 6.0, EAGER.name),
)
PEAK_SHARES = {"W3": 0.80, "W4": 0.85}
TOLERANCES = {"W2": 0.02}  # each contestant drops other units
TOLERANCE = 1e-3  # scikit-learn and Keras put Adam's epsilon elsewhere: 4e-4 at W3
LEAST_ACCURACY = 0.95  # of the whole job; the loss of its figures is the accuracy


def groups(
    chosen: Sequence[str], threads: Sequence[int], peers: Sequence[str], has_many: bool
) -> list[Group]:
    """Return what to run, in order; libraries that are not in ``peers`` stay out."""

    def allowed(contestant: Contestant, workload: str) -> bool:
        if contestant.is_ours:
            return contestant is not MANY or has_many
        if contestant is SKLEARN and workload == "W2":
            return False  # it has no dropout
        return contestant is PEAK or contestant.library in peers

    found = []
    for name in chosen:
        if name == "start":
            continue
        work = "W3" if name == "growth" else name
        everyone = GROWING if name == "growth" else BY_KIND[WORKLOADS[name].kind]
        able = tuple(each for each in everyone if allowed(each, work))
        sizes = GROWTH if name == "growth" else (0,)
        found += [Group(work, batch, count, able) for batch in sizes for count in threads]
    return found
