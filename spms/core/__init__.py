"""What every room stands on, and what knows no feature.

Tables written here: credential, access_token, access_mark, sign_in_failure, audit_log,
outbox, idempotency, rulebook, job_slot, instance, schema_migration, chain_start, chain_entry, signing_key,
anchor, anchor_leaf, anchor_signature.

Invariants kept here:
- a transaction is opened at the edge and committed before the answer leaves;
- a revoked credential stops working with the next request;
- audit rows are only ever added;
- what was told in a hash chain is never changed, and a change by a stronger hand is found;
- one slot of a job is done once, whatever the number of workers.
"""
