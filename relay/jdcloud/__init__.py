"""JD Cloud's Cloud Monitor as data, without I/O: encode a point, sign a request, classify an answer.

`JDCloud` (cloud.py) joins the three for the sender pool; emulator/ is the same contract from the other side, with I/O.
The source is the API's own document, putMetricData; where documents and SDKs disagree, the file says what it follows.
"""
