"""Databases answer with tables, are only read, and never show a password."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pytest

from retrograd.data import DateColumn, NumberColumn, TextColumn, places, read_table, sqlite_file
from retrograd.data import settled_source as settled
from retrograd.data import source_title as title
from retrograd.tensor.errors import DataError, InputError

ROWS = [(1, 1.5, "x", "2020-01-31", 2**60 + 1), (2, None, None, None, 3), (3, -2, "y", "", 4)]


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table orders (id int, size real, word text, day text, big int)")
        connection.executemany("insert into orders values (?, ?, ?, ?, ?)", ROWS)
    connection.close()
    return path


def test_tables_and_queries_of_sqlite(shop):
    for source in (
        shop,
        f"{shop}#orders",
        f"sqlite:{shop}",
        f"sqlite:///{shop}#select * from orders",
    ):
        columns = read_table(source).columns
        np.testing.assert_array_equal(columns["size"].values, [1.5, np.nan, -2])
        assert columns["word"].codes.tolist() == [0, -1, 1]
        assert isinstance(columns["day"], DateColumn)
        assert columns["big"].levels.tolist() == [str(2**60 + 1), "3", "4"]
    table = read_table(f"{shop}#select id, size * 2 as twice from orders where id > 1")
    assert table.columns["id"].values.tolist() == [2, 3]
    assert "shop.db#select id" in table.name
    assert len(table.name) <= 100
    spelled = f"{shop}#select '1.234' as price, 0 as y from orders"
    assert read_table(spelled).columns["price"].values[0] == 1.234
    again = read_table(spelled, spellings={"price": "1.234,5"})
    assert again.columns["price"].values[0] == 1234


def test_cells_of_sqlite_may_be_of_any_type(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite_file, "_ROWS_AT_ONCE", 2)
    path = tmp_path / "a.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("create table t (a, b, c)")
        rows = [(1, 1.0, "x"), (None, 2.5, None), ("q", "z", "y"), (2.5, 3, None), (7, 8, "x")]
        connection.executemany("insert into t values (?, ?, ?)", rows)
    columns = read_table(path).columns
    assert [c.levels.tolist() for c in columns.values()] == [
        ["1", "2.5", "7", "q"], ["1", "2.5", "3", "8", "z"], ["x", "y"]
    ]  # fmt: skip
    connection.execute(
        "create table numbers as select 5 as n union all select 2.5 union all select 7"
    )
    connection.commit()
    assert isinstance(read_table(f"{path}#numbers").columns["n"], NumberColumn)
    connection.execute("create table bytes as select x'00ff' as raw")
    connection.commit()
    connection.close()
    assert isinstance(read_table(f"{path}#bytes").columns["raw"], TextColumn)


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("ordrs", "no table is called 'ordrs'; did you mean 'orders'"),
        (
            "select * from q",
            "the database refused the query .no such table: q.; correct the",
        ),
        ("select", "no table is called 'select'"),
        ("select q from orders", "no such column: q"),
        ("select id, id from orders", "two columns are called 'id'; name them apart with AS"),
        ("select id from orders where id > 9", "a header but no rows"),
        ("select 1; drop table orders", "refused the query .You can only execute one statement"),
        ("with x as (select 1) delete from orders", "refused the query .it does more than"),
        (
            "with x as (select 1) insert into orders(id) select * from x",
            "it does more than to read",
        ),
        ("drop table orders", "no table is called 'drop table orders'"),
    ],
)
def test_queries_that_cannot_be_answered_are_refused(shop, part, found):
    with pytest.raises(DataError, match=found) as caught:
        read_table(f"{shop}#{part}")
    assert "shop.db" in str(caught.value)
    assert read_table(shop).n_rows == 3


def test_databases_that_are_none_are_refused(tmp_path, shop, monkeypatch):
    with pytest.raises(DataError, match=r"no such file or data set; did you mean '.*shop\.db'"):
        read_table(f"{tmp_path}/shp.db#orders")
    assert not (tmp_path / "shp.db").exists()
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"a,b\n1,2\n" * 200)
    with pytest.raises(DataError, match=r"bad\.db.*damaged or no SQLite .file is not a database"):
        read_table(bad)
    with pytest.raises(DataError, match=r"DuckDB cannot open it .*; check that it is"):
        read_table(f"duckdb:{bad}")
    bad.write_bytes(b"")
    with pytest.raises(DataError, match="the database has no tables; check its name"):
        read_table(bad)
    os.mkfifo(tmp_path / "pipe.db")
    with pytest.raises(DataError, match="it is a pipe or a device"):
        read_table(tmp_path / "pipe.db")
    with sqlite3.connect(shop) as connection:
        connection.execute("create table customers as select 1 as a")
    connection.close()
    with pytest.raises(DataError, match=r"it has 2 tables, and none is named; add #TABLE"):
        read_table(shop)
    monkeypatch.setattr(sqlite_file, "memory_of_machine", lambda: 8)
    with pytest.raises(DataError, match="the answer is larger than the memory; select fewer rows"):
        read_table(f"{shop}#orders")


def test_tables_and_queries_of_duckdb(tmp_path):
    path = tmp_path / "k.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table t as select range as a, 'x' || range as b, 1.5::decimal(10, 2) as c, "
            "date '2020-01-01' as d, 170141183460469231731687303715884105727::hugeint as e "
            "from range(5)"
        )
    for source in (path, f"duckdb:{path}#t"):
        columns = read_table(source).columns
        assert columns["a"].values.tolist() == [0, 1, 2, 3, 4]
        assert columns["c"].values.tolist() == [1.5] * 5
        assert isinstance(columns["d"], DateColumn)
        assert columns["e"].levels.tolist() == [str(2**127 - 1)]
    assert read_table(f"{path}#select a from t where a > 2").n_rows == 2
    for part, found in [
        ("tt", "no table is called 'tt'; did you mean 't'"),
        ("select q from t", "the database refused the query"),
        ("select * from read_csv('/etc/passwd')", "refused the query .*disabled by configuration"),
        ("with x as (select 1) insert into t(a) select * from x", "refused the query .*read-only"),
        ("select a, a from t", "two columns are called 'a'"),
        ("select [1] as l", "column 'l' .* does not hold single values"),
        ("select union_value(k := 1) as u", "its cells are no single values .*; select plain colu"),
        ("from t limit 0", "a header but no rows"),
    ]:
        with pytest.raises(DataError, match=found):
            read_table(f"{path}#{part}")


def test_a_missing_package_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "a.duckdb").write_bytes(b"x")
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(InputError, match=r'is not installed; pip install "retrograd\[sql\]"'):
        read_table(tmp_path / "a.duckdb")


def test_places_and_passwords(tmp_path, monkeypatch):
    url = "postgresql://me:sec%20ret@host:5432/shop?sslmode=require&password=other"
    place = places.parse(f"{url}#orders")
    assert place.safe == "postgresql://me@host:5432/shop?sslmode=require#orders"
    assert settled(f"{url}#orders") == place.safe
    assert title(f"{url}#orders") == "shop orders"
    assert places.secrets(url) == ("other", "sec ret", "sec%20ret")
    assert places.without_password("postgresql://[::1/x") == places.UNREADABLE
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.db").write_bytes(b"x")
    assert settled("sqlite:///a.db#t") == f"{tmp_path}/a.db#t"
    assert settled("duckdb:a.db") == f"duckdb:{tmp_path}/a.db"
    assert settled("digits") == "digits"
    assert places.parse("sqlite:////tmp/a.db").path == "/tmp/a.db"
    (tmp_path / "odd#name.csv").write_text("a,b\n1,2\n")
    assert read_table("odd#name.csv").n_rows == 1
    with pytest.raises(DataError, match="there is no such file"):
        read_table("other#name.csv")


def test_servers_that_cannot_be_reached():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DataError) as caught:
        read_table(f"postgres://me:secret@127.0.0.1:{port}/shop#orders")
    message = str(caught.value)
    assert f"the server 127.0.0.1:{port} cannot be reached (Connection refused)" in message
    assert "secret" not in message
    with pytest.raises(DataError, match="the URL cannot be read; write postgresql://USER@HOST"):
        read_table("postgresql://me:secret@[::1/x#y")


@pytest.fixture
def server(tmp_path):
    """A PostgreSQL server of its own, and its URL; skipped where none is installed."""
    found = shutil.which("postgres")
    folder = Path(found).resolve().parent if found else None
    if folder is None or not (folder / "initdb").exists():
        pytest.skip("no PostgreSQL server is installed")
    home = Path("/tmp") / f"postgres-{os.getpid()}"  # short, and open to the server's own user
    home.mkdir()
    (home / "password").write_text("secret")
    options = {"user": "nobody"} if os.geteuid() == 0 else {}
    if options:
        shutil.chown(home, "nobody")

    def call(*words):
        subprocess.run(words, check=True, capture_output=True, cwd=home, timeout=60, **options)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = f"{home}/data"
    try:
        call(folder / "initdb", "-D", data, "-A", "scram-sha-256", "-U", "me", "--no-sync",
             f"--pwfile={home}/password")  # fmt: skip
        call(folder / "pg_ctl", "-D", data, "-w", "-l", f"{home}/log", "-o",
             f"-p {port} -k {home} -c listen_addresses=127.0.0.1", "start")  # fmt: skip
        yield f"postgresql://me:secret@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([folder / "pg_ctl", "-D", data, "-m", "immediate", "stop"], check=False,
                       capture_output=True, **options)  # fmt: skip
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.slow
def test_a_postgresql_server(server, monkeypatch):
    import adbc_driver_postgresql.dbapi as driver

    with driver.connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(
            "create table orders as select 1 as id, 12.34::numeric(10,2) as price, true as sold, "
            "date '2020-01-31' as day, 9007199254740993 as big, 'x' as word"
        )
        connection.commit()
    columns = read_table(f"{server}#orders").columns
    assert columns["price"].values.tolist() == [12.34]
    assert columns["big"].levels.tolist() == ["9007199254740993"]
    assert isinstance(columns["day"], DateColumn)
    assert read_table(server).name == server.replace(":secret", "")
    no_password = server.replace(":secret", "")
    for source, found in [
        (f"{server}#ordrs", "no table is called 'ordrs'; did you mean 'orders'"),
        (f"{server}#select q from orders", 'refused the query .column "q" does not exist'),
        (f"{server}#with x as (delete from orders returning id) select * from x", "read-only"),
        (f"{server}#select 1 as a; drop table orders", "cannot insert multiple commands"),
        (f"{server}#select id, id from orders", "two columns are called 'id'"),
        (server.replace("secret", "wrong"), "refused the user or the password; correct them: PGP"),
        (no_password, "refused the user or the password"),
        (f"{server[: server.rindex('/')]}/nothing", "the server has no such database"),
    ]:
        with pytest.raises(DataError, match=found) as caught:
            read_table(source)
        assert "secret" not in str(caught.value)
        assert "wrong" not in str(caught.value)
    monkeypatch.setenv("PGPASSWORD", "secret")
    assert read_table(f"{no_password}#select id from orders").n_rows == 1
