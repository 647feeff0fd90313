"""Compensation: a wrong charge is refunded double, at once, and booked against the SP.

Tables written here: claim (views of it: refund, refund_total), journal_entry, posting, journal_head,
balance_snapshot, verification, verification_event, payout, payout_query, payout_resolution,
mass_correction, mass_correction_lane,
mass_correction_charge, mass_correction_person, clawback, sp_booking.

A claim asks whether one charge was right. It is opened by the subscriber, by an agent, or by the
audit that found something wrong. What it finds follows from the charge's findings alone:

- a difference (charged - due) is refunded with the claim itself: the difference once as principal,
  the same again as compensation; both are booked from the SP's receivable to the subscriber;
- no difference, and the charge stands, with the consent behind it in the answer.

Invariants, kept by the database and not by the order in which code runs:

- one charge is refunded once a round, whatever the entrance, retry or race: `claim_refunded_once`,
  the keys of `claim`, `journal_entry`, `posting` and `payout`, whose ids follow from charge and round,
  each alone enough, and of a joint refund those of `claim`; a further round pays only what a worse finding leaves missing;
- never more than double what was charged, never more compensation than principal: the CHECK
  `claim_multiples`, over all rounds (`claim_so_far`), of the charge's real
  price (`claim_of_charge`);
- a claim is refunded exactly when less was due than charged: the CHECK on `claim`;
- at most five claims find one charge right: `claim_stands_once_a_turn` and its CHECK;
- every posting balances in itself, every entry is whole (`journal_entry_whole`), every
  pair of accounts is a permitted one (`posting_accounts`);
- what was refunded is taken back only with proof of fraud, by two people (CHECKs on `clawback`), once
  (`clawback_once`, `journal_entry_reversed_once`), and the charge is not refunded again;
- rows are only ever added: balances are sums over postings, a correction is a linked reversal, and
  each number's entries are chained by hash (`journal_entry_in_turn`, `spms verify`).
"""
