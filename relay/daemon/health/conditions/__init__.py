"""The conditions of findings, by what they are about: functions of the facts that yield findings. Pure.

Each returns a finding for as long as its condition is true. It has a code, a level, a sentence with the figure, its
limit and since when, a fix, and the next command; judge.py adds since when, and lets it end.
"""
