"""The API of JD Cloud's Cloud Monitor as data, without I/O: encodes points, signs requests, classifies answers.

`JDCloud` (cloud.py) combines the three for the sender pool. tools/emulator implements the server side of the same API.
The source is the API's document, putMetricData; where documents and SDKs disagree, the module states what it follows.

Invariant (I4): no request breaks a rule of the API. Does not know: connections, retries, the spool.
"""
