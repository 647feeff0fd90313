-- Silent users and self-consumption are found in one walk over a month's charges: one stage instead
-- of two. A month that stood at either does the whole stage again; a report that is there stays.
ALTER TABLE settlement_month DROP CONSTRAINT settlement_month_stage;
UPDATE settlement_month SET stage = 'look_payers' WHERE stage IN ('look_silent', 'look_heavy');
ALTER TABLE settlement_month ADD CONSTRAINT settlement_month_stage CHECK (stage IN (
    'count_charges', 'count_controlled', 'count_advances', 'count_messages', 'look_payers',
    'look_arrears', 'draw', 'send', 'sent'));
