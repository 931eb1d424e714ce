"""Mount a container's root, limit its processes and system calls, then become libvirt's own ``libvirt_lxc``.

libvirt runs an installed copy of this file as the LXC domain's emulator (``launcher_install``), with the standard
library alone. What it does has to happen between libvirtd and ``libvirt_lxc``: in libvirtd's mount namespace, as
root, before the container's first process is there:

- The root is an overlay: below, the image from the cache, its ids shifted into the container's range by an idmapped
  mount (so nothing is copied and every container has ids of its own); above, the container's ext4 image, whose
  size is the flavor's disk. All is mounted in a mount namespace of this process, so the kernel takes it down, and
  frees the loop device, when the last process of the container is gone, whoever ended it.
- Somebody who reads the console from its first byte: a child that hands over to the agent when that is ready, or stays
  until the container has ended. libvirt's LXC driver has no console log.
- A pids cgroup where the controllers of cgroup v1 are (v2: ``container_limits``, after the start).
- The host name, which libvirt would make the domain's.
- A seccomp filter, which LXC domains of libvirt have none of.

The plan is ``container.json`` in the instance's directory (``container_plan``).
"""

import base64
import contextlib
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import struct
import sys

INSTANCES = "/var/lib/nova-lite/instances"

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWUSER = 0x10000000
MS_NODEV = 4
MS_NOATIME = 1024
MS_BIND = 4096
MS_REC = 16384
MS_SLAVE = 1 << 19
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_IDMAP = 0x00100000
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442
LOOP_CTL_GET_FREE = 0x4C82
LOOP_CONFIGURE = 0x4C0A
LO_FLAGS_AUTOCLEAR = 4
PR_SET_SECCOMP = 22
SECCOMP_MODE_FILTER = 2
TIOCGPTPEER = 0x5441
PIDS_V1 = "/sys/fs/cgroup/pids"

libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> None:
    """Prepare everything for the domain that ``--name`` names, and become the real emulator."""
    name = arguments[arguments.index("--name") + 1]
    server_id = name.removeprefix("nl-")
    if "/" in server_id or server_id.startswith("."):
        raise SystemExit("not a container of nova_lite")
    directory = os.path.join(INSTANCES, server_id)
    with open(os.path.join(directory, "container.json"), encoding="utf-8") as file:
        plan = json.load(file)
    keep_console(int(arguments[arguments.index("--console") + 1]), directory, plan["console_bytes"])
    limit_processes(name, plan["pids"])
    checked(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS), "unshare")
    # The container's own namespace begins as a copy of this one, so its first process sees the right name already.
    hostname = plan["hostname"].encode()
    checked(libc.sethostname(hostname, len(hostname)), "sethostname")
    mount("none", "/", None, MS_REC | MS_SLAVE, None)
    os.chdir(directory)
    mount_root(plan)
    mount_ephemerals(plan)
    write_files(plan)
    os.chdir("/")
    filter_system_calls(base64.b64decode(plan["seccomp"]))
    os.execv(plan["emulator"], [plan["emulator"], *arguments])  # noqa: S606


def keep_console(master: int, directory: str, max_bytes: int) -> None:
    """Have a process of its own copy the terminal *master* into ``console.log`` until the agent takes over.

    It is nobody's child here (two forks), because ``libvirt_lxc`` takes every child's end for the container's.
    """
    controller = os.pidfd_open(os.getpid())
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os.close(controller)
        return
    if os.fork():
        os._exit(0)
    try:
        os.setsid()
        # Whoever waits for the end of a pipe that was handed to libvirt_lxc must not wait for this process.
        keep = {master, controller}
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            if descriptor not in keep:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        copy_console(master, controller, directory, max_bytes)
    finally:
        os._exit(0)


