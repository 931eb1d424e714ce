"""The clients' own functional tests: where they are, what they are told, and which of them ask for what is offered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """A client's suite, from its source distribution; the tests are run as they are.

    ``tests``: the folder in it. ``chosen``: a pattern of test ids. ``environment``: beside the cloud's own.
    """

    package: str
    version: str
    tests: str
    chosen: str
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1


SUITES = {
    "openstacksdk": Suite(
        "openstacksdk",
        "4.22.0",
        "openstack/tests/functional",
        r"functional\.(compute\.|cloud\.|network\.|image\.|identity\.)",
        {"OPENSTACKSDK_FUNC_TEST_TIMEOUT": "60"},
    ),
    "openstackclient": Suite(
        "python-openstackclient",
        "10.5.0",
        "openstackclient/tests/functional",
        r"functional\.(compute|common|image|network|identity\.v3)\.",
        workers=2,
    ),
    # The tests of crash dumps wait for the log-in prompt of a real cirros.
    "novaclient": Suite(
        "python-novaclient",
        "18.13.1",
        "novaclient/tests/functional",
        r"^(?!.*crash_dump)",
        {"OS_NOVACLIENT_NETWORK": "private"},
    ),
}

RUNNERS = (
    *("stestr", "testtools", "testscenarios", "fixtures", "oslotest", "ddt", "requests-mock", "tempest"),
    *("prometheus-client", "statsd", "jsonschema", "setuptools", "wheel", "pbr"),
)
"""What the suites need beside the clients."""
