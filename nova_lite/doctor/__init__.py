"""The doctor: compares database, hypervisor and host, says what differs, and cures what can be cured without harm.

``facts`` is what was seen, ``diagnosis`` (pure) what is wrong in it, ``gathering`` and ``sight`` see, ``cures`` cure.
"""
