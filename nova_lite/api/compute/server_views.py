"""What a server looks like, in each microversion. Views are built straight from the records, without another query."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from nova_lite.api.compute import paging, parameters, policies
from nova_lite.api.context import Call
from nova_lite.compute import hosts
from nova_lite.compute.servers import Detail, Nic, ServerRecord
from nova_lite.compute.transitions import status

_WITH_PROGRESS = {"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING"}
_WITH_FAULT = {"ERROR", "DELETED"}

OWN_HEADER = "X-Nova-Lite"
"""A client that sends this gets members of ours too; others must not see any, as Tempest's schemas are closed."""


def host_id(record: ServerRecord) -> str:
    """Return the host's name as a project may see it: the same for its servers on one host, telling nothing else."""
    if not record.host:
        return ""
    return hashlib.sha224((record.project_id + record.host).encode()).hexdigest()


def addresses(nics: Sequence[Nic], *, extended: bool) -> dict[str, list[dict[str, Any]]]:
    """Make the ``addresses`` member: network name → addresses; *extended* with type and MAC."""
    shown: dict[str, list[dict[str, Any]]] = {}
    for nic in nics:
        fixed = [("fixed", address) for _, address in nic.addresses]
        for kind, address in (*fixed, *(("floating", address) for address in nic.floating)):
            item: dict[str, Any] = {"version": 6 if ":" in address else 4, "addr": address}
            if extended:
                item |= {"OS-EXT-IPS:type": kind, "OS-EXT-IPS-MAC:mac_addr": nic.mac_address}
            shown.setdefault(nic.network_name, []).append(item)
    return shown


