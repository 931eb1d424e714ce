"""What the fake driver can do beyond the protocol: all of ``abilities``, with the refusals of the real one."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nova_lite.compute.transitions import PowerState
from nova_lite.virt import oci_archive, refusals
from nova_lite.virt.abilities import ConsoleTarget, Snapshot
from nova_lite.virt.driver import CONTAINER, VM, DriverError, GuestNotFound, GuestSpec, LocalImage, Nic
from nova_lite.virt.fake_consoles import KINDS as CONSOLES
from nova_lite.virt.fake_consoles import FakeConsoles
from nova_lite.virt.fake_guests import FakeGuests
from nova_lite.virt.waiting import GoOn, go_on

_DISK_BYTES = 65_536


class FakeAbilities(FakeGuests):
    """Each method holds its protocol's promises; what a resize or a rescue keeps is a row beside the guest's."""

    consoles = FakeConsoles()

    def snapshot(self, spec: GuestSpec, target: Path, go_on: GoOn = go_on) -> Snapshot:
        """Write a small file that is what it says: a raw disk, or an OCI archive with one file."""
        with self._action("snapshot", spec.server_id):
            row = self._row(spec.server_id)
            text = f"snapshot of {spec.server_id}, {row['console'].count(chr(10))} starts\n".encode()
            part = target.with_name(f"{target.name}.part")
            try:
                part.write_bytes(text.ljust(_DISK_BYTES, b"\0"))
                self._copy(go_on)
                if spec.kind == CONTAINER:
                    size = _write_archive(target, text, spec.image.config)
                    return Snapshot(target, "raw", "docker", size, {})
                os.replace(part, target)
            finally:
                part.unlink(missing_ok=True)
            is_ami = spec.image.disk_format == "ami"
            formats = ("ami", "ami") if is_ami else ("raw", "bare")
            return Snapshot(target, *formats, _DISK_BYTES, {})

    def rescue(self, spec: GuestSpec, rescue: LocalImage) -> None:
        """Run the guest from *rescue*; running from it is success."""
        with self._action("rescue", spec.server_id):
            refusals.check(spec.kind, "rescue")
            self._row(spec.server_id)
            if self._extra(spec.server_id, "rescue") == rescue.image_id and self._runs(spec.server_id):
                return
            with self._at_once():
                self._restart(spec)
                self._keep(spec.server_id, "rescue", rescue.image_id)

    def unrescue(self, spec: GuestSpec) -> None:
        """Run the guest from its own disk."""
        with self._action("unrescue", spec.server_id):
            refusals.check(spec.kind, "rescue")
            self._row(spec.server_id)
            if self._extra(spec.server_id, "rescue") is None and self._runs(spec.server_id):
                return
            with self._at_once():
                self._restart(spec)
                self._keep(spec.server_id, "rescue", None)

    def resize(self, spec: GuestSpec, *, run: bool = True, go_on: GoOn = go_on) -> None:
        """Run the guest with *spec*'s size, and keep the disk's size from before the first of repeated calls."""
        with self._action("resize", spec.server_id):
            with self._lock:
                before = self._extra(spec.server_id, "before")
                disk_gb = self._row(spec.server_id)["disk_gb"] if before is None else before
                if 0 < spec.disk_gb < disk_gb:
                    raise DriverError(
                        f"the disk has {disk_gb} GiB and can't be made smaller; a flavor with as much can be had"
                    )
                self._keep(spec.server_id, "before", disk_gb)
                self._set(spec.server_id, power=PowerState.SHUTDOWN, saved=0)
                self._db.execute("UPDATE guests SET disk_gb = ? WHERE id = ?", (spec.disk_gb, spec.server_id))
            self._copy(go_on)
            self._restart(spec, run)

    def confirm_resize(self, server_id: str) -> None:
        """Forget what was kept."""
        with self._action("confirm_resize", server_id):
            self._row(server_id)
            self._keep(server_id, "before", None)

    def revert_resize(self, spec: GuestSpec, *, run: bool = True) -> None:
        """Run the guest with *spec*, the size from before."""
        with self._action("revert_resize", spec.server_id), self._at_once():
            self._row(spec.server_id)
            self._restart(spec, run)
            self._keep(spec.server_id, "before", None)

    def rebuild(self, spec: GuestSpec, *, run: bool = True) -> None:
        """Run the guest anew, whatever it was doing; one that was lost is made."""
        with self._action("rebuild", spec.server_id), self._at_once():
            self._forget_extras(spec.server_id)
            self._restart(spec, run)

    def resize_live(self, spec: GuestSpec) -> None:
        """Change a running guest's size; a VM's within what its flavor reserved when it was started."""
        with self._action("resize_live", spec.server_id), self._lock:
            refusals.check(spec.kind, "resize_live")
            row = self._row(spec.server_id)
            if row["power"] != PowerState.RUNNING:
                raise DriverError(f"guest {spec.server_id} does not run; only a running guest is resized live")
            most = self._extra(spec.server_id, "started")["maximum"]
            if spec.kind == VM and (spec.vcpus > most[0] or spec.memory_mb > most[1]):
                raise DriverError(
                    f"the guest was started with room for {most[0]} vCPUs and {most[1]} MiB; more needs an ordinary resize, "
                    f"or a flavor with {refusals.MAX_VCPUS} and {refusals.MAX_MEMORY_MB} from the start"
                )
            self._db.execute(
                "UPDATE guests SET vcpus = ?, memory_mb = ? WHERE id = ?", (spec.vcpus, spec.memory_mb, spec.server_id)
            )

    def stop_and_remove(self, server_id: str) -> None:
        """Remove the guest and keep its console's text; none there is success."""
        with self._action("stop_and_remove", server_id), self._lock:
            try:
                text = self._row(server_id)["console"]
            except GuestNotFound:
                return
            self.lose(server_id)
            self._keep(server_id, "console", text)

    def crash_dump(self, server_id: str) -> None:
        """Note on the console that an interrupt came."""
        with self._action("crash_dump", server_id):
            refusals.check(self._row(server_id)["kind"], "crash_dump")
            if self._row(server_id)["power"] not in (PowerState.RUNNING, PowerState.PAUSED):
                raise DriverError(f"guest {server_id} does not run; only a running guest takes an interrupt")
            with self._lock:
                self._db.execute("UPDATE guests SET console = console || 'NMI received\n' WHERE id = ?", (server_id,))

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Do nothing more than to refuse as the real driver does."""
        with self._action("set_password", server_id):
            row = self._row(server_id)
            refusals.check(row["kind"], "set_password")
            if row["power"] != PowerState.RUNNING or not self._extra(server_id, "started")["agent"]:
                raise DriverError(
                    f"guest {server_id} has no guest agent that answers; a running VM whose image has "
                    f"{refusals.AGENT_PROPERTY}=yes and runs qemu-ga has"
                )

    def attach_nic(self, spec: GuestSpec, nic: Nic) -> None:
        """Note the interface's device among the running guest's."""
        with self._action("attach_nic", spec.server_id), self._lock:
            row = self._row(spec.server_id)
            if row["power"] not in (PowerState.RUNNING, PowerState.PAUSED):
                return
            refusals.check(spec.kind, "attach_interface")
            self._set_nics(spec.server_id, {*row["nics"].split(), nic.device})

    def detach_nic(self, server_id: str, nic: Nic) -> None:
        """Forget the interface's device."""
        with self._action("detach_nic", server_id), self._lock:
            self._set_nics(server_id, {*self._row(server_id)["nics"].split()} - {nic.device})

    def _set_nics(self, server_id: str, devices: set[str]) -> None:
        self._db.execute("UPDATE guests SET nics = ? WHERE id = ?", (" ".join(sorted(devices)), server_id))

    def console_target(self, server_id: str, kind: str) -> ConsoleTarget:
        """Return a loopback port where a line, or a screen of one colour, is."""
        with self._action("console_target", server_id):
            row = self._row(server_id)
            refusals.check(row["kind"], f"console.{kind}")
            if kind not in CONSOLES:
                raise DriverError(
                    f"there is no console of kind {kind!r:.40}; {', '.join(CONSOLES)} there are",
                    code="driver.unsupported",
                )
            if kind != "serial" and not self._extra(server_id, "started")["screen"]:
                raise DriverError(
                    f"the VM has no screen: its image has {refusals.VIDEO_PROPERTY}=none, or it was adopted without one",
                    code="driver.unsupported",
                )
            if row["power"] not in (PowerState.RUNNING, PowerState.PAUSED):
                raise DriverError(f"guest {server_id} does not run, so nobody is at its console; start it")
            return ConsoleTarget(kind, port=self.consoles.port(kind), channels=kind == "spice-html5")

    def describe(self, name: str) -> Mapping[str, object]:
        """Return what a guest of that name has."""
        with self._action("describe", name):
            row = self._named(name)
            return {
                "name": name,
                "uuid": row["id"] if row["ours"] else foreign_uuid(name),
                "kind": row["kind"],
                "vcpus": row["vcpus"],
                "memory_mb": row["memory_mb"],
                "power": int(row["power"]),
                "persistent": True,
                "server_id": row["id"] if row["ours"] else None,
                "adopted": bool(self._extra(row["id"], "adopted")),
                "disks": [{"device": "vda", "path": f"/srv/{name}.qcow2", "format": "qcow2"}],
                "nics": [{"mac": "52:54:00:00:00:01", "device": "vnet0", "bridge": "br0"}],
            }

    def adopt(self, name: str, server_id: str) -> None:
        """Make the guest *server_id*'s, which must be its own UUID; adopted already is success."""
        with self._action("adopt", server_id), self._lock:
            row = self._named(name)
            if row["ours"] and row["id"] == server_id:
                return
            if row["ours"] or server_id != foreign_uuid(name):
                raise DriverError(f"guest {name!r:.80} can be adopted only as a server with its own UUID")
            if row["power"] not in (PowerState.RUNNING, PowerState.PAUSED):
                raise DriverError(f"guest {name!r:.80} does not run; start it, then it can be adopted")
            self._db.execute("UPDATE guests SET id = ?, ours = 1 WHERE id = ?", (server_id, row["id"]))
            started = {"maximum": (row["vcpus"], row["memory_mb"]), "agent": False, "screen": False}
            self._keep(server_id, "started", started)
            self._keep(server_id, "adopted", True)

    def disown(self, server_id: str) -> None:
        """Make an adopted guest nobody's again; none there is success."""
        with self._action("disown", server_id), self._lock:
            row = self._db.execute("SELECT name FROM guests WHERE id = ? AND ours", (server_id,)).fetchone()
            if row is None:
                return
            if not self._extra(server_id, "adopted"):
                raise DriverError(f"guest {server_id} was made here, so it can't be let go")
            self._db.execute("UPDATE guests SET id = ?, ours = 0 WHERE id = ?", (f"foreign-{row['name']}", server_id))
            self._forget_extras(server_id)

    def _named(self, name: str) -> Any:
        with self._lock:
            row = self._db.execute("SELECT * FROM guests WHERE name = ?", (name,)).fetchone()
        if row is None:
            raise GuestNotFound(f"there is no guest named {name!r:.80}")
        return row

    def _runs(self, server_id: str) -> bool:
        return bool(self._row(server_id)["power"] == PowerState.RUNNING)

    def _restart(self, spec: GuestSpec, run: bool = True) -> None:
        with self._at_once():
            with contextlib.suppress(GuestNotFound):
                self._set(spec.server_id, power=PowerState.SHUTDOWN, saved=0)
            if run:
                self._run(spec)
            sizes = (spec.vcpus, spec.memory_mb, spec.disk_gb, spec.server_id)
            self._db.execute("UPDATE guests SET vcpus = ?, memory_mb = ?, disk_gb = ? WHERE id = ?", sizes)


def foreign_uuid(name: str) -> str:
    """Return the UUID that the fake hypervisor gives a guest of that name which is none of ours."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.fake"))


def _write_archive(target: Path, text: bytes, config: Mapping[str, object]) -> int:
    with tempfile.TemporaryDirectory() as directory:
        layer = Path(directory, "layer.tar")
        with tarfile.open(layer, "w") as archive:
            entry = tarfile.TarInfo("snapshot.txt")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
        return oci_archive.write(target, layer, config)
