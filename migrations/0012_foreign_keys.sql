-- Foreign keys, by name and in one place, so that a distributed database can take them last.
-- None leads from a plain table into a per-number one.

ALTER TABLE access_token ADD CONSTRAINT access_token_credential FOREIGN KEY (credential_id) REFERENCES credential (id);
ALTER TABLE sp_event ADD CONSTRAINT sp_event_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE sp_hotline ADD CONSTRAINT sp_hotline_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE contact_change ADD CONSTRAINT contact_change_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE restriction ADD CONSTRAINT restriction_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
-- A restriction names a service of the SP that it restricts, or none.
ALTER TABLE restriction ADD CONSTRAINT restriction_own_service FOREIGN KEY (service_id, sp_id) REFERENCES service (id, sp_id);
ALTER TABLE access_number ADD CONSTRAINT access_number_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE service ADD CONSTRAINT service_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE service ADD CONSTRAINT service_access_number FOREIGN KEY (access_number) REFERENCES access_number (number);
ALTER TABLE service_event ADD CONSTRAINT service_event_service FOREIGN KEY (service_id) REFERENCES service (id);
ALTER TABLE tariff ADD CONSTRAINT tariff_service FOREIGN KEY (service_id) REFERENCES service (id);
ALTER TABLE notice ADD CONSTRAINT notice_service FOREIGN KEY (service_id) REFERENCES service (id);
ALTER TABLE notice ADD CONSTRAINT notice_tariff FOREIGN KEY (tariff_id) REFERENCES tariff (id);
ALTER TABLE number_event ADD CONSTRAINT number_event_number FOREIGN KEY (msisdn) REFERENCES number (msisdn);
ALTER TABLE one_time_code ADD CONSTRAINT one_time_code_number FOREIGN KEY (msisdn) REFERENCES number (msisdn);
ALTER TABLE subscription ADD CONSTRAINT subscription_number FOREIGN KEY (msisdn) REFERENCES number (msisdn);
ALTER TABLE subscription ADD CONSTRAINT subscription_service FOREIGN KEY (service_id) REFERENCES service (id);
ALTER TABLE subscription ADD CONSTRAINT subscription_tariff FOREIGN KEY (tariff_id) REFERENCES tariff (id);
ALTER TABLE subscription ADD CONSTRAINT subscription_notice FOREIGN KEY (notice_id) REFERENCES notice (id);
ALTER TABLE subscription_event ADD CONSTRAINT subscription_event_subscription FOREIGN KEY (msisdn, subscription_id) REFERENCES subscription (msisdn, id);
-- A consent is to the very service and price that its relation carries, and to no other.
ALTER TABLE subscription ADD CONSTRAINT subscription_terms UNIQUE (msisdn, id, service_id, price_fen);
ALTER TABLE consent ADD CONSTRAINT consent_subscription FOREIGN KEY (msisdn, subscription_id, service_id, price_fen) REFERENCES subscription (msisdn, id, service_id, price_fen);
ALTER TABLE subscription ADD CONSTRAINT subscription_request FOREIGN KEY (msisdn, request_received_at, request_message_id) REFERENCES message_in (msisdn, received_at, id);
ALTER TABLE order_use ADD CONSTRAINT order_use_subscription FOREIGN KEY (msisdn, subscription_id) REFERENCES subscription (msisdn, id);
ALTER TABLE consent ADD CONSTRAINT consent_message FOREIGN KEY (msisdn, message_received_at, message_id) REFERENCES message_in (msisdn, received_at, id);
ALTER TABLE charge_record ADD CONSTRAINT charge_record_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE charge_record ADD CONSTRAINT charge_record_service FOREIGN KEY (service_id) REFERENCES service (id);
ALTER TABLE charge_record ADD CONSTRAINT charge_record_consent FOREIGN KEY (msisdn, consent_id) REFERENCES consent (msisdn, subscription_id);
ALTER TABLE charge_finding ADD CONSTRAINT charge_finding_charge FOREIGN KEY (msisdn, charged_at, charge_id) REFERENCES charge_record (msisdn, charged_at, id);
ALTER TABLE claim ADD CONSTRAINT claim_charge FOREIGN KEY (msisdn, charged_at, charge_id) REFERENCES charge_record (msisdn, charged_at, id);
ALTER TABLE refund ADD CONSTRAINT refund_claim FOREIGN KEY (msisdn, claim_id) REFERENCES claim (msisdn, id);
ALTER TABLE refund ADD CONSTRAINT refund_within_total FOREIGN KEY (msisdn, charge_id) REFERENCES refund_total (msisdn, charge_id);
ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_plan FOREIGN KEY (plan_id) REFERENCES inspection_plan (id);
ALTER TABLE inspection_item ADD CONSTRAINT inspection_item_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE hotline_call ADD CONSTRAINT hotline_call_item FOREIGN KEY (item_id) REFERENCES inspection_item (id);
ALTER TABLE breach ADD CONSTRAINT breach_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE breach_event ADD CONSTRAINT breach_event_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
ALTER TABLE appeal ADD CONSTRAINT appeal_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
ALTER TABLE point_entry ADD CONSTRAINT point_entry_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
