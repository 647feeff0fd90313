"""Compensation: a wrong charge is refunded double, at once, and booked against the SP.

Tables written here: claim, refund, refund_total, posting.

A claim asks whether one charge was right. It is opened by the subscriber, by an agent, or by the
audit that found something wrong. What it finds follows from the charge's findings alone:

- a difference (charged - due) is refunded with the claim itself: the difference once as principal,
  the same again as compensation; both are booked from the SP's receivable to the subscriber;
- no difference, and the charge stands, with the consent behind it in the answer.

Invariants, kept by the database and not by the order in which code runs:

- one charge is refunded by one claim, whatever the entrance, retry or race: `claim_refunded_once`,
  the keys of `refund` and of `posting`, each alone enough;
- never more than double what was charged: the CHECK on `refund_total`;
- a claim is refunded exactly when less was due than charged: the CHECK on `claim`;
- at most five claims find one charge right: `claim_stands_once_a_turn` and its CHECK;
- rows are only ever added: balances are sums over postings, a correction is another posting.

A charge is refunded by what was known when its refund was decided. A worse finding that arrives
later (first a wrong price, then no consent at all) is kept as a finding and does not raise a
refund that was paid: there is no top-up.
"""
