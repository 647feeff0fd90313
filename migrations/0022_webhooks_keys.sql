ALTER TABLE partner_event ADD CONSTRAINT partner_event_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE event_feed_head ADD CONSTRAINT event_feed_head_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE webhook_endpoint ADD CONSTRAINT webhook_endpoint_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE webhook_secret ADD CONSTRAINT webhook_secret_endpoint FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoint (id);
ALTER TABLE webhook_delivery ADD CONSTRAINT webhook_delivery_endpoint FOREIGN KEY (endpoint_id) REFERENCES webhook_endpoint (id);
ALTER TABLE webhook_delivery ADD CONSTRAINT webhook_delivery_event FOREIGN KEY (sp_id, position) REFERENCES partner_event (sp_id, position);
ALTER TABLE webhook_attempt ADD CONSTRAINT webhook_attempt_delivery FOREIGN KEY (endpoint_id, position) REFERENCES webhook_delivery (endpoint_id, position);
