"""Requests made from the schema by schemathesis: hundreds of odd ones, and not one may be our fault."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conformance.conftest import HERE, House

EXAMPLES = 15
SECONDS = 170
# What would take the caller's own rights away, and leave the rest of the run with nothing but refusals.
SPARED = ("sessionEnd", "sessionRevoke", "userArchive", "userRoleRevoke", "userPlantAccessSet", "passwordChange")


def test_no_request_makes_the_server_fail(house: House, token: str, tmp_path: Path) -> None:
    before = house.failures()
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", house.endpoint,
            *("-H", f"Authorization: Bearer {token}"),
            *("--exclude-checks", "positive_data_acceptance"),
            *("--phases", "fuzzing", "--max-examples", str(EXAMPLES), "--workers", "2"),
            *("--request-timeout", "15", "--generation-database", "none", "--no-color"),
            *(part for name in SPARED for part in ("--exclude-name", f"Mutation.{name}")),
        ],
        cwd=tmp_path, env=os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")},
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr
    sent = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert sent is not None
    assert sent[1] == sent[2]
    assert int(sent[1]) > 1_000
    assert house.failures() == before
    assert house.ask("{ organization { code } }", token=token)["organization"] == {"code": "acme"}, "still signed in"
