"""SPMS: the instrument with which a mobile operator keeps its service providers (SPs) honest.

The rooms, from the ground up; each may import the ones named before it, never the reverse:

core            knows no feature: database, clock, money, access, problem details
partners        service providers: qualification, contacts, credentials, restrictions
catalogue       services, access numbers, tariff versions, approved notices
subscribers     numbers: state events and owner epochs
messaging       SMS out and in, the links that carry it, one-time codes
subscriptions   the order relation: double confirmation (二次确认), evidence, unsubscribe
authorisation   鉴权: may this message or charge go?
charging        charge records: ingest, audit, the itemised bill
compensation    claims, double refunds, the double-entry journal
inspections     spot checks of SP hotlines by real SIP calls
penalties       breaches, points, the ladder of measures, appeals
app             puts the house together; cli starts it
"""
