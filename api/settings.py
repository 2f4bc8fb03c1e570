"""Everything that can be set from outside, by environment variables of the same names; checked once, at the start."""

from __future__ import annotations

import json
import os
import secrets
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import AfterValidator, BeforeValidator, Field, FilePath, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

REPOSITORY = Path(__file__).parent.parent
SECRET_LENGTH = 32


class SettingsError(Exception):
    """The settings cannot be used: one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _postgresql(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("postgresql", "postgres", "postgresql+asyncpg") or not rest:
        raise ValueError("must look like postgresql://user:password@host:5432/database")
    return f"postgresql://{rest}"


def _network(name: str) -> str:
    ip_network(name, strict=False)
    return name


def _private_key(pem: str) -> str:
    pem = pem.replace("\\n", "\n")  # an environment file has one line per variable
    try:
        load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError):
        raise ValueError("must be a private key in PEM without a passphrase") from None
    return pem


def _http(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return url


def _mail_address(address: str) -> str:
    name, _, domain = address.rpartition("@")
    if not (name and domain and address.isascii() and address.isprintable()) or set(address) & set(' "<>(),:;[]\\'):
        raise ValueError("must be an address alone, such as unison@example.com")
    return address


def _json_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except ValueError:
        raise ValueError('must be a JSON list, such as ["http://localhost:3000"]') from None
    if not isinstance(parsed, list):
        raise ValueError('must be a JSON list, such as ["http://localhost:3000"]')
    return parsed


def _home() -> Path:
    beside_the_code = (REPOSITORY / "pyproject.toml").exists()
    return (REPOSITORY if beside_the_code else Path.cwd()) / ".unison"


PostgresUrl = Annotated[str, AfterValidator(_postgresql)]
Network = Annotated[str, AfterValidator(_network)]
PrivateKey = Annotated[str, AfterValidator(_private_key)]
HttpUrl = Annotated[str, AfterValidator(_http)]
MailAddress = Annotated[str, AfterValidator(_mail_address)]


class Settings(BaseSettings):
    """What a process was told. README.md has the table with the meaning of each."""

    model_config = SettingsConfigDict(env_file=".env", extra="ignore", frozen=True, env_ignore_empty=True)

    # Where it runs
    unison_env: Literal["development", "production"] = "development"
    unison_home: Path = Field(default_factory=_home)
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    otel_exporter_otlp_endpoint: HttpUrl | None = None

    # Database
    database_url: PostgresUrl | None = Field(default=None, repr=False)
    database_app_url: PostgresUrl | None = Field(default=None, repr=False)
    database_events_url: PostgresUrl | None = Field(default=None, repr=False)
    worker_metrics_port: int | None = Field(default=None, ge=1, le=65535)
    pool_size: int = Field(default=10, ge=2, le=200)
    statement_timeout_ms: int = Field(default=10_000, ge=100)
    event_retention_days: int = Field(default=7, ge=1, le=365)

    # Who may come in
    secret_key: str = Field(default="", repr=False)
    jwt_algorithm: Literal["HS256", "RS256", "ES256"] = "HS256"
    jwt_private_key: PrivateKey | None = Field(default=None, repr=False)
    jwt_access_token_expire_minutes: int = Field(default=15, ge=15, le=30)
    jwt_jwks_url: HttpUrl | None = None
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    backend_cors_origins: Annotated[list[str], NoDecode, BeforeValidator(_json_list)] = []
    trusted_proxies: Annotated[list[Network], NoDecode, BeforeValidator(_json_list)] = []
    sign_ins_per_minute: int = Field(default=60, ge=1)
    bad_credentials_per_minute: int = Field(default=60, ge=1)

    # How much one caller may ask for
    max_body_bytes: int = Field(default=1_048_576, ge=1_024)
    max_document_tokens: int = Field(default=1_000, ge=100)
    max_depth: int = Field(default=12, ge=3)
    max_aliases: int = Field(default=30, ge=0)
    max_directives: int = Field(default=8, ge=0)
    max_root_mutations: int = Field(default=10, ge=1)
    max_list_variable: int = Field(default=1_000, ge=1)
    operation_timeout_seconds: float = Field(default=10.0, gt=0)
    cost_limit: int = Field(default=50_000, ge=1_000)
    cost_bucket: int = Field(default=500_000, ge=1_000)
    cost_restore_per_second: int = Field(default=10_000, ge=10)
    max_operations_at_once: int | None = Field(default=None, ge=1)
    max_operations_waiting: int = Field(default=500, ge=0)
    max_wait_seconds: float = Field(default=1.0, gt=0)
    max_sockets_per_principal: int = Field(default=20, ge=1)
    max_subscriptions_per_principal: int = Field(default=100, ge=1)
    drain_seconds: float = Field(default=10.0, ge=0)

    # Webhooks, in the worker
    webhook_allowed_networks: Annotated[list[Network], NoDecode, BeforeValidator(_json_list)] = []
    webhook_allow_http: bool = False

    # Objects
    minio_endpoint: str | None = None
    minio_access_key: str | None = Field(default=None, repr=False)
    minio_secret_key: str | None = Field(default=None, repr=False)
    minio_bucket: str = "unison-files"
    minio_secure: bool = False
    minio_region: str = "us-east-1"
    minio_public_url: HttpUrl | None = None

    # Mail
    smtp_host: str | None = None
    smtp_port: int = Field(default=587, ge=1, le=65535)
    smtp_tls: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str | None = None
    smtp_password: str | None = Field(default=None, repr=False)
    smtp_from: MailAddress | None = None
    smtp_ca_file: FilePath | None = None
    password_reset_url: HttpUrl | None = None

    # SAP
    sap_base_url: HttpUrl | None = None
    sap_username: str | None = None
    sap_password: str | None = Field(default=None, repr=False)
    sap_client: str | None = None

    @property
    def development(self) -> bool:
        return self.unison_env == "development"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problems = [problem for wrong, problem in self._rules() if wrong]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def _rules(self) -> list[tuple[bool, str]]:
        """What one variable asks of another."""
        production = not self.development
        given = bool(self.secret_key)
        own_key = self.jwt_algorithm != "HS256"
        database = self.database_url or (self.database_app_url and self.database_events_url)
        return [
            (production and not given, "SECRET_KEY: required when UNISON_ENV is production"),
            (given and len(self.secret_key) < SECRET_LENGTH, f"SECRET_KEY: needs at least {SECRET_LENGTH} characters"),
            (production and not database, "DATABASE_URL: required when UNISON_ENV is production"),
            (own_key and not self.jwt_private_key, f"JWT_PRIVATE_KEY: required (PEM) with {self.jwt_algorithm}"),
            (bool(self.jwt_jwks_url and not self.jwt_issuer), "JWT_ISSUER: required with JWT_JWKS_URL"),
            (bool(self.jwt_jwks_url and not self.jwt_audience), "JWT_AUDIENCE: required with JWT_JWKS_URL"),
            (production and "*" in self.backend_cors_origins, "BACKEND_CORS_ORIGINS: * is not allowed in production"),
            (
                bool(self.sap_base_url) and not (self.sap_username and self.sap_password and self.sap_client),
                "SAP_BASE_URL: needs SAP_USERNAME, SAP_PASSWORD and SAP_CLIENT",
            ),
            (
                bool(self.minio_endpoint) and not (self.minio_access_key and self.minio_secret_key),
                "MINIO_ENDPOINT: needs MINIO_ACCESS_KEY and MINIO_SECRET_KEY",
            ),
            (bool(self.smtp_host and not self.smtp_from), "SMTP_FROM: required with SMTP_HOST"),
            (
                bool(self.smtp_username) != bool(self.smtp_password),
                "SMTP_USERNAME: needs SMTP_PASSWORD, and the reverse",
            ),
            (
                bool(production and self.smtp_password and self.smtp_tls == "none"),
                "SMTP_TLS: a password is not sent in the clear in production",
            ),
        ]

    @classmethod
    def load(cls, **given: Any) -> Settings:
        """The settings of this process, or every problem with them at once. Development makes its own secret, once."""
        try:
            settings = cls(**given)
        except ValidationError as error:
            raise SettingsError(_problems(error)) from None
        if settings.secret_key:
            return settings
        try:
            return settings.model_copy(update={"secret_key": _kept_secret(settings.unison_home / "secret.key")})
        except OSError as error:
            raise SettingsError([f"UNISON_HOME: {settings.unison_home} cannot be used ({error.strerror})"]) from None


def _kept_secret(file: Path) -> str:
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as out:
            out.write(secrets.token_urlsafe(48))
    except FileExistsError:
        pass
    return file.read_text(encoding="ascii").strip()


def _problems(error: ValidationError) -> list[str]:
    lines: list[str] = []
    for problem in error.errors(include_url=False, include_input=False):
        message = problem["msg"].removeprefix("Value error, ")
        if problem["loc"]:
            name = str(problem["loc"][0]).upper()
            lines.append(f"{name}: {message[0].lower()}{message[1:]}")
        else:
            lines.extend(message.splitlines())
    return lines
