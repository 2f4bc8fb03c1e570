"""The other commands of `unison` as their users run them: what they print, change and refuse."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import httpx
import pytest

from tests.api.cli.home import Home, Serving, ask


def test_token_prints_a_token_and_nothing_else(serving: Serving, token: str) -> None:
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+\n", token)
    answer = ask(serving, "{ me { account { email } } }", Authorization=f"Bearer {token.strip()}")
    assert answer["data"] == {"me": {"account": {"email": "admin@acme.example"}}}


def test_token_of_nobody(home: Home, serving: Serving) -> None:
    done = home.run("token", "nobody@nowhere.example")
    assert (done.returncode, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1


def test_documents_are_registered_from_files(home: Home, serving: Serving, token: str, tmp_path: Path) -> None:
    document = tmp_path / "mine.graphql"
    document.write_text("query Mine { me { account { email } } }\n")
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"1": "query Other { me { account { id } } }"}))
    hash = hashlib.sha256(document.read_bytes()).hexdigest()
    done = home.run("documents", "register", str(document), str(manifest), "--organization", "acme")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"sha256:{hash}  Mine"), done.stderr
    assert home.run("documents", "register", str(document)).stdout == f"sha256:{hash}  Mine\n"
    answer = httpx.post(
        serving.url,
        json={"documentId": f"sha256:{hash}"},
        headers={"authorization": f"Bearer {token.strip()}"},
    )
    assert answer.json().get("data") == {"me": {"account": {"email": "admin@acme.example"}}}, answer.text
    assert "3 trusted\n" in home.run("doctor").stdout
    document.write_text("{ nothing }")
    for arguments in ((str(document),), (str(tmp_path / "none.graphql"),), (str(manifest), "--organization", "nobody")):
        failed = home.run("documents", "register", *arguments)
        assert (failed.returncode, failed.stdout, len(failed.stderr.splitlines())) == (1, "", 1)


def test_doctor_tells_of_documents_the_schema_has_left_behind(home: Home, serving: Serving) -> None:
    home.sql(
        "insert into meta.trusted_documents (hash, name, text) values (repeat('a', 64), 'Old', '{ nothing }') returning 1"
    )
    assert "Old of the server" in home.run("doctor").stdout
    home.sql("delete from meta.trusted_documents where name = 'Old' returning 1")


def test_doctor_finds_it_well(home: Home, serving: Serving) -> None:
    done = home.run("doctor")
    assert done.returncode == 0, done.stdout
    for word in (
        "PostgreSQL 18",
        "tier embedded",
        "pg_trgm missing",
        "connects as unison_app",
        "its relay is connected",
        "bucket unison-files: answers",
    ):
        assert word in done.stdout


def test_back_to_nothing_and_forward(home: Home, serving: Serving) -> None:
    if serving.process.poll() is None:
        serving.stop()
    down = home.run("migrate", "--down", "base")
    assert (down.returncode, down.stdout.split()[-1]) == (0, "empty"), down.stderr
    early = home.run("token", "admin@acme.example")
    assert (early.returncode, early.stdout) == (1, "")
    assert "run `unison migrate`" in early.stderr
    assert "Traceback" not in early.stderr
    up = home.run("migrate")
    assert (up.returncode, up.stdout.split()[0]) == (0, "empty"), up.stderr


def test_the_committed_schema_is_current(home: Home) -> None:
    done = home.run("schema", "export", "--check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("environment", "code", "said"),
    [
        ({"PORT": "x", "SECRET_KEY": "short"}, 2, "PORT: "),
        ({"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/none"}, 1, "The database cannot be reached"),
        ({"UNISON_ENV": "production"}, 2, "SECRET_KEY: "),
    ],
)
def test_what_can_be_mended_is_told_in_a_sentence(
    home: Home, environment: dict[str, str], code: int, said: str
) -> None:
    done = home.run("migrate", **environment)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
