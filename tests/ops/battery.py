"""What must hold of every op: one check a property, each for one example of one op.

A check raises AssertionError, or returns how many comparisons it made: 0 says that the property
does not touch this example. `test_every_op` feeds the checks from the registry and
`test_planted_faults` proves that they find what is wrong.
"""

from collections.abc import Callable, Mapping

from tests.ops.derivatives import (
    check_float32,
    check_gradient_types,
    check_jvp,
    check_second_order,
    check_vjp,
)
from tests.ops.values import check_docs, check_lower, check_special_values, check_type

from retrograd.tensor.op import Example

CHECKS: Mapping[str, Callable[[Example], int]] = {
    "type": check_type,
    "gradient_types": check_gradient_types,
    "vjp": check_vjp,
    "second_order": check_second_order,
    "jvp": check_jvp,
    "lower": check_lower,
    "special_values": check_special_values,
    "float32": check_float32,
    "docs": check_docs,
}
