"""Drivers: what runs guests on a host. ``driver`` is the protocol, ``libvirt`` the real one, ``fake`` for scale."""
