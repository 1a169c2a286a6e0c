"""The patterns of rules: globs, regexes and templates.

Owned here: the meaning of a pattern, and whether it is valid. The configuration uses the same code to validate rules as
naming does to match names, so both agree. Pure. Does not know: rules, and their place in a file.
"""


class PatternError(ValueError):
    """An invalid pattern or template; the message names the violated condition, `fix` the remedy."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class NoEngineError(PatternError):
    """A regex is used, but the regex engine (google-re2) is not installed."""
