"""The page: whole, well formed, closed to names that are markup, and asking nobody for anything."""

import re
import shutil
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.report.conftest import HOSTILE, amounts_table, section

from retrograd.data.finding import Finding
from retrograd.recipe.evaluate import evaluate_run
from retrograd.recipe.run import Outcome
from retrograd.report.about_data import split_section
from retrograd.report.material import read_material
from retrograd.report.page import Report, _render, make_report, plot_files

VOID = {"meta", "link", "br", "img", "input", "hr"}


class Reader(HTMLParser):
    """Collects elements, attributes and text, and notices what is not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.names: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    return reader


@pytest.fixture(params=["page", "page_of_amounts"])
def any_page(request: pytest.FixtureRequest) -> Report:
    found: Report = request.getfixturevalue(request.param)
    return found


def test_every_section_is_there(any_page: Report) -> None:
    places = re.findall(r'<section id="([^"]*)"', any_page.html)
    assert places == [
        "estimate", "errors", "influence", "data", "split", "network", "training", "cost", "repeat",
    ]  # fmt: skip
    assert [place for place in places if f'href="#{place}"' not in any_page.html] == []


def test_elements_are_closed_in_order(any_page: Report) -> None:
    reader = read(any_page.html)
    assert (reader.wrong, reader.open) == ([], [])
    assert reader.names["svg"] == len(any_page.plots) > 6


def test_ids_are_unique_and_links_lead_somewhere(any_page: Report) -> None:
    attributes = read(any_page.html).attributes
    ids = Counter(value for _, name, value in attributes if name == "id")
    assert [name for name, count in ids.items() if count > 1] == []
    wanted = {value[1:] for _, name, value in attributes if name.endswith("href")}
    wanted |= set(re.findall(r"url\(#([^)]*)\)", any_page.html))
    assert wanted <= ids.keys()


def test_nothing_is_asked_for(any_page: Report) -> None:
    reader = read(any_page.html)
    for tag, name, value in reader.attributes:
        if name in ("href", "xlink:href", "src", "srcset", "action", "data", "poster"):
            assert value.startswith(("#", "data:")), (tag, name, value[:80])
    assert not re.search(r"https?:", any_page.html)
    assert not re.search(r"@import|url\((?!#|data:)", any_page.html)
    assert set(reader.names) & {"script", "link", "iframe", "object", "embed", "base"} == set()
    assert "default-src 'none'" in any_page.html


def test_hostile_names_stay_text(page: Report) -> None:
    reader = read(page.html)
    assert reader.names["script"] == reader.names["i"] == reader.names["b"] == 0
    assert "&lt;script&gt;alert(" in page.html
    assert "&lt;/svg&gt;&lt;b&gt;green" in page.html
    assert not [name for _, name, _ in reader.attributes if name.startswith("on")]
    assert HOSTILE not in page.html


def test_pictures_say_what_they_show(any_page: Report) -> None:
    labels = [
        value for tag, name, value in read(any_page.html).attributes
        if tag == "svg" and name == "aria-label"
    ]  # fmt: skip
    assert len(labels) == len(any_page.plots)
    assert all(len(label) > 20 for label in labels)
    assert all(len(plot.caption) > 20 for plot in any_page.plots)


def test_the_page_is_small(any_page: Report) -> None:
    assert len(any_page.html.encode()) < 400_000


def test_the_page_is_the_same_each_time(classes: Outcome, page: Report) -> None:
    assert make_report(classes.directory).html == page.html


def test_sealed_rows_stay_sealed(classes: Outcome, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(classes.directory, tmp_path / "shop-1"))
    sealed = section(make_report(copy).html, "estimate")
    assert "The 45 test rows are sealed: nobody has looked at them yet." in sealed
    assert not (tmp_path / "ledger.jsonl").exists()
    evaluation = evaluate_run(copy)
    opened = section(make_report(copy).html, "estimate")
    assert "Estimates on 45 test rows, which were opened once." in opened
    assert evaluation.verdict.replace("'", "&#39;") in opened
    assert (tmp_path / "ledger.jsonl").read_text().count("\n") == 1


def test_an_opening_of_another_network_is_told(amounts: Outcome, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(amounts.directory, tmp_path / "table-1"))
    evaluate_run(copy, amounts_table())
    (copy / "test.json").unlink()
    html = section(make_report(copy).html, "estimate")
    assert "were opened once, for another network or before more training" in html


def test_data_that_is_gone_leaves_a_gap(amounts: Outcome) -> None:
    html = make_report(amounts.directory).html
    gap = section(html, "estimate")
    assert "Nothing can be said of rows: reading the data: the config names no source" in gap
    assert 'id="errors"' not in html
    assert 'id="training"' in html


def test_what_the_audit_found_is_shown(amounts: Outcome, page: Report) -> None:
    assert "The audit found nothing that leaks" in section(page.html, "split")
    table = amounts_table()
    material = read_material(amounts.directory, table)
    found = (
        Finding("column", True, "column '<a>' alone tells 'price'", "leave it out"),
        Finding("copies", False, "2 rows repeat others", "look at them"),
    )
    told = _render(material, None, [split_section(replace(material, audit=found))], "")
    alarm = "<p>Column &#39;&lt;a&gt;&#39; alone tells &#39;price&#39;; leave it out.</p>"
    assert f'<div class="words warning">{alarm}</div>' in told
    assert '<div class="words plain"><p>2 rows repeat others; look at them.</p></div>' in told
    unread = read_material(amounts.directory)
    assert "could not be audited" in _render(unread, None, [split_section(unread)], "")


def test_pictures_become_files(page_of_amounts: Report) -> None:
    files = plot_files(page_of_amounts)
    assert len(files) == 2 * len(page_of_amounts.plots)
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+\.(svg|png)", name) for name in files)
    for name, data in files.items():
        assert data.startswith(b"<?xml" if name.endswith("svg") else b"\x89PNG"), name


def test_the_headline_is_the_measure(page: Report, page_of_amounts: Report) -> None:
    assert re.fullmatch(r"accuracy 0\.\d+ \(0\.\d+ – [01]\.?\d*\)", page.headline)
    assert page_of_amounts.headline.startswith("root mean squared error ")
