"""The URL filter's parts: hosts, lists of domains and URLs, words, and their compiled loops."""
