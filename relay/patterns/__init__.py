"""The language of rules: globs, regexes and templates, as they are read, judged and used.

Owned here: what a pattern means and whether it may be used. The configuration asks when it is checked, naming when a
name comes, and both get the same answer. Pure, and it knows neither what a rule is for nor where it stands.
"""


class PatternError(ValueError):
    """A pattern or template that cannot be used: the rule it breaks, and a fix."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.fix = fix


class NoEngineError(PatternError):
    """A regex, and no engine of regexes is installed."""
