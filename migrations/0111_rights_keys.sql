-- Foreign keys of 0110.
ALTER TABLE promotion ADD CONSTRAINT promotion_service FOREIGN KEY (service_id) REFERENCES service (id);
