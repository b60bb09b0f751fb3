"""Which numbers are shown, and what is said to a choice that cannot be made."""

import numpy as np
import pytest

from retrograd import nn, ops
from retrograd.explain.route import default_output, route
from retrograd.tensor.errors import InputError, NonFiniteError
from retrograd.tensor.tensor import tensor

from .conftest import make_case


def paths(explanation, phase="forward"):
    return [f.path for f in explanation.phase(phase)]


def test_the_route_follows_the_largest_contributions():
    seen = make_case().seen(3)
    chosen = route(seen)
    label = int(seen.captured.batch.targets[3])
    assert default_output(seen) == label
    _, curve, last = seen.captured.visits
    assert chosen[2] == label
    products = curve.y[3] * last.layer.weight.numpy()[:, label]
    assert chosen[1] == chosen[0] == int(np.argmax(np.abs(products)))


def test_a_unit_a_layer_or_a_weight_can_be_asked_for():
    case = make_case()
    assert paths(case.explain(unit="layers.0[4]"))[0] == "layers.0[4]"
    assert set(paths(case.explain(layer="layers.2"))) <= {f"layers.2[{k}]" for k in range(3)}
    explanation = case.explain(weight="layers.0.bias[2]")
    assert paths(explanation, "update")[-1] == "layers.0.bias[2]"


def test_features_and_classes_are_named():
    explanation = make_case().explain(
        feature_names=list("abcde"),
        class_names=("cat", "dog", "cow"),
        source_values=range(5),
        row=77,
    )
    labels = {t.label for t in explanation.formulas[0].terms}
    assert labels == set("abcde")
    assert explanation.target in ("cat", "dog", "cow")
    assert explanation.row == 77
    assert explanation.features[2].source == "2"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unit": "layers.9[0]"}, ["no such layer", "layers.0"]),
        ({"unit": "nonsense"}, ["no such layer"]),
        ({"unit": "layers.0[6]"}, ["6 units", "0 to 5"]),
        ({"layer": "layers.9"}, ["no such layer", "layers.0"]),
        ({"weight": "layers.9.weight[0,0]"}, ["no such leaf", "layers.0.weight"]),
        ({"weight": "layers.0.weight[0]"}, ["(5, 6)", "layers.0.weight[4,5]"]),
        ({"weight": "layers.0.weight[5,0]"}, ["(5, 6)"]),
        ({"weight": "layers.0.weight"}, ["(5, 6)"]),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(options, words):
    with pytest.raises(InputError) as refused:
        make_case().explain(**options)
    assert all(word in str(refused.value) for word in words), str(refused.value)


@pytest.mark.parametrize("place", [-1, 7])
def test_a_row_outside_the_batch_is_refused(place):
    with pytest.raises(InputError, match="7 rows; give a place from 0 to 6"):
        make_case().explain(place)


def test_a_loss_that_is_not_finite_is_refused():
    case = make_case()
    bad = {**case.state.params, "layers.0.bias": tensor([np.nan] * 6, "float32")}
    case = make_case()
    object.__setattr__(case, "state", case.state._replace(params=bad))
    with pytest.raises(NonFiniteError, match="its loss is nan"):
        case.explain()


def test_single_layers_and_plain_functions_can_be_explained():
    single = nn.Linear.init(ops.key(0), 5, 3)
    explanation = make_case(single).explain()
    assert explanation.ok
    assert paths(explanation)[0].startswith("[")


def test_a_loss_of_the_users_own_is_explained_without_its_rows():
    def odd(predictions, targets):
        return ops.sum(ops.square(predictions)) * 0.1

    explanation = make_case(loss=odd).explain()
    assert explanation.ok
    assert explanation.phase("loss") == ()
