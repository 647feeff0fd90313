"""Charge records (计费话单): what the SPs took, landed as it happened, each with its verdict.

A record reaches us after the network has taken the money. So it is never refused for being wrong:
it is kept as it came, judged against the consent, the number's state, the agreed price, what was
already charged and the caps, and what is wrong with it is written beside it. Only what cannot be
read, or is not this SP's to charge, goes to quarantine.

Tables written here: charge_file, charge_quarantine, charge_key, charge_record, charge_finding,
charge_suspicion, charge_observation, uncharged_delivery, charge_month.

Invariants:
- one record id of an SP is one charge for ever (`charge_key`), however often, in whatever file and
  by however many loaders at once it is sent; the same id with other content is quarantined;
- of a file, landed + quarantined + duplicates = lines, after every chunk and at the end;
- a charge without findings cites the consent that licenses it (CHECK), and what is cited is there
  (`charge_record_cites`);
- what is due for one number in one business month never exceeds the caps, and of one monthly
  service is due at most once a month, whatever the order in which the records arrive;
- whoever lands records holds their numbers before it claims their ids, whichever way they came
  (`landing`, `actions.land`, `at_once`): so of two who use one id at once the later waits for the
  earlier and is answered as if it had come afterwards, and neither waits for the other crosswise;
- records and findings are only added; a later finding lowers what is due, never raises it.
"""
