-- Nearly every entry of the book is a refund, and that has the id of its claim, which is found by its
-- charge. Only the others are looked up by the charge that they are about.

DROP INDEX journal_entry_charge;
CREATE INDEX journal_entry_charge ON journal_entry (msisdn, charge_id) WHERE kind <> 'refund';
