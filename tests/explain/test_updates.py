"""The update line gives the engine's next weight, for every optimizer and every wrapper."""

import inspect

import numpy as np
import pytest

from retrograd import optim
from retrograd.explain.optimizers import MOVES
from retrograd.explain.updates import update_formulas
from retrograd.explain.weights import Weight
from retrograd.optim import Optimizer

from .conftest import make_case

SCHEDULE = optim.warm_up(optim.cosine(0.02, steps=20), 3)
WITH_LINES = {
    "sgd": optim.sgd(SCHEDULE),
    "momentum": optim.momentum(SCHEDULE, 0.8),
    "nesterov": optim.nesterov(0.01),
    "adam": optim.adam(SCHEDULE),
    "adamw": optim.adamw(SCHEDULE, weight_decay=0.1),
    "amsgrad": optim.amsgrad(1e-3),
    "adagrad": optim.adagrad(0.01),
    "rmsprop": optim.rmsprop(0.001),
    "adadelta": optim.adadelta(),
    "lion": optim.lion(1e-3, weight_decay=0.1),
    "clip_by_global_norm": optim.clip_by_global_norm(optim.adamw(SCHEDULE), 0.05),
    "clip_by_value": optim.clip_by_value(optim.momentum(0.01), 0.02),
    "weight_decay": optim.weight_decay(optim.sgd(0.01), 0.1),
    "l1": optim.l1(optim.adam(0.01), 0.1),
    "decoupled": optim.decoupled_weight_decay(optim.sgd(SCHEDULE), 0.3),
    "spared biases": optim.decoupled_weight_decay(
        optim.adam(0.01), 0.3, applies_to=lambda name: name.endswith("weight")
    ),
    "ema": optim.ema(optim.adamw(0.01)),
    "plateau": optim.reduce_on_plateau(optim.momentum(0.01)),
    "accumulate": optim.accumulate(optim.adam(0.01), 3),
    "all": optim.clip_by_global_norm(
        optim.weight_decay(optim.ema(optim.reduce_on_plateau(optim.adamw(SCHEDULE))), 0.01), 0.1
    ),
}
WITHOUT_LINES = {
    "nadam": optim.nadam(1e-3),
    "radam": optim.radam(1e-3),
    "muon": optim.muon(),
    "max_norm": optim.max_norm(optim.sgd(0.1), 0.5),
    "waiting": optim.accumulate(optim.adam(0.01), 4),
    "waiting inside": optim.accumulate(
        optim.ema(optim.decoupled_weight_decay(optim.adam(0.01), 0.1), 0.9), 4
    ),
}


def weights_of(case):
    return [Weight(leaf, i) for leaf, x in case.state.params.items() for i in np.ndindex(x.shape)]


@pytest.mark.parametrize(
    ("name", "warm"),
    # Of three gradients the first waits: see WITHOUT_LINES.
    [(name, warm) for name in WITH_LINES for warm in (0, 2) if (name, warm) != ("accumulate", 0)],
)
def test_lines_give_the_next_weight(name, warm):
    case = make_case(optimizer=WITH_LINES[name], warm=warm)
    seen = case.seen()
    for weight in weights_of(case):
        formulas = update_formulas(seen, weight)
        assert all(f.check.ok for f in formulas), (weight, formulas)
        last = formulas[-1]
        before = float(case.state.params[weight.leaf].numpy()[weight.index])
        after = float(seen.captured.params_after[weight.leaf].numpy()[weight.index])
        size = np.float32(max(abs(before), abs(after - before), abs(after)))
        assert abs(last.check.sum64 - after) <= 4 * float(np.spacing(size))
        assert last.value == after
        assert not any(t.label == "Δw" for t in last.terms), "fell back to before and after"


@pytest.mark.parametrize("name", WITHOUT_LINES)
def test_what_has_no_line_is_shown_before_and_after(name):
    case = make_case(optimizer=WITHOUT_LINES[name])
    explanation = case.explain()
    last = explanation.phase("update")[-1]
    assert last.check.ok
    assert [t.label for t in last.terms] == ["w", "Δw"]
    wanted = "waits" if name.startswith("waiting") else "before and after"
    assert wanted in last.words


def test_clip_factor_and_rate_are_said():
    explanation = make_case(optimizer=WITH_LINES["clip_by_global_norm"]).explain()
    clip, m, v, w = explanation.phase("update")
    assert "limit 0.05" in clip.words
    assert "factor 0." in clip.words
    assert m.symbol == "m"
    assert v.symbol == "v"
    assert "lr = " in w.words
    assert "update 3" in w.words


def test_a_wrong_setting_is_found_out(monkeypatch):
    from retrograd.explain import updates

    honest = updates.settings_of
    monkeypatch.setattr(
        updates, "settings_of", lambda f: {**honest(f), "betas": (0.9, 0.99)} if f else {}
    )
    explanation = make_case(optimizer=optim.adam(0.01)).explain()
    assert not explanation.ok


def test_every_optimizer_is_tried_here():
    tried = {*WITH_LINES, *WITHOUT_LINES, "decoupled_weight_decay", "reduce_on_plateau"}
    makers = [
        name
        for name, made in vars(optim).items()
        if inspect.isfunction(made) and inspect.signature(made).return_annotation == "Optimizer"
    ]
    assert len(makers) > 15
    assert set(makers) <= tried
    assert all(kind.__name__.endswith("State") for kind in MOVES)


def test_an_optimizer_of_the_users_own_is_shown_before_and_after():
    ours = optim.momentum(0.01)

    def update(grads, state, params):
        return ours.update(grads, state, params)

    stranger = Optimizer(ours.init, update)
    explanation = make_case(optimizer=stranger).explain()
    assert explanation.ok
    assert [t.label for t in explanation.phase("update")[-1].terms] == ["w", "Δw"]
