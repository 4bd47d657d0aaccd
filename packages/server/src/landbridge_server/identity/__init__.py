"""Who somebody is: tenants, principals, credentials, tokens and the protocols that give them.

``http`` speaks OAuth 2.0 and OpenID Connect as clients of Azure expect it, ``grants`` decides
who gets a token, ``tokens`` makes and verifies them, ``authentication`` turns one into a
``Caller``. What a caller may do is not decided here.
"""
