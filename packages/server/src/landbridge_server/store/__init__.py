"""Storage: the only package that knows SQL.

``schema`` describes the tables, ``migrations`` builds them, ``database`` opens and runs
transactions, and one module per aggregate holds its named functions, each of which takes
an open connection as its first argument.
"""
