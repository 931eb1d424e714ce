"""Write ``doc/tempest.rst`` and ``doc/tempest_network.rst`` from runs of Tempest: what passed, failed and was skipped, with the reason.

Run it with the Python of Tempest's environment, which has python-subunit and testtools::

    python tools/docs/tempest_page.py results.subunit > doc/tempest.rst
    python tools/docs/tempest_page.py --network network.subunit > doc/tempest_network.rst
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import subunit
import testtools

HEAD = """Tempest
=======

Tempest 47.0.0 against one embedded cloud with the fake driver on SQLite. The tests of the Compute API run twice:

- profile ``compute``: identity, image and compute only, as ``run_tempest.sh -p compute`` has it;
- profile ``network``: the same tests with the Network API there, so that those run which make a network of their own.

.. code-block:: console

   $ nova-lite up --config-file nova-lite.conf     # [compute] driver = fake, [quota] as high as the tests go
   $ prepare_cloud.py
   $ run_tempest.sh -c 2 -p network -r '^tempest\\.(api\\.compute|serial_tests\\.api\\.compute)' \\
         -S validation.connect_method=fixed -S compute-feature-enabled.change_password=true \\
         -S compute-feature-enabled.vnc_console=true -S compute-feature-enabled.serial_console=true \\
         -S compute-feature-enabled.spice_console=true -S compute-feature-enabled.personality=true

Images have ``hw_qemu_guest_agent=yes`` (for the change of a password). Features that are not
there are off: cold and live migration and whatever needs a second host, volumes, stable rescue, certificates of images. Tempest's only test of
a SPICE console needs microversion 2.99, so it is skipped. ``tools/docs/tempest_page.py`` wrote this page from the result of the profile
``network``.

"""

NETWORK_HEAD = """Tempest's tests of networks
===========================

Tempest 47.0.0, profile ``network``, against one embedded cloud with the fake driver on SQLite:

.. code-block:: console

   $ nova-lite up --config-file nova-lite.conf     # [compute] driver = fake
   $ run_tempest.sh -c 2 -p network -r '^tempest\\.api\\.network'

The cloud has an external network ``public`` with one subnet. ``tools/docs/tempest_page.py`` wrote this page from the result.

"""

REASONS: tuple[tuple[str, str], ...] = (
    (r"[Cc]inder|[Vv]olume", "Needs volumes, which come with an issue of their own"),
    (
        r"[Ss]hared networks",
        "Runs only where a project sees exactly its own networks; prepare_cloud.py makes a shared one",
    ),
    (r"certified_image_ref", "Certificates of images are not checked"),
    (r"[Ll]ive.?[Mm]igration|Cold migration|2 compute nodes", "Needs a second host"),
    (r"[Vv]alidation", "Logs in to the guest; the fake driver has none"),
    (r"microversion range", "Outside the microversions that are offered"),
    (r"bugs?/\d+", "Upstream skips it because of a bug of its own"),
    (r"Neutron (allows|does not)", "Only for nova-network, which upstream has no more"),
    (r"[Ss]table rescue", "The rescue disk comes before the server's own; Nova's stable rescue is not there"),
    (r"[Mm]etering", "Traffic is not metered"),
    (r"dhcp_agent_scheduler", "There is no DHCP agent to schedule: each host answers its own guests"),
    (r"DVR|dvr", "Every router is distributed, and none can be made that is not"),
    (r"service-type", "Only one implementation of each service is there"),
    (r"^tag extension", "Upstream itself has the extension no more; its successors are there"),
    (r"auto-allocated", "The Network API has no auto-allocated topology"),
    (r"known-for-sure", "Names a network that the administrator made beforehand; none was named"),
    (r"VNC|SPICE|[Ss]erial", "The console is not turned on for the run"),
)


def read(path: Path) -> dict[str, tuple[str, str]]:
    """Return each test's (or class's) status and reason by name; ids in brackets are left out."""
    found: dict[str, tuple[str, str]] = {}

    def note(test: dict[str, Any]) -> None:
        details = test.get("details") or {}
        reason = details["reason"].as_text().strip() if "reason" in details else ""
        if test["id"] and test["status"] in ("success", "fail", "skip"):
            name = re.sub(r"\[[^\]]*\]$", "", test["id"])
            found[re.sub(r"^(?:setUp|tearDown)Class \((.*)\)$", r"\1", name)] = (test["status"], reason)

    with path.open("rb") as file:
        result = testtools.StreamToDict(note)
        result.startTestRun()
        subunit.ByteStreamToStreamResult(file, non_subunit_name="stdout").run(result)
        result.stopTestRun()
    return found


def why(reason: str) -> str:
    """Return the heading under which a skip is listed."""
    return next((ours for pattern, ours in REASONS if re.search(pattern, reason)), reason or "No reason given")


def listed(names: list[str]) -> str:
    """Return a list of names."""
    return "".join(f"- ``{name}``\n" for name in sorted(names))


def heading(text: str, line: str) -> str:
    """Return a heading."""
    return f"{text}\n{line * len(text)}\n\n"


def page(found: dict[str, tuple[str, str]], note: str, head: str = HEAD) -> str:
    """Return the page; *note* says what is to be said of the counts."""
    by_status: dict[str, list[str]] = defaultdict(list)
    for name, (status, _) in found.items():
        by_status[status].append(name)
    counts = ", ".join(f"{word} {len(by_status[key])}" for word, key in (("passed", "success"), ("failed", "fail")))
    text = (
        head + f"Profile ``network``: {counts}, skipped {len(by_status['skip'])} (a class that is skipped as a whole "
    )
    text += f"counts once).{' ' if note else ''}{note}\n\n"
    text += heading("Failed", "-") + (listed(by_status["fail"]) or "None.\n") + "\n" + heading("Skipped", "-")
    groups: dict[str, list[str]] = defaultdict(list)
    for name in by_status["skip"]:
        groups[why(found[name][1])].append(name)
    text += "".join(f"{reason}:\n\n{listed(groups[reason])}\n" for reason in sorted(groups))
    return text + heading("Passed", "-") + listed(by_status["success"])


if __name__ == "__main__":
    arguments = [word for word in sys.argv[1:] if word != "--network"]
    head = NETWORK_HEAD if "--network" in sys.argv else HEAD
    sys.stdout.write(page(read(Path(arguments[0])), " ".join(arguments[1:]), head))
