"""The dashboard: pages in HTML over the same functions as the REST API, for people."""
