"""Subscribers' numbers: in what state each is and who holds it, as of any instant.

Tables written here: number, number_event, number_correction, number_bar, number_cap,
bill_summary_wish, bill_quota, canary_number, canary_touch.

Events are facts of the operator's number registry; they may arrive late and in any order. What
this room keeps:

- The state of a number at an instant is that of its latest event effective by then. `number` is
  the state after the latest event of all; an older event that arrives later never overwrites it.
- An *epoch* names one uninterrupted ownership of a number. It begins with `activated` or
  `transferred`. An epoch is a name, not a rank: a beginning that becomes known late gets a number
  never used before, and every later ownership keeps its own. Nothing of one epoch belongs to the
  holder of another.
- When the ownership a number had ends, its holder's credentials stop working in the same
  transaction, and the rooms above are told (outbox topic `number.changed`).
- Whatever shows an agent something about a number, in whichever room, counts to the same limits
  (`looks`), and what is refused afterwards is counted all the same. Leaving is never held up.
- Bars and caps are dated and belong to one holder (epoch). Staff may set a bar on the holder's
  recorded wish; only she lifts one or moves a cap (CHECKs say so).
"""
