-- The order relation (订购关系) and the two consents behind it (二次确认).

CREATE TABLE subscription (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    epoch integer NOT NULL,
    sp_id uuid NOT NULL,
    service_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT subscription_kind CHECK (kind IN ('monthly', 'on_demand')),
    status text NOT NULL CONSTRAINT subscription_status CHECK (status IN
        ('awaiting', 'active', 'suspended', 'ended', 'refused', 'expired')),
    tariff_id uuid NOT NULL,
    notice_id uuid NOT NULL,
    price_fen bigint NOT NULL,          -- what the person agreed to
    channel text NOT NULL CONSTRAINT subscription_channel
        CHECK (channel IN ('sms', 'sp', 'web', 'agent')),
    requested_at timestamptz NOT NULL,
    requested_by text NOT NULL,
    request_text text,                  -- the keyword as texted, or the request's own reference
    request_received_at timestamptz,    -- the message that asked, when it was asked by SMS
    request_message_id uuid,
    prompt_code text CONSTRAINT subscription_prompt_code CHECK (prompt_code ~ '^[0-9]{4}$'),
    prompt_text text,
    confirm_by timestamptz,
    active_from timestamptz,
    ended_at timestamptz,
    end_reason text,
    CONSTRAINT subscription_request_message
        CHECK ((request_received_at IS NULL) = (request_message_id IS NULL)),
    CONSTRAINT subscription_waits_for_a_prompt CHECK (status <> 'awaiting' OR
        (prompt_code IS NOT NULL AND prompt_text IS NOT NULL AND confirm_by IS NOT NULL)),
    CONSTRAINT subscription_live_has_start
        CHECK (status NOT IN ('active', 'suspended') OR active_from IS NOT NULL),
    CONSTRAINT subscription_end_has_time
        CHECK ((status IN ('ended', 'refused', 'expired')) = (ended_at IS NOT NULL)),
    CONSTRAINT subscription_range CHECK (ended_at >= active_from),
    PRIMARY KEY (msisdn, id)
);
CREATE UNIQUE INDEX subscription_one_live ON subscription (msisdn, service_id)
    WHERE kind = 'monthly' AND status IN ('awaiting', 'active', 'suspended');
-- One prompt at a time for a service, and `Y 4821` names exactly one of a number's prompts.
CREATE UNIQUE INDEX subscription_one_prompt ON subscription (msisdn, service_id)
    WHERE status = 'awaiting';
CREATE UNIQUE INDEX subscription_one_code ON subscription (msisdn, prompt_code)
    WHERE status = 'awaiting';
CREATE INDEX subscription_id ON subscription (id);
CREATE INDEX subscription_history ON subscription (msisdn, service_id, active_from DESC);
CREATE INDEX subscription_waiting ON subscription (confirm_by) WHERE status = 'awaiting';
CREATE INDEX subscription_orders ON subscription (active_from)
    WHERE kind = 'on_demand' AND status IN ('active', 'suspended');
CREATE INDEX subscription_by_sp ON subscription (sp_id, id);
GRANT SELECT, INSERT ON subscription TO spms_app;
GRANT UPDATE (status, active_from, ended_at, end_reason) ON subscription TO spms_app;

-- A relation as it is shown: with the names that its codes stand for.
CREATE VIEW subscription_shown AS
    SELECT s.msisdn, s.id, s.epoch, s.sp_id, s.service_id, s.kind, s.status, s.tariff_id,
           s.notice_id, s.price_fen, s.channel, s.requested_at, s.requested_by, s.request_text,
           s.request_received_at, s.request_message_id, s.prompt_code, s.prompt_text,
           s.confirm_by, s.active_from, s.ended_at, s.end_reason, p.code AS sp_code,
           p.name AS sp_name, v.code AS service_code, v.name AS service_name, v.keyword
      FROM subscription s
      JOIN service v ON v.id = s.service_id
      JOIN sp p ON p.id = s.sp_id;
GRANT SELECT ON subscription_shown TO spms_app;

CREATE TABLE subscription_event (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    action text NOT NULL,
    from_status text,
    to_status text NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text,
    PRIMARY KEY (msisdn, id)
);
CREATE INDEX subscription_event_of ON subscription_event (msisdn, subscription_id, at);
GRANT SELECT, INSERT ON subscription_event TO spms_app;

-- What licenses a charge: the second yes to a monthly service, or the live order of an on-demand
-- one. Made only from a message that came through the operator's own link; never changed.
CREATE TABLE consent (
    msisdn text COLLATE "C" NOT NULL,
    subscription_id uuid NOT NULL,
    kind text NOT NULL CONSTRAINT consent_kind CHECK (kind IN ('confirmation', 'order')),
    service_id uuid NOT NULL,
    price_fen bigint NOT NULL,
    message_received_at timestamptz NOT NULL,
    message_id uuid NOT NULL,
    prompt_text text,
    reply_text text NOT NULL,
    given_at timestamptz NOT NULL,
    CONSTRAINT consent_confirmation_has_prompt CHECK (kind = 'order' OR prompt_text IS NOT NULL),
    CONSTRAINT consent_given_at_receipt CHECK (given_at = message_received_at),
    PRIMARY KEY (msisdn, subscription_id)
);
CREATE UNIQUE INDEX consent_message ON consent (msisdn, message_id);
GRANT SELECT, INSERT ON consent TO spms_app;

-- The numbered list a `0000` was answered with, so that "1,3" means what the person saw.
CREATE TABLE leave_list (
    msisdn text COLLATE "C" NOT NULL,
    id uuid NOT NULL,
    subscription_ids uuid[] NOT NULL,
    made_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (msisdn, id)
);
GRANT SELECT, INSERT ON leave_list TO spms_app;
