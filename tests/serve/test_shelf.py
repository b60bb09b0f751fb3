"""Models are found by name and version, and loaded anew when their files change."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.serve.running import ROW

from retrograd.recipe.hub_folder import write_folder
from retrograd.recipe.model import load_model
from retrograd.serve.shelf import Shelf, parse_sources
from retrograd.tensor.errors import FileFormatError, InputError


class Told:
    """Keeps what a shelf logs."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **fields: Any) -> None:
        self.events.append((event, fields))

    @property
    def names(self) -> list[str]:
        return [event for event, _ in self.events]


def shelf_of(*arguments: str) -> tuple[Shelf, Told]:
    told = Told()
    return Shelf(parse_sources(arguments), 0.0, told), told


def put(source: Path, target: Path) -> None:
    """Replace a file as `retrograd` does: at once."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(".new")
    shutil.copy(source, new)
    os.replace(new, target)


def versions(shelf: Shelf, name: str) -> list[str]:
    return list(shelf.models[name])


def test_names_come_from_paths_or_are_given(models: Path) -> None:
    run = next((models / "runs").iterdir())
    found = parse_sources([str(models / "shop.retro"), str(run), f"b.2={models / 'price.retro'}",
                           str(run / "model.retro").replace(run.name, run.name)][:3])  # fmt: skip
    assert [each.name for each in found] == ["shop", run.name, "b.2"]
    assert [each.versions() for each in found][1] == {"1": run / "model.retro"}
    (bare,) = parse_sources([str(run / "model.retro")])
    assert bare.name == run.name


def test_a_folder_of_a_hub_is_served(models: Path, tmp_path: Path) -> None:
    write_folder(tmp_path / "shop-hub", load_model(models / "shop.retro"))
    shelf, _ = shelf_of(str(tmp_path / "shop-hub"))
    found = shelf.find("shop-hub")
    assert found is not None
    assert found.served.target == "bought"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "serving: no model was named; give a run directory or a model.retro"),
        (["nothing"], "serving 'nothing': there is no such file or directory"),
        (["a b={shop}"], "'a b' is no name of a model: letters, digits, '.', '_' and '-' make one"),
        (["={shop}"], "'' is no name of a model"),
        (["{shop}", "shop={price}"], "two models are called 'shop'; name one of them: shop-2="),
        (["{folder}"], "it is a directory without model.retro, and without versions of one"),
    ],
)
def test_what_cannot_be_served(
    models: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    places = {"shop": models / "shop.retro", "price": models / "price.retro", "folder": tmp_path}
    with pytest.raises(InputError) as refused:
        parse_sources([each.format(**places) for each in arguments])
    assert words in str(refused.value)


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.retro").write_bytes(b"nothing")
    with pytest.raises(FileFormatError, match=r"x\.retro': it is not a model, or it was cut short"):
        shelf_of(str(tmp_path / "x.retro"))


def test_versions_of_a_directory_are_in_the_order_of_their_numbers(
    models: Path, tmp_path: Path
) -> None:
    for name in ("v10/model.retro", "v9.retro", "v9.5/model.retro", "not this/model.retro"):
        put(models / "shop.retro", tmp_path / "m" / name)
    shelf, _ = shelf_of(f"m={tmp_path / 'm'}")
    assert versions(shelf, "m") == ["v9", "v9.5", "v10"]
    newest, oldest, none = (shelf.find("m", version) for version in (None, "v9", "v1"))
    assert (newest and newest.served.version, oldest and oldest.served.version) == ("v10", "v9")
    assert none is None
    assert shelf.find("x") is None


def test_a_changed_file_is_served_at_once_and_the_old_answers_what_it_began(
    models: Path, tmp_path: Path
) -> None:
    path = tmp_path / "shop.retro"
    put(models / "shop.retro", path)
    shelf, told = shelf_of(str(path))
    old = shelf.find("shop")

    async def change() -> None:
        await shelf.look()
        assert shelf.find("shop") is old
        assert old is not None
        pending = asyncio.create_task(old.answer(ROW))
        put(models / "price.retro", path)
        await shelf.look()
        assert "probabilities" in await pending

    asyncio.run(change())
    fresh = shelf.find("shop")
    assert fresh is not None
    assert fresh.served.target == "income"
    assert (shelf.reloads, shelf.failures, told.names) == (1, 0, ["model_loaded"])


def test_a_damaged_file_leaves_the_old_model_and_says_so_once(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "shop.retro"
    put(models / "shop.retro", path)
    shelf, told = shelf_of(str(path))
    good = path.read_bytes()

    def look() -> None:
        for _ in range(2):
            asyncio.run(shelf.look())

    for broken in (good[:-10], good[:200] + b"x" + good[201:], b""):
        path.write_bytes(broken)
        look()
    found = shelf.find("shop")
    assert found is not None
    assert found.served.target == "bought"
    assert told.names == ["model_refused"] * shelf.failures
    assert all(fields["old_one_stays"] for _, fields in told.events)
    assert "damaged" in told.events[0][1]["error"] or "cut short" in told.events[0][1]["error"]
    path.unlink()
    look()
    assert shelf.faults == {("shop", "1"): "its file is gone"}
    path.write_bytes(good)
    look()
    assert shelf.faults == {}
    assert told.names[-1] == "model_loaded"


def test_versions_come_and_go(models: Path, tmp_path: Path) -> None:
    put(models / "shop.retro", tmp_path / "m" / "1.retro")
    shelf, told = shelf_of(f"m={tmp_path / 'm'}")
    put(models / "price.retro", tmp_path / "m" / "2.retro")
    asyncio.run(shelf.look())
    assert versions(shelf, "m") == ["1", "2"]
    (tmp_path / "m" / "1.retro").unlink()
    asyncio.run(shelf.look())
    assert versions(shelf, "m") == ["2"]
    (tmp_path / "m" / "2.retro").unlink()
    asyncio.run(shelf.look())
    assert versions(shelf, "m") == ["2"], "the last one stays"
    assert told.names == ["model_loaded", "model_dropped"]
    (tmp_path / "m" / "3.retro").write_bytes(b"nothing")
    asyncio.run(shelf.look())
    assert versions(shelf, "m") == ["2"]
    assert told.events[-1][1]["old_one_stays"] is False
