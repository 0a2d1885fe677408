"""The command line of a service that runs: what it says over its HTTP API, and what it is told.

``arguments`` is all that is loaded for ``--help``; ``client`` talks HTTP; ``show`` and ``screen`` turn documents into
what a terminal shows, and know no server; the rest is one module for each family of commands. Nothing here is imported
by a scheduler.
"""
