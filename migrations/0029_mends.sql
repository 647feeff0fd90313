-- What serves for a while and proves nothing is dropped after it: see core/leftovers.py.
GRANT DELETE ON outbox TO spms_app;
CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;

GRANT DELETE ON one_time_code TO spms_app;
CREATE INDEX one_time_code_expiry ON one_time_code (expires_at);

GRANT DELETE ON webhook_attempt TO spms_app;
CREATE INDEX webhook_attempt_age ON webhook_attempt (at);
