-- Foreign keys of the tables before, by name and last.

ALTER TABLE sp_quota ADD CONSTRAINT sp_quota_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE sp_quota_use ADD CONSTRAINT sp_quota_use_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE message_template ADD CONSTRAINT message_template_of
    FOREIGN KEY (service_id) REFERENCES service (id);
