"""Two hosts, a tunnel between them, on this machine: what ``vecwire demo`` shows.

Theory of operation: everything is in one process. A host is a network namespace without a name, held open by
a descriptor of this process; a thread enters it to make a socket, a link or a port, which belongs to it from
then on. Links go with their namespace, the namespace with the last descriptor, and descriptors with the
process: there is nothing that could be left behind, however the process ends. An ordinary user's process
makes itself root in a user namespace first, and the same works.

- ``plan`` is pure: names, addresses, specs, and the commands that do the same by hand.
- ``network`` makes namespaces and links.
- ``traffic`` pings and moves TCP, by sockets.
- ``show`` brings it all up and tells what happens, as events.
"""
