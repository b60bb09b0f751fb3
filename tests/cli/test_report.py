"""The verbs report and show, as people call them."""

import json
from pathlib import Path

import pytest

from retrograd.api.front import load
from retrograd.cli.main import main
from retrograd.report.pdf import to_pdf
from retrograd.tensor.errors import RunError

CSV = "age,income,city,member,bought\n40,3000,Bern,yes,yes\n20,1500,Genf,no,no\n"


def test_report_writes_its_page_into_the_run(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained / "runs" / "shop-1"
    assert main(["report", str(run)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("accuracy 0.")
    assert f"wrote {run}/report.html (" in said
    assert "<!doctype html>" in (run / "report.html").read_text()
    assert main(["report", str(run)]) == 0, "its own page may be made anew"


def test_report_writes_pictures(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, page = trained / "runs" / "shop-1", tmp_path / "page.html"
    plots = tmp_path / "plots"
    assert main(["report", str(run), "--to", str(page), "--plots", str(plots), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["file"] == str(page)
    assert record["size"] == page.stat().st_size
    assert sorted(record["plots"]) == sorted(str(path) for path in plots.iterdir())
    assert {path.suffix for path in plots.iterdir()} == {".svg", ".png"}


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    return capsys.readouterr().err


def test_report_refuses_in_one_sentence(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    run = trained / "runs" / "shop-1"
    taken = tmp_path / "taken.html"
    taken.write_text("mine")
    assert "it exists already; choose another name" in refused(capsys, "report", run, "--to", taken)
    assert taken.read_text() == "mine"
    assert "it is a file; give the name of a directory" in refused(
        capsys, "report", run, "--plots", taken
    )
    assert "there is no directory" in refused(
        capsys, "report", run, "--plots", tmp_path / "absent" / "plots"
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no browser is installed that could print it (Chromium, Chrome, Edge)" in refused(
        capsys, "report", run, "--to", tmp_path / "page.pdf"
    )
    assert "it is a model file, which has neither" in refused(capsys, "report", run / "model.retro")


def test_a_missing_package_is_one_sentence(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    said = refused(capsys, "report", trained / "runs" / "shop-1")
    assert "making a report: the package jinja2 is not installed; pip install" in said


def test_a_browser_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"the browser .*none did not print it \(FileNotFoundError\)"
    ):
        to_pdf("<p>", str(tmp_path / "none"))
    browser = tmp_path / "browser"
    browser.write_text("#!/bin/sh\nexit 1\n")
    browser.chmod(0o755)
    with pytest.raises(RunError, match=r"write report.html and print it from any browser"):
        to_pdf("<p>", str(browser))


def test_a_browser_is_given_the_page(tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(
        '#!/bin/sh\nfor word in "$@"; do case "$word" in\n'
        '--print-to-pdf=*) to="${word#*=}";; file:*) page="${word#file://}";; esac; done\n'
        '(echo %PDF; cat "$page") > "$to"\n'
    )
    browser.chmod(0o755)
    assert to_pdf("<p>ü", str(browser)) == "%PDF\n<p>ü".encode()


def test_show_prints_a_card(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained / "runs" / "shop-1"
    assert main(["show", str(run)]) == 0
    said = capsys.readouterr().out
    for words in ("bought: binary", "on validation rows", "what the network sees", "limits\n"):
        assert words in said
    assert max(map(len, said.splitlines())) <= 80
    assert main(["show", str(run / "model.retro"), "--markdown"]) == 0
    assert capsys.readouterr().out.startswith("# Predicts bought\n")
    assert main(["show", str(run), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["target"], record["rows"], record["classes"]) == ("bought", 240, ["no", "yes"])
    assert record["parts"] == {"train": 168, "validation": 36, "test": 36}
    assert sum(layer["numbers"] for layer in record["layers"]) == record["parameters"]


def test_a_folder_is_taken_wherever_a_model_is(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, folder = trained / "runs" / "shop-1", tmp_path / "shop"
    assert main(["show", str(run), "--to-folder", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said == f"wrote {folder}: README.md, config.json, model.safetensors\n"
    (tmp_path / "new.csv").write_text(CSV)
    found = []
    for model in (run, folder):
        assert main(["predict", str(model), str(tmp_path / "new.csv")]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert main(["show", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["target"] == "bought"
    assert type(load(folder)).__name__ == "Model"
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("mine")
    assert "it holds other things; give an empty" in refused(
        capsys, "show", run, "--to-folder", taken
    )
