"""The HTTP front: an event loop before a pool of threads.

A connection costs a thread only while its request is worked on: requests are handed over when they
are complete, with large bodies on disk, and answers that are files are sent by the loop. waitress
parses HTTP and has the threads; ours are the loop, which does not look at idle connections, and
the deadlines and limits of :mod:`candela.gateway.front.limits`.

loop.py      sockets of which something can be done
limits.py    how long a client may take, how many bytes are kept for clients
large.py     large bodies, one after the other
request.py   a request while it arrives
channel.py   a connection
parts.py     parts of files
listener.py  a port
worker.py    gunicorn's worker process
"""
