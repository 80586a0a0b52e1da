"""Deduplication: keys of documents, matching over all shards, clusters and their keepers."""
