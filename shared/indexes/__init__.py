"""The life of deduplication indexes: who joined, what to read, what waits, what is compacted.

An index is a name in recipes (`index: news`). Each step that names it keeps an index of its own,
`news/near_duplicates_v1`. What an index holds follows from one log of all indexes, whose entries
are put where there is none, so that everybody sees the same order:

    index/log/<number>.json                       a batch joined indexes; a batch, an index dropped
    index/data/<name>/<step>/compactions/<id>.json    runs of some members in a row, merged
    index/data/<name>/<step>/runs/<id>/p00000.run     those runs
    index/data/<name>/<step>/compact.json         somebody asked for a compaction (then it is gone)
    index/data/<name>/<step>/rebuild.json         missing runs are computed again (then it is gone)
    index/data/<name>/<step>/failed.json          why compacting failed; until somebody asks again

A batch joins all its indexes with one entry, so batches wait for each other in the order of the
log, and never in a circle. Its own sorted runs are its part of the index.
"""
