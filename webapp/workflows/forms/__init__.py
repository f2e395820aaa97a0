"""Steps as forms: settings of the plan to fields of a page and back, for every kind.

Nobody types JSON. A `Part` describes one setting once and both shows and reads it; what a form
does not show stays as it is in the plan.
"""
