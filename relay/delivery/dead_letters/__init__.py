"""Points that were refused or dropped, kept for people to look at and to send again."""
