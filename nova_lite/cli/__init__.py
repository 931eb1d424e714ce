"""``nova-lite``, the command line client. It speaks HTTP only: nothing of the services is imported here."""
