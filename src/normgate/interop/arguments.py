"""Arguments of an operation, as the tool that gets them will take them.

A person who writes "True" or "1e-6" in a file means a boolean or a number; whether the
tool sees it so is another question, and a reason to tell of it.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from normgate.contract.steps import exact
from normgate.interop.declared import Text

if TYPE_CHECKING:
    from collections.abc import Mapping

_BOOLEANS = {"true": True, "yes": True, "false": False, "no": False}


class Unsayable(ValueError):  # noqa: N818
    """An argument that no step can say, with the reason."""


def reason(error: Exception) -> str:
    """Why an argument can't be said, in one line."""
    if isinstance(error, ValidationError):
        return str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    return str(error).splitlines()[0]


class Arguments:
    """The arguments of one operation; texts that stand for something else are kept.

    Args:
        given: As the file has them.
        where: What to call the operation in a report.
        python: Whether the tool takes values as Python does (text is true, and can't be
            reckoned with) instead of turning text into the type that it expects.
    """

    def __init__(self, given: Mapping[str, Any], where: str, *, python: bool) -> None:
        self._given, self._where, self._python = given, where, python
        self.texts: list[Text] = []

    def __contains__(self, name: str) -> bool:
        """Whether it is given, and not null."""
        return self._given.get(name) is not None

    def flag(self, name: str, default: bool) -> bool:
        """A boolean as the tool takes it.

        Raises:
            Unsayable: It is neither a boolean nor a number.
        """
        value = self._given.get(name, default)
        if isinstance(value, str):
            meant = _BOOLEANS.get(value.strip().lower())
            if meant is None:
                raise Unsayable(f"{name} is {value!r}")
            taken = True if self._python else meant
            self._keep(name, value, "as meant" if taken == meant else "as true")
            return taken
        if value is None or isinstance(value, bool | int):
            return bool(value)
        raise Unsayable(f"{name} is {value!r}")

    def number(self, name: str, default: float | None = None) -> Decimal:
        """A finite number.

        Raises:
            Unsayable: It is none, or is missing.
        """
        return self._number(name, self._given.get(name, default))

    def numbers(self, name: str) -> tuple[Decimal, ...]:
        """One number, or one for each channel.

        Raises:
            Unsayable: One of them is none, or they are missing.
        """
        value = self._given.get(name)
        if isinstance(value, list | tuple) and value:
            return tuple(self._number(name, one) for one in value)
        return (self._number(name, value),)

    def _number(self, name: str, value: Any) -> Decimal:
        if isinstance(value, str):
            try:
                meant = exact(Decimal(value.strip()))
            except (InvalidOperation, ValueError):
                raise Unsayable(f"{name} is {value!r}") from None
            self._keep(name, value, "as an error" if self._python else "as meant")
            return meant
        try:
            return exact(value)
        except ValueError:
            raise Unsayable(f"{name} is {value!r}") from None

    def _keep(
        self,
        name: str,
        value: str,
        taken: Literal["as meant", "as true", "as an error"],
    ) -> None:
        where = f"{self._where}.{name}"
        self.texts.append(Text(where=where, text=value, taken=taken))
