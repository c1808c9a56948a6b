"""How the properties are run: without a deadline, since a loaded machine is not a bug."""

from hypothesis import settings

settings.register_profile("vecwire", deadline=None, print_blob=True)
settings.load_profile("vecwire")
