"""Runs plans. Knows no web framework, no database and no queue.

`plan` reads a plan, `checks` says what is wrong with it, `scheduler` decides what comes next
and `driver` does it; everything outside comes in through `ports`, and what happened is in the
`journal`. A worker that was killed goes on by feeding the journal to a new scheduler.
"""
