"""Authorisation (鉴权): may this message or this charge go?

An SP asks before it sends or charges. The answer is one of two words and a closed list of reasons;
what was asked, what was answered and every fact that decided it stay on record, and any decision
can be explained and replayed as of its instant.

Tables written here: authorisation, decision_pack, order_use, month_spend, reservation,
standing_mark, number_standing, sp_quota_use.

Invariants kept here:
- every fact about a number is read in the deciding statement; nothing about it is remembered;
- what that statement reads as one row (`number_standing`) is kept by the database in the transaction
  that changes any of it, and says what the number's own tables say;
- what is remembered about SPs, services, tariffs and rules is held against the database's mark in
  that same statement: a change is obeyed by the next decision of every process;
- the allowed charges of a holder's month never exceed the caps, whatever runs at once: whoever adds
  to a month names the turn it has read (`month_spend.turn`);
- what an SP was allowed to send never exceeds the quota in force, whatever runs at once: the same
  way (`sp_quota_use.turn`);
- a held charge is captured or given back once; the SP's reference of a number is its key;
- one order of an on-demand service licenses one charge (key of `order_use`);
- an SP decides, sees and explains its own only, and learns nothing about a number's relations
  with others;
- a decision is only ever added; its facts never hold an MSISDN, nor the text of a message.
"""
