"""The resource manager: ids, verbs, lists, operations and roles of any resource."""
