"""The poms that name the jars, and the checksums of what Maven fetches for them."""
