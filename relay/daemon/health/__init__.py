"""The judge: what is wrong with a running relay, how bad it is, and what to do.

    gather.py        reads the stages into one frozen value, once a second, in one step without an await
    surroundings.py  what only files say: read in a thread, every two seconds
    facts.py         that value
    conditions/      when something is wrong, by what it is about; pure
    judge.py         facts and the answer before -> level and ordered findings; pure
    watch.py         the task: it gathers, judges, keeps the last answer, and tells subscribers what has changed
    report.py        the answer of GET /api/v1/status

The log, `status`, the API, the page, `/-/ready?deep=1` and the metrics read the answer. No other code decides what is
wrong with a relay, or words it.
"""
