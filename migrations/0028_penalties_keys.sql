-- Foreign keys of 0027.
ALTER TABLE breach ADD CONSTRAINT breach_caused_by FOREIGN KEY (caused_by) REFERENCES breach (id);
ALTER TABLE breach_report ADD CONSTRAINT breach_report_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
ALTER TABLE fine ADD CONSTRAINT fine_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
ALTER TABLE fine ADD CONSTRAINT fine_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE register_entry ADD CONSTRAINT register_entry_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
ALTER TABLE apology ADD CONSTRAINT apology_breach FOREIGN KEY (breach_id) REFERENCES breach (id);
ALTER TABLE apology_letter ADD CONSTRAINT apology_letter_apology FOREIGN KEY (breach_id) REFERENCES apology (breach_id);
ALTER TABLE bad_credit ADD CONSTRAINT bad_credit_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE bad_credit_clearance ADD CONSTRAINT bad_credit_clearance_entry FOREIGN KEY (bad_credit_id) REFERENCES bad_credit (id);
ALTER TABLE bad_credit_clearance ADD CONSTRAINT bad_credit_clearance_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
ALTER TABLE sp_link ADD CONSTRAINT sp_link_sp FOREIGN KEY (sp_id) REFERENCES sp (id);
