-- A refund that fraud brought about is taken back: with proof, by two people, as a linked reversal.
CREATE TABLE clawback (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    claim_id uuid NOT NULL,
    charge_id uuid NOT NULL,
    amount_fen bigint NOT NULL CONSTRAINT clawback_amount CHECK (amount_fen > 0),
    proof text NOT NULL CONSTRAINT clawback_proof
        CHECK (proof IN ('judgment', 'police_report', 'confession', 'forged_evidence')),
    reference text NOT NULL CONSTRAINT clawback_reference CHECK (reference ~ '\S'),
    document_sha256 text NOT NULL CONSTRAINT clawback_document
        CHECK (document_sha256 ~ '^[0-9a-f]{64}$'),
    reason text NOT NULL,
    state text NOT NULL CONSTRAINT clawback_state
        CHECK (state IN ('proposed', 'agreed', 'declined')),
    proposed_at timestamptz NOT NULL,
    proposed_by text NOT NULL,
    decided_at timestamptz,
    decided_by text,
    reversal_id uuid,               -- the entry that took it back
    CONSTRAINT clawback_two_people CHECK (decided_by <> proposed_by),
    CONSTRAINT clawback_decided CHECK ((state = 'proposed') = (decided_by IS NULL)
                                       AND (state = 'proposed') = (decided_at IS NULL)),
    CONSTRAINT clawback_reversed CHECK ((state = 'agreed') = (reversal_id IS NOT NULL)),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX clawback_once ON clawback (msisdn, claim_id) WHERE state <> 'declined';
CREATE INDEX clawback_id ON clawback (id);
GRANT SELECT, INSERT ON clawback TO spms_app;
GRANT UPDATE (state, decided_at, decided_by, reversal_id) ON clawback TO spms_app;

-- What settlement had recovered already of a refund that is taken back is owed to the SP again.
ALTER TABLE posting DROP CONSTRAINT posting_accounts;
ALTER TABLE posting ADD CONSTRAINT posting_accounts CHECK (
    CASE WHEN reverses IS NULL THEN debit || '>' || credit ELSE credit || '>' || debit END IN (
        'sp_receivable>subscriber_payable', 'operator_share>subscriber_payable',
        'goodwill>subscriber_payable', 'subscriber_payable>subscriber_balance',
        'subscriber_balance>sp_payable', 'subscriber_balance>operator_share',
        'sp_payable>sp_receivable', 'operator_share>sp_receivable', 'deposits>sp_receivable',
        'bad_debt>sp_receivable', 'sp_payable>fines', 'deposits>fines', 'sp_receivable>fines',
        'sp_payable>operator_share', 'sp_payable>bad_debt', 'sp_payable>bank', 'bank>deposits',
        'operator_share>sp_payable', 'deposits>bank', 'sp_receivable>sp_payable'));
