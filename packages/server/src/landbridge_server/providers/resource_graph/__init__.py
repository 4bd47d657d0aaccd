"""``Microsoft.ResourceGraph/resources``: a small part of the Kusto query language over all resources.

A query goes through ``lexer`` and ``parser`` (what it says), ``plan`` (in which order it is best
done), ``sources`` (which rows the caller may read, and which conditions the store can look
after) and ``run`` (what comes out). Anything outside ``where``, ``project``, ``order by``,
``limit`` and ``summarize count()`` is refused, with the place.
"""
