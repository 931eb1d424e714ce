"""Find out whether KVM is worth using here, by booting something tiny with it, and remember the answer.

libvirt and /dev/kvm say that KVM is there; that an ordinary guest gets through its firmware is another matter (a host
that is itself a guest without hardware nesting takes seconds or for ever). So a boot sector that enters long mode and
writes two characters on the serial port is run under emulation and then under KVM: KVM is used if it is not far
slower. Measured where KVM is useless: emulation 72-92 ms, KVM 2,640 ms; a sound host needs less than emulation.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import selectors
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from nova_lite.virt.driver import DriverError
from nova_lite.virt.libvirt.host_profile import KVM, TCG
from nova_lite.virt.libvirt.unprivileged import as_guest_user, guest_user

LOG = logging.getLogger(__name__)

# 16-bit code at 0x7c00: three page tables at 0x1000 (one 2 MiB page), PAE, EFER.LME, paging on, far jump into 64-bit code, which
# writes "64" to port 0x3f8 and halts. The assembler source is tests/unit/virt/boot_sector.S; a test compares.
BOOT_SECTOR = (
    bytes.fromhex(
        "fa31c08ed88ec08ed0bc007c66bf001000000f22df6631c066b9000c0000fc66f3ab66c70600100320000066c70600200330000066c7"
        "060030830000000f20e06683c8200f22e066b9800000c00f32660d000100000f300f0116907c0f20c0660d010000800f22c0ea6d7c08"
        "0066baf803b036eeb034eef4ebfd8db600000000000000000000000000000000009a20000f00807c"
    ).ljust(510, b"\0")
    + b"\x55\xaa"
)
EXPECTED = b"64"
_TCG_LIMIT_S = 20.0
_KVM_SLACK = 3.0
_KVM_LEAST_LIMIT_S = 0.6


@dataclass(frozen=True)
class Accelerator:
    """``virt_type`` kvm or qemu, and why."""

    virt_type: str
    reason: str


def find(emulator: str, remembered: Path) -> Accelerator:
    """Return the accelerator to use; what was found out before counts as long as QEMU, kernel and CPU are the same.

    :param remembered: the file that keeps the answer.
    :raises DriverError: the emulator can't be run, or boots nothing even under emulation.
    """
    key = _key(emulator)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        known = json.loads(remembered.read_text(encoding="utf-8"))
        if known["key"] == key:
            return Accelerator(known["virt_type"], known["reason"])
    found = measure(emulator)
    LOG.info("accelerator virt_type=%s reason=%r", found.virt_type, found.reason)
    remembered.parent.mkdir(parents=True, exist_ok=True)
    part = remembered.with_suffix(".part")
    part.write_text(
        json.dumps({"key": key, "virt_type": found.virt_type, "reason": found.reason}, indent=1), encoding="utf-8"
    )
    part.rename(remembered)
    return found


def measure(emulator: str) -> Accelerator:
    """Boot the sector under emulation and under KVM and compare. Takes below a second, on a host without use of KVM too."""
    if not os.path.exists("/dev/kvm"):
        return Accelerator(TCG, "there is no /dev/kvm")
    # Twice: the first start reads QEMU from disk, and would make the limit for KVM too generous.
    boot(emulator, "tcg", _TCG_LIMIT_S)
    emulated = boot(emulator, "tcg", _TCG_LIMIT_S)
    if emulated is None:
        raise DriverError(f"{emulator} boots nothing, not even under emulation")
    limit = max(_KVM_SLACK * emulated, _KVM_LEAST_LIMIT_S)
    accelerated = boot(emulator, "kvm", limit)
    if accelerated is None:
        return Accelerator(TCG, f"under KVM a boot sector is not through the firmware after {limit:.1f} s")
    return Accelerator(KVM, f"a boot sector ran {accelerated * 1000:.0f} ms after QEMU's start")


def boot(emulator: str, accelerator: str, limit: float) -> float | None:
    """Run the boot sector and return the seconds until it spoke, or None if it did not within *limit*."""
    user = guest_user()
    with tempfile.NamedTemporaryFile(prefix="nova-lite-boot-", suffix=".raw") as image:
        image.write(BOOT_SECTOR)
        image.flush()
        os.fchown(image.fileno(), user.uid, user.gid)
        command = [emulator, "-nodefaults", "-no-user-config", "-display", "none", "-machine", "pc", "-m", "32"]
        command += ["-accel", accelerator, "-serial", "stdio", "-drive", f"file={image.name},format=raw,if=ide"]
        start = time.monotonic()
        try:
            process = subprocess.Popen(
                as_guest_user(command),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise DriverError(f"{emulator} can't be run: {error.strerror}") from error
        try:
            return time.monotonic() - start if _says(process, start + limit) else None
        finally:
            process.kill()
            process.communicate()


def _says(process: subprocess.Popen[bytes], deadline: float) -> bool:
    assert process.stdout is not None
    seen = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while EXPECTED not in seen:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                return False
            piece = os.read(process.stdout.fileno(), 4096)
            if not piece:
                return False
            seen += piece
    return True


def _key(emulator: str) -> str:
    """Name what the answer depends on."""
    try:
        version = subprocess.run(
            [emulator, "--version"], check=True, capture_output=True, timeout=30, stdin=subprocess.DEVNULL
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError) as error:
        raise DriverError(f"{emulator} can't be run: {error}") from error
    return " | ".join([version.splitlines()[0] if version else "", platform.release(), str(os.path.exists("/dev/kvm"))])