def copy_console(master: int, controller: int, directory: str, max_bytes: int) -> None:
    """Copy until SIGTERM comes (the agent wants to) or the controller has ended and everything has been read.

    The open *master* keeps the kernel from throwing away, at the container's end, what has not been read yet. The
    lock on ``console.lock`` says who reads.
    """
    lock = os.open(f"{directory}/console.lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGTERM, lambda *_: None)
    os.pwrite(lock, b"%-20d" % os.getpid(), 0)
    terminal = fcntl.ioctl(master, TIOCGPTPEER, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK)
    log = f"{directory}/console.log"
    while True:
        ready, _, _ = select.select([terminal, controller, wake_read], [], [])
        if wake_read in ready:
            return
        if terminal in ready:
            piece = os.read(terminal, 65536)
            with open(log, "ab", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
                out.write(piece)
                full = out.tell() >= max_bytes
            if full:
                os.rename(log, f"{log}.0")
        elif not select.select([terminal], [], [], 0.05)[0]:
            return


def limit_processes(name: str, limit: int) -> None:
    """Enter a pids cgroup of this container's own, where cgroup v1 has one."""
    if not os.path.exists(f"{PIDS_V1}/cgroup.procs"):
        return
    group = f"{PIDS_V1}/nova-lite/{name}"
    os.makedirs(group, exist_ok=True)
    for file, value in (("pids.max", limit), ("cgroup.procs", os.getpid())):
        with open(f"{group}/{file}", "w", encoding="ascii") as out:
            out.write(str(value))


def mount_root(plan: dict[str, object]) -> None:
    """Mount ``./rootfs``; for a rescue also the container's own root, as ``./own`` and where the plan says inside."""
    base, count = int(str(plan["uid_base"])), int(str(plan["id_count"]))
    mount_overlay(str(plan["data"]), str(plan["lower"]), base, count, ("data", "lower", "rootfs"))
    own = plan.get("own")
    if isinstance(own, dict):
        mount_overlay(str(own["data"]), str(own["lower"]), base, count, ("own-data", "own-lower", "own"))
        mount("own", make_inside("rootfs", str(own["at"]), base), None, MS_BIND, None)


def mount_ephemerals(plan: dict[str, object]) -> None:
    """Mount the ephemeral disks, ext4 images, and show them in the root; a new one is made the container's root's."""
    base = int(str(plan["uid_base"]))
    disks = plan.get("ephemerals")
    for disk in disks if isinstance(disks, list) else []:
        point = str(disk["point"])
        os.makedirs(point, mode=0o700, exist_ok=True)
        loop = attach_loop(str(disk["data"]))
        mount(os.readlink(f"/proc/self/fd/{loop}"), point, "ext4", MS_NODEV | MS_NOATIME, None)
        os.close(loop)
        if os.stat(point).st_uid == 0:
            os.chown(point, base, base)
        mount(point, make_inside("rootfs", str(disk["at"]), base), None, MS_BIND, None)


def mount_overlay(image: str, layer: str, base: int, count: int, points: "tuple[str, str, str]") -> None:
    """Mount at *points* the ext4 *image*, the *layer* with its ids shifted, and both together."""
    data, lower, root = points
    for point in points:
        os.makedirs(point, mode=0o700, exist_ok=True)
    loop = attach_loop(image)
    mount(os.readlink(f"/proc/self/fd/{loop}"), data, "ext4", MS_NODEV | MS_NOATIME, None)
    os.close(loop)
    if not os.path.isdir(f"{data}/work"):
        os.makedirs(f"{data}/upper", mode=0o755, exist_ok=True)
        os.chmod(f"{data}/upper", os.stat(layer).st_mode & 0o7777)
        os.chown(f"{data}/upper", base, base)
        os.mkdir(f"{data}/work", 0o700)
    mount_shifted(layer, lower, base, count)
    options = f"lowerdir={lower},upperdir={data}/upper,workdir={data}/work"
    mount("overlay", root, "overlay", MS_NODEV | MS_NOATIME, options)


def make_inside(root: str, inner: str, base: int) -> str:
    """Make the directory *inner* in a root that nobody runs in yet, and return its path; links there are replaced."""
    path = root
    for part in inner.strip("/").split("/"):
        path = f"{path}/{part}"
        if os.path.islink(path) or not os.path.isdir(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            os.mkdir(path, 0o755)
            os.chown(path, base, base)
    return path


def attach_loop(path: str) -> int:
    """Attach *path* to a free loop device that frees itself when it is unmounted, and return its descriptor."""
    backing = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        for _ in range(64):
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            device = os.open(f"/dev/loop{number}", os.O_RDWR | os.O_CLOEXEC)
            # struct loop_config: fd, block size, loop_info64 (its flags at byte 44 + 8), reserved.
            config = bytearray(304)
            struct.pack_into("=II", config, 0, backing, 0)
            struct.pack_into("=I", config, 8 + 52, LO_FLAGS_AUTOCLEAR)
            try:
                fcntl.ioctl(device, LOOP_CONFIGURE, bytes(config))
            except OSError as error:
                os.close(device)
                if error.errno != errno.EBUSY:  # Another process was quicker.
                    raise
            else:
                return device
    finally:
        os.close(control)
        os.close(backing)
    raise SystemExit("no free loop device")


def mount_shifted(source: str, target: str, base: int, count: int) -> None:
    """Bind *source* at *target*, id 0 shown as *base* and so on (mount_setattr(2), Linux 5.12; in overlays 5.19)."""
    user_namespace = make_user_namespace(base, count)
    tree = checked(libc.syscall(SYS_OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE | os.O_CLOEXEC), "open_tree")
    attributes = struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, user_namespace)
    size = ctypes.c_size_t(len(attributes))
    checked(libc.syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, attributes, size), "mount_setattr")
    checked(libc.syscall(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH), "move_mount")
    os.close(tree)
    os.close(user_namespace)


def make_user_namespace(base: int, count: int) -> int:
    """Return a descriptor of a user namespace that maps 0… to *base*…; nobody lives in it."""
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x" if libc.unshare(CLONE_NEWUSER) == 0 else b"-")
        os.close(done[1])
        os.read(done[0], 1)
        os._exit(0)
    try:
        if os.read(ready[0], 1) != b"x":
            raise SystemExit("user namespaces are not allowed here")
        for file in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{file}", "w", encoding="ascii") as out:
                out.write(f"0 {base} {count}")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for descriptor in (*ready, *done):
            os.close(descriptor)
        os.waitpid(child, 0)


def write_files(plan: dict[str, object]) -> None:
    """Write the plan's files into the root, as the container's root and inside it.

    The root is hostile: the guest may have put a link anywhere. A child that is chrooted and has the container's ids
    can follow one nowhere that the container itself could not go.
    """
    child = os.fork()
    if child == 0:
        try:
            base = int(str(plan["uid_base"]))
            os.chroot("rootfs")
            os.chdir("/")
            os.setgroups([])
            os.setresgid(base, base, base)
            os.setresuid(base, base, base)
            os.umask(0o022)
            os.makedirs(str(plan["directory"]), exist_ok=True)
            files = plan["files"]
            assert isinstance(files, dict)
            for path, content in files.items():
                replace(path, content)
        except OSError as error:
            sys.stderr.write(f"{error}\n")
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1] != 0:
        raise SystemExit("the container's own files could not be written into its root")


def replace(path: str, content: str) -> None:
    """Write a file anew beside what is there and put it in its place; a link that is there is replaced itself."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = f"{path}.nova-lite"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    with open(descriptor, "w", encoding="utf-8") as out:
        out.write(content)
    os.rename(part, path)


def filter_system_calls(program: bytes) -> None:
    """Load the BPF *program* for this process and all that come from it."""
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: count of 8-byte instructions, pointer.
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))
    zero = ctypes.c_ulong(0)
    checked(libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(SECCOMP_MODE_FILTER), header, zero, zero), "seccomp")


def mount(source: str, target: str, kind: "str | None", flags: int, options: "str | None") -> None:
    """Call mount(2). :raises OSError: with the target's name."""
    result = libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    checked(result, f"mount {target}")


def checked(result: int, what: str) -> int:
    """Return *result*, or raise what the C library's errno says."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
