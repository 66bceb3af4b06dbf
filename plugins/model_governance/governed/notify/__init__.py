"""Telling people: an outbox that is written with the audit entry, and a sender that empties it.

A message is in the outbox exactly where the change it tells of happened, because both are one transaction. The
sender delivers each at least once: killed between sending and noting so, it sends the message again, under the
same id.
"""
