"""The command line of a service that runs: what it says over its HTTP API, and what it is told.

``arguments`` is all that is loaded for ``--help``; ``client`` talks HTTP; ``show``, ``show_changes`` and ``screen``
turn documents into what a terminal shows, and know no server; ``printing`` writes an answer; the rest is one module for
each family of commands. Nothing here is imported by a scheduler.
"""
