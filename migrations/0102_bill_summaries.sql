-- Once a month every number is told by SMS what its bill came to, unless its holder does not want it.

ALTER TABLE subscriber_notice DROP CONSTRAINT subscriber_notice_kind;
ALTER TABLE subscriber_notice ADD CONSTRAINT subscriber_notice_kind
    CHECK (kind IN ('receipt', 'renewal', 'spending', 'unusual_bill', 'bill'));

-- The wish is one holder's: who has the number next is asked nothing and is told again.
CREATE TABLE bill_summary_wish (
    msisdn text COLLATE "C" NOT NULL,
    epoch integer NOT NULL,
    wanted boolean NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, epoch)
);
GRANT SELECT, INSERT ON bill_summary_wish TO spms_app;
GRANT UPDATE (wanted, at) ON bill_summary_wish TO spms_app;
