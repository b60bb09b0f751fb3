"""Train neural networks by backpropagation and see every number on the way."""

__version__ = "0.1.0"
