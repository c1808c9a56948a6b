"""The child process of a probe: it makes itself root of a user namespace, and tries everything there."""

from vecwire.probe import try_in_user_namespace

try_in_user_namespace()