class ServerView:
    """The view of one request: what its microversion and its caller may see is found out once."""

    def __init__(self, call: Call) -> None:
        self._minor = call.version.minor
        endpoint = call.services.endpoint
        self._attributes = call.may(policies.PREFIX + "os-extended-server-attributes")
        self._host_status = self._minor >= 16 and call.may(policies.SERVERS + "show:host_status")
        self._down_after: float = call.services.conf.compute.down_after
        self._self = f"{endpoint}{paging.ROOT}/servers/"
        self._bookmark = f"{endpoint}{paging.BOOKMARKS}/"
        self._extra_specs = self._minor >= 47 and call.may(policies.SERVERS + "show:flavor-extra-specs")
        self._own = call.request.headers.get(OWN_HEADER) is not None

    def basic(self, server_id: str, name: str) -> dict[str, Any]:
        """Make what ``GET /servers`` lists."""
        return {"id": server_id, "name": name, "links": self._links(server_id)}

    def detail(self, detail: Detail, *, groups: bool = False) -> dict[str, Any]:
        """Make the whole view; *groups* with the member that only single servers have."""
        record = detail.server
        shown = self._core(record)
        shown["addresses"] = addresses(detail.nics, extended=True)
        shown["OS-EXT-AZ:availability_zone"] = record.host_zone or record.availability_zone or ""
        shown["config_drive"] = "True" if record.config_drive else ""
        shown["key_name"] = record.key_name
        shown["OS-SRV-USG:launched_at"] = parameters.exact_moment(record.launched_at)
        shown["OS-SRV-USG:terminated_at"] = parameters.exact_moment(record.terminated_at)
        shown["OS-EXT-STS:task_state"] = record.task_state
        shown["OS-EXT-STS:vm_state"] = record.vm_state
        shown["OS-EXT-STS:power_state"] = record.power_state
        shown["os-extended-volumes:volumes_attached"] = []
        if detail.security_groups:
            shown["security_groups"] = [{"name": name} for name in detail.security_groups]
        self._add_attributes(shown, record)
        if self._host_status:
            shown["host_status"] = hosts.host_status(
                record.host_enabled, record.host_last_seen, record.host_forced_down, self._down_after
            )
        if self._minor >= 96:
            shown["pinned_availability_zone"] = record.availability_zone
        if groups and self._minor >= 71:
            shown["server_groups"] = list(detail.groups)
        return shown

    def updated(self, detail: Detail) -> dict[str, Any]:
        """Make what ``PUT /servers/{id}`` answers: a smaller view until 2.75."""
        if self._minor >= 75:
            return self.detail(detail, groups=True)
        shown = self._core(detail.server)
        shown["addresses"] = addresses(detail.nics, extended=False)
        if self._minor >= 71:
            shown["server_groups"] = list(detail.groups)
        return shown

    def rebuilt(self, detail: Detail) -> dict[str, Any]:
        """Make what a rebuild answers: as a change does, with the key since 2.54 and the user data since 2.57."""
        if self._minor >= 75:
            shown = self.detail(detail, groups=True) | {"user_data": detail.server.user_data}
            # Upstream's answer has it once, under the name without a prefix.
            shown.pop("OS-EXT-SRV-ATTR:user_data", None)
            return shown
        shown = self.updated(detail)
        if self._minor >= 54:
            shown["key_name"] = detail.server.key_name
        if self._minor >= 57:
            shown["user_data"] = detail.server.user_data
        return shown

    def _core(self, record: ServerRecord) -> dict[str, Any]:
        word = status(record.vm_state, record.task_state)
        shown: dict[str, Any] = {
            "id": record.id,
            "name": record.name,
            "status": word,
            "tenant_id": record.project_id,
            "user_id": record.user_id,
            "metadata": record.metadata,
            "hostId": host_id(record),
            "image": self._image(record.image_id),
            "flavor": self._flavor(record.flavor),
            "created": parameters.shown_moment(record.created_at),
            "updated": parameters.shown_moment(record.updated_at or record.created_at),
            "accessIPv4": record.access_ip_v4,
            "accessIPv6": record.access_ip_v6,
            "links": self._links(record.id),
            "OS-DCF:diskConfig": record.disk_config,
        }
        if word in _WITH_FAULT and record.fault:
            shown["fault"] = self._fault(record.fault)
        if word in _WITH_PROGRESS:
            shown["progress"] = 0
        minor = self._minor
        if minor >= 9:
            shown["locked"] = record.locked
        if minor >= 19:
            shown["description"] = record.description
        if minor >= 26:
            shown["tags"] = record.tags
        if minor >= 63:
            shown["trusted_image_certificates"] = None
        if minor >= 73:
            shown["locked_reason"] = record.locked_reason
        if self._own:
            shown["nova_lite:kind"] = record.kind
        return shown

    def _add_attributes(self, shown: dict[str, Any], record: ServerRecord) -> None:
        prefix = "OS-EXT-SRV-ATTR:"
        if self._attributes:
            shown[prefix + "host"] = record.host
            shown[prefix + "hypervisor_hostname"] = record.host
            shown[prefix + "instance_name"] = f"nl-{record.id}"
            if self._minor >= 3:
                shown[prefix + "kernel_id"] = record.image_properties.get("kernel_id") or ""
                shown[prefix + "ramdisk_id"] = record.image_properties.get("ramdisk_id") or ""
                shown[prefix + "launch_index"] = record.launch_index
                shown[prefix + "reservation_id"] = record.reservation_id
                shown[prefix + "root_device_name"] = "/dev/vda" if record.kind == "vm" else None
                shown[prefix + "user_data"] = record.user_data
        if self._minor >= 90 or (self._attributes and self._minor >= 3):
            shown[prefix + "hostname"] = record.hostname

    def _links(self, server_id: str) -> list[dict[str, str]]:
        return [
            {"rel": "self", "href": self._self + server_id},
            {"rel": "bookmark", "href": f"{self._bookmark}servers/{server_id}"},
        ]

    def _image(self, image_id: str | None) -> Any:
        if image_id is None:
            return ""
        href = f"{self._bookmark}images/{image_id}"
        return {"id": image_id, "links": [{"rel": "bookmark", "href": href}]}

    def _flavor(self, flavor: dict[str, Any]) -> dict[str, Any]:
        if self._minor < 47:
            href = f"{self._bookmark}flavors/{flavor['id']}"
            return {"id": flavor["id"], "links": [{"rel": "bookmark", "href": href}]}
        shown = {
            "original_name": flavor["name"],
            "vcpus": flavor["vcpus"],
            "ram": flavor["ram"],
            "disk": flavor["disk"],
            "ephemeral": flavor["ephemeral"],
            "swap": flavor["swap"],
        }
        return shown | {"extra_specs": flavor["extra_specs"]} if self._extra_specs else shown

    def _fault(self, fault: dict[str, Any]) -> dict[str, Any]:
        shown = {name: fault.get(name) for name in ("code", "message", "created")}
        if fault.get("details") and (self._attributes or fault.get("code") != 500):
            shown["details"] = fault["details"]
        return shown
