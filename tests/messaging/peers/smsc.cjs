// An SMSC made of npm's smpp: takes commands as JSON lines, tells events as JSON lines.
"use strict";
const smpp = require("smpp");
const readline = require("readline");

const tell = (event) => process.stdout.write(JSON.stringify(event) + "\n");
let bound = null;
let next = 1000;
let answers = []; // statuses to answer the next submissions with; 0 when there is none
let receipts = null; // "hex": names in decimal, receipts in hexadecimal

const server = smpp.createServer((session) => {
  session.on("error", () => session.destroy());
  session.on("bind_transceiver", (pdu) => {
    const right = pdu.system_id === "spms" && pdu.password === "secret";
    const busy = bound !== null;
    const status = !right ? smpp.ESME_RINVPASWD : busy ? smpp.ESME_RALYBND : 0;
    session.send(pdu.response({ command_status: status }));
    if (status) {
      session.close();
      return;
    }
    bound = session;
    tell({ event: "bound" });
  });
  session.on("submit_sm", (pdu) => {
    const status = answers.shift() || 0;
    const name = next++;
    session.send(pdu.response({ command_status: status, message_id: status ? "" : String(name) }));
    const content = pdu.short_message.message;
    tell({
      event: "submitted", status, from: pdu.source_addr, to: pdu.destination_addr,
      text: Buffer.isBuffer(content) ? content.toString("hex") : content,
      part: pdu.short_message.udh ? [...pdu.short_message.udh[0]] : null,
      coding: pdu.data_coding, registered: pdu.registered_delivery,
    });
    if (!status && pdu.registered_delivery && receipts === "hex") {
      session.deliver_sm({
        source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, esm_class: 4,
        short_message: `id:${name.toString(16).toUpperCase().padStart(8, "0")} sub:001 dlvrd:001 ` +
          "submit date:2603021200 done date:2603021201 stat:DELIVRD err:000 text:",
      });
    }
  });
  session.on("enquire_link", (pdu) => session.send(pdu.response()));
  session.on("unbind", (pdu) => {
    session.send(pdu.response());
    session.close();
  });
  session.on("close", () => {
    if (bound === session) {
      bound = null;
      tell({ event: "gone" });
    }
  });
});

const deeds = {
  answer: ({ statuses }) => { answers = statuses; },
  receipts: ({ form }) => { receipts = form; },
  ping: () => tell({ event: "pong" }),
  drop: () => bound.destroy(),
  unbind: () => bound.unbind(),
  deliver: ({ from, to, text, long }) => {
    const more = long ? { message_payload: text } : { short_message: text };
    bound.deliver_sm({ source_addr: from, destination_addr: to, ...more }, (pdu) =>
      tell({ event: "answered", status: pdu.command_status }));
  },
};
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const { deed, ...rest } = JSON.parse(line);
  deeds[deed](rest);
}).on("close", () => process.exit(0));
server.listen(0, "127.0.0.1", () => tell({ event: "listening", port: server.address().port }));
