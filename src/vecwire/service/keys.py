"""The keys of a port's table by what they are for, for all that name them: errors, helps, the socket."""

from vecwire.spec.impairment import IMPAIRMENTS

#: How a port takes part in its switch.
MEMBERSHIP = ("vlan", "tagged", "horizon", "flood_rate", "addresses")
#: Who gets copies of its frames.
COPIES = ("mirror", "trace", "capture", "capture_size", "capture_keep")
#: All keys of the table.
PORT = ("spec", *MEMBERSHIP, *COPIES)
#: What can be changed while the port is open; what impairs it stands in its spec.
CHANGEABLE = (*MEMBERSHIP, *COPIES, *IMPAIRMENTS)
