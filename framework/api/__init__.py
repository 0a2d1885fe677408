"""The HTTP API. It reads frozen snapshots and posts events; it never touches the state."""
