-- A hash index grows by splitting one bucket after another: until its turn a bucket holds up to twice
-- what it is meant to, and filled to three quarters that is a second page for each look. Filled to
-- something over a third it is one page at any size.
ALTER INDEX charge_finding_bill SET (fillfactor = 35);
ALTER INDEX claim_bill SET (fillfactor = 35);
REINDEX INDEX charge_finding_bill;
REINDEX INDEX claim_bill;
