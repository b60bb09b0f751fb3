"""A server's life: how it starts, who may ask, what happens when there is too much, how it ends."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.serve.running import ROW, Running, request, response, running

from retrograd.cli.main import main
from retrograd.serve.settings import Limits, Settings
from retrograd.tensor.errors import InputError

BODY = json.dumps(ROW).encode()
TOKEN = "0123456789abcdef"


Refused = Callable[..., str]


@pytest.fixture
def refused(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Try to serve the model shop, which must be refused with 2; return the sentence."""
    monkeypatch.chdir(models)

    def run(*arguments: str) -> str:
        assert main(["serve", *arguments]) == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.count("\n") == 1
        return said.err

    return run


def test_a_port_that_is_taken_is_one_line(refused: Refused) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert refused("shop.retro", "--port", str(port)) == (
            f"retrograd: serving on 127.0.0.1:{port}: another program has this port; "
            f"stop it, or take another: --port {port % 65535 + 1}\n"
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing.retro"], "serving 'nothing.retro': there is no such file or directory"),
        (["shop.retro", "--host", "no.such.host.invalid"], "there is no such address; try --host"),
        (["shop.retro", "--host", "192.0.2.1"], "serving on 192.0.2.1:8000: "),
        (["shop.retro", "--port", "70000"], "ports are numbers from 0 to 65535; try 8000"),
        (["shop.retro", "--token-file", "none"], "reading the token in 'none': "),
        (["shop.retro", "--token-file", "bad"], "it holds more than ASCII letters"),
    ],
)
def test_what_cannot_begin_is_one_line(
    models: Path, refused: Refused, arguments: list[str], words: str
) -> None:
    (models / "bad").write_bytes(b"\xff")
    assert words in refused(*arguments)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"window": 2.0}, "serving with window=2: a row may wait from 0 to 1 second for others"),
        ({"token": "short"}, "serving with this token: it needs 8 or more ASCII letters"),
        ({"token": "with a blank"}, "try|make one: openssl rand -hex 24"),
        ({"port": -1}, "serving on port -1"),
    ],
)
def test_settings_that_no_server_can_keep(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(InputError) as refused:
        Settings(**wrong)  # type: ignore[arg-type]
    assert any(word in str(refused.value) for word in words.split("|"))
    with pytest.raises(InputError, match="with the limit rows=0: no request could pass it"):
        Limits(rows=0)
    assert TOKEN not in repr(Settings(token=TOKEN))


def test_requests_on_their_way_are_answered_when_it_ends(models: Path) -> None:
    with running(models, "shop.retro", "--quiet") as server, server.connect() as slow:
        data = request(BODY)
        slow.sendall(data[:-10])
        with server.connect() as idle:
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            slow.sendall(data[-10:])
            status, headers, body = response(slow)
            assert (status, headers["connection"]) == (200, "close")
            assert json.loads(body)["model"] == "shop"
            assert response(idle)[0] == 0
        assert server.process.wait(20) == 0
        assert server.lines()[-1]["event"] == "stopped"


def test_nothing_is_lost_when_it_ends_under_load(models: Path) -> None:
    answered, broken = [], []

    def ask(address: str) -> None:
        try:
            with httpx.Client(base_url=address) as client:
                while True:
                    answered.append(client.post("/predict", json=ROW).status_code)
        except httpx.ConnectError:
            pass  # it takes no more: nothing was sent
        except httpx.HTTPError as error:
            broken.append(error)

    with running(models, "shop.retro") as server:
        askers = [threading.Thread(target=ask, args=(server.address,)) for _ in range(8)]
        for each in askers:
            each.start()
        for _ in range(200):
            time.sleep(0.05)
            if len(answered) > 50:
                break
        assert server.stop() == 0
        for each in askers:
            each.join()
    assert broken == []
    assert len(answered) > 50
    assert set(answered) <= {200, 503}


@pytest.mark.slow
def test_ctrl_c_ends_it_in_order_too(models: Path) -> None:
    with running(models, "shop.retro") as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0


def test_a_token_is_asked_for_and_never_written(models: Path) -> None:
    (models / "token").write_text(TOKEN + "\n")
    with running(models, "shop.retro", "--token-file", "token") as server:
        client = server.client
        for path in ("/", "/docs", "/healthz", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for given in ({}, {"authorization": "Bearer wrong"}, {"authorization": TOKEN}):
            reply = client.post("/predict", json=ROW, headers=given)
            assert (reply.status_code, reply.headers["www-authenticate"]) == (401, "Bearer")
            assert "the token is missing or wrong" in reply.json()["error"]
        assert client.get("/metrics").status_code == 401
        bearer = {"authorization": f"Bearer {TOKEN}"}
        assert client.post("/predict", json=ROW, headers=bearer).status_code == 200
        found = client.get("/openapi.json", headers=bearer).json()
        assert found["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
        assert server.stop() == 0
        log = server.log.read_text()
    assert TOKEN not in log
    assert "Basel" not in log


@pytest.mark.slow
def test_a_token_can_stand_in_the_environment(models: Path) -> None:
    with running(models, "shop.retro", RETROGRAD_TOKEN=TOKEN) as server:
        assert server.client.post("/predict", json=ROW).status_code == 401


def test_too_many_at_once_are_told_to_come_back(models: Path) -> None:
    with running(models, "shop.retro", "--max-at-once", "2", "--window", "200") as server:

        def ask(_: int) -> httpx.Response:
            return httpx.post(server.address + "/predict", json=ROW, timeout=20)

        with ThreadPoolExecutor(12) as pool:
            replies = list(pool.map(ask, range(12)))
        statuses = [reply.status_code for reply in replies]
        assert set(statuses) == {200, 503}
        shed = next(reply for reply in replies if reply.status_code == 503)
        assert shed.headers["retry-after"] == "1"
        assert shed.json()["error"] == "2 requests are being answered; come back in a second"
        assert server.client.get("/healthz").status_code == 200
        assert server.client.post("/predict", json=ROW).status_code == 200
        text = server.client.get("/metrics").text
        assert f"retrograd_requests_shed_total {statuses.count(503)}.0" in text


def test_connections_are_bounded_and_the_oldest_idle_ones_give_way(models: Path) -> None:
    with running(models, "shop.retro", "--max-connections", "32") as server:
        crowd: list[socket.socket] = []
        try:
            for _ in range(300):
                crowd.append(server.connect())
            reply = httpx.post(server.address + "/predict", json=ROW)
            assert reply.status_code == 200
            (count,) = (
                float(line.split()[1])
                for line in server.client.get("/metrics").text.splitlines()
                if line.startswith("retrograd_connections ")
            )
            assert count <= 32
        finally:
            for connection in crowd:
                connection.close()


def test_a_house_full_of_requests_refuses_more(models: Path) -> None:
    with running(models, "shop.retro", "--max-connections", "4") as server:
        busy = [server.connect() for _ in range(4)]
        for connection in busy:
            connection.sendall(request(BODY)[:-1])
        time.sleep(0.2)
        with server.connect() as late:
            late.sendall(request(BODY))
            status, headers, body = response(late)
        assert (status, headers["retry-after"]) == (503, "1")
        assert json.loads(body) == {"error": "too many connections; come back in a second"}
        for connection in busy:
            connection.sendall(request(BODY)[-1:])
            assert response(connection)[0] == 200
            connection.close()


def test_a_changed_file_is_served_soon(models: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.retro"
    path.write_bytes((models / "shop.retro").read_bytes())
    with running(tmp_path, "m=model.retro") as server:
        new = tmp_path / "new"
        new.write_bytes((models / "price.retro").read_bytes())
        os.replace(new, path)
        assert eventually(server, "income")
        path.write_bytes(b"broken")
        time.sleep(1.3)
        found = server.client.get("/models/m").json()
        assert (found["target"], "cut short" in found["fault"]) == ("income", True)


def eventually(server: Running, target: str) -> bool:
    """Wait until a model predicts this column, for five seconds at most."""
    for _ in range(50):
        if server.client.get("/models/m").json()["target"] == target:
            return True
        time.sleep(0.1)
    return False
