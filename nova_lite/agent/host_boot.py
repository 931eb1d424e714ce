"""Tell whether the host was booted since what ran on it was last compared: by a file with the boot's id in the state directory."""

from __future__ import annotations

from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class HostBoot:
    """Remembers one host's boot. The file is there as a whole or not at all: an empty one would be taken for another boot's."""

    def __init__(self, state_path: Path, host: str) -> None:
        self._file = state_path / f"boot-id-{host}"

    def is_another(self) -> bool:
        """Tell whether another boot than this one is remembered; none is no."""
        return self._file.exists() and self._file.read_text(encoding="ascii").strip() != _this()

    def remember(self) -> None:
        """Remember this boot."""
        if self._file.exists() and not self.is_another():
            return
        part = self._file.with_name(f"{self._file.name}.part")
        part.write_text(f"{_this()}\n", encoding="ascii")
        part.rename(self._file)


def _this() -> str:
    return BOOT_ID.read_text(encoding="ascii").strip() if BOOT_ID.exists() else ""
