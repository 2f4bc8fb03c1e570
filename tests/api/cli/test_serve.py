"""`unison serve` as its users run it: what it starts with, what it keeps running, and how it ends."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import signal

import httpx
import psutil

from tests.api.cli.home import SECONDS, Home, Serving, ask, eventually


def test_a_first_start_tells_where_it_is_and_how_to_sign_in(serving: Serving) -> None:
    assert "/graphql" in serving.greeting
    assert "unison-demo" in serving.greeting
    for name in (
        "admin",
        "manager",
        "planner",
        "supervisor",
        "operator",
        "quality",
        "maintenance",
        "warehouse",
        "viewer",
    ):
        assert f"{name}@acme.example" in serving.greeting
    for name in ("admin", "operator"):
        assert f"{name}@globex.example" in serving.greeting


def test_it_is_ready_when_it_says_so(serving: Serving) -> None:
    assert httpx.get(serving.url.replace("/graphql", "/readyz"), timeout=10).status_code == 200


def storage_of(serving: Serving) -> psutil.Process | None:
    for child in serving.children():
        with contextlib.suppress(psutil.Error):
            if "s3" in child.cmdline() and child.status() != psutil.STATUS_ZOMBIE:
                return child
    return None


def test_files_go_up_and_come_down(home: Home, serving: Serving, token: str) -> None:
    body = b"%PDF-1.7 " + bytes(5_000)
    create = f"""mutation {{ uploadCreate(input: {{filename: "a.pdf", size: "{len(body)}", contentType: "application/pdf",
      sha256: "{hashlib.sha256(body).hexdigest()}"}}) {{ file {{ id }} upload {{ url }} errors {{ code }} }} }}"""
    headers = {"authorization": f"Bearer {token.strip()}"}
    made = ask(serving, create, **headers)["data"]["uploadCreate"]
    assert httpx.put(made["upload"]["url"], content=body).status_code == 200
    complete = f"""mutation {{ uploadComplete(input: {{id: "{made["file"]["id"]}"}}) {{
      file {{ status download {{ url }} }} errors {{ code }} }} }}"""
    file = ask(serving, complete, **headers)["data"]["uploadComplete"]["file"]
    assert httpx.get(file["download"]["url"]).content == body
    keys = home.folder / "objects" / "keys.json"
    assert keys.stat().st_mode & 0o077 == 0
    storage = storage_of(serving)
    assert storage is not None
    assert json.loads(keys.read_text())[1] not in " ".join(storage.cmdline())


def test_object_storage_that_ends_is_started_again(serving: Serving) -> None:
    first = storage_of(serving)
    assert first is not None
    first.kill()
    ready = serving.url.replace("/graphql", "/readyz")
    second = eventually(lambda: (p := storage_of(serving)) and p.pid != first.pid and p)
    assert second
    eventually(lambda: httpx.get(ready, timeout=10).json()["checks"]["files"])


def test_a_second_one_over_the_same_home_is_refused(home: Home, serving: Serving) -> None:
    done = home.run("serve")
    assert done.returncode == 1
    assert str(serving.process.pid) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_told(home: Home, serving: Serving) -> None:
    done = home.run("serve", PORT=str(httpx.URL(serving.url).port))
    assert done.returncode == 2
    assert done.stderr.startswith("PORT: ")


def test_a_worker_that_ends_is_started_again(serving: Serving) -> None:
    first = eventually(serving.worker)
    first.kill()
    second = eventually(lambda: (found := serving.worker()) and found.pid != first.pid and found)
    assert second.is_running()


def test_a_stop_ends_every_process_and_a_second_start_is_warm(home: Home, serving: Serving) -> None:
    eventually(serving.worker)
    processes = [*serving.children(), psutil.Process(home.server()["pid"])]
    organizations = home.sql("select string_agg(code || created_at, ',' order by code) from app.organizations")
    assert serving.stop() == 0
    assert psutil.wait_procs(processes, timeout=5)[1] == []
    assert not (home.folder / "postgres" / "server.json").exists()

    again = home.serve()
    try:
        assert (
            home.sql("select string_agg(code || created_at, ',' order by code) from app.organizations") == organizations
        )
        assert "demo data" not in again.greeting
        seconds = float(re.findall(r"ready after ([\d.]+) s", again.greeting)[0])
        assert seconds < 20, again.greeting  # below 3 on a machine that does nothing else
    finally:
        assert again.stop(signal.SIGTERM) == 0


def test_a_database_that_ends_ends_the_rest(home: Home, serving: Serving) -> None:
    if serving.process.poll() is None:
        serving.stop()
    running = home.serve("--no-worker")
    psutil.Process(home.server()["pid"]).kill()
    assert running.process.wait(SECONDS) == 1
    running.process.stdout.close()  # type: ignore[union-attr]
