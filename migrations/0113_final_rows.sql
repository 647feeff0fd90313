-- What is decided, ended or handled stays as it is, also for direct SQL of the application's role: the
-- columns that it may write are writable once. A trigger, and not row security, because SELECT … FOR
-- UPDATE of such a row must go on to find it. The WHEN clause is looked at first: a row that is not
-- final costs no call. The table's owner, who could drop the trigger as well, is not held by it; what
-- such a hand changes is for the hash chains to show. Relations and leavings have theirs (0085).

CREATE FUNCTION refuse_final() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = TG_RELID
                  AND pg_get_userbyid(c.relowner) = current_user) THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'this row of % is final', TG_TABLE_NAME
        USING ERRCODE = 'check_violation', CONSTRAINT = 'row_is_final', TABLE = TG_TABLE_NAME;
END $$;

DO $$
DECLARE
    rule record;
BEGIN
    FOR rule IN SELECT * FROM (VALUES
        -- table, when a row is final, what of it must stay (null: all)
        ('access_token', 'OLD.revoked_at IS NOT NULL', 'revoked_at'),
        ('appeal', 'OLD.decision IS NOT NULL', NULL),
        ('bad_credit', 'OLD.removed_at IS NOT NULL', NULL),
        ('charge_suspicion', 'OLD.state <> ''open''', NULL),
        ('clawback', 'OLD.state <> ''proposed''', NULL),
        ('contact_change', 'OLD.state <> ''requested''', NULL),
        ('credential', 'OLD.revoked_at IS NOT NULL', 'revoked_at, revoked_by'),
        ('hotline_call', 'OLD.state IN (''finished'', ''unknown'', ''dropped'')', NULL),
        ('inspection_item', 'OLD.state = ''judged''', NULL),
        ('inspection_objection', 'OLD.decided_at IS NOT NULL', NULL),
        ('inspection_plan', 'OLD.finished_at IS NOT NULL', NULL),
        ('job_slot', 'OLD.state = ''done''', NULL),
        ('message_in', 'OLD.handled_at IS NOT NULL', 'handled_at, reading, outcome'),
        ('notice', 'OLD.state <> ''drafted''', NULL),
        ('one_time_code', 'OLD.used_at IS NOT NULL', NULL),
        ('payout', 'OLD.state = ''settled''', NULL),
        ('payout_resolution', 'OLD.state <> ''proposed''', NULL),
        ('promotion', 'OLD.state <> ''asked''', NULL),
        ('reservation', 'OLD.state <> ''reserved''', NULL),
        ('restriction', 'OLD.lifted_by IS NOT NULL', NULL),
        ('settlement_adjustment', 'OLD.state <> ''proposed''', NULL),
        ('settlement_hold', 'OLD.cleared_at IS NOT NULL', NULL),
        ('settlement_objection', 'OLD.decision IS NOT NULL', NULL),
        ('sp_hotline', 'OLD.valid_to IS NOT NULL', NULL),
        ('verification', 'OLD.state IN (''doubled'', ''single'', ''declined'')', NULL)
    ) AS t (name, final, stays) LOOP
        EXECUTE format(
            'CREATE TRIGGER row_is_final BEFORE UPDATE ON %I FOR EACH ROW
                WHEN ((%s) AND %s IS DISTINCT FROM %s) EXECUTE FUNCTION refuse_final()',
            rule.name, rule.final,
            COALESCE('(OLD.' || replace(rule.stays, ', ', ', OLD.') || ')', 'OLD.*'),
            COALESCE('(NEW.' || replace(rule.stays, ', ', ', NEW.') || ')', 'NEW.*'));
    END LOOP;
END $$;

-- Of these some columns go on after others are final.
CREATE TRIGGER row_is_final BEFORE UPDATE ON breach FOR EACH ROW
    WHEN ((OLD.decided_at IS NOT NULL
           AND (OLD.decided_at, OLD.decided_by) IS DISTINCT FROM (NEW.decided_at, NEW.decided_by))
       OR (OLD.answered_at IS NOT NULL AND OLD.answered_at IS DISTINCT FROM NEW.answered_at)
       OR (OLD.state IN ('dismissed', 'quashed') AND (OLD.state, OLD.grade, OLD.points)
           IS DISTINCT FROM (NEW.state, NEW.grade, NEW.points))
       OR (OLD.remedy IN ('closed', 'escalated', 'void') AND OLD.remedy IS DISTINCT FROM NEW.remedy))
    EXECUTE FUNCTION refuse_final();
CREATE TRIGGER row_is_final BEFORE UPDATE ON fine FOR EACH ROW
    WHEN (OLD.state IN ('collected', 'void') AND OLD.* IS DISTINCT FROM NEW.*)
    EXECUTE FUNCTION refuse_final();
CREATE TRIGGER row_is_final BEFORE UPDATE ON hotline_finding FOR EACH ROW
    WHEN (OLD.closed_at IS NOT NULL AND (OLD.closed_at IS DISTINCT FROM NEW.closed_at
       OR (OLD.closed_because IS DISTINCT FROM NEW.closed_because
           AND NEW.closed_because IS DISTINCT FROM 'objection')))
    EXECUTE FUNCTION refuse_final();
CREATE TRIGGER row_is_final BEFORE UPDATE ON settlement FOR EACH ROW
    WHEN ((OLD.state IN ('locked', 'paid')
           AND (OLD.revision, OLD.payable_fen, OLD.object_until, OLD.confirmed_at, OLD.pay_month)
               IS DISTINCT FROM
               (NEW.revision, NEW.payable_fen, NEW.object_until, NEW.confirmed_at, NEW.pay_month))
       OR (OLD.state = 'locked' AND NEW.state NOT IN ('locked', 'paid'))
       OR (OLD.state = 'paid' AND NEW.state <> 'paid'))
    EXECUTE FUNCTION refuse_final();
CREATE TRIGGER row_is_final BEFORE UPDATE ON settlement_payout FOR EACH ROW
    WHEN ((OLD.approved_at IS NOT NULL
           AND (OLD.approved_at, OLD.approved_by) IS DISTINCT FROM (NEW.approved_at, NEW.approved_by))
       OR (OLD.to_finance_at IS NOT NULL AND OLD.to_finance_at IS DISTINCT FROM NEW.to_finance_at))
    EXECUTE FUNCTION refuse_final();
CREATE TRIGGER row_is_final BEFORE UPDATE ON message_template FOR EACH ROW
    WHEN ((OLD.state <> 'drafted' AND (OLD.state, OLD.decided_at, OLD.decided_by)
           IS DISTINCT FROM (NEW.state, NEW.decided_at, NEW.decided_by))
       OR (OLD.retired_at IS NOT NULL
           AND (OLD.retired_at, OLD.retired_by) IS DISTINCT FROM (NEW.retired_at, NEW.retired_by)))
    EXECUTE FUNCTION refuse_final();
