"""The Open Inference Protocol, version 2, as KServe's and Triton's clients speak it."""

from typing import Any

import pytest
from tests.serve.running import ROW, Running

KINDS = {"age": "FP64", "income": "FP32", "city": "BYTES", "member": "BOOL", "joined": "BYTES"}


def inputs(rows: int = 1, **change: Any) -> list[dict[str, Any]]:
    """Return the inputs of that many equal rows; ``change`` overrides parts of the input `age`."""
    found = [
        {"name": name, "shape": [rows], "datatype": KINDS[name], "data": [cell] * rows}
        for name, cell in ROW.items()
    ]
    found[0].update(change)
    return found


def test_metadata_names_inputs_and_outputs(server: Running) -> None:
    found = server.client.get("/v2/models/shop").json()
    assert (found["name"], found["versions"], found["platform"]) == ("shop", ["1"], "retrograd")
    assert {each["name"]: each["datatype"] for each in found["inputs"]} == {
        **KINDS,
        "income": "FP64",
    }
    assert [each["name"] for each in found["outputs"]] == ["bought", "probabilities"]
    (output,) = server.client.get("/v2/models/price/versions/1").json()["outputs"]
    assert output == {"name": "income", "datatype": "FP64", "shape": [-1]}
    assert server.client.get("/v2").json()["name"] == "retrograd"


@pytest.mark.parametrize("rows", [1, 3])
def test_outputs_are_those_of_rows(server: Running, rows: int) -> None:
    given = {"id": "42", "inputs": inputs(rows), "parameters": {"x": 1}}
    found = server.client.post("/v2/models/shop/infer", json=given).json()
    alone = server.client.post("/predict", json=ROW).json()
    assert (found["model_name"], found["model_version"], found["id"]) == ("shop", "1", "42")
    value, shares = found["outputs"]
    assert (value["shape"], value["data"]) == ([rows], [alone["value"]] * rows)
    assert shares["shape"] == [rows, 2]
    assert shares["data"] == list(alone["probabilities"].values()) * rows
    assert shares["parameters"] == {"classes": ["no", "yes"]}


def test_a_version_and_some_outputs_can_be_asked_for(server: Running) -> None:
    path = "/v2/models/shop/versions/1/infer"
    given = {"inputs": inputs(2, shape=[2, 1], data=[[53], [None]], datatype="INT8"),
             "outputs": [{"name": "bought"}]}  # fmt: skip
    (output,) = server.client.post(path, json=given).json()["outputs"]
    assert (output["name"], output["shape"]) == ("bought", [2])


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ([], 400, "expected an object with the list 'inputs'"),
        ({"inputs": {}}, 400, "expected an object with the list 'inputs'"),
        ({"inputs": []}, 400, "the inputs are not of one length, or there are none"),
        ({"inputs": [1]}, 400, "expected inputs that are objects with a 'name'"),
        ({"inputs": inputs()[:4]}, 422, "field 'joined': the field is missing"),
        ({"inputs": inputs() + inputs()[:1]}, 400, "two inputs have the same name"),
        ({"inputs": inputs(datatype="FLOAT")}, 400, "expected a datatype such as FP64 or BYTES"),
        ({"inputs": inputs(shape=[1, 2])}, 400, "expected the shape [rows] or [rows, 1]"),
        ({"inputs": inputs(shape=[-1])}, 400, "expected the shape [rows] or [rows, 1]"),
        ({"inputs": inputs(shape=[True])}, 400, "expected the shape [rows] or [rows, 1]"),
        ({"inputs": inputs(shape=[10**30])}, 422, "rows are more than one request may send, 1,000"),
        ({"inputs": inputs(shape=[2])}, 400, "expected 2 values as 'data', found 1 values"),
        ({"inputs": inputs(data="x")}, 400, "expected 1 values as 'data', found the text 'x'"),
        ({"inputs": inputs(shape=[2], data=[1, 2])}, 400, "the inputs are not of one length"),
        ({"inputs": inputs(data=["x"])}, 422, "row 0, field 'age': found the text 'x', which"),
        ({"inputs": inputs(datatype="INT8", data=[300])}, 422, "found 300, which is no INT8"),
        ({"inputs": inputs(datatype="UINT8", data=[1.5])}, 422, "found 1.5, which is no UINT8"),
        ({"inputs": inputs(datatype="BOOL", data=[1])}, 422, "found 1, which is no BOOL"),
        ({"inputs": inputs(datatype="BYTES", data=["x"])}, 422, "expected a number, found"),
        ({"inputs": inputs(), "id": 4}, 400, "expected a text as 'id', found 4"),
        ({"inputs": inputs(datatype={})}, 400, "expected a datatype such as FP64 or BYTES"),
        ({"inputs": inputs(), "outputs": 1}, 400, "expected a list of objects as 'outputs'"),
        ({"inputs": inputs(), "outputs": [{"name": "x"}]}, 400, "the outputs are bought, pro"),
        ({"inputs": inputs(), "outputs": []}, 400, "probabilities; found none"),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(
    server: Running, given: Any, status: int, words: str
) -> None:
    reply = server.client.post("/v2/models/shop/infer", json=given)
    assert words in reply.json()["error"]
    assert reply.status_code == status


def test_unknown_models_and_types_are_refused(server: Running) -> None:
    assert server.client.post("/v2/models/x/infer", json={}).status_code == 404
    reply = server.client.post(
        "/v2/models/shop/infer", content=b"x", headers={"content-type": "a/b"}
    )
    assert reply.status_code == 415
