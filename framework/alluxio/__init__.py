"""What Alluxio's masters and workers say, over gRPC. This folder is grpc's and protobuf's only home.

answers: what comes back, as frozen values.  connection: one authenticated channel.  methods: the calls, typed.
masters: finds the primary and asks it.  files: a small file-system client for proofs and tests.
"""
