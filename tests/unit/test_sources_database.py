"""Queries on real databases: SQLite files and a PostgreSQL server of our own, which is started, stopped and killed."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import many_intents, tree
from postgresql import SECRET, Server, cluster_in, running

from inhouse.errors import SourceError
from inhouse.sources.database import hosts_of, read_database, without_password

# ---------------------------------------------------------------------- SQLite


@pytest.fixture
def mails(tmp_path) -> Path:
    """A SQLite file with sixty mails."""
    path = tmp_path / "crm.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE mails (id INTEGER, text TEXT, category TEXT, price REAL, photo BLOB)")
        rows = [(n, r["text"], r["category"], n / 4, None) for n, r in enumerate(many_intents(5))]
        connection.executemany("INSERT INTO mails VALUES (?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


def test_rows_of_a_sqlite_file_and_their_places(mails):
    source = read_database(
        f"sqlite:///{mails}", "SELECT id, text, price, NULL AS empty_one FROM mails WHERE text LIKE '%pin%'"
    )
    assert source.columns == ("id", "text", "price", "empty_one")
    first = source.records[0]
    assert first.values["empty_one"] == ""
    assert first.json == {"id", "price"}
    assert (first.provenance.file, first.provenance.line) == (f"sqlite:///{mails}", 1)
    assert len(source.sha256) == 64
    assert all("pin" in record.values["text"] for record in source.records)


def test_the_checksum_is_of_what_the_rows_hold(mails):
    def checksum(query):
        return read_database(f"sqlite:///{mails}", query).sha256

    assert checksum("SELECT text FROM mails") == checksum("SELECT text FROM mails WHERE id >= 0;")
    assert checksum("SELECT text FROM mails") != checksum("SELECT text FROM mails WHERE id > 0")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "a database needs a query"),
        ("SELECT colour FROM mails", "the query failed: no such column: colour"),
        ("SELECT text, text FROM mails", "the column name 'text' stands twice"),
        ("SELECT text FROM mails WHERE id < 0", "brings no rows"),
        ("DELETE FROM mails", "readonly database"),
    ],
)
def test_a_query_that_cannot_be_used(mails, query, said):
    before = mails.read_bytes()
    with pytest.raises(SourceError, match=said) as told:
        read_database(f"sqlite:///{mails}", query)
    assert told.value.remedy
    assert told.value.file == f"sqlite:///{mails}"
    assert mails.read_bytes() == before


def test_no_query_lists_the_tables(mails):
    with pytest.raises(SourceError) as told:
        read_database(f"sqlite:///{mails}", "")
    assert "FROM mails" in told.value.remedy


def test_a_missing_sqlite_file_is_told_and_not_made(tmp_path):
    with pytest.raises(SourceError, match="no such SQLite file"):
        read_database(f"sqlite:///{tmp_path}/none.db", "SELECT 1 AS a")
    assert list(tmp_path.iterdir()) == []


def test_bytes_reject_the_row(mails):
    with sqlite3.connect(mails) as connection:
        connection.execute("UPDATE mails SET photo = x'ff00' WHERE id = 3")
    connection.close()
    source = read_database(f"sqlite:///{mails}", "SELECT text, photo FROM mails ORDER BY id")
    assert [(r.provenance.line, r.reason) for r in source.rejections] == [(4, "column 'photo' holds bytes, not text")]
    assert len(source.records) == len(many_intents(5)) - 1


def test_an_unknown_kind_of_database_names_the_driver():
    with pytest.raises(SourceError, match="no driver for nosuch"):
        read_database("nosuch://me@localhost/x", "SELECT 1 AS a")


# ---------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (f"postgresql://me:{SECRET}@db/crm", "postgresql://me@db/crm"),
        (f"postgresql://me@db/crm?password={SECRET}&sslmode=require", "postgresql://me@db/crm?sslmode=require"),
        ("sqlite:///a.db", "sqlite:///a.db"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("sqlite:///a.db", []),
        ("postgresql://me@db.example/crm", ["db.example"]),
        ("postgresql:///crm?host=db.example", ["db.example"]),
        ("postgresql://localhost/crm?hostaddr=10.0.0.1", ["localhost", "10.0.0.1"]),
        ("postgresql:///crm?host=/run/postgresql", []),
        ("snowflake:///crm", ["snowflake"]),
    ],
)
def test_the_hosts_that_a_url_leads_to(url, hosts, monkeypatch):
    for variable in ("PGHOST", "PGHOSTADDR", "PGSERVICE"):
        monkeypatch.delenv(variable, raising=False)
    assert hosts_of(url) == hosts


def test_the_host_of_the_environment_counts(monkeypatch):
    monkeypatch.setenv("PGHOST", "db.example")
    assert hosts_of("postgresql:///crm") == ["db.example"]


@pytest.mark.parametrize("url", ["postgresql://me@db.example/crm", "postgresql:///crm?host=10.1.2.3"])
def test_offline_a_database_elsewhere_is_refused(tmp_path, inhouse_command, url):
    done = subprocess.run(
        [*inhouse_command, "add", "tickets", url, "--query", "SELECT 1 AS a", "--json", "-w", str(tmp_path / "w")],
        capture_output=True,
        text=True,
        env={**os.environ, "INHOUSE_OFFLINE": "1"},
        check=False,
    )
    assert done.returncode == 3
    assert "INHOUSE_OFFLINE=1 forbids it" in done.stderr
    assert not (tmp_path / "w").exists()


# ---------------------------------------------------------------------- PostgreSQL


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    """A database cluster, which no server has open."""
    with cluster_in(Path("/tmp") / f"inhouse-pg-{os.getpid()}") as cluster:
        yield cluster


@pytest.fixture
def server(cluster) -> Iterator[Server]:
    """A server on the cluster, with sixty thousand mails."""
    import psycopg

    with running(cluster) as server:
        with psycopg.connect(server.url) as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS mails AS SELECT n AS id, 'mail number ' || n || repeat(' long', 100) AS text, "
                "CASE n % 3 WHEN 0 THEN 'card' WHEN 1 THEN 'pin' ELSE 'transfer' END AS category, "
                "n * 1.10::numeric(9,2) AS price, DATE '2025-03-04' AS day, "
                "jsonb_build_object('a', n) AS more, n % 2 = 0 AS even FROM generate_series(1, 60000) AS n"
            )
            connection.execute("CREATE SEQUENCE IF NOT EXISTS counter")
        yield server


def test_every_type_of_postgresql_as_text(server):
    source = read_database(server.url, "SELECT * FROM mails WHERE id % 20000 = 1 AND text LIKE '%mail%' ORDER BY id")
    assert [r.provenance.line for r in source.records] == [1, 2, 3]
    first = source.records[0]
    kept = {name: first.values[name] for name in source.columns if name != "text"}
    assert kept == {
        "id": "1",
        "category": "pin",
        "price": "1.10",
        "day": "2025-03-04",
        "more": '{"a":1}',
        "even": "false",
    }
    assert first.json == {"id", "price", "more", "even"}
    assert source.nested == {"more"}
    assert first.provenance.file == server.shown


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("SELECT nextval('counter') AS a", "read-only transaction"),
        ("WITH gone AS (DELETE FROM mails RETURNING id) SELECT id FROM gone", "data-modifying"),
        ("DELETE FROM mails RETURNING id", "the query failed"),
    ],
)
def test_postgresql_is_only_read(server, query, said):
    with pytest.raises(SourceError, match=said):
        read_database(server.url, query)
    assert read_database(server.url, "SELECT count(*) AS n FROM mails").records[0].values == {"n": "60000"}


def test_a_wrong_password_is_told_without_it(server):
    with pytest.raises(SourceError, match="password authentication failed") as told:
        read_database(server.url.replace(SECRET, "wr0ng-word"), "SELECT 1 AS a")
    assert "wr0ng-word" not in str(told.value)


def test_no_server_is_told():
    with pytest.raises(SourceError, match="no connection to the database"):
        read_database("postgresql://me@127.0.0.1:1/crm", "SELECT 1 AS a")


def test_a_server_that_dies_half_way_leaves_the_workspace_whole(server, tmp_path, cli, monkeypatch):
    from inhouse.sources import database

    folder = tmp_path / "work"
    assert cli(folder, "init", "tickets").code == 0
    before = tree(folder)
    rows_of = database._rows

    def dying(connection, query, count):
        for number, row in enumerate(rows_of(connection, query, count)):
            if number == 1500:
                os.kill(int(connection.exec_driver_sql("SELECT 1").scalar() and server.process.pid), signal.SIGQUIT)
                server.process.wait(timeout=30)
            yield row

    monkeypatch.setattr(database, "_rows", dying)
    done = cli(folder, "add", "tickets", server.url, "--query", "SELECT text, category FROM mails", "--json")
    assert done.code == 3, done
    assert re.search(r"the database went away after [\d,]+ rows", done.err)
    assert done.json["error"]["file"] == server.shown
    assert "nothing was added" in done.json["error"]["remedy"]
    assert SECRET not in done.err + done.out
    assert tree(folder) == before


def test_rows_of_postgresql_become_examples_and_the_password_is_nowhere(server, tmp_path, cli):
    folder = tmp_path / "work"
    query = "SELECT id, text, category FROM mails WHERE id <= 90 ORDER BY id"
    done = cli(folder, "add", "tickets", server.url, "--query", query, "--input", "text", "--json")
    assert done.code == 0, done.err
    assert sum(done.json["counts"].values()) == 90
    task = (folder / "tasks" / "tickets" / "task.toml").read_text()
    assert f'pattern = "{server.shown}"' in task
    assert f'query = "{query}"' in task
    again = cli(folder, "add", "tickets", server.url, "--json")
    assert again.json["dataset"] == 1
    grown = cli(folder, "add", "tickets", server.url, "--query", query.replace("90", "93"), "--json")
    assert grown.json["dataset"] == 2
    assert sum(grown.json["counts"].values()) == 93
    assert "90 rows of" in grown.err
    written = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert SECRET.encode() not in written
    assert SECRET not in done.err + done.out + again.err + grown.err
