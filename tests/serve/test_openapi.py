"""The OpenAPI document says what the server does; schemathesis tries to prove otherwise."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.serve.running import Running


def test_every_address_of_the_document_answers_its_own_examples(server: Running) -> None:
    document = server.client.get("/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert {"/predict", "/models/price/predict", "/v2/models/shop/versions/1/infer"} <= set(
        document["paths"]
    )
    tried = 0
    for path, ways in document["paths"].items():
        for method, told in ways.items():
            content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
            for example in content.get("examples", {"none": {"value": None}}).values():
                given = {"json": example["value"]} if content else {}
                reply = server.client.request(method, path, **given)
                assert reply.status_code == 200, (path, reply.text)
                assert (
                    reply.headers["content-type"].split(";")[0]
                    in told["responses"]["200"]["content"]
                )
                tried += 1
    assert tried > 20


def test_the_schema_is_made_of_the_columns(server: Running) -> None:
    schemas = server.client.get("/openapi.json").json()["components"]["schemas"]
    row = schemas["shop.row"]
    assert row["required"] == ["age", "income", "city", "member", "joined"]
    assert row["properties"]["age"] == {
        "type": ["number", "null"], "description": "In training from 18 to 79.",
    }  # fmt: skip
    assert row["properties"]["city"]["description"] == "In training: 'Basel', 'Bern', 'Genf'."
    assert row["properties"]["joined"]["anyOf"][0] == {"type": "string", "format": "date"}
    assert True in row["properties"]["member"]["enum"]
    assert row["examples"][0]["city"] == "Basel"
    assert schemas["shop.request"]["oneOf"][1]["maxItems"] == 1000
    (one, _) = schemas["shop.answer"]["anyOf"]
    assert one["properties"]["value"] == {"enum": ["no", "yes"]}


@pytest.mark.slow
def test_schemathesis_finds_nothing(server: Running, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("schemathesis")
    found = subprocess.run(
        [str(program), "run", f"{server.address}/openapi.json", "--max-examples", "40",
         "--checks", "all", "--no-color", "--seed", "1"],
        capture_output=True, text=True, check=False, timeout=500, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": ""},
    )  # fmt: skip
    assert found.returncode == 0, found.stdout[-4000:]
    assert server.process.poll() is None
    assert not [line for line in server.lines() if line["event"] == "fault"]


def test_the_pages_hold_no_broken_script(server: Running) -> None:
    for path in ("/", "/docs"):
        text = server.client.get(path).text
        script = text.partition("<script>")[2].partition("</script>")[0]
        assert script.count("{") == script.count("}")
        assert script.count("(") == script.count(")")


BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser on this machine")
def test_the_form_predicts_in_a_browser(server: Running) -> None:
    shown = {}
    for path in ("", "docs"):
        command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += ["--virtual-time-budget=8000", f"{server.address}/{path}"]
        found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        shown[path] = found.stdout
    answer = server.client.post("/predict", json=example(server)).json()
    assert f'<p id="value">{answer["value"]}</p>' in shown[""]
    assert 'id="error" class="error" hidden' in shown[""]
    for name in ("age", "income", "city", "member", "joined"):
        assert f'data-column="{name}"' in shown[""]
    assert "/models/shop/versions/1/predict" in shown["docs"]


def example(server: Running) -> dict[str, object]:
    columns = server.client.get("/models/shop").json()["columns"]
    return {column["name"]: column["example"] for column in columns}


def test_counts_are_those_of_what_was_asked(server: Running) -> None:
    before = counts(server)
    row = example(server)
    for body in (row, [row] * 3, {}):
        server.client.post("/models/shop/predict", json=body)
    after = counts(server)
    grown = {name: value - before.get(name, 0) for name, value in after.items()}
    assert grown['retrograd_requests_total{route="predict",status="200"}'] == 2
    assert grown['retrograd_requests_total{route="predict",status="422"}'] == 1
    assert grown['retrograd_rows_total{model="shop",version="1"}'] == 4
    assert grown['retrograd_predictions_total{model="shop",version="1"}'] == 2
    assert grown["retrograd_request_seconds_count"] == 5
    assert grown['retrograd_request_seconds_bucket{le="10.0"}'] == 5


def counts(server: Running) -> dict[str, float]:
    lines = server.client.get("/metrics").text.splitlines()
    return {
        line.rpartition(" ")[0]: float(line.rpartition(" ")[2])
        for line in lines
        if not line.startswith("#")
    }


def test_the_log_is_lines_of_json_without_cells(server: Running) -> None:
    server.client.post("/models/shop/predict", json={"city": "Timbuktu"})
    server.client.get("/models?secret=1")
    import time

    time.sleep(0.3)
    text = server.log.read_text()
    last = [json.loads(line) for line in text.splitlines()][-1]
    assert last["event"] == "request"
    assert (last["method"], last["path"], last["status"]) == ("GET", "/models", 200)
    assert last["milliseconds"] >= 0
    assert "Timbuktu" not in text
    assert "secret" not in text
