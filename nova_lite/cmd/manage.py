"""``nova-lite-manage``: what an operator does to a cloud from a shell on one of its machines.

Exit codes: 0 done; 1 failed, with a sentence on standard error; 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from oslo_config import cfg
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

import nova_lite.conf
from nova_lite.cmd import (
    manage_config,
    manage_database,
    manage_doctor,
    manage_host,
    manage_identity,
    manage_listings,
    manage_quota,
)
from nova_lite.errors import NovaLiteError

GROUPS = (
    manage_database,
    manage_identity,
    manage_host,
    manage_listings,
    manage_quota,
    manage_config,
    manage_doctor,
)


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="nova-lite-manage",
        description="Manage a nova_lite cloud from one of its machines.",
        epilog="Each command has its own --help.",
    )
    parser.add_argument(
        "--config-file",
        action="append",
        metavar="FILE",
        help="read this file (may be given more than once, the last wins); default: /etc/nova-lite/nova-lite.conf",
    )
    parser.add_argument("--debug", action="store_true", help="log what is done, and show where an error came from")
    nouns = parser.add_subparsers(title="commands", dest="noun", metavar="COMMAND", required=True)
    for group in GROUPS:
        group.register(nouns)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code."""
    arguments = make_parser().parse_args(argv)
    logging.basicConfig(level=logging.DEBUG if arguments.debug else logging.WARNING, format="%(levelname)s %(message)s")
    try:
        # What is wrong in the files is what `config check` is there to say, all of it.
        conf = nova_lite.conf.load(arguments.config_file)
        code: int = arguments.run(conf, arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader (head, less) has seen enough; whatever is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (NovaLiteError, cfg.Error, SQLAlchemyError, OSError) as error:
        if arguments.debug:
            raise
        print(f"nova-lite-manage: error: {_sentence(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _sentence(error: Exception) -> str:
    if isinstance(error, NovaLiteError):
        return error.message
    if isinstance(error, DBAPIError):
        # The statement and its parameters are no business of a terminal; the driver's own words say what is wrong.
        return f"the database says: {' '.join(str(error.orig).split())}"
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
