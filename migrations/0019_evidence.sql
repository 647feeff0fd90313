-- Evidence that cannot be rewritten unseen: one hash chain per kind and subject, whose heads are
-- signed and carried out of the database. Rows are only ever added, by anybody.

-- Where a chain begins. The salt hides the subject: whoever is shown the first hash cannot try
-- out all numbers, and whoever is told salt and number can check that the chain is that number's.
CREATE TABLE chain_start (
    subject text COLLATE "C" NOT NULL,  -- the MSISDN; of a chain about something else, its name
    chain text NOT NULL CONSTRAINT chain_start_chain CHECK (chain ~ '^[a-z][a-z_]{1,31}$'),
    salt bytea NOT NULL CONSTRAINT chain_start_salt CHECK (octet_length(salt) = 32),
    started_at timestamptz NOT NULL,
    PRIMARY KEY (subject, chain)
);
GRANT SELECT, INSERT ON chain_start TO spms_app;

-- There is no row that says which entry is the last one: such a row could be set back. Two who
-- append at once meet at the primary key.
CREATE TABLE chain_entry (
    subject text COLLATE "C" NOT NULL,
    chain text NOT NULL,
    seq bigint NOT NULL CONSTRAINT chain_entry_seq CHECK (seq > 0),
    source text NOT NULL,               -- the fact that this entry tells; told once
    about uuid NOT NULL,                -- the relation, charge … that it belongs to
    kind text NOT NULL,
    at timestamptz NOT NULL,            -- when it happened
    recorded_at timestamptz NOT NULL,   -- when it was told
    body text NOT NULL,                 -- canonical JSON: everything an outsider may see
    private text NOT NULL,              -- canonical JSON: the rest; the body has its SHA-256
    prev_hash bytea NOT NULL CONSTRAINT chain_entry_prev CHECK (octet_length(prev_hash) = 32),
    hash bytea NOT NULL,
    CONSTRAINT chain_entry_hash CHECK (hash =
        sha256('spms-chain-1'::bytea || prev_hash || sha256(convert_to(body, 'UTF8')))),
    PRIMARY KEY (subject, chain, seq)
);
CREATE UNIQUE INDEX chain_entry_told_once ON chain_entry (subject, chain, source);
CREATE INDEX chain_entry_about ON chain_entry (subject, about);
CREATE INDEX chain_entry_recent ON chain_entry USING brin (recorded_at);
GRANT SELECT, INSERT ON chain_entry TO spms_app;

-- The consent log as one reads it.
CREATE VIEW consent_log AS
    SELECT subject AS msisdn, seq, about AS subscription_id, kind, at, recorded_at,
           body::jsonb AS body, private::jsonb AS private, encode(prev_hash, 'hex') AS prev_hash,
           encode(hash, 'hex') AS hash
      FROM chain_entry WHERE chain = 'consent';
GRANT SELECT ON consent_log TO spms_app;

-- Public halves only; the private ones are files.
CREATE TABLE signing_key (
    id text PRIMARY KEY,                -- SHA-256 of the public key, hex
    public_key bytea NOT NULL CONSTRAINT signing_key_ed25519 CHECK (octet_length(public_key) = 32),
    first_used_at timestamptz NOT NULL,
    CONSTRAINT signing_key_id CHECK (id = encode(sha256(public_key), 'hex'))
);
GRANT SELECT, INSERT ON signing_key TO spms_app;

-- A Merkle tree over the heads of all chains that grew since the anchor before.
CREATE TABLE anchor (
    seq bigint PRIMARY KEY CONSTRAINT anchor_seq CHECK (seq > 0),
    at timestamptz NOT NULL,
    leaves integer NOT NULL CONSTRAINT anchor_leaves CHECK (leaves > 0),
    statement text NOT NULL             -- what is signed: canonical JSON with root and predecessor
);
GRANT SELECT, INSERT ON anchor TO spms_app;

CREATE TABLE anchor_leaf (
    subject text COLLATE "C" NOT NULL,
    chain text NOT NULL,
    anchor_seq bigint NOT NULL,
    place integer NOT NULL CONSTRAINT anchor_leaf_place CHECK (place >= 0),
    start_hash bytea NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL,
    path bytea NOT NULL,                -- the way to the root: sibling hashes, 32 bytes each
    PRIMARY KEY (subject, chain, anchor_seq)
);
CREATE INDEX anchor_leaf_of ON anchor_leaf (anchor_seq, place);
GRANT SELECT, INSERT ON anchor_leaf TO spms_app;

CREATE TABLE anchor_signature (
    anchor_seq bigint NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL CONSTRAINT anchor_signature_length CHECK (octet_length(signature) = 64),
    signed_at timestamptz NOT NULL,
    PRIMARY KEY (anchor_seq, key_id)
);
GRANT SELECT, INSERT ON anchor_signature TO spms_app;
