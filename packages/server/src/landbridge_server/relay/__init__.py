"""Azure Relay Hybrid Connections: machines listen, senders connect, bytes are spliced.

``sas`` and ``credentials`` say who may; ``protocol`` reads the opening request; ``broker``
pairs senders with listeners; ``sockets`` carries what flows. No web framework in the path.
"""
