-- What a relation has agreed about time: when it may first be charged, and which relation it takes
-- over from; a code for the cause of every change; a link id for every order on demand.

ALTER TABLE subscription
    -- Nothing is charged before. While a prompt waits: the earliest instant that it names.
    ADD COLUMN charge_from timestamptz,
    -- The rule that sets it (首订免费): closed list in spms.subscriptions.trial.
    ADD COLUMN charge_rule text,
    -- The running relation that a yes to this prompt takes over from: a new price, an SP's trial.
    ADD COLUMN follows_id uuid,
    -- An SP's own free trial: the relation ends by itself at this instant, never charged.
    ADD COLUMN free_until timestamptz,
    -- An order on demand (临时订购关系): what the SP cites to charge it, once.
    ADD COLUMN link_id text;
UPDATE subscription SET charge_from = active_from, charge_rule = 'at_once'
 WHERE active_from IS NOT NULL;
ALTER TABLE subscription
    ADD CONSTRAINT subscription_live_has_first_charge
        CHECK (status NOT IN ('active', 'suspended') OR charge_from IS NOT NULL),
    ADD CONSTRAINT subscription_free_before_charge CHECK (charge_from >= active_from),
    ADD CONSTRAINT subscription_trial_is_free CHECK (charge_from >= free_until),
    ADD CONSTRAINT subscription_link_id
        CHECK (link_id IS NULL OR (link_id ~ '^[0-9]{20}$' AND kind = 'on_demand'));
GRANT UPDATE (charge_from, charge_rule) ON subscription TO spms_app;

-- A prompt for new terms may wait beside the relation that it would take over from. What is had is
-- still one; what waits is one by `subscription_one_prompt`.
DROP INDEX subscription_one_live;
CREATE UNIQUE INDEX subscription_one_live ON subscription (msisdn, service_id)
    WHERE kind = 'monthly' AND status IN ('active', 'suspended');
CREATE UNIQUE INDEX subscription_link ON subscription (msisdn, link_id) WHERE link_id IS NOT NULL;
CREATE INDEX subscription_free ON subscription (free_until)
    WHERE free_until IS NOT NULL AND status IN ('active', 'suspended');

ALTER TABLE subscription_event ADD COLUMN cause text;   -- closed list in spms.subscriptions.model
UPDATE subscription_event e
   SET cause = CASE e.action
       WHEN 'suspend' THEN 'number_suspended'
       WHEN 'resume' THEN 'number_resumed'
       WHEN 'request' THEN CASE s.channel WHEN 'sp' THEN 'sp' WHEN 'agent' THEN 'agent'
                                          ELSE 'subscriber' END
       WHEN 'order' THEN 'subscriber'
       WHEN 'confirm' THEN 'subscriber'
       ELSE COALESCE(s.end_reason, 'operator') END
  FROM subscription s WHERE s.msisdn = e.msisdn AND s.id = e.subscription_id;
ALTER TABLE subscription_event ALTER COLUMN cause SET NOT NULL;

CREATE OR REPLACE VIEW subscription_shown AS
    SELECT s.msisdn, s.id, s.epoch, s.sp_id, s.service_id, s.kind, s.status, s.tariff_id,
           s.notice_id, s.price_fen, s.channel, s.requested_at, s.requested_by, s.request_text,
           s.request_received_at, s.request_message_id, s.prompt_code, s.prompt_text,
           s.confirm_by, s.active_from, s.ended_at, s.end_reason, p.code AS sp_code,
           p.name AS sp_name, v.code AS service_code, v.name AS service_name, v.keyword,
           v.category, s.charge_from, s.charge_rule, s.follows_id, s.free_until, s.link_id
      FROM subscription s
      JOIN service v ON v.id = s.service_id
      JOIN sp p ON p.id = s.sp_id;
