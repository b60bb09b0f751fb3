"""A file of our own comes back as the model that it was made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import retrograd
from retrograd.export.onnx_graph import require_onnx
from retrograd.export.onnx_reading import refuse
from retrograd.export.trial import trial_of
from retrograd.export.verify import compare
from retrograd.recipe.config import configure
from retrograd.recipe.model import KIND, Model, pack, unpack
from retrograd.tensor.errors import FileFormatError, InputError
from retrograd.train.sealed import seal, unseal


def record_of(model: Model) -> str:
    """Return the record of a model's file, empty if it has layers that files cannot name.

    Of the config only network and costs stay: the rest names files of whoever trained the network.
    """
    schema = model.schema
    costs = model.config.data.costs
    plain = configure(target=schema.target, task=schema.task.value, costs=costs)
    network = replace(model.config.network, init=None, init_digest=None)
    bare = replace(model, config=replace(plain, network=network))
    try:
        _, text = unseal(KIND, pack(bare), "exporting a model")
    except InputError:
        return ""
    return text


def whole_model(proto: Any, metadata: Mapping[str, str], asked: str) -> tuple[Model, float | None]:
    """Return the model that the metadata and the tensors of a file make, and how far they differ.

    The difference is None for files of other versions, whose graphs may be written otherwise.
    Raises FileFormatError if they make none, or if the graph is that of something else.
    """
    from retrograd.export.onnx_file import answers_of, message_of

    if not metadata["model"]:
        refuse(asked, "its network has layers that files cannot name", "build it anew in Python")
    held = {each.name: each for each in proto.graph.initializer}
    to_array = require_onnx().numpy_helper.to_array
    try:
        names = json.loads(metadata["weights"])
        arrays = {leaf: np.asarray(to_array(held[name])) for leaf, name in names.items()}
        model = unpack(seal(KIND, arrays, metadata["model"]), asked)
    except FileFormatError:
        raise
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        refuse(asked, "its metadata cannot be read", "export it again")
    # A stranger's graph is not run: it could take any time and memory. Ours is known.
    is_ours = proto.graph == message_of(model).graph
    if not is_ours and model.version == retrograd.__version__:
        refuse(asked, "its graph is not that of the model in its metadata", "export it again")
    if not is_ours:
        return model, None
    rows = trial_of(model, None).rows
    return model, float(compare(answers_of(proto, rows), model, rows).max())
