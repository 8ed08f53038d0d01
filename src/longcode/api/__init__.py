"""The native API at /v1: resources, their documents, and how they are described."""
