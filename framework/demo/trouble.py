"""The one way in which a demonstration fails."""


class Failed(Exception):
    """The demonstration cannot go on; the message says why and what to do."""
