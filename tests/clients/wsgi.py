"""The application behind gunicorn."""


def application(_, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [b"fine\n"]
