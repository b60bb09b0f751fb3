"""Threads of NumPy's matrix products: one, so that the machine does not decide the bits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep matrix products on one thread while it is open, whatever the library was told before.

    With several, OpenBLAS adds in another order, so that the same seed gives other bits; and on
    the small products of a training step its threads wait for each other longer than they work.

    >>> with one_blas_thread():
    ...     pass
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
