"""Microversions: parsing what a client asks for, and saying what was answered.

Source: https://specs.openstack.org/openstack/api-sig/guidelines/microversion_specification.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from nova_lite.errors import Invalid, NovaLiteError

_FORMAT = re.compile(r"([1-9]\d*)\.([1-9]\d*|0)")


class VersionNotAcceptable(NovaLiteError):
    """The microversion asked for is not one of ours (406)."""

    default_code = "version.not_acceptable"


@dataclass(frozen=True, order=True)
class Version:
    """A microversion; compares by number."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read ``2.15``. :raises Invalid: it is of another form."""
        match = _FORMAT.fullmatch(text)
        if match is None:
            raise Invalid(
                f"API Version String '{text}' is of invalid format. Must be of format MajorNum.MinorNum.",
                "version.malformed",
            )
        return cls(int(match[1]), int(match[2]))


@dataclass(frozen=True)
class VersionRange:
    """The microversions of one service. ``legacy_header`` is the service's own header from before there was a standard."""

    service: str
    least: Version
    greatest: Version
    legacy_header: str | None = None

    def chosen(self, headers: Mapping[str, str]) -> Version:
        """Return the version that a request's headers ask for; the least where they ask for none.

        :raises Invalid: the header is malformed.
        :raises VersionNotAcceptable: the version lies outside the range.
        """
        text = self._asked(headers)
        if text is None:
            return self.least
        if text == "latest":
            return self.greatest
        version = Version.parse(text)
        if not self.least <= version <= self.greatest:
            raise VersionNotAcceptable(
                f"Version {version} is not supported by the API. "
                f"Minimum is {self.least} and maximum is {self.greatest}."
            )
        return version

    def _asked(self, headers: Mapping[str, str]) -> str | None:
        for part in headers.get("OpenStack-API-Version", "").split(","):
            name, _, value = part.strip().partition(" ")
            if name.lower() == self.service and value:
                return value.strip()
        if self.legacy_header:
            return headers.get(self.legacy_header) or None
        return None

    def headers(self, version: Version) -> dict[str, str]:
        """Return the headers that say which version was answered."""
        answer = {"OpenStack-API-Version": f"{self.service} {version}", "Vary": "OpenStack-API-Version"}
        if self.legacy_header:
            answer[self.legacy_header] = str(version)
            answer["Vary"] += f", {self.legacy_header}"
        return answer
