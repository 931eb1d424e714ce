"""Imported by the server that the killed processes are forked from, and by nobody else: has everything imported there."""

from victims import warm_up

warm_up()
