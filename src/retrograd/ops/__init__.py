"""Everything that can be done to tensors: one class an op, a family a file."""

from retrograd.ops.arithmetic import add as add
from retrograd.ops.arithmetic import divide as divide
from retrograd.ops.arithmetic import multiply as multiply
from retrograd.ops.arithmetic import negative as negative
from retrograd.ops.arithmetic import subtract as subtract
from retrograd.ops.contraction import matmul as matmul
from retrograd.ops.flow import cast as cast
from retrograd.ops.flow import replace_gradient as replace_gradient
from retrograd.ops.flow import stop_gradient as stop_gradient
from retrograd.ops.movement import broadcast_to as broadcast_to
from retrograd.ops.movement import mean as mean
from retrograd.ops.movement import reshape as reshape
from retrograd.ops.movement import sum as sum
from retrograd.ops.movement import transpose as transpose
