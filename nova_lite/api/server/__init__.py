"""The HTTP server: eventlet, and the only place that imports it. The application is plain WSGI and knows nothing of it.

``wsgi`` serves; ``workers`` keeps several processes on one port. Import what you use from there: a parent of workers
must not have eventlet in it before it forks.
"""
