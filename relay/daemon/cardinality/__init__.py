"""How many series there are, of which metrics, why they are many, and what would reduce them.

watch.py finds the tag that explodes once samples overflow. growth.py has the counts by metric of the newest windows,
survey.py walks over the open window for tags and examples, proposal.py makes the rule that removes a tag.
"""
