-- What is counted is counted once: an agent's looks only become more, and of a charge file no number
-- becomes less, nor changes once the file is through (its receipt may be signed by then). Also for
-- direct SQL of the application's role.
CREATE TRIGGER bill_quota_grows BEFORE UPDATE ON bill_quota FOR EACH ROW
    WHEN (NEW.used <= OLD.used) EXECUTE FUNCTION refuse_final();
CREATE TRIGGER charge_file_grows BEFORE UPDATE ON charge_file FOR EACH ROW
    WHEN ((OLD.state = 'done' AND OLD.* IS DISTINCT FROM NEW.*)
       OR NEW.lines < OLD.lines OR NEW.landed < OLD.landed
       OR NEW.quarantined < OLD.quarantined OR NEW.duplicates < OLD.duplicates)
    EXECUTE FUNCTION refuse_final();
