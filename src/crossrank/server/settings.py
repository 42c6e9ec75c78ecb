"""What a server is told: by flags, by variables ``CROSSRANK_SERVER_...``, by a TOML file."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from crossrank.errors import InputError
from crossrank.server.problems import first_fault
from crossrank.tokenization import Truncation

PREFIX = "CROSSRANK_SERVER_"
"""Of the variables."""

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Settings of the server: what ``crossrank serve --help`` says of the flags of these names.

    Each may be given as an argument, in the environment (``CROSSRANK_SERVER_PORT=9000``; lists and
    tables as JSON), or in a TOML file: see ``read``.

    Example:
        >>> Settings(max_documents=10).max_documents
        10
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    models: dict[str, str] = {"default": "default"}
    aliases: dict[str, str] = {}
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1)
    backend: str = "auto"
    precision: str = "auto"
    device: str | None = None
    max_length: int | None = Field(default=None, ge=1)
    truncation: Truncation | None = None
    max_documents: int = Field(default=1000, ge=1)
    max_body_bytes: int = Field(default=10_000_000, ge=1)
    max_queue: int = Field(default=20_000, ge=1)
    max_requests: int = Field(default=256, ge=1)
    max_wait_ms: float = Field(default=0.0, ge=0, le=1000)
    timeout_s: Seconds = 60.0
    body_timeout_s: Seconds = 10.0
    api_keys: Path | None = None
    anonymous: bool = False
    cors_origins: list[str] = []
    cache: str | None = None
    log_texts: bool = False
    tracing: bool = False

    files: ClassVar[tuple[Path, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _variables_are_known(cls, values: Any) -> Any:
        for variable in os.environ:
            name = variable.lower()
            if name.startswith(PREFIX.lower()) and name[len(PREFIX) :] not in cls.model_fields:
                near = _nearest(name[len(PREFIX) :])
                raise ValueError(
                    f"there is no variable {variable}; the nearest is {PREFIX}{near.upper()}"
                )
        return values

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        if not self.models:
            raise ValueError("at least one model is required")
        for alias, name in self.aliases.items():
            if name not in self.models:
                known = ", ".join(self.models)
                raise ValueError(
                    f"the alias {alias!r} must name one of the models {known}, received {name!r}"
                )
            if alias in self.models:
                raise ValueError(f"{alias!r} is both a model and an alias")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags first, then the environment, then the file."""
        return (
            init_settings,
            env_settings,
            *(TomlConfigSettingsSource(settings_cls, file) for file in cls.files),
        )

    @classmethod
    def read(cls, file: Path | None, **flags: Any) -> "Settings":
        """Read settings; flags win over the environment, and that over the file.

        Args:
            file: In TOML.
            **flags: Settings by name; ``None`` where a flag was not given.

        Raises:
            InputError: A setting is unknown or cannot be used.
        """
        source: type[Settings] = type("Settings", (cls,), {"files": (file,) if file else ()})
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return source(**given)
        except ValidationError as error:
            raise InputError(_told(error)) from error
        except SettingsError as error:
            name = next((name for name in cls.model_fields if f'"{name}"' in str(error)), "")
            raise InputError(
                f'The variable {PREFIX}{name.upper()} must be JSON, such as ["a", "b"] or '
                '{"a": "b"}.'
            ) from error
        except ValueError as error:
            raise InputError(f"The settings cannot be read from {file}: {error}.") from error


def _told(error: ValidationError) -> str:
    name, fault = first_fault(error)
    if fault["type"] == "extra_forbidden":
        return f"There is no setting {name}: did you mean {_nearest(name)}?"
    return f"The setting {name}: {fault['msg']}." if name else f"The settings: {fault['msg']}."


def _nearest(name: str) -> str:
    return get_close_matches(name, Settings.model_fields, n=1, cutoff=0.0)[0]
