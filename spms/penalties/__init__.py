"""What follows from a finding: breach, points, the ladder of measures, appeal.

Tables written here: breach, breach_event, breach_report, appeal, point_entry, fine, register_entry,
apology, apology_letter.

Invariants kept here:
- one finding is one breach, whoever reports it and however often;
- a breach that a person proposes is decided by another; an appeal by neither of them;
- points are only added; a quashed breach adds a reversing entry;
- the measures in force are those that the ladder gives for the breaches that stand: quashing one
  lifts what only it brought, and nothing else.
"""
