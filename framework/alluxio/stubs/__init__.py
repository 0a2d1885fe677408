"""Here lie the modules that `framework.artefacts.stubs` generates from the .proto files of Alluxio's jar."""
