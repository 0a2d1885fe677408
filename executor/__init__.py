"""The executor: one program for every role, which supervises Alluxio's processes on an agent.

It knows nothing of Alluxio but where its files lie: the scheduler renders everything into the launch document
(docs/executor.md), the executor fills in the sandbox's paths, starts, watches, restarts and stops. It travels as a
zipapp, so nothing here may import the scheduler, compiled code or anything outside the standard library, pymesos,
addict, six, h11 and http_parser, and everything here runs on Python 3.8 and later.

Data moves one way: pymesos's thread, probes and signals enqueue; one loop takes an event, lets the pure supervisor
decide and carries out the effects.
"""
