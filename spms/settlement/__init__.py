"""Settlement: each SP's month as a waterfall that explains itself, agreed to, locked, booked, paid.

Tables written here: settlement_month, settlement_figure, settlement_report,
settlement_report_number, settlement, settlement_statement, settlement_step, settlement_event,
settlement_lock, settlement_use, settlement_objection, settlement_hold, settlement_adjustment,
settlement_payout, settlement_payment, settlement_recount, reconciliation_count,
reconciliation_difference.

A month is counted once, set by set (`count_queries`), then drawn SP by SP from what was counted
(`waterfall`, pure), sent, confirmed by word or silence or disputed line by line, locked with a hash,
booked in the same transaction, and paid unless something holds it.

Invariants, kept by the database and not by the order in which code runs:

- a statement is never changed, only followed by a further revision, and its hash is that of its
  text and of the lock before it: no UPDATE on `settlement_statement`, its CHECK;
- a lock is of a statement as it was drawn (`settlement_lock_statement`), is never changed, and each
  SP's locks are one chain without a fork (`settlement_lock_chain`);
- a breach cuts once, a correction is taken once: the key of `settlement_use`;
- a month is paid once: the key of `settlement_payment`; and `spms invariants` compares every lock
  with the book.
"""
