"""Settings: what may be left out, what is checked, and how a problem is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from api.mailing import known_mail_server
from api.settings import REPOSITORY, Settings, SettingsError

KEY = "k" * 32
URL = "postgresql://u:p@host/db"
PEM = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("UNISON_HOME", str(tmp_path / "home"))


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings.load(_env_file=None)


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **environment)
    return caught.value.problems


def test_nothing_has_to_be_set_in_development(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch)
    assert settings.development
    assert settings.port == 8000
    assert settings.max_body_bytes == 1_048_576
    assert settings.database_url is None


def test_development_makes_its_secret_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = load(monkeypatch).secret_key
    assert len(first) >= 32
    assert load(monkeypatch).secret_key == first
    assert (tmp_path / "home" / "secret.key").stat().st_mode & 0o077 == 0
    assert load(monkeypatch, SECRET_KEY=KEY).secret_key == KEY


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch, SECRET_KEY=KEY, DATABASE_URL="postgresql://u:hidden@host/db", JWT_PRIVATE_KEY=PEM,
        SMTP_HOST="mail.example", SMTP_FROM="unison@acme.example", SMTP_USERNAME="unison", SMTP_PASSWORD="hidden",
    )  # fmt: skip
    shown = repr(settings) + repr(known_mail_server(settings))
    assert KEY not in shown
    assert "hidden" not in shown
    assert "PRIVATE" not in shown


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"PORT": "x"}, "PORT: input should be a valid integer"),
        ({"PORT": "70000"}, "PORT: input should be less than or equal to 65535"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY: needs at least 32 characters"),
        ({"JWT_ALGORITHM": "none"}, "JWT_ALGORITHM: input should be 'HS256', 'RS256' or 'ES256'"),
        ({"JWT_ALGORITHM": "ES256"}, "JWT_PRIVATE_KEY: required"),
        ({"JWT_PRIVATE_KEY": "nonsense"}, "JWT_PRIVATE_KEY: must be a private key in PEM"),
        ({"JWT_ACCESS_TOKEN_EXPIRE_MINUTES": "600"}, "JWT_ACCESS_TOKEN_EXPIRE_MINUTES: input should be less than"),
        ({"JWT_JWKS_URL": "https://sso/keys", "JWT_AUDIENCE": "a"}, "JWT_ISSUER: required"),
        ({"JWT_JWKS_URL": "https://sso/keys", "JWT_ISSUER": "i"}, "JWT_AUDIENCE: required"),
        ({"BACKEND_CORS_ORIGINS": "http://a"}, "BACKEND_CORS_ORIGINS: must be a JSON list"),
        ({"BACKEND_CORS_ORIGINS": '{"a": 1}'}, "BACKEND_CORS_ORIGINS: must be a JSON list"),
        ({"DATABASE_URL": "mysql://x"}, "DATABASE_URL: must look like postgresql://"),
        ({"SAP_BASE_URL": "https://sap"}, "SAP_BASE_URL: needs SAP_USERNAME"),
        ({"MINIO_ENDPOINT": "s3:9000"}, "MINIO_ENDPOINT: needs MINIO_ACCESS_KEY"),
        ({"SMTP_HOST": "mail.example"}, "SMTP_FROM: required"),
        ({"SMTP_FROM": "Unison <unison@acme.example>"}, "SMTP_FROM: must be an address alone"),
        ({"SMTP_FROM": "unison"}, "SMTP_FROM: must be an address alone"),
        ({"SMTP_PASSWORD": "x"}, "SMTP_USERNAME: needs SMTP_PASSWORD"),
        ({"SMTP_TLS": "maybe"}, "SMTP_TLS: input should be"),
        ({"SMTP_CA_FILE": "/no/such/file"}, "SMTP_CA_FILE: path does not point to a file"),
        ({"PASSWORD_RESET_URL": "app.example"}, "PASSWORD_RESET_URL: must start with"),
        ({"UNISON_ENV": "staging"}, "UNISON_ENV: input should be"),
        ({"UNISON_HOME": "/proc/nowhere"}, "UNISON_HOME: /proc/nowhere cannot be used"),
    ],
)
def test_a_problem_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], problem: str
) -> None:
    (line,) = problems(monkeypatch, **environment)
    assert line.startswith(problem)
    assert "\n" not in line


def test_all_problems_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, PORT="x", JWT_ALGORITHM="none", DATABASE_URL="nowhere")
    assert {line.split(":")[0] for line in told} == {"PORT", "JWT_ALGORITHM", "DATABASE_URL"}


def test_production_needs_a_secret_and_a_database(monkeypatch: pytest.MonkeyPatch) -> None:
    told = problems(monkeypatch, UNISON_ENV="production", BACKEND_CORS_ORIGINS='["*"]')
    assert {line.split(":")[0] for line in told} == {"SECRET_KEY", "DATABASE_URL", "BACKEND_CORS_ORIGINS"}
    assert not load(monkeypatch, SECRET_KEY=KEY, DATABASE_URL=URL, BACKEND_CORS_ORIGINS="[]").development


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_usual_ways_to_write_a_url(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    assert load(monkeypatch, DATABASE_URL=f"{scheme}://u:p@host/db").database_url == URL


def test_a_key_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, JWT_ALGORITHM="ES256", JWT_PRIVATE_KEY=PEM.replace("\n", "\\n"))
    assert settings.jwt_private_key == PEM


def test_lists_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, BACKEND_CORS_ORIGINS='["http://a", "http://b"]').backend_cors_origins == [
        "http://a",
        "http://b",
    ]


@pytest.mark.parametrize("file", [".env.example", "README.md"])
def test_every_setting_is_described(file: str) -> None:
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    named = set(re.findall(r"\b[A-Z][A-Z0-9_]+\b", text))
    assert {name.upper() for name in Settings.model_fields} <= named


def test_the_example_file_names_no_unknown_setting() -> None:
    lines: list[Any] = re.findall(
        r"^#?([A-Z_]+)=", (REPOSITORY / ".env.example").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name.lower() for name in lines} <= set(Settings.model_fields)
