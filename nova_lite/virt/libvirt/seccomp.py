"""The system calls that no container needs, as a seccomp program.

``libvirt_lxc`` itself runs under it too (it is loaded before), so what libvirt needs to make a container, mount(2) say,
can't be here; against that stand the dropped capabilities. User namespaces, which would give every capability back, can't
be unshared here, while clone(2) must make the container's own (libvirt tries with that flag alone whether it can):
``container_limits`` forbids them altogether some milliseconds after the container's first process has begun.
Numbers: Linux, arch/x86/entry/syscalls/syscall_64.tbl. Program: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import errno
import struct

ARCHITECTURE = "x86_64"
_AUDIT_ARCH_X86_64 = 0xC000003E
_X32_BIT = 0x40000000
_BPF = 321

DENIED = {
    "acct": 163,
    "add_key": 248,
    "clock_adjtime": 305,
    "clock_settime": 227,
    "create_module": 174,
    "delete_module": 176,
    "fanotify_init": 300,
    "finit_module": 313,
    "get_kernel_syms": 177,
    "init_module": 175,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "io_uring_setup": 425,
    "ioperm": 173,
    "iopl": 172,
    "kcmp": 312,
    "kexec_file_load": 320,
    "kexec_load": 246,
    "keyctl": 250,
    "lookup_dcookie": 212,
    "move_pages": 279,
    "nfsservctl": 180,
    "open_by_handle_at": 304,
    "perf_event_open": 298,
    "pidfd_getfd": 438,
    "query_module": 178,
    "quotactl": 179,
    "quotactl_fd": 443,
    "request_key": 249,
    "settimeofday": 164,
    "swapoff": 168,
    "swapon": 167,
    "syslog": 103,
    "uselib": 134,
    "userfaultfd": 323,
    "ustat": 136,
    "vhangup": 153,
}

_UNSHARE = 272
_SETHOSTNAME = 170
_NEWUSER = 0x10000000

_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_OR_EQUAL = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
# Offsets in struct seccomp_data.
_NUMBER, _ARCH, _FLAGS = 0, 4, 16

_Step = tuple[int, str, str, int]
"""(code, label where true, label where false, constant); an empty label is the next instruction."""


def program(*, deny_bpf: bool) -> bytes:
    """Return the filter, 8 bytes an instruction: EPERM for what is denied and for other than 64-bit calls.

    :param deny_bpf: deny bpf(2) too; not where libvirt makes its device rules with it (cgroup v2).
    """
    numbers = sorted({*DENIED.values(), *({_BPF} if deny_bpf else ())})
    steps: list[tuple[str, _Step]] = [
        ("", (_LOAD_WORD, "", "", _ARCH)),
        ("", (_JUMP_EQUAL, "", "refuse", _AUDIT_ARCH_X86_64)),
        ("", (_LOAD_WORD, "", "", _NUMBER)),
        ("", (_JUMP_GREATER_OR_EQUAL, "refuse", "", _X32_BIT)),
        *(("", (_JUMP_EQUAL, "refuse", "", number)) for number in numbers),
        # libvirt_lxc would give the container its domain's name; the launcher has set the server's before.
        ("", (_JUMP_EQUAL, "pretend", "", _SETHOSTNAME)),
        ("", (_JUMP_EQUAL, "", "allow", _UNSHARE)),
        ("", (_LOAD_WORD, "", "", _FLAGS)),
        ("", (_JUMP_ANY_BIT, "refuse", "allow", _NEWUSER)),
        ("allow", (_RETURN, "", "", _ALLOW)),
        ("refuse", (_RETURN, "", "", _ERRNO | errno.EPERM)),
        ("pretend", (_RETURN, "", "", _ERRNO)),
    ]
    places = {label: index for index, (label, _) in enumerate(steps) if label}
    rows = []
    for index, (_, (code, on_true, on_false, constant)) in enumerate(steps):
        jumps = [places[label] - index - 1 if label else 0 for label in (on_true, on_false)]
        rows.append(struct.pack("=HBBI", code, *jumps, constant))
    return b"".join(rows)
