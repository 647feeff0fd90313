"""What follows from a finding: breach, points, the ladder of measures, appeal.

Tables written here: breach, breach_event, breach_report, appeal, point_entry, fine, register_entry,
apology, apology_letter.

Invariants kept here:
- one finding is one breach until it is cured, whoever reports it and however often;
- a breach that a person proposes is decided by another, after the SP could speak; an appeal by
  neither of them;
- points are only added; a quashed or varied breach adds a reversing entry;
- the measures in force are those that the ladder gives for the breaches that stand: quashing one
  lifts what only it brought, and nothing else;
- money moves only when a breach is final, and nothing final has an open appeal;
- what is not cured in time escalates, once; what a retest shows cured is closed.

`reporting` brings findings in, `audits` looks for them in the rooms below once a day, `actions` decides, `effect` is what follows and how it falls,
`remedies` are the cures, `collecting` the money after finality, `apologies` go to every affected
number, `register` is published, `what_if` judges the past by other rules. Pure: `catalogue`, `detectors`,
`rules`, `what_if`, `register`.
"""
