"""How many series there are, of which metrics, why they are many, and what would reduce them.

overview.py answers the admin port: growth.py has the counts by metric of the newest windows, survey.py walks over the
open window for tags and examples, proposal.py makes the rule that removes a tag, rules.py has what each rule took.
one_name.py answers about one name. watch.py finds the tag that explodes once samples overflow.
"""
